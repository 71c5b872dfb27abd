/** futex(2), set_robust_list(2), get_robust_list(2) (kernel/futex/). */
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOSYS,
  EPERM,
  ERESTARTNOHAND,
  ERESTARTNOINTR,
  ERESTARTSYS,
  ERESTART_RESTARTBLOCK,
  ESRCH,
  ETIMEDOUT,
} from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import {
  FUTEX_BITSET_MATCH_ANY,
  FutexWaiter,
  futexQueue,
  loadOwnWord,
  requeue,
  wakeQueue,
} from '../sentry/kernel/futex.ts';
import { ownsFutex, takeFutexes } from '../sentry/kernel/own-futexes.ts';
import {
  oneOf,
  pid,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { absoluteDeadline, checkAddress } from './futex-args.ts';
import { futexCmpRequeuePi, futexLockPi, futexUnlockPi, futexWaitRequeuePi } from './futex-pi.ts';
import { futexWakeOp } from './futex-wake-op.ts';
import { readTimespec } from './wait-args.ts';

const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const FUTEX_REQUEUE = 3;
const FUTEX_CMP_REQUEUE = 4;
const FUTEX_WAIT_BITSET = 9;
const FUTEX_WAKE_BITSET = 10;
const FUTEX_WAKE_OP = 5;
const FUTEX_LOCK_PI = 6;
const FUTEX_UNLOCK_PI = 7;
const FUTEX_TRYLOCK_PI = 8;
const FUTEX_WAIT_REQUEUE_PI = 11;
const FUTEX_CMP_REQUEUE_PI = 12;
const FUTEX_LOCK_PI2 = 13;
const FUTEX_PRIVATE_FLAG = 128;
const FUTEX_CLOCK_REALTIME = 256;
const FUTEX_CMD_MASK = ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
const ROBUST_LIST_HEAD_SIZE = 24;
const TIMESPEC_SIZE = 16;

const OPS = {
  FUTEX_WAIT_PRIVATE: FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
  FUTEX_WAKE_PRIVATE: FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
  FUTEX_CMP_REQUEUE_PRIVATE: FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG,
  FUTEX_WAIT_BITSET_PRIVATE: FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
  FUTEX_WAKE_BITSET_PRIVATE: FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG,
  FUTEX_WAIT,
  FUTEX_WAKE,
  FUTEX_REQUEUE,
  FUTEX_CMP_REQUEUE,
  FUTEX_WAKE_OP,
  FUTEX_LOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_TRYLOCK_PI,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE_BITSET,
  FUTEX_WAIT_REQUEUE_PI,
  FUTEX_CMP_REQUEUE_PI,
  FUTEX_LOCK_PI2,
  FUTEX_LOCK_PI_PRIVATE: FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG,
  FUTEX_UNLOCK_PI_PRIVATE: FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG,
};

/** futex(2). */
function sysFutex(t: Task, a: SyscallArgs): SysResult {
  const op = a.int(1);
  const cmd = op & FUTEX_CMD_MASK;
  const shared = (op & FUTEX_PRIVATE_FLAG) === 0;
  const realtime = (op & FUTEX_CLOCK_REALTIME) !== 0;
  const addr = a.addr(0);
  if (!shared) {
    const addr2 = cmd >= FUTEX_REQUEUE && cmd <= FUTEX_WAKE_OP ? a.addr(4) : 0;
    if (ownsFutex(t, op, addr, addr2)) return repeatByItself(t, a, cmd);
  }
  if (realtime && cmd !== FUTEX_WAIT_BITSET && cmd !== FUTEX_WAIT_REQUEUE_PI && cmd !== FUTEX_LOCK_PI2) {
    // A time is read before anything else.
    const ns =
      (cmd === FUTEX_WAIT || cmd === FUTEX_LOCK_PI) && a.addr(3) !== 0 ? readTimespec(t, a.addr(3)) : 0;
    return ns < 0 ? ns : -ENOSYS;
  }
  switch (cmd) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
      return futexWaitCall(t, a, cmd === FUTEX_WAIT, shared, realtime);
    case FUTEX_WAKE:
      // A count of 0 wakes one, as it always has.
      return wakeWord(t, addr, shared, Math.max(a.int(2), 1), FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
      return wakeWord(t, addr, shared, Math.max(a.int(2), 1), a.uint(5));
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      return futexRequeue(t, a, shared, cmd === FUTEX_CMP_REQUEUE);
    case FUTEX_WAKE_OP:
      return futexWakeOp(t, a, shared);
    default:
      if (!shared) takeFutexes(t.mm);
      return piCall(t, a, cmd, shared, realtime);
  }
}

/** The operations with priority inheritance. */
function piCall(t: Task, a: SyscallArgs, cmd: number, shared: boolean, realtime: boolean): SysResult {
  switch (cmd) {
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return futexLockPi(t, a, shared, realtime || cmd === FUTEX_LOCK_PI, false);
    case FUTEX_TRYLOCK_PI:
      return futexLockPi(t, a, shared, false, true);
    case FUTEX_UNLOCK_PI:
      return futexUnlockPi(t, a, shared);
    case FUTEX_WAIT_REQUEUE_PI:
      return futexWaitRequeuePi(t, a, shared, realtime);
    case FUTEX_CMP_REQUEUE_PI:
      return futexCmpRequeuePi(t, a, shared);
    default:
      return -ENOSYS;
  }
}

/**
 * The thread makes this call itself. It is seen here after an interrupt (or if it trapped before that was so): what the
 * interrupt was for is done, then the thread tries again. A wait for a time starts anew then, unless a handler has run.
 */
function repeatByItself(t: Task, a: SyscallArgs, cmd: number): SysResult {
  if (cmd !== FUTEX_WAIT && cmd !== FUTEX_WAIT_BITSET) return -ERESTARTNOINTR;
  // Where the platform's pages are, the thread leaves the call to the kernel.
  if (a.addr(3) > t.mm.maxAddr - TIMESPEC_SIZE) return -EFAULT;
  return a.addr(3) === 0 ? -ERESTARTSYS : -ERESTARTNOHAND;
}

function futexWaitCall(
  t: Task,
  a: SyscallArgs,
  relative: boolean,
  shared: boolean,
  realtime: boolean,
): SysResult {
  const waiting = t.blockState as FutexWaiter | null;
  if (waiting !== null) return continueWait(t, waiting);
  let timeout = Infinity;
  if (a.addr(3) !== 0) {
    timeout = readTimespec(t, a.addr(3));
    if (timeout < 0) return timeout;
  }
  const deadline = relative ? t.kernel.clock.deadlineIn(timeout) : absoluteDeadline(t, timeout, realtime);
  return futexWait(t, {
    addr: a.addr(0),
    shared,
    value: a.uint(2),
    bitset: relative ? FUTEX_BITSET_MATCH_ANY : a.uint(5),
    deadline,
  });
}

export interface WaitRequest {
  readonly addr: number;
  readonly shared: boolean;
  readonly value: number;
  readonly bitset: number;
  /** CLOCK_MONOTONIC ns. */
  readonly deadline: number;
}

/** Registers, then looks at the word, so that a wake-up in between is not lost. */
export function futexWait(t: Task, r: WaitRequest): SysResult {
  if (r.bitset === 0) return -EINVAL;
  const bad = checkAddress(r.addr);
  if (bad !== 0) return bad;
  const q = futexQueue(t.mm, r.addr, r.shared);
  if (typeof q === 'number') return q;
  const w = new FutexWaiter(t, r.bitset);
  w.deadlineNs = r.deadline;
  w.enqueue(q);
  const now = loadOwnWord(t, r.addr);
  if (now !== r.value) {
    w.remove();
    return now < 0 ? now : -EAGAIN;
  }
  t.blockState = w;
  if (r.deadline !== Infinity) t.restart = (task) => restartWait(task, r);
  return t.block(r.deadline, interrupted);
}

/** futex_wait_restart(): the same wait with what is left of its time. */
function restartWait(t: Task, r: WaitRequest): SysResult {
  const waiting = t.blockState as FutexWaiter | null;
  return waiting === null ? futexWait(t, r) : continueWait(t, waiting);
}

/** A waiting call runs again. */
export function continueWait(t: Task, w: FutexWaiter): SysResult {
  return waitEnded(t, w) ?? t.block(w.deadlineNs, interrupted);
}

/** The result if the wait is over, null if it goes on. */
function waitEnded(t: Task, w: FutexWaiter): SysResult | null {
  if (w.woken) return 0;
  if (!t.timedOut) return null;
  w.remove();
  return -ETIMEDOUT;
}

function interrupted(t: Task): SysResult {
  const w = t.blockState as FutexWaiter;
  if (w.woken) return 0;
  w.remove();
  return w.deadlineNs === Infinity ? -ERESTARTSYS : -ERESTART_RESTARTBLOCK;
}

/** FUTEX_WAKE and FUTEX_WAKE_BITSET. */
export function wakeWord(t: Task, addr: number, shared: boolean, count: number, bitset: number): SysResult {
  if (bitset === 0) return -EINVAL;
  const bad = checkAddress(addr);
  if (bad !== 0) return bad;
  const q = futexQueue(t.mm, addr, shared);
  return typeof q === 'number' ? q : wakeQueue(q, count, bitset);
}

function futexRequeue(t: Task, a: SyscallArgs, shared: boolean, compare: boolean): SysResult {
  const count = a.int(2);
  const move = a.int(3);
  if (count < 0 || move < 0) return -EINVAL;
  const bad = checkAddress(a.addr(0)) || checkAddress(a.addr(4));
  if (bad !== 0) return bad;
  const from = futexQueue(t.mm, a.addr(0), shared);
  if (typeof from === 'number') return from;
  const to = futexQueue(t.mm, a.addr(4), shared);
  if (typeof to === 'number') return to;
  if (compare) {
    const now = loadOwnWord(t, a.addr(0));
    if (now < 0) return now;
    if (now !== a.uint(5)) return -EAGAIN;
  }
  const woken = count === 0 ? 0 : wakeQueue(from, count, FUTEX_BITSET_MATCH_ANY);
  if (woken < 0) return woken;
  const moved = requeue(from, to, move);
  return moved < 0 ? moved : woken + moved;
}

function sysSetRobustList(t: Task, a: SyscallArgs): SysResult {
  if (a.size(1) !== ROBUST_LIST_HEAD_SIZE) return -EINVAL;
  t.robustList = a.addr(0);
  return 0;
}

function sysGetRobustList(t: Task, a: SyscallArgs): SysResult {
  const nr = a.int(0);
  const other = nr === 0 ? t : t.pidNs.findTask(nr);
  if (other === null) return -ESRCH;
  if (!mayTrace(t, other)) return -EPERM;
  scratch.u32[0] = ROBUST_LIST_HEAD_SIZE;
  scratch.u32[1] = 0;
  if (t.mem.copyOut(a.addr(2), scratch.bytes, 0, 8) !== 0) return -EFAULT;
  return t.mem.writeU64(a.addr(1), other.robustList);
}

export const futexRows: readonly SyscallRow[] = [
  {
    nr: 202,
    name: 'futex',
    fn: sysFutex,
    args: [ptr, oneOf(OPS), uint, ptr, ptr, uint],
    support: 'partial',
    note: 'owners of PI futexes are not boosted, as the host schedules',
  },
  { nr: 273, name: 'set_robust_list', fn: sysSetRobustList, args: [ptr, size], support: 'full' },
  { nr: 274, name: 'get_robust_list', fn: sysGetRobustList, args: [pid, ptr, ptr], support: 'full' },
];
