/** TIMEOUT, LINK_TIMEOUT and TIMEOUT_REMOVE (io_uring/timeout.c). */
import { EFAULT, EINVAL, ENOENT, ETIME } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME } from '../../sentry/time/clock.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { toMonotonic } from '../clocks.ts';
import { anySet, BUF_INDEX, FILE_INDEX, LEN, OFF, ownRow } from './op-calls.ts';
import { findRequest } from './op-poll.ts';
import type { Op } from './op.ts';
import { setLinkTimeout, type Request } from './request.ts';

const CLOCKS = U.IORING_TIMEOUT_BOOTTIME | U.IORING_TIMEOUT_REALTIME;
const UPDATE = U.IORING_TIMEOUT_UPDATE | U.IORING_LINK_TIMEOUT_UPDATE;

/** When it is over, in ns of CLOCK_MONOTONIC, and for multishot ones the time from one to the next. */
interface Timeout {
  /** As it was given, until it begins. */
  ns: number;
  flags: number;
  deadlineNs: number;
  /** Completions that are to come, of a multishot timeout; Infinity: no end. */
  repeats: number;
}

const NS = 1_000_000_000;
const FOREVER_S = 9_223_372_036;

/** The struct timespec at `addr` in ns, or −errno. More nanoseconds than a second has are taken for what they are. */
function readTime(t: Task, addr: number): number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const { u32, i32 } = scratch;
  if (i32[1]! < 0 || i32[3]! < 0) return -EINVAL;
  const sec = i32[1]! * 0x100000000 + u32[0]!;
  return sec >= FOREVER_S ? Infinity : sec * NS + i32[3]! * 0x100000000 + u32[2]!;
}

function deadlineOf(t: Task, ns: number, flags: number): number {
  if ((flags & U.IORING_TIMEOUT_ABS) === 0) return t.kernel.clock.deadlineIn(ns);
  const isReal = (flags & U.IORING_TIMEOUT_REALTIME) !== 0;
  const isBoot = (flags & U.IORING_TIMEOUT_BOOTTIME) !== 0;
  return toMonotonic(t, isReal ? CLOCK_REALTIME : isBoot ? CLOCK_BOOTTIME : CLOCK_MONOTONIC, ns);
}

function prepare(r: Request, t: Task, isLink: boolean): number {
  if (anySet(r, [BUF_INDEX, FILE_INDEX]) || r.len !== 1) return -EINVAL;
  if (isLink && anySet(r, [OFF])) return -EINVAL;
  const flags = r.opFlags;
  const known = CLOCKS | U.IORING_TIMEOUT_ABS | U.IORING_TIMEOUT_ETIME_SUCCESS | U.IORING_TIMEOUT_MULTISHOT;
  if ((flags & ~known) !== 0 || (flags & CLOCKS) === CLOCKS) return -EINVAL;
  const both = U.IORING_TIMEOUT_MULTISHOT | U.IORING_TIMEOUT_ABS;
  if ((flags & both) === both) return -EINVAL;
  const ns = readTime(t, r.addr);
  if (ns < 0) return ns;
  if (isLink) {
    const { chainLast } = r.ring;
    if (chainLast === null || chainLast.op === LINK_TIMEOUT) return -EINVAL;
  }
  r.state = { ns, flags, deadlineNs: 0, repeats: 0 } satisfies Timeout;
  return 0;
}

function isOver(t: Task, s: Timeout): boolean {
  return t.timedOut || s.deadlineNs <= t.kernel.clock.monotonicNs();
}

const timeoutRow = ownRow('TIMEOUT', (t, r) => {
  const s = r.state as Timeout;
  return isOver(t, s) ? -ETIME : t.block(s.deadlineNs, 0);
});

export const TIMEOUT: Op = {
  name: 'TIMEOUT',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  isTimeout: true,
  prep: (r, t) => prepare(r, t, false),
  begin(r, t) {
    const s = r.state as Timeout;
    s.deadlineNs = deadlineOf(t, s.ns, s.flags);
    const count = r.sqe[2]!;
    if ((s.flags & U.IORING_TIMEOUT_MULTISHOT) !== 0) s.repeats = count === 0 ? Infinity : count - 1;
    else if (count !== 0) r.ring.counting.set(r, r.ring.posted + count);
    return timeoutRow;
  },
  goesOn(r, result) {
    const s = r.state as Timeout;
    if (result !== -ETIME || s.repeats === 0) return false;
    s.repeats--;
    s.deadlineNs += s.ns;
    r.worker!.timedOut = false;
    return true;
  },
  failed(r, result) {
    const { flags } = r.state as Timeout;
    return result < 0 && !(result === -ETIME && (flags & U.IORING_TIMEOUT_ETIME_SUCCESS) !== 0);
  },
};

/** io_link_timeout_fn(): the request that it belongs to is cancelled. */
const linkRow = ownRow('LINK_TIMEOUT', (t, r) => {
  const s = r.state as Timeout;
  if (!isOver(t, s)) return t.block(s.deadlineNs, 0);
  const { timed } = r;
  if (timed === null) return -ENOENT;
  r.timed = null;
  timed.timeout = null;
  const error = timed.cancel();
  return error === 0 ? -ETIME : error;
});

export const LINK_TIMEOUT: Op = {
  name: 'LINK_TIMEOUT',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  prep: (r, t) => prepare(r, t, true),
  begin(r, t) {
    const s = r.state as Timeout;
    s.deadlineNs = deadlineOf(t, s.ns, s.flags);
    return linkRow;
  },
};
setLinkTimeout(LINK_TIMEOUT);

/** What TIMEOUT_REMOVE shall do: a new time, or none. */
interface Change {
  readonly ns: number;
}

function change(t: Task, r: Request): SysResult {
  const flags = r.opFlags;
  const op = (flags & U.IORING_LINK_TIMEOUT_UPDATE) !== 0 ? LINK_TIMEOUT : TIMEOUT;
  const target = findRequest(r, op, r.sqe[4]!, r.sqe[5]!);
  if (target === null) return -ENOENT;
  if ((flags & UPDATE) === 0) return target.cancel();
  const s = target.state as Timeout;
  s.deadlineNs = deadlineOf(t, (r.state as Change).ns, flags);
  // It looks at its new time.
  target.worker?.wake();
  return 0;
}

const removeRow = ownRow('TIMEOUT_REMOVE', change);

export const TIMEOUT_REMOVE: Op = {
  name: 'TIMEOUT_REMOVE',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  prep(r, t) {
    if (r.has(U.IOSQE_FIXED_FILE) || anySet(r, [BUF_INDEX, LEN, FILE_INDEX])) return -EINVAL;
    const flags = r.opFlags;
    if ((flags & UPDATE) === 0) return flags === 0 ? 0 : -EINVAL;
    if ((flags & CLOCKS) === CLOCKS) return -EINVAL;
    if ((flags & ~(UPDATE | CLOCKS | U.IORING_TIMEOUT_ABS)) !== 0) return -EINVAL;
    const ns = readTime(t, r.sqe[3]! * 0x100000000 + r.sqe[2]!);
    if (ns < 0) return ns;
    r.state = { ns } satisfies Change;
    return 0;
  },
  begin: () => removeRow,
};
