/** Clock numbers of syscalls: which clocks there are and what they read (kernel/time/posix-timers.c, posix-cpu-timers.c). */
import { EINVAL } from '../sentry/abi/errno.ts';
import { clockSec, hostSyscall, lastNsec } from '../sentry/host/sys.ffi.ts';
import { atStart } from '../sentry/host/at-start.ts';
import { HostBuffer } from '../sentry/host/memory.ffi.ts';
import { processUsage } from '../sentry/kernel/cpu-time.ts';
import { monotonicTime, processTime, threadTime, type TimeSource } from '../sentry/kernel/process-timers.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { TimeOffset } from '../sentry/kernel/time-namespace.ts';
import type { ResourceUsage, ThreadGroup } from '../sentry/kernel/thread-group.ts';
import * as clock from '../sentry/time/clock.ts';

const NS = 1_000_000_000;
const CPUCLOCK_PROF = 0;
const CPUCLOCK_VIRT = 1;
const CPUCLOCK_SCHED = 2;
export const CPUCLOCK_PERTHREAD = 4;

/** Result of readClock(). */
export const reading = { sec: 0, nsec: 0 };

/** The host's clock that a clock shows; −1: none. There are no alarm clocks, as on a machine without an RTC. */
export function hostClock(id: number): number {
  switch (id) {
    case clock.CLOCK_REALTIME:
    case clock.CLOCK_MONOTONIC:
    case clock.CLOCK_MONOTONIC_RAW:
    case clock.CLOCK_REALTIME_COARSE:
    case clock.CLOCK_MONOTONIC_COARSE:
    case clock.CLOCK_BOOTTIME:
    case clock.CLOCK_TAI:
      return id;
    default:
      return -1;
  }
}

/** CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM: known, but there is no device behind them. */
export function isAlarmClock(id: number): boolean {
  return id === clock.CLOCK_REALTIME_ALARM || id === clock.CLOCK_BOOTTIME_ALARM;
}

/** The clock that an alarm clock goes by. */
function withoutAlarm(id: number): number {
  if (id === clock.CLOCK_REALTIME_ALARM) return clock.CLOCK_REALTIME;
  return id === clock.CLOCK_BOOTTIME_ALARM ? clock.CLOCK_BOOTTIME : id;
}

/** Whose CPU time a clock shows: a process's, or of one thread. */
export interface CpuClock {
  readonly group: ThreadGroup;
  readonly thread: Task | null;
  /** In user mode only. */
  readonly user: boolean;
}

/** The CPU clock `id`, or −EINVAL (pid_for_clock). Threads of other processes have none. */
export function cpuClock(t: Task, id: number): CpuClock | number {
  if (id === clock.CLOCK_PROCESS_CPUTIME_ID) return { group: t.group, thread: null, user: false };
  if (id === clock.CLOCK_THREAD_CPUTIME_ID) return { group: t.group, thread: t, user: false };
  if (id >= 0) return -EINVAL;
  const kind = id & 3;
  if (kind > CPUCLOCK_SCHED) return -EINVAL;
  const nr = ~(id >> 3);
  const perThread = (id & CPUCLOCK_PERTHREAD) !== 0;
  const found = nr === 0 ? t : t.pidNs.findTask(nr);
  if (found === null || (perThread ? found.group !== t.group : nr !== 0 && found.tid !== found.tgid))
    return -EINVAL;
  return { group: found.group, thread: perThread ? found : null, user: kind === CPUCLOCK_VIRT };
}

/** What a timer on the clock goes by. */
export function cpuTimeSource({ group, thread, user }: CpuClock): TimeSource {
  return thread === null ? processTime(group, user) : threadTime(thread, user);
}

/** Reads a clock that goes by itself, or a process's, into `reading`: 0 or −EINVAL; the clock if a thread has to be asked. */
export function readClock(t: Task, id: number): CpuClock | number {
  const host = hostClock(id);
  if (host >= 0) {
    reading.sec = clockSec(host);
    reading.nsec = lastNsec();
    if (t.ns.time.shifted) shiftReading(t.ns.time.shiftOf(id));
    return 0;
  }
  const cpu = cpuClock(t, id);
  if (typeof cpu === 'number') return cpu;
  if (cpu.thread !== null && cpu.group.hadThreads) return cpu;
  showCpuTime(cpu, processUsage(cpu.group));
  return 0;
}

/** The time of `cpu`, used by its thread or process, as `reading`. */
export function showCpuTime(cpu: CpuClock, u: ResourceUsage): void {
  const ns = cpu.user ? u.utimeNs : u.utimeNs + u.stimeNs;
  reading.sec = Math.floor(ns / NS);
  reading.nsec = Math.floor(ns - reading.sec * NS);
}

function shiftReading({ sec, nsec }: TimeOffset): void {
  reading.sec += sec;
  reading.nsec += nsec;
  if (reading.nsec >= NS) {
    reading.nsec -= NS;
    reading.sec++;
  }
}

/** Resolution of coarse clocks: a host tick. Asked at start, the call is not needed later. */
let coarseRes: number;
atStart(() => {
  const b = new HostBuffer(16);
  const r = hostSyscall(229, clock.CLOCK_MONOTONIC_COARSE, b.addr, 0, 0, 0, 0);
  coarseRes = r < 0 || b.u32[0] !== 0 ? 4_000_000 : b.u32[2]!;
});

/** clock_getres(2) in ns, or −EINVAL. */
export function resolution(t: Task, id: number): number {
  if (id === clock.CLOCK_REALTIME_COARSE || id === clock.CLOCK_MONOTONIC_COARSE) return coarseRes;
  if (hostClock(id) >= 0) return 1;
  const cpu = cpuClock(t, id);
  if (typeof cpu === 'number') return cpu;
  return id < 0 && (id & 3) !== CPUCLOCK_SCHED && (id & 3) >= CPUCLOCK_PROF ? 4_000_000 : 1;
}

/**
 * A time of clock `id`, as `t` has it, as CLOCK_MONOTONIC ns of the kernel. Of clocks with an epoch exact to 256 ns; CLOCK_BOOTTIME is ahead of the
 * monotonic clock by the host's suspends.
 */
export function toMonotonic(t: Task, id: number, ns: number): number {
  if (ns === Infinity) return Infinity;
  const host = hostClock(withoutAlarm(id));
  // timens_ktime_to_host()
  const then = Math.max(0, ns - t.ns.time.shiftNs(host));
  if (host === clock.CLOCK_MONOTONIC) return then;
  const now = clockSec(host) * NS + lastNsec();
  return t.kernel.clock.monotonicNs() + (then - now);
}

/** Source for timers on clock `id`, −EINVAL for none. */
export function timerSource(t: Task, id: number): TimeSource | number {
  if (hostClock(id) >= 0) return monotonicTime(t.kernel);
  const cpu = cpuClock(t, id);
  return typeof cpu === 'number' ? cpu : cpuTimeSource(cpu);
}
