/** Timeouts and signal masks of the calls that wait for files (fs/select.c, fs/eventpoll.c). */
import { EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const NS = 1_000_000_000;

/**
 * ns of the struct timespec at `addr`, Infinity for a null pointer or more than fits, −errno if unreadable or out of range.
 */
export function readTimespec(t: Task, addr: number): number {
  if (addr === 0) return Infinity;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  return timespecNs(0);
}

const KTIME_SEC_MAX = 9_223_372_036;

/** The struct timespec at byte `at` of scratch, in ns; −EINVAL if out of range. */
export function timespecNs(at: number): number {
  const w = at / 4;
  const secHi = scratch.i32[w + 1]!;
  const nsec = scratch.u32[w + 2]!;
  if (secHi < 0 || scratch.u32[w + 3] !== 0 || nsec >= NS) return -EINVAL;
  const sec = secHi * 0x100000000 + scratch.u32[w]!;
  return sec >= KTIME_SEC_MAX ? Infinity : sec * NS + nsec;
}

/** The struct timeval at `addr` (select): microseconds may exceed a second. */
export function readTimeval(t: Task, addr: number): number {
  if (addr === 0) return Infinity;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const sec = scratch.i32[1]! * 0x100000000 + scratch.u32[0]!;
  const usec = scratch.i32[3]! * 0x100000000 + scratch.u32[2]!;
  const whole = sec + Math.trunc(usec / 1_000_000);
  if (whole < 0 || usec % 1_000_000 < 0) return -EINVAL;
  return whole > 4_000_000_000 ? Infinity : whole * NS + (usec % 1_000_000) * 1000;
}

/** Writes the time left until `deadlineNs` to the guest: `unitNs` 1 for timespec, 1000 for timeval. Errors do not matter. */
export function writeRemaining(t: Task, addr: number, deadlineNs: number, unitNs: number): boolean {
  if (addr === 0 || deadlineNs === Infinity || t.killed) return true;
  const left = Math.max(0, deadlineNs - t.kernel.clock.monotonicNs());
  const sec = Math.floor(left / NS);
  scratch.u32[0] = sec >>> 0;
  scratch.u32[1] = Math.floor(sec / 0x100000000);
  scratch.u32[2] = Math.floor((left - sec * NS) / unitNs);
  scratch.u32[3] = 0;
  return t.mem.copyOut(addr, scratch.bytes, 0, 16) === 0;
}

/** Deadline on the monotonic clock for a relative timeout. */
export function deadlineIn(t: Task, timeoutNs: number): number {
  return timeoutNs === Infinity ? Infinity : t.kernel.clock.monotonicNs() + timeoutNs;
}

/** Installs the signal mask at `addr` (may be null) until the call ends: 0 or −errno. */
export function useSigMask(t: Task, addr: number, sigsetsize: number): number {
  if (addr === 0) return 0;
  if (sigsetsize !== 8) return -EINVAL;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  t.setTemporarySigMask(scratch.u32[0]!, scratch.u32[1]!);
  return 0;
}
