/**
 * Futexes (kernel/futex/): who waits at which word. A word is identified by address space and address, or, where memory is
 * shared, by the mapped object and the offset in it. Waiting tasks are parked as usual; a wake-up marks the waiter, so
 * that its handler sees it when it runs again.
 */
import { EFAULT, EINVAL } from '../abi/errno.ts';
import { PROT_WRITE } from '../abi/mman.ts';
import { SCHED_DEADLINE } from '../abi/sched.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { pageUp } from '../lib/addr.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import type { PiState } from './futex-pi.ts';
import type { Task } from './task.ts';

export const FUTEX_BITSET_MATCH_ANY = 0xffffffff;
export const FUTEX_WAITERS = 0x80000000;
export const FUTEX_OWNER_DIED = 0x40000000;
export const FUTEX_TID_MASK = 0x3fffffff;
/** ROBUST_LIST_LIMIT */
const ROBUST_LIST_LIMIT = 2048;

/** Words of one address space or object that somebody waits for. */
type FutexTable = Map<number, FutexQueue>;
const tables = new WeakMap<object, FutexTable>();

export class FutexQueue {
  readonly table: FutexTable;
  readonly at: number;
  readonly waiters: FutexWaiter[] = [];
  /** The owner, while somebody waits for this word as a lock. */
  pi: PiState | null = null;

  constructor(table: FutexTable, at: number) {
    this.table = table;
    this.at = at;
  }
}

/** Real-time tasks come before others, the highest priority first (__futex_queue() takes normal_prio). */
export function futexRank(t: Task): number {
  return t.schedPolicy === SCHED_DEADLINE ? DEADLINE_RANK : t.schedPriority;
}

/** Above all of SCHED_FIFO and SCHED_RR. */
const DEADLINE_RANK = 100;

export class FutexWaiter {
  readonly task: Task;
  readonly bitset: number;
  /** null: woken, or not waiting. */
  queue: FutexQueue | null = null;
  woken = false;
  /** Of its task when it began to wait; kept when it is moved to another word. */
  protected rank: number;
  /** When the wait ends by itself, CLOCK_MONOTONIC ns. */
  deadlineNs = Infinity;
  /** Position in a futex_waitv. */
  readonly index: number;
  /** What the task's blockState is while this one waits. */
  readonly state: object;

  constructor(task: Task, bitset: number, state: object | null = null, index = 0) {
    this.task = task;
    this.bitset = bitset;
    this.state = state ?? this;
    this.index = index;
    this.rank = futexRank(task);
  }

  /** Waits by one of the PI operations: not for plain wake-ups. */
  get isPi(): boolean {
    return false;
  }

  enqueue(q: FutexQueue): void {
    q.table.set(q.at, q);
    this.queue = q;
    const list = q.waiters;
    let i = list.length;
    while (i > 0 && list[i - 1]!.rank < this.rank) i--;
    if (i === list.length) list.push(this);
    else list.splice(i, 0, this);
  }

  remove(): void {
    const q = this.queue;
    if (q === null) return;
    this.queue = null;
    q.waiters.splice(q.waiters.indexOf(this), 1);
    if (q.waiters.length === 0) q.table.delete(q.at);
  }

  /** False for what a dead task left behind. */
  get live(): boolean {
    return this.task.blockState === this.state;
  }
}

/** In the key of a word in private memory to which FUTEX_PRIVATE_FLAG was not given: such calls meet only each other. */
const FUT_OFF_MMSHARED = 2;

/** The queue of the word at `addr`, made if need be, or −EFAULT. `shared`: FUTEX_PRIVATE_FLAG was not given (get_futex_key). */
export function futexQueue(mm: MemoryManager, addr: number, shared: boolean): FutexQueue | number {
  let key: object = mm;
  let at = addr;
  if (shared) {
    const v = mm.table.find(addr);
    if (v === null || v.prot === 0) return -EFAULT;
    if (v.shared && v.backing !== null) {
      key = v.backing.key;
      at = v.offset + (addr - v.start);
      if (isBeyondEnd(v.backing.file, at)) return -EFAULT;
    } else if (v.backing === null && (v.prot & PROT_WRITE) === 0) return -EFAULT;
    else at += FUT_OFF_MMSHARED;
  }
  let table = tables.get(key);
  if (table === undefined) tables.set(key, (table = new Map()));
  return table.get(at) ?? new FutexQueue(table, at);
}

/** A page that is not there: the file was cut off before it. */
function isBeyondEnd(file: FileDescription | null, at: number): boolean {
  if (file === null || !file.inode.isRegular || at < pageUp(file.inode.size)) return false;
  file.inode.refresh();
  return at >= pageUp(file.inode.size);
}

/** Wakes up to `count` waiters that share a bit with `bitset`, in order of rank, then of arrival. How many; −EINVAL for PI waiters. */
export function wakeQueue(q: FutexQueue, count: number, bitset: number): number {
  let woken = 0;
  for (let i = 0; i < q.waiters.length && woken < count;) {
    const w = q.waiters[i]!;
    if ((w.bitset & bitset) === 0 && w.live) {
      i++;
      continue;
    }
    if (w.isPi && w.live) return -EINVAL;
    w.remove();
    if (!w.live) continue;
    w.woken = true;
    w.task.wake();
    woken++;
  }
  return woken;
}

