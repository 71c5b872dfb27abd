/**
 * Priority-inheritance futexes (kernel/futex/pi.c, Documentation/locking/pi-futex.rst): the word holds the owner's tid, and
 * the kernel knows the owner while somebody waits. Nothing is boosted, as the host schedules; waiters queue by their own
 * priority.
 *
 * The words change without atomic operations of the kernel's. Programs make two changes only, both by compare-and-swap: 0 to
 * their tid, and their tid to 0. FUTEX_WAITERS keeps both from succeeding, and lies in the highest byte, which no tid reaches
 * (PID_MAX_LIMIT is 2^22): storing that one byte first fixes the word, whatever it holds by then.
 */
import { EAGAIN, EDEADLK, EFAULT, EINVAL, ESRCH } from '../abi/errno.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  type FutexQueue,
  futexRank,
  FutexWaiter,
  loadWord,
  storeByte,
  storeWord,
} from './futex.ts';
import type { Task } from './task.ts';

/** What the kernel knows of a lock that somebody waits for (struct futex_pi_state). */
export class PiState {
  owner: Task | null = null;
  readonly queue: FutexQueue;

  constructor(queue: FutexQueue, owner: Task) {
    this.queue = queue;
    this.setOwner(owner);
  }

  setOwner(owner: Task | null): void {
    this.owner?.piOwned?.delete(this);
    this.owner = owner;
    if (owner !== null) (owner.piOwned ??= new Set()).add(this);
  }
}

/** Waits for a lock, or (FUTEX_WAIT_REQUEUE_PI) for a wake-up that may turn into waiting for one. */
export class PiWaiter extends FutexWaiter {
  /** Key of the lock that FUTEX_CMP_REQUEUE_PI may move it to; null: waits for a lock. */
  requeueTo: FutexQueue | null = null;
  /** Address of the lock's word in the waiter's memory. */
  readonly lockAddr: number;

  constructor(task: Task, lockAddr: number) {
    super(task, FUTEX_BITSET_MATCH_ANY);
    this.lockAddr = lockAddr;
  }

  override get isPi(): boolean {
    return true;
  }

  /** Waits for a lock, in order of priority, then of arrival. */
  enqueueForLock(q: FutexQueue): void {
    this.requeueTo = null;
    this.rank = futexRank(this.task);
    this.enqueue(q);
    this.task.piBlockedOn = this;
  }

  override remove(): void {
    const q = this.queue;
    super.remove();
    if (this.task.piBlockedOn === this) this.task.piBlockedOn = null;
    if (q !== null && q.pi !== null && q.waiters.length === 0) {
      q.pi.setOwner(null);
      q.pi = null;
    }
  }
}

/** Sets FUTEX_WAITERS in the word and returns the word, which only the kernel changes from then on; −EFAULT. */
function fixWord(mm: MemoryManager, addr: number): number {
  const seen = loadWord(mm, addr);
  if (seen < 0 || seen >= FUTEX_WAITERS) return seen;
  if (!storeByte(mm, addr + 3, ((seen / 0x1000000) | 0x80) & 0xff)) return -EFAULT;
  return loadWord(mm, addr);
}

/** attach_to_pi_state(): may one wait with those who wait already? 0 or −EINVAL. */
function checkState(q: FutexQueue, t: Task, word: number): number {
  const state = q.pi;
  if (state === null) return -EINVAL;
  const tid = word & FUTEX_TID_MASK;
  if ((word & FUTEX_OWNER_DIED) !== 0) {
    if (state.owner === null) return tid === 0 ? 0 : -EINVAL;
    if (tid === 0) return 0;
  }
  return state.owner !== null && state.owner.pid.nrIn(t.pidNs) === tid ? 0 : -EINVAL;
}

/** rt_mutex_adjust_prio_chain(): would `t` wait for itself? */
function wouldDeadlock(t: Task, owner: Task | null): boolean {
  for (let o = owner, depth = 0; o !== null && depth < 1024; depth++) {
    if (o === t) return true;
    const w: PiWaiter | null = o.piBlockedOn;
    if (w === null) return false;
    o = w.queue?.pi?.owner ?? null;
  }
  return false;
}

/**
 * futex_lock_pi_atomic(): 1 if `t` has got the lock, 0 if its owner is known and `t` may queue (q.pi is set unless
 * `isTry`), −errno.
 */
