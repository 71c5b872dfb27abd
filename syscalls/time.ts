/** Clocks and sleeping: clock_gettime(2), clock_nanosleep(2), times(2), getrusage(2) and their kin (kernel/time/). */
import { EFAULT, EINVAL, EOPNOTSUPP, ERESTARTNOHAND, ERESTART_RESTARTBLOCK } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { askThread, askUsage, processUsage } from '../sentry/kernel/cpu-time.ts';
import {
  inStruct,
  int,
  oneOf,
  outStruct,
  ptr,
  SYS_DETACHED,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { TASK_DETACHED, type Task } from '../sentry/kernel/task.ts';
import type { TimeSource } from '../sentry/kernel/process-timers.ts';
import type { ResourceUsage } from '../sentry/kernel/thread-group.ts';
import * as clock from '../sentry/time/clock.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import {
  CPUCLOCK_PERTHREAD,
  type CpuClock,
  cpuClock,
  cpuTimeSource,
  hostClock,
  isAlarmClock,
  readClock,
  reading,
  resolution,
  showCpuTime,
  toMonotonic,
} from './clocks.ts';
import { putRusage, RUSAGE_SIZE } from './wait.ts';
import { readTimespec, writeRemaining } from './wait-args.ts';

const NS = 1_000_000_000;
const TIMER_ABSTIME = 1;
const RUSAGE_SELF = 0;
const RUSAGE_CHILDREN = -1;
const RUSAGE_THREAD = 1;
const USER_HZ = 100;
const { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI } = clock;

/** Two 64-bit fields at the start of scratch. */
function putPair(sec: number, rest: number): void {
  const { u32 } = scratch;
  u32[0] = sec >>> 0;
  u32[1] = Math.floor(sec / 0x100000000);
  u32[2] = rest;
  u32[3] = 0;
}

function sysClockGettime(t: Task, a: SyscallArgs): SysResult {
  const r = readClock(t, a.int(0));
  if (typeof r !== 'number') return askClock(t, r, a.addr(1));
  if (r !== 0) return r;
  putPair(reading.sec, reading.nsec);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 16);
}

/** The time of a thread of the own process among others: only they can ask the host. */
function askClock(t: Task, cpu: CpuClock, addr: number): SysResult {
  t.state = TASK_DETACHED;
  askThread(t, cpu.thread!, (u) => {
    showCpuTime(cpu, u);
    putPair(reading.sec, reading.nsec);
    t.kernel.endDetached(t, t.mem.copyOut(addr, scratch.bytes, 0, 16));
  });
  return SYS_DETACHED;
}

function sysClockGetres(t: Task, a: SyscallArgs): SysResult {
  const r = resolution(t, a.int(0));
  if (r < 0 || a.addr(1) === 0) return Math.min(r, 0);
  putPair(0, r);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 16);
}

function sysGettimeofday(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(0) !== 0) {
    readClock(t, CLOCK_REALTIME);
    putPair(reading.sec, Math.floor(reading.nsec / 1000));
    if (t.mem.copyOut(a.addr(0), scratch.bytes, 0, 16) !== 0) return -EFAULT;
  }
  if (a.addr(1) === 0) return 0;
  // The kernel's time zone is never set.
  scratch.u32.fill(0, 0, 2);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 8);
}

function sysTime(t: Task, a: SyscallArgs): SysResult {
  const sec = t.kernel.clock.realtimeSec();
  if (a.addr(0) !== 0 && t.mem.writeU64(a.addr(0), sec) !== 0) return -EFAULT;
  return sec;
}

/** A sleep in progress. */
interface Sleep {
  /** CLOCK_MONOTONIC ns, or what `cpu` is to read. */
  readonly deadline: number;
  /** Sleeps until a process has used CPU time; null: on a clock that goes by itself. */
  readonly cpu?: TimeSource;
  /** Where the time left goes if it is interrupted; 0: nowhere, as for absolute sleeps. */
  readonly remAddr: number;
  readonly absolute: boolean;
}

function sleepOn(t: Task, s: Sleep): SysResult {
  if (s.cpu !== undefined) return sleepOnCpu(t, s, s.cpu);
  if (t.blockState !== null && t.timedOut) return 0;
  if (s.deadline <= t.kernel.clock.monotonicNs()) return 0;
  t.blockState = s;
  return t.block(s.deadline, sleepInterrupted);
}

/** CPU time is looked at no more often than this. */
const CPU_POLL_NS = 1_000_000;

/** do_cpu_nanosleep() */
function sleepOnCpu(t: Task, s: Sleep, source: TimeSource): SysResult {
  const left = s.deadline - source.read();
  if (left <= 0) return 0;
  t.blockState = s;
  const speed = source.speed();
  // The time of what has ended stands still, but a signal may come.
  const wait = speed === 0 || speed === null ? Infinity : Math.max(left / speed, CPU_POLL_NS);
  return t.block(t.kernel.clock.deadlineIn(wait), sleepInterrupted);
}

/** Relative sleeps go on with what is left after a stop; after a handler they end with EINTR. */
function sleepInterrupted(t: Task): SysResult {
  const s = t.blockState as Sleep;
  if (s.absolute) return -ERESTARTNOHAND;
  const { clock: kernelClock } = t.kernel;
  const left = s.deadline - (s.cpu === undefined ? kernelClock.monotonicNs() : s.cpu.read());
  if (left <= 0) return 0;
  if (!writeRemaining(t, s.remAddr, kernelClock.deadlineIn(left), 1)) return -EFAULT;
  t.restart = (task) => sleepOn(task, (task.blockState as Sleep | null) ?? s);
  return -ERESTART_RESTARTBLOCK;
}

