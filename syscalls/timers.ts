/** setitimer(2), alarm(2), timer_create(2) and their kin (kernel/time/itimer.c, posix-timers.c). */
import { EAGAIN, EBUSY, EFAULT, EINVAL, EOPNOTSUPP, ESRCH } from '../sentry/abi/errno.ts';
import { SIGALRM } from '../sentry/abi/signal.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { RLIMIT_SIGPENDING } from '../sentry/kernel/limits.ts';
import {
  ITIMER_PROF,
  ITIMER_REAL,
  ITIMER_VIRTUAL,
  PosixTimer,
  type ProcessTimers,
  SIGEV_NONE,
  SIGEV_SIGNAL,
  SIGEV_THREAD_ID,
  type TimerEvent,
  timersOf,
} from '../sentry/kernel/process-timers.ts';
import {
  inStruct,
  int,
  oneOf,
  outStruct,
  ptr,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import * as clock from '../sentry/time/clock.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { hostClock, isAlarmClock, timerSource, toMonotonic } from './clocks.ts';
import { timespecNs } from './wait-args.ts';

const NS = 1_000_000_000;
/** ns */
const KTIME_MAX = 2 ** 63;
const TIMER_ABSTIME = 1;
const SIGEV_THREAD = 2;
const CLOCKFD = 3;
const CLOCKFD_MASK = 7;
const SIGEVENT_SIZE = 64;
/** Timers of one process; Linux bounds them by RLIMIT_SIGPENDING, and so do we besides. */
const MAX_TIMERS = 4096;

/** Writes a duration at byte `at` of scratch in seconds and units of `unitNs`. */
function putDuration(at: number, ns: number, unitNs: number): void {
  const { u32 } = scratch;
  const sec = ns === Infinity ? 0 : Math.floor(ns / NS);
  u32[at / 4] = sec >>> 0;
  u32[at / 4 + 1] = Math.floor(sec / 0x100000000);
  u32[at / 4 + 2] = Math.floor((ns - sec * NS) / unitNs);
  u32[at / 4 + 3] = 0;
}

/** The timeval at byte `at` of scratch in ns, at most KTIME_MAX; −EINVAL if out of range. */
function timevalNs(at: number): number {
  const w = at / 4;
  const usec = scratch.u32[w + 2]!;
  const secHi = scratch.i32[w + 1]!;
  if (secHi < 0 || scratch.u32[w + 3] !== 0 || usec > 999_999) return -EINVAL;
  const sec = secHi * 0x100000000 + scratch.u32[w]!;
  return Math.min(sec * NS + usec * 1000, KTIME_MAX);
}

/** Puts struct itimerval of `which` into scratch. */
function putItimer(t: Task, which: number): void {
  const c = timersOf(t.group).itimers[which]!;
  putDuration(0, c.interval, 1000);
  // A timer that is armed never shows 0.
  putDuration(16, c.remaining === 0 ? 0 : Math.max(c.remaining, 1000), 1000);
}

function sysGetitimer(t: Task, a: SyscallArgs): SysResult {
  const which = a.int(0);
  if (which < 0 || which > ITIMER_PROF) return -EINVAL;
  putItimer(t, which);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 32);
}

function sysSetitimer(t: Task, a: SyscallArgs): SysResult {
  const which = a.int(0);
  // A null value disarms (with a warning in Linux's log).
  if (a.addr(1) === 0) scratch.u32.fill(0, 0, 8);
  else if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 32) !== 0) return -EFAULT;
  const interval = timevalNs(0);
  const value = timevalNs(16);
  if (interval < 0 || value < 0 || which < 0 || which > ITIMER_PROF) return -EINVAL;
  if (a.addr(2) !== 0) putItimer(t, which);
  const c = timersOf(t.group).itimers[which]!;
  // CPU timers keep the interval of a disarmed timer (set_cpu_itimer), ITIMER_REAL does not.
  if (value === 0) c.set(Infinity, which === ITIMER_REAL ? 0 : interval);
  else c.set(Math.min(c.source.read() + value, KTIME_MAX), interval);
  return a.addr(2) === 0 ? 0 : t.mem.copyOut(a.addr(2), scratch.bytes, 0, 32);
}

/** alarm(2): "the number of seconds remaining until any previously scheduled alarm", rounded, at least 1, in 32 bits. */
function sysAlarm(t: Task, a: SyscallArgs): SysResult {
  const c = timersOf(t.group).itimers[ITIMER_REAL]!;
  const left = c.remaining;
  const seconds = a.uint(0);
  if (seconds === 0) c.disarm();
  else c.set(t.kernel.clock.monotonicNs() + seconds * NS, 0);
  return left === 0 ? 0 : Math.max(1, Math.round(left / NS)) >>> 0;
}

/** The struct sigevent in scratch, or −EINVAL (good_sigevent). */
function sigevent(t: Task): TimerEvent | number {
  const { u32, i32 } = scratch;
  const e: TimerEvent = { notify: i32[3]!, signo: i32[2]!, valueLo: u32[0]!, valueHi: u32[1]!, thread: null };
  if (e.notify === SIGEV_NONE) return e;
  if (e.notify !== SIGEV_SIGNAL && e.notify !== SIGEV_THREAD && e.notify !== SIGEV_THREAD_ID) return -EINVAL;
  if (e.notify === SIGEV_THREAD_ID) {
    const found = t.pidNs.findTask(i32[4]!);
    if (found === null || found.group !== t.group) return -EINVAL;
    e.thread = found;
  }
  return e.signo <= 0 || e.signo > 64 ? -EINVAL : e;
}

