/** io_uring_enter(2) (io_uring/io_uring.c, wait.c). */
import { EBADF, EBADFD, EEXIST, EFAULT, EINTR, EINVAL, EOPNOTSUPP, ETIME } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SyscallArgs } from '../../sentry/arch/syscall-args.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { EPOLLIN } from '../../sentry/waiter/wait-queue.ts';
import { RUN_BUDGET } from '../io.ts';
import { timespecNs, useSigMask } from '../wait-args.ts';
import { uringsOf } from './kernel-urings.ts';
import { wide } from './request.ts';
import { submit } from './submit.ts';
import { UringFile } from './uring-file.ts';

const ENTER_FLAGS =
  U.IORING_ENTER_GETEVENTS |
  U.IORING_ENTER_SQ_WAKEUP |
  U.IORING_ENTER_SQ_WAIT |
  U.IORING_ENTER_EXT_ARG |
  U.IORING_ENTER_REGISTERED_RING |
  U.IORING_ENTER_ABS_TIMER |
  U.IORING_ENTER_NO_IOWAIT;
/** sizeof(struct io_uring_getevents_arg): sigmask, sigmask_sz, min_wait_usec, ts. */
const ARG_SIZE = 24;
/** Requests that are carried on in a row. */
const READY_MAX = 512;

/** The ring of a call: −EBADF, −EOPNOTSUPP for other files, −EINVAL for no registered one. */
export function ringOf(t: Task, fd: number, isRegistered: boolean): UringFile | number {
  if (isRegistered) {
    const rings = uringsOf(t.kernel).registered.get(t);
    if (rings === undefined || fd < 0 || fd >= rings.length) return -EINVAL;
    return rings[fd] ?? -EBADF;
  }
  const f = t.fdTable.get(fd);
  if (f === null) return -EBADF;
  return f instanceof UringFile ? f : -EOPNOTSUPP;
}

/** A call in progress. */
class Enter {
  readonly ring: UringFile;
  submitted = 0;
  isWaiting = false;
  /** Completions that it waits for, the last moment, and until when fewer are not enough. */
  want = 0;
  deadlineNs = Infinity;
  minDeadlineNs = 0;

  constructor(ring: UringFile) {
    this.ring = ring.ref() as UringFile;
  }

  end(result: number): SysResult {
    this.ring.unref();
    return this.submitted > 0 ? this.submitted : result;
  }
}

export function sysIoUringEnter(t: Task, a: SyscallArgs): SysResult {
  let e = t.blockState as Enter | null;
  if (e === null) {
    const flags = a.uint(3);
    if ((flags & ~ENTER_FLAGS) !== 0) return -EINVAL;
    const ring = ringOf(t, a.int(0), (flags & U.IORING_ENTER_REGISTERED_RING) !== 0);
    if (typeof ring === 'number') return ring;
    if (ring.disabled) return -EBADFD;
    e = new Enter(ring);
  }
  return e.isWaiting ? wait(t, e) : enter(t, a, e);
}

function enter(t: Task, a: SyscallArgs, e: Enter): SysResult {
  const { ring } = e;
  const toSubmit = a.uint(1);
  const flags = a.uint(3);
  const isForeign = ring.submitter !== null && ring.submitter !== t;
  if (toSubmit > 0) {
    if (isForeign) return e.end(-EEXIST);
    const s = submit(t, ring, toSubmit - e.submitted);
    e.submitted += s.count;
    if (s.isPaused) return t.yieldCall(e, () => e.end(0));
    runReady(ring);
    if (e.submitted !== toSubmit) return e.end(s.error);
  } else runReady(ring);
  if ((flags & U.IORING_ENTER_GETEVENTS) === 0) return e.end(0);
  if (isForeign && (ring.setup & U.IORING_SETUP_DEFER_TASKRUN) !== 0) return e.end(-EEXIST);
  const bad = prepareWait(t, a, e, flags);
  if (bad < 0) return e.end(bad);
  e.isWaiting = true;
  return wait(t, e);
}

/** Requests that were woken in this call go on before it returns, as Linux's task work does. */
function runReady(ring: UringFile): void {
  let n = 0;
  for (const r of ring.ready) {
    r.advance();
    if (++n >= READY_MAX || ring.moved >= RUN_BUDGET) break;
  }
  ring.settle();
}

/** What the wait goes by: 0 or −errno. */
function prepareWait(t: Task, a: SyscallArgs, e: Enter, flags: number): number {
  e.want = Math.min(a.uint(2), e.ring.rings.cqEntries);
  if ((flags & U.IORING_ENTER_EXT_ARG) === 0) return useSigMask(t, a.addr(4), a.size(5));
  if (a.size(5) !== ARG_SIZE) return -EINVAL;
  if (t.mem.copyIn(a.addr(4), scratch.bytes, 0, ARG_SIZE) !== 0) return -EFAULT;
  const { u32 } = scratch;
  const mask = wide(u32, 0);
  const maskSize = u32[2]!;
  const minWaitUs = u32[3]!;
  const timeAt = wide(u32, 4);
  const now = t.kernel.clock.monotonicNs();
  if (timeAt !== 0) {
    if (t.mem.copyIn(timeAt, scratch.bytes, 0, 16) !== 0) return -EFAULT;
    const ns = timespecNs(0);
    if (ns < 0) return ns;
    e.deadlineNs = (flags & U.IORING_ENTER_ABS_TIMER) !== 0 ? ns : now + ns;
  }
  if (minWaitUs > 0) e.minDeadlineNs = now + minWaitUs * 1000;
  return useSigMask(t, mask, maskSize);
}

/** io_cqring_wait() */
function wait(t: Task, e: Enter): SysResult {
  const { ring } = e;
  ring.rings.flushOverflow();
  const now = t.kernel.clock.monotonicNs();
  // After the least time any completion is enough.
  if (e.minDeadlineNs > 0 && e.minDeadlineNs <= now) {
    e.minDeadlineNs = 0;
    e.want = Math.min(e.want, 1);
  }
  const seen = ring.rings.unseen;
  if (seen >= e.want) return e.end(0);
  if (e.deadlineNs <= now) return e.end(seen > 0 ? 0 : -ETIME);
  t.blockState = e;
  t.waitOn(ring.waiters, EPOLLIN);
  const until = e.minDeadlineNs > 0 ? Math.min(e.minDeadlineNs, e.deadlineNs) : e.deadlineNs;
  return t.block(until, () => e.end(ring.rings.unseen > 0 ? 0 : -EINTR));
}
