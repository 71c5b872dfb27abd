/**
 * Advisory locks: POSIX and open-file-description record locks, which exclude each other, and flock(2) locks (fs/locks.c).
 * Owners are compared by identity: a descriptor table (files_struct) for POSIX locks, an open file for the others. All
 * functions answer at once; waiting is the syscall layer's: register on `waiters`, try again, park.
 */
import { EAGAIN, EDEADLK, ENOLCK } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.ts';
import { EPOLLIN, WaitQueue } from '../waiter/wait-queue.ts';
import type { Inode } from './inode.ts';
import type { Lease } from './leases.ts';

export interface RecordLock {
  readonly owner: object;
  /** The open file by which it was asked for. */
  readonly file: object;
  /** F_RDLCK or F_WRLCK. */
  readonly type: number;
  /** [start, end), end may be Infinity. */
  readonly start: number;
  readonly end: number;
  /** kernel/pid-namespace Pid of the process that F_GETLK names; null for OFD locks, which are no process's. */
  readonly pid: object | null;
}

export interface Flock {
  readonly owner: object;
  readonly type: number;
  /** Pid of who asked for it. */
  readonly pid: object | null;
}

export class FileLocks {
  /** An inode of the file. */
  readonly inode: Inode;
  records: RecordLock[] = [];
  flocks: Flock[] = [];
  /** vfs/leases.ts */
  leases: Lease[] = [];
  /** What callers are blocked for. */
  readonly wanted: (RecordLock | Flock)[] = [];
  /** Woken whenever a lock or lease goes away or gets weaker. */
  readonly waiters = new WaitQueue();

  constructor(inode: Inode) {
    this.inode = inode;
  }

  /** To be called after a change of records, flocks or leases. */
  noteChange(): void {
    const held = this.records.length + this.flocks.length + this.leases.length > 0;
    if (held) lockedFiles.add(this);
    else lockedFiles.delete(this);
  }

  /** The caller gives up or has got what it was blocked for. */
  unwant(lock: RecordLock | Flock): void {
    const i = this.wanted.indexOf(lock);
    if (i >= 0) this.wanted.splice(i, 1);
  }
}

/** All files that somebody holds a lock or lease on, for /proc/locks. */
export const lockedFiles = new Set<FileLocks>();

export function locksOf(inode: Inode): FileLocks {
  return (inode.findIdentity().locks ??= new FileLocks(inode));
}

/** First record lock that keeps `owner` from locking [start, end), or null. */
export function findConflict(
  locks: FileLocks,
  owner: object,
  type: number,
  start: number,
  end: number,
): RecordLock | null {
  for (const l of locks.records) {
    if (l.owner === owner || l.start >= end || l.end <= start) continue;
    if (type === F_WRLCK || l.type === F_WRLCK) return l;
  }
  return null;
}

/** First record lock of `owner` within [start, end), or null. */
export function findOwn(locks: FileLocks, owner: object, start: number, end: number): RecordLock | null {
  return locks.records.find((l) => l.owner === owner && l.start < end && l.end > start) ?? null;
}

/** Record locks on one file and in the whole sandbox: each costs heap, and a change of them looks at all of the file's. */
const RECORDS_PER_FILE = 8192;
const RECORDS_MAX = 131_072;
let recordsInUse = 0;

