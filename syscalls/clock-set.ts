/**
 * settimeofday(2), clock_settime(2), adjtimex(2) and clock_adjtime(2) (kernel/time/). The clocks are the host's: nobody in here may set
 * them, whatever its capabilities; arguments are looked at in Linux's order.
 */
import { EFAULT, EINVAL, EOPNOTSUPP, EPERM } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { inStruct, oneOf, ptr, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { CLOCK_REALTIME } from '../sentry/time/clock.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { cpuClock, hostClock, isAlarmClock } from './clocks.ts';

/** TIME_SETTOD_SEC_MAX: what a ktime_t holds less thirty years of uptime (include/linux/time64.h). */
const SETTOD_SEC_MAX = 9_223_372_036 - 30 * 365 * 24 * 3600;
/** Clocks of open files: there are none (clockid_to_kclock). */
const CLOCKFD = 3;
const CLOCKFD_MASK = 7;

/** timespec64_valid_settod() of the seconds in scratch. */
function settable(): boolean {
  return scratch.i32[1]! >= 0 && scratch.i32[1]! * 0x100000000 + scratch.u32[0]! < SETTOD_SEC_MAX;
}

function sysSettimeofday(t: Task, a: SyscallArgs): SysResult {
  const tv = a.addr(0);
  if (tv !== 0) {
    if (t.mem.copyIn(tv, scratch.bytes, 0, 16) !== 0) return -EFAULT;
    if (scratch.u32[3] !== 0 || scratch.u32[2]! > 999_999) return -EINVAL;
  }
  if (a.addr(1) !== 0 && t.mem.check(a.addr(1), 8, false) !== 0) return -EFAULT;
  return tv === 0 || settable() ? -EPERM : -EINVAL;
}

function sysClockSettime(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  if (id > CLOCK_REALTIME) return -EINVAL;
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 16) !== 0) return -EFAULT;
  if (id < 0) return typeof cpuClock(t, id) !== 'number' ? -EPERM : -EINVAL;
  const valid = settable() && scratch.u32[3] === 0 && scratch.u32[2]! <= 999_999_999;
  return valid ? -EPERM : -EINVAL;
}

const TIMEX_SIZE = 208;
// include/linux/timex.h
const ADJ_ADJTIME = 0x8000;
const ADJ_SINGLESHOT = 0x0001;
const ADJ_OFFSET_SS_READ = 0xa001;
const STA_UNSYNC = 0x40;
const TIME_ERROR = 5;

/** The struct timex at `addr` goes out again even if it was refused. */
function adjust(t: Task, addr: number): SysResult {
  const { bytes } = scratch;
  if (t.mem.copyIn(addr, bytes, 0, TIMEX_SIZE) !== 0) return -EFAULT;
  const r = readTimex(t);
  return t.mem.copyOut(addr, bytes, 0, TIMEX_SIZE) !== 0 ? -EFAULT : r;
}

function readTimex(t: Task): SysResult {
  const { bytes, u32 } = scratch;
  const modes = u32[0]!;
  if ((modes & ADJ_ADJTIME) !== 0 && (modes & ADJ_SINGLESHOT) === 0) return -EINVAL;
  if (modes !== 0 && modes !== ADJ_OFFSET_SS_READ) return -EPERM;
  // do_adjtimex() fills in fields: padding and what is reserved stay the caller's.
  bytes.fill(0, 8, 44);
  bytes.fill(0, 48, 116);
  bytes.fill(0, 120, 164);
  const put = (at: number, v: number): void => {
    u32[at / 4] = v >>> 0;
    u32[at / 4 + 1] = Math.floor(v / 0x100000000);
  };
  // Frequency 0, status unsynchronised, tick 10 ms; the time.
  put(24, 16_000_000);
  put(32, 16_000_000);
  u32[10] = STA_UNSYNC;
  put(56, 1);
  put(64, 32_768_000);
  put(72, t.kernel.clock.realtimeSec());
  put(80, Math.floor(t.kernel.clock.realtimeNsec() / 1000));
  put(88, 10_000);
  return TIME_ERROR;
}

function sysAdjtimex(t: Task, a: SyscallArgs): SysResult {
  return adjust(t, a.addr(0));
}

function sysClockAdjtime(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  if (id === CLOCK_REALTIME) return adjust(t, a.addr(1));
  if (t.mem.check(a.addr(1), TIMEX_SIZE, false) !== 0) return -EFAULT;
  if (id < 0) return (id & CLOCKFD_MASK) === CLOCKFD ? -EINVAL : -EOPNOTSUPP;
  return hostClock(id) >= 0 || isAlarmClock(id) || typeof cpuClock(t, id) !== 'number'
    ? -EOPNOTSUPP
    : -EINVAL;
}

const refused = 'the clocks are the host’s (EPERM)';
const clockId = oneOf({ CLOCK_REALTIME });

export const clockSetRows: readonly SyscallRow[] = [
  { nr: 159, name: 'adjtimex', fn: sysAdjtimex, args: [ptr], support: 'partial', note: 'reading only' },
  {
    nr: 164,
    name: 'settimeofday',
    fn: sysSettimeofday,
    args: [ptr, ptr],
    support: 'none',
    note: refused,
  },
  {
    nr: 227,
    name: 'clock_settime',
    fn: sysClockSettime,
    args: [clockId, inStruct(16, 'timespec')],
    support: 'none',
    note: refused,
  },
  {
    nr: 305,
    name: 'clock_adjtime',
    fn: sysClockAdjtime,
    args: [clockId, ptr],
    support: 'partial',
    note: 'reading only',
  },
];
