/** eventfd(2), timerfd_create(2) and its settings (fs/eventfd.c, fs/timerfd.c). */
import { EBADF, EFAULT, EINVAL, EPERM } from '../sentry/abi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_WAKE_ALARM } from '../sentry/auth/capability.ts';
import { EventFile } from '../sentry/fsimpl/eventfd/eventfd.ts';
import { TimerFile } from '../sentry/fsimpl/eventfd/timerfd.ts';
import {
  fd,
  flags,
  inStruct,
  int,
  outStruct,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
} from '../sentry/time/clock.ts';
import { toMonotonic } from './clocks.ts';
import { installFd } from './fd-install.ts';
import { fileAt } from './io.ts';
import { timespecNs } from './wait-args.ts';

const EFD_SEMAPHORE = 1;
const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;

function sysEventfd(t: Task, a: SyscallArgs): SysResult {
  return installFd(t, new EventFile(a.uint(0), false, 0), false);
}

function sysEventfd2(t: Task, a: SyscallArgs): SysResult {
  const f = a.uint(1);
  if ((f & ~(EFD_SEMAPHORE | O_NONBLOCK | O_CLOEXEC)) !== 0) return -EINVAL;
  const file = new EventFile(a.uint(0), (f & EFD_SEMAPHORE) !== 0, f & O_NONBLOCK);
  return installFd(t, file, (f & O_CLOEXEC) !== 0);
}

const CLOCKS = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM];

function sysTimerfdCreate(t: Task, a: SyscallArgs): SysResult {
  const f = a.uint(1);
  if ((f & ~(O_NONBLOCK | O_CLOEXEC)) !== 0 || !CLOCKS.includes(a.int(0))) return -EINVAL;
  const alarm = a.int(0) === CLOCK_REALTIME_ALARM || a.int(0) === CLOCK_BOOTTIME_ALARM;
  if (alarm && !t.creds.has(CAP_WAKE_ALARM)) return -EPERM;
  const file = new TimerFile(a.int(0), f & O_NONBLOCK, t.kernel.timers, t.kernel.clock);
  return installFd(t, file, (f & O_CLOEXEC) !== 0);
}

/** Fills struct itimerspec in scratch from ns values. */
function putItimerspec(remainingNs: number, intervalNs: number): void {
  [intervalNs, remainingNs].forEach((ns, i) => {
    const sec = Math.floor(ns / 1e9);
    scratch.u32[4 * i] = sec >>> 0;
    scratch.u32[4 * i + 1] = Math.floor(sec / 0x100000000);
    scratch.u32[4 * i + 2] = Math.floor(ns - sec * 1e9);
    scratch.u32[4 * i + 3] = 0;
  });
}

/** In monotonic ns; Infinity: none. */
function firstExpiration(t: Task, clock: number, value: number, absolute: boolean): number {
  if (value === 0) return Infinity;
  return absolute ? toMonotonic(t, clock, value) : t.kernel.clock.monotonicNs() + value;
}

function sysTimerfdSettime(t: Task, a: SyscallArgs): SysResult {
  const f = a.uint(1);
  if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 32) !== 0) return -EFAULT;
  const interval = timespecNs(0);
  const value = timespecNs(16);
  if ((f & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0 || interval < 0 || value < 0) return -EINVAL;
  const file = fileAt(t, a.int(0));
  if (file === null) return -EBADF;
  if (!(file instanceof TimerFile)) return -EINVAL;
  putItimerspec(file.timeLeft(), file.intervalNs);
  file.set(firstExpiration(t, file.clockId, value, (f & TFD_TIMER_ABSTIME) !== 0), interval, f);
  return a.addr(3) === 0 ? 0 : t.mem.copyOut(a.addr(3), scratch.bytes, 0, 32);
}

function sysTimerfdGettime(t: Task, a: SyscallArgs): SysResult {
  const file = fileAt(t, a.int(0));
  if (file === null) return -EBADF;
  if (!(file instanceof TimerFile)) return -EINVAL;
  putItimerspec(file.timeLeft(), file.intervalNs);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 32);
}

const NB = { EFD_SEMAPHORE, EFD_NONBLOCK: O_NONBLOCK, EFD_CLOEXEC: O_CLOEXEC };
const TFD = { TFD_NONBLOCK: O_NONBLOCK, TFD_CLOEXEC: O_CLOEXEC };

export const eventfdRows: SyscallRow[] = [
  { nr: 283, name: 'timerfd_create', fn: sysTimerfdCreate, args: [int, flags(TFD)], support: 'full' },
  { nr: 284, name: 'eventfd', fn: sysEventfd, args: [uint], support: 'full' },
  {
    nr: 286,
    name: 'timerfd_settime',
    fn: sysTimerfdSettime,
    args: [
      fd,
      flags({ TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET }),
      inStruct(32, 'itimerspec'),
      outStruct(32, 'itimerspec'),
    ],
    support: 'partial',
    note: 'TFD_TIMER_CANCEL_ON_SET has no effect: the wall clock is the host’s.',
  },
  {
    nr: 287,
    name: 'timerfd_gettime',
    fn: sysTimerfdGettime,
    args: [fd, outStruct(32, 'itimerspec')],
    support: 'full',
  },
  { nr: 290, name: 'eventfd2', fn: sysEventfd2, args: [uint, flags(NB)], support: 'full' },
];