export function tryLockPi(
  t: Task,
  mm: MemoryManager,
  addr: number,
  q: FutexQueue,
  setWaiters: boolean,
): number {
  let word = loadWord(mm, addr);
  if (word < 0) return word;
  if ((word & FUTEX_TID_MASK) === t.tid) return -EDEADLK;
  if (q.waiters.length > 0) return checkState(q, t, word);
  word = fixWord(mm, addr);
  if (word < 0) return word;
  const tid = word & FUTEX_TID_MASK;
  if (tid === t.tid) return -EDEADLK;
  if (tid === 0) {
    const value = ((word & FUTEX_OWNER_DIED) | t.tid | (setWaiters ? FUTEX_WAITERS : 0)) >>> 0;
    return storeWord(mm, addr, value) ? 1 : -EFAULT;
  }
  const owner = t.pidNs.findTask(tid);
  if (owner === null || owner.dead) return -ESRCH;
  if (owner.killed && owner.futexesReleased) return -EAGAIN;
  q.pi = new PiState(q, owner);
  return 0;
}

/** Queues `w` for the lock of `q`, whose owner is known. 0 or −EDEADLK. */
export function queueForLock(w: PiWaiter, q: FutexQueue): number {
  if (wouldDeadlock(w.task, q.pi?.owner ?? null)) {
    dropIdleState(q);
    return -EDEADLK;
  }
  w.enqueueForLock(q);
  return 0;
}

/** Nobody waits: the kernel forgets the owner. */
export function dropIdleState(q: FutexQueue): void {
  if (q.waiters.length > 0 || q.pi === null) return;
  q.pi.setOwner(null);
  q.pi = null;
}

/** Gives the lock to the first waiter: its tid goes into the word. False: bad memory, nothing is done. */
function handOver(mm: MemoryManager, addr: number, state: PiState, next: PiWaiter, died: boolean): boolean {
  const word = loadWord(mm, addr);
  if (word < 0) return false;
  const kept = died ? (word & FUTEX_OWNER_DIED) | FUTEX_OWNER_DIED : 0;
  if (!storeWord(mm, addr, (kept | FUTEX_WAITERS | next.task.tid) >>> 0)) return false;
  state.setOwner(next.task);
  next.remove();
  next.woken = true;
  next.task.wake();
  return true;
}

/** FUTEX_UNLOCK_PI by the owner. */
export function unlockPi(t: Task, addr: number, q: FutexQueue): number {
  dropDead(q);
  const top = q.waiters[0];
  if (top === undefined) return storeWord(t.mm, addr, 0) ? 0 : -EFAULT;
  if (q.pi === null || !(top instanceof PiWaiter)) return -EINVAL;
  if (q.pi.owner !== t) return -EINVAL;
  return handOver(t.mm, addr, q.pi, top, false) ? 0 : -EFAULT;
}

function dropDead(q: FutexQueue): void {
  while (q.waiters.length > 0 && !q.waiters[0]!.live) q.waiters[0]!.remove();
}

/** exit_pi_state_list(): the locks a dying thread holds, and somebody waits for, go to the first waiter each. */
export function releasePiLocks(t: Task): void {
  const owned = t.piOwned;
  if (owned === null) return;
  t.piOwned = null;
  for (const state of [...owned]) {
    const q = state.queue;
    state.owner = null;
    dropDead(q);
    const top = q.waiters[0];
    if (top instanceof PiWaiter) handOver(top.task.mm, top.lockAddr, state, top, true);
  }
}

/**
 * FUTEX_CMP_REQUEUE_PI from `from` to the lock at `addr` with queue `to`: the first waiter gets the lock if it is free, up
 * to `count` others wait for it from now on. How many were woken or moved, −errno.
 */
export function requeuePi(t: Task, from: FutexQueue, addr: number, to: FutexQueue, count: number): number {
  dropDead(from);
  const first = from.waiters[0];
  if (first === undefined) return 0;
  if (!movesTo(first, to)) return -EINVAL;
  const got = tryLockPi(first.task, t.mm, addr, to, count > 0 && from.waiters.length > 1);
  if (got < 0) return got;
  let done = 0;
  if (got === 1) {
    first.remove();
    first.woken = true;
    first.task.wake();
    done = 1;
    if (count > 0 && from.waiters.length > 0) to.pi ??= new PiState(to, first.task);
  }
  for (let moved = 0; moved < count + (got === 1 ? 0 : 1) && from.waiters.length > 0;) {
    const w = from.waiters[0]!;
    if (!w.live) {
      w.remove();
      continue;
    }
    if (!movesTo(w, to)) return done > 0 ? done : -EINVAL;
    w.remove();
    w.enqueueForLock(to);
    moved++;
    done++;
  }
  dropIdleState(to);
  return done;
}

function movesTo(w: FutexWaiter, to: FutexQueue): w is PiWaiter {
  if (!(w instanceof PiWaiter) || w.requeueTo === null) return false;
  return w.requeueTo.table === to.table && w.requeueTo.at === to.at;
}
