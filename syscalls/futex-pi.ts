/** The priority-inheritance operations of futex(2) (kernel/futex/pi.c, requeue.c). */
import { EAGAIN, EINVAL, EPERM, ERESTARTNOINTR, ETIMEDOUT } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { FUTEX_TID_MASK, futexQueue, loadOwnWord } from '../sentry/kernel/futex.ts';
import {
  dropIdleState,
  PiWaiter,
  queueForLock,
  requeuePi,
  tryLockPi,
  unlockPi,
} from '../sentry/kernel/futex-pi.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { readTimespec } from './wait-args.ts';
import { absoluteDeadline, checkAddress } from './futex-args.ts';

/** FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TRYLOCK_PI. The time is absolute; `realtime` says on which clock. */
export function futexLockPi(
  t: Task,
  a: SyscallArgs,
  shared: boolean,
  realtime: boolean,
  isTry: boolean,
): SysResult {
  const waiting = t.blockState as PiWaiter | null;
  if (waiting !== null) return lockEnded(t, waiting);
  const addr = a.addr(0);
  let deadline = Infinity;
  if (!isTry && a.addr(3) !== 0) {
    const ns = readTimespec(t, a.addr(3));
    if (ns < 0) return ns;
    deadline = absoluteDeadline(t, ns, realtime);
  }
  const bad = checkAddress(addr);
  if (bad !== 0) return bad;
  const q = futexQueue(t.mm, addr, shared);
  if (typeof q === 'number') return q;
  const got = tryLockPi(t, t.mm, addr, q, false);
  if (got !== 0) return got === 1 ? 0 : got;
  if (isTry) {
    dropIdleState(q);
    return -EAGAIN;
  }
  const w = new PiWaiter(t, addr);
  w.deadlineNs = deadline;
  const r = queueForLock(w, q);
  if (r !== 0) return r;
  t.blockState = w;
  return t.block(deadline, lockInterrupted);
}

function lockEnded(t: Task, w: PiWaiter): SysResult {
  if (w.woken) return 0;
  if (!t.timedOut) return t.block(w.deadlineNs, lockInterrupted);
  w.remove();
  return -ETIMEDOUT;
}

function lockInterrupted(t: Task): SysResult {
  const w = t.blockState as PiWaiter;
  if (w.woken) return 0;
  w.remove();
  return -ERESTARTNOINTR;
}

export function futexUnlockPi(t: Task, a: SyscallArgs, shared: boolean): SysResult {
  // Whose it is comes before where it is.
  const word = loadOwnWord(t, a.addr(0));
  if (word < 0) return word;
  if ((word & FUTEX_TID_MASK) !== t.tid) return -EPERM;
  const bad = checkAddress(a.addr(0));
  if (bad !== 0) return bad;
  const q = futexQueue(t.mm, a.addr(0), shared);
  return typeof q === 'number' ? q : unlockPi(t, a.addr(0), q);
}

/** FUTEX_WAIT_REQUEUE_PI: waits for the word, then for the lock that FUTEX_CMP_REQUEUE_PI moves it to. */
export function futexWaitRequeuePi(t: Task, a: SyscallArgs, shared: boolean, realtime: boolean): SysResult {
  const waiting = t.blockState as PiWaiter | null;
  if (waiting !== null) return requeueEnded(t, waiting);
  let deadline = Infinity;
  if (a.addr(3) !== 0) {
    const ns = readTimespec(t, a.addr(3));
    if (ns < 0) return ns;
    deadline = absoluteDeadline(t, ns, realtime);
  }
  const addr = a.addr(0);
  if (addr === a.addr(4)) return -EINVAL;
  const bad = checkAddress(a.addr(4)) || checkAddress(addr);
  if (bad !== 0) return bad;
  const lock = futexQueue(t.mm, a.addr(4), shared);
  if (typeof lock === 'number') return lock;
  const q = futexQueue(t.mm, addr, shared);
  if (typeof q === 'number') return q;
  if (q.table === lock.table && q.at === lock.at) return -EINVAL;
  const w = new PiWaiter(t, a.addr(4));
  w.requeueTo = lock;
  w.deadlineNs = deadline;
  w.enqueue(q);
  const now = loadOwnWord(t, addr);
  if (now !== a.uint(2)) {
    w.remove();
    return now < 0 ? now : -EAGAIN;
  }
  t.blockState = w;
  return t.block(deadline, requeueInterrupted);
}

function requeueEnded(t: Task, w: PiWaiter): SysResult {
  if (w.woken) return 0;
  if (!t.timedOut) return t.block(w.deadlineNs, requeueInterrupted);
  w.remove();
  return -ETIMEDOUT;
}

/** "we've already been requeued, but cannot restart by calling futex_lock_pi() directly": the caller looks at the word again. */
function requeueInterrupted(t: Task): SysResult {
  const w = t.blockState as PiWaiter;
  if (w.woken) return 0;
  const moved = w.requeueTo === null;
  w.remove();
  return moved ? -EAGAIN : -ERESTARTNOINTR;
}

export function futexCmpRequeuePi(t: Task, a: SyscallArgs, shared: boolean): SysResult {
  const move = a.int(3);
  if (a.int(2) < 0 || move < 0) return -EINVAL;
  // "Requeue PI can only work on two distinct uaddrs", and wakes one.
  if (a.addr(0) === a.addr(4) || a.int(2) !== 1) return -EINVAL;
  const bad = checkAddress(a.addr(0)) || checkAddress(a.addr(4));
  if (bad !== 0) return bad;
  const from = futexQueue(t.mm, a.addr(0), shared);
  if (typeof from === 'number') return from;
  const to = futexQueue(t.mm, a.addr(4), shared);
  if (typeof to === 'number') return to;
  if (from.table === to.table && from.at === to.at) return -EINVAL;
  const now = loadOwnWord(t, a.addr(0));
  if (now < 0) return now;
  if (now !== a.uint(5)) return -EAGAIN;
  return requeuePi(t, from, a.addr(4), to, move);
}