/** Moves up to `count` waiters to another word. How many; −EINVAL for PI waiters. */
export function requeue(from: FutexQueue, to: FutexQueue, count: number): number {
  if (from === to) return Math.min(count, from.waiters.length);
  let moved = 0;
  while (moved < count && from.waiters.length > 0) {
    const w = from.waiters[0]!;
    if (w.isPi && w.live) return -EINVAL;
    w.remove();
    if (!w.live) continue;
    // The first to arrive may have made `to` known meanwhile.
    w.enqueue(to.table.get(to.at) ?? to);
    moved++;
  }
  return moved;
}

const word = new HostBuffer(24);

/** The uint32 at `addr` as it is now, straight from guest memory (nothing prefetched), or −EFAULT. */
export function loadWord(mm: MemoryManager, addr: number): number {
  if (mm.accessible(addr, 4, false) !== 4) return -EFAULT;
  // Eight bytes at once: a shorter copy may go byte by byte, and show half of a change.
  const second = addr % 8 === 4;
  const len = addr % 4 === 0 ? 8 : 4;
  const n = mm.space.read(second ? addr - 4 : addr, word.bytes, 0, len);
  return n === len ? word.u32[second ? 1 : 0]! : -EFAULT;
}

/** The same for a call of `t`, whose protection keys count. */
export function loadOwnWord(t: Task, addr: number, write = false): number {
  if (t.mm.keyed && t.mem.check(addr, 4, write) !== 0) return -EFAULT;
  return loadWord(t.mm, addr);
}

export function storeByte(mm: MemoryManager, addr: number, value: number): boolean {
  if (mm.accessible(addr, 1, true) !== 1) return false;
  word.bytes[0] = value;
  return mm.space.write(addr, word.bytes, 0, 1) === 1;
}

export function storeWord(mm: MemoryManager, addr: number, value: number): boolean {
  if (mm.accessible(addr, 4, true) !== 4) return false;
  word.u32[0] = value;
  return mm.space.write(addr, word.bytes, 0, 4) === 4;
}

/** Wakes one waiter of a word; as Linux does it, not one that waits with FUTEX_PRIVATE_FLAG. */
function wakeWord(mm: MemoryManager, addr: number): void {
  const q = futexQueue(mm, addr, true);
  if (typeof q !== 'number') wakeQueue(q, 1, FUTEX_BITSET_MATCH_ANY);
}

/** A task leaves its address space: exec or exit (exec_mm_release, exit_mm_release). */
export function futexExit(t: Task): void {
  if (t.robustList !== 0) walkRobustList(t);
  t.robustList = 0;
  const addr = t.clearChildTid;
  if (addr === 0) return;
  t.clearChildTid = 0;
  // "If … the thread shares memory with other processes or threads" - set_tid_address(2)
  if (t.mm.userCount > 1 && storeWord(t.mm, addr, 0)) wakeWord(t.mm, addr);
}

/** Fills `word` with `len` bytes of guest memory. */
function readPair(mm: MemoryManager, addr: number, len: number): boolean {
  return mm.accessible(addr, len, false) === len && mm.space.read(addr, word.bytes, 0, len) === len;
}

const pointer = (i: number): number => word.u32[2 * i + 1]! * 0x100000000 + word.u32[2 * i]!;

/** exit_robust_list(): marks every lock that the dead owner holds, and wakes a waiter of each. */
function walkRobustList(t: Task): void {
  const { mm, robustList: head } = t;
  if (!readPair(mm, head, 24)) return;
  let entry = pointer(0);
  const offset = (word.u32[3]! | 0) * 0x100000000 + word.u32[2]!;
  const pending = pointer(2);
  const clean = (e: number): number => (e % 2 === 1 ? e - 1 : e);
  for (let n = 0; n < ROBUST_LIST_LIMIT && clean(entry) !== head; n++) {
    const at = clean(entry);
    const isPi = entry % 2 === 1;
    // The next one is read before the lock is given up: its memory may go away then.
    const readable = readPair(mm, at, 8);
    const next = readable ? pointer(0) : 0;
    if (at !== clean(pending) && !handleDeath(t, at + offset, isPi, false)) return;
    if (!readable) return;
    entry = next;
  }
  if (pending !== 0) handleDeath(t, clean(pending) + offset, pending % 2 === 1, true);
}

/** handle_futex_death(). False: bad memory, the walk ends. */
function handleDeath(t: Task, addr: number, isPi: boolean, isPending: boolean): boolean {
  if (addr % 4 !== 0) return false;
  const value = loadWord(t.mm, addr);
  if (value < 0) return false;
  const owner = value & FUTEX_TID_MASK;
  // The owner died between unlocking and waking (isPending): somebody has to look.
  if (isPending && !isPi && owner === 0) {
    wakeWord(t.mm, addr);
    return true;
  }
  if (owner !== t.tid) return true;
  // Not atomic: others only set FUTEX_WAITERS meanwhile, and look again before they sleep.
  if (!storeWord(t.mm, addr, ((value & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0)) return false;
  if (!isPi && (value & FUTEX_WAITERS) !== 0) wakeWord(t.mm, addr);
  return true;
}