/** The number that a timer is to have (PR_TIMER_CREATE_RESTORE_IDS), or −errno. */
function wantedId(t: Task, addr: number, timers: ProcessTimers): number {
  if (t.mem.readU32(addr) !== 0) return -EFAULT;
  const nr = scratch.u32[0]!;
  if (nr >= 0x7fffffff) return -EINVAL;
  return timers.posix.has(nr) ? -EBUSY : nr;
}

function sysTimerCreate(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  if (a.addr(1) !== 0 && t.mem.copyIn(a.addr(1), scratch.bytes, 0, SIGEVENT_SIZE) !== 0) return -EFAULT;
  const event = a.addr(1) === 0 ? null : sigevent(t);
  // Clocks of descriptors have no timers, whatever the descriptor (clock_posix_dynamic).
  if (id < 0 && (id & CLOCKFD_MASK) === CLOCKFD) return -EOPNOTSUPP;
  const source = isAlarmClock(id) ? -EOPNOTSUPP : timerSource(t, id);
  // Of a CPU clock only its kind is looked at here.
  if (typeof source === 'number' && id >= 0 && !isAlarmClock(id)) return source;
  const hostId = hostClock(id);
  if (hostId === clock.CLOCK_MONOTONIC_RAW || hostId === clock.CLOCK_REALTIME_COARSE) return -EOPNOTSUPP;
  if (hostId === clock.CLOCK_MONOTONIC_COARSE) return -EOPNOTSUPP;
  const timers = timersOf(t.group);
  const limit = Math.min(MAX_TIMERS, t.group.limits.cur(RLIMIT_SIGPENDING));
  if (timers.posix.size >= limit) return -EAGAIN;
  // From here on what fails has used a number.
  const nr = timers.restoresIds ? wantedId(t, a.addr(2), timers) : timers.newId();
  if (nr < 0) return nr;
  if (typeof event === 'number') return event;
  if (t.mem.writeU32(a.addr(2), nr) !== 0) return -EFAULT;
  if (typeof source === 'number') return source;
  const usual = { notify: SIGEV_SIGNAL, signo: SIGALRM, valueLo: nr, valueHi: 0, thread: null };
  timers.posix.set(nr, new PosixTimer(t.group, nr, id, source, event ?? usual));
  return 0;
}

function find(t: Task, a: SyscallArgs): PosixTimer | null {
  return t.group.timers === null ? null : (timersOf(t.group).posix.get(a.int(0)) ?? null);
}

function putTimer(p: PosixTimer): void {
  if (p.countdown.source.gone?.() === true) {
    scratch.u32.fill(0, 0, 8);
    return;
  }
  putDuration(0, p.countdown.interval, 1);
  putDuration(16, p.remaining, 1);
}

function sysTimerSettime(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(2) === 0) return -EINVAL;
  if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 32) !== 0) return -EFAULT;
  const interval = Math.min(timespecNs(0), KTIME_MAX);
  const value = Math.min(timespecNs(16), KTIME_MAX);
  if (interval < 0 || value < 0) return -EINVAL;
  const p = find(t, a);
  if (p === null) return -EINVAL;
  if (p.countdown.source.gone?.() === true) return -ESRCH;
  putTimer(p);
  p.resetOverrun();
  const c = p.countdown;
  if (value === 0) p.disarm();
  else if ((a.int(1) & TIMER_ABSTIME) === 0) c.set(Math.min(c.source.read() + value, KTIME_MAX), interval);
  else c.set(c.source.speed() === null ? toMonotonic(t, p.clock, value) : value, interval);
  const r = a.addr(3) === 0 ? 0 : t.mem.copyOut(a.addr(3), scratch.bytes, 0, 32);
  p.catchUp(t);
  return r;
}

function sysTimerGettime(t: Task, a: SyscallArgs): SysResult {
  const p = find(t, a);
  if (p === null) return -EINVAL;
  putTimer(p);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 32);
}

function sysTimerGetoverrun(t: Task, a: SyscallArgs): SysResult {
  const p = find(t, a);
  return p === null ? -EINVAL : p.lastOverrun;
}

function sysTimerDelete(t: Task, a: SyscallArgs): SysResult {
  const p = find(t, a);
  if (p === null) return -EINVAL;
  p.countdown.disarm();
  p.resetOverrun();
  timersOf(t.group).posix.delete(p.id);
  return 0;
}

const which = oneOf({ ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF });
const cpuNote = 'CPU time timers may be a millisecond late';

export const timerRows: readonly SyscallRow[] = [
  { nr: 36, name: 'getitimer', fn: sysGetitimer, args: [which, outStruct(32)], support: 'full' },
  { nr: 37, name: 'alarm', fn: sysAlarm, args: [uint], support: 'full' },
  {
    nr: 38,
    name: 'setitimer',
    fn: sysSetitimer,
    args: [which, inStruct(32, 'itimerval'), outStruct(32)],
    support: 'partial',
    note: cpuNote,
  },
  {
    nr: 222,
    name: 'timer_create',
    fn: sysTimerCreate,
    args: [int, inStruct(SIGEVENT_SIZE, 'sigevent'), outStruct(4)],
    support: 'partial',
    note: cpuNote,
  },
  {
    nr: 223,
    name: 'timer_settime',
    fn: sysTimerSettime,
    args: [int, int, inStruct(32, 'itimerspec'), ptr],
    support: 'full',
  },
  { nr: 224, name: 'timer_gettime', fn: sysTimerGettime, args: [int, outStruct(32)], support: 'full' },
  { nr: 225, name: 'timer_getoverrun', fn: sysTimerGetoverrun, args: [int], support: 'full' },
  { nr: 226, name: 'timer_delete', fn: sysTimerDelete, args: [int], support: 'full' },
];