function sysNanosleep(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState !== null) return sleepOn(t, t.blockState as Sleep);
  // Null is no timeout elsewhere; here it is a bad address.
  if (a.addr(0) === 0) return -EFAULT;
  const ns = readTimespec(t, a.addr(0));
  if (ns < 0) return ns;
  return sleepOn(t, { deadline: t.kernel.clock.deadlineIn(ns), remAddr: a.addr(1), absolute: false });
}

function sysClockNanosleep(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState !== null) return sleepOn(t, t.blockState as Sleep);
  const id = a.int(0);
  const refused = checkSleepClock(t, id);
  // Whose CPU clock it is comes last.
  if (refused !== 0 && id >= 0) return refused;
  if (a.addr(2) === 0) return -EFAULT;
  const ns = readTimespec(t, a.addr(2));
  if (ns < 0) return ns;
  if (refused !== 0) return refused;
  // There is no device that could wake anybody up.
  if (isAlarmClock(id)) return -EOPNOTSUPP;
  const absolute = (a.int(1) & TIMER_ABSTIME) !== 0;
  const remAddr = absolute ? 0 : a.addr(3);
  if (hostClock(id) < 0) {
    const cpu = cpuClock(t, id);
    if (typeof cpu === 'number') return cpu;
    const source = cpuTimeSource(cpu);
    return sleepOn(t, { deadline: absolute ? ns : source.read() + ns, cpu: source, remAddr, absolute });
  }
  const deadline = absolute ? toMonotonic(t, id, ns) : t.kernel.clock.deadlineIn(ns);
  return sleepOn(t, { deadline, remAddr, absolute });
}

/** 0 if one can sleep on the clock, else Linux's answer: nobody can wait for the own thread's CPU time. */
function checkSleepClock(t: Task, id: number): number {
  if (id === CLOCK_REALTIME || id === CLOCK_MONOTONIC || id === CLOCK_BOOTTIME || id === CLOCK_TAI) return 0;
  if (isAlarmClock(id)) return 0;
  if (hostClock(id) >= 0 || id === clock.CLOCK_THREAD_CPUTIME_ID) return -EOPNOTSUPP;
  const cpu = cpuClock(t, id);
  if (typeof cpu === 'number') return cpu;
  const nr = ~(id >> 3);
  return id < 0 && (id & CPUCLOCK_PERTHREAD) !== 0 && (nr === 0 || nr === t.tid) ? -EINVAL : 0;
}

const ticks = (ns: number): number => Math.floor(ns / (NS / USER_HZ));

function sysTimes(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(0) !== 0) {
    const self = processUsage(t.group);
    const children = t.group.childrenUsage;
    const fields = [self.utimeNs, self.stimeNs, children.utimeNs, children.stimeNs];
    fields.forEach((ns, i) => {
      scratch.u32[2 * i] = ticks(ns) >>> 0;
      scratch.u32[2 * i + 1] = Math.floor(ticks(ns) / 0x100000000);
    });
    if (t.mem.copyOut(a.addr(0), scratch.bytes, 0, 32) !== 0) return -EFAULT;
  }
  // jiffies_64 starts five minutes before boot and wraps (INITIAL_JIFFIES); only differences mean something.
  return ticks(t.kernel.clock.monotonicNs());
}

function sysGetrusage(t: Task, a: SyscallArgs): SysResult {
  const who = a.int(0);
  const tell = (u: ResourceUsage): SysResult => putRusage(t, a.addr(1), u);
  if (who === RUSAGE_CHILDREN) return tell(t.group.childrenUsage);
  if (who !== RUSAGE_SELF && who !== RUSAGE_THREAD) return -EINVAL;
  t.state = TASK_DETACHED;
  askUsage(t, who === RUSAGE_THREAD, (u) => t.kernel.endDetached(t, tell(u)));
  return SYS_DETACHED;
}

const CLOCKS = {
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_PROCESS_CPUTIME_ID: clock.CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_THREAD_CPUTIME_ID: clock.CLOCK_THREAD_CPUTIME_ID,
  CLOCK_MONOTONIC_RAW: clock.CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE: clock.CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE: clock.CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
};
const clockId = oneOf(CLOCKS);
const timespec = inStruct(16, 'timespec');
const cpuNote = 'time spent in this kernel is shared out by numbers of calls';

export const timeRows: readonly SyscallRow[] = [
  { nr: 35, name: 'nanosleep', fn: sysNanosleep, args: [timespec, ptr], support: 'full' },
  { nr: 96, name: 'gettimeofday', fn: sysGettimeofday, args: [outStruct(16), ptr], support: 'full' },
  {
    nr: 98,
    name: 'getrusage',
    fn: sysGetrusage,
    args: [int, outStruct(RUSAGE_SIZE, 'rusage')],
    support: 'partial',
    note: `${cpuNote}; on ptrace the faults of processes are known as long as they live`,
  },
  { nr: 100, name: 'times', fn: sysTimes, args: [outStruct(32)], support: 'partial', note: cpuNote },
  { nr: 201, name: 'time', fn: sysTime, args: [ptr], support: 'full' },
  {
    nr: 228,
    name: 'clock_gettime',
    fn: sysClockGettime,
    args: [clockId, outStruct(16, 'timespec')],
    support: 'full',
  },
  { nr: 229, name: 'clock_getres', fn: sysClockGetres, args: [clockId, outStruct(16)], support: 'full' },
  {
    nr: 230,
    name: 'clock_nanosleep',
    fn: sysClockNanosleep,
    args: [clockId, int, timespec, ptr],
    support: 'partial',
    note: 'sleeps on CPU clocks may last a millisecond longer',
  },
];