/** Sets or clears (F_UNLCK) a lock of one owner over a range: 0, −EAGAIN if another owner's is in the way, −ENOLCK. */
export function setRecordLock(locks: FileLocks, want: RecordLock): number {
  const { owner, type, start, end } = want;
  if (type !== F_UNLCK && findConflict(locks, owner, type, start, end) !== null) return -EAGAIN;
  const kept: RecordLock[] = [];
  let from = start;
  let to = end;
  let weakened = false;
  for (const l of locks.records) {
    if (l.owner !== owner || l.end < start || l.start > end) {
      kept.push(l);
    } else if (l.type === type) {
      // Same kind, overlapping or adjacent: one lock.
      from = Math.min(from, l.start);
      to = Math.max(to, l.end);
    } else {
      if (l.start < start) kept.push({ ...l, end: Math.min(l.end, start) });
      if (l.end > end) kept.push({ ...l, start: Math.max(l.start, end) });
      if (l.start < end && l.end > start) weakened = true;
    }
  }
  if (type !== F_UNLCK) kept.push({ ...want, start: from, end: to });
  const more = kept.length - locks.records.length;
  if (more > 0 && (kept.length > RECORDS_PER_FILE || recordsInUse + more > RECORDS_MAX)) return -ENOLCK;
  recordsInUse += more;
  // Owners in the order of their coming, each one's by position: which of several is told of goes by it (posix_test_lock).
  const before = locks.records.findIndex((l) => l.owner === owner);
  const own = kept.filter((l) => l.owner === owner).sort((a, b) => a.start - b.start);
  const others = kept.filter((l) => l.owner !== owner);
  others.splice(before < 0 ? others.length : before, 0, ...own);
  locks.records = others;
  locks.noteChange();
  if (weakened) locks.waiters.wake(EPOLLIN);
  return 0;
}

/** Removes every POSIX lock that the descriptor table `owner` has on the inode. */
export function removePosixLocks(inode: Inode, owner: object): void {
  const { locks } = inode.identity;
  if (locks === null || !locks.records.some((l) => l.owner === owner)) return;
  const before = locks.records.length;
  locks.records = locks.records.filter((l) => l.owner !== owner);
  recordsInUse -= before - locks.records.length;
  locks.noteChange();
  locks.waiters.wake(EPOLLIN);
}

/** The last reference of an open file is gone: its OFD and flock locks go. */
export function removeFileLocks(inode: Inode, file: object): void {
  removePosixLocks(inode, file);
  const { locks } = inode.identity;
  if (locks !== null) setFlock(locks, file, F_UNLCK);
}

/**
 * flock(2). Changing the type is not atomic: "the existing lock is first removed, then a new lock is established". 0 or −EAGAIN.
 */
export function setFlock(locks: FileLocks, owner: object, type: number, pid: object | null = null): number {
  const old = locks.flocks.findIndex((l) => l.owner === owner);
  if (old >= 0) {
    if (locks.flocks[old]!.type === type) return 0;
    locks.flocks.splice(old, 1);
    locks.noteChange();
    locks.waiters.wake(EPOLLIN);
  }
  if (type === F_UNLCK) return 0;
  if (findFlockConflict(locks, owner, type) !== null) return -EAGAIN;
  locks.flocks.push({ owner, type, pid });
  locks.noteChange();
  return 0;
}

/** First flock that keeps `owner` from one of `type`, or null. */
export function findFlockConflict(locks: FileLocks, owner: object, type: number): Flock | null {
  for (const l of locks.flocks) {
    if (l.owner !== owner && (type === F_WRLCK || l.type === F_WRLCK)) return l;
  }
  return null;
}

/** flock types are those of record locks. */
export const FLOCK_SHARED = F_RDLCK;
export const FLOCK_EXCLUSIVE = F_WRLCK;

/** Blocked F_SETLKW callers, for deadlock detection. */
interface BlockedOwner {
  readonly owner: object;
  blocker: object;
}
const blockedOwners: BlockedOwner[] = [];
/** Linux gives up after as many steps (MAX_DEADLK_ITERATIONS). */
const MAX_DEADLOCK_STEPS = 10;

/** Notes that `owner` waits for `blocker`; −EDEADLK if that closes a circle. Undo with unblockOwner(). */
export function blockOwner(owner: object, blocker: object): number {
  let o = blocker;
  for (let i = 0; i < MAX_DEADLOCK_STEPS; i++) {
    const next = blockedOwners.find((b) => b.owner === o);
    if (next === undefined) break;
    o = next.blocker;
    if (o === owner) return -EDEADLK;
  }
  blockedOwners.push({ owner, blocker });
  return 0;
}

export function unblockOwner(owner: object): void {
  const i = blockedOwners.findIndex((b) => b.owner === owner);
  if (i >= 0) blockedOwners.splice(i, 1);
}
