/**
 * Leases: F_SETLEASE, F_GETLEASE, and their breaking when somebody else opens or truncates the file (fs/locks.c __break_lease,
 * fcntl(2) "Leases"). Only what happens inside the sandbox breaks a lease.
 */
import { EAGAIN } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.ts';
import { clockNs } from '../host/sys.ffi.ts';
import { CLOCK_MONOTONIC } from '../time/clock.ts';
import { EPOLLIN } from '../waiter/wait-queue.ts';
import type { FileDescription } from './file-description.ts';
import type { Inode } from './inode.ts';
import { locksOf, type FileLocks } from './locks.ts';

export interface Lease {
  readonly file: FileDescription;
  /** F_RDLCK or F_WRLCK. */
  type: number;
  /** What a pending break wants it to become: F_RDLCK, F_UNLCK, or −1. */
  target: number;
  /** CLOCK_MONOTONIC at which a pending break is carried out. */
  deadlineNs: number;
  /** Tells the holder that somebody wants the file. */
  readonly onBreak: () => void;
  /** Pid of who asked for it. */
  readonly pid: object | null;
}

/** fs.lease-break-time */
let breakTimeSeconds = 45;

export function leaseBreakTime(): number {
  return breakTimeSeconds;
}

export function setLeaseBreakTime(seconds: number): void {
  breakTimeSeconds = seconds;
}

function setType(locks: FileLocks, lease: Lease, type: number): void {
  if (type === F_UNLCK) locks.leases.splice(locks.leases.indexOf(lease), 1);
  locks.noteChange();
  lease.type = type;
  if (lease.target !== -1 && (type === F_UNLCK || lease.target === F_RDLCK)) lease.target = -1;
  locks.waiters.wake(EPOLLIN);
}

/** time_out_leases(): holders that did not answer in time lose what was asked for. */
function expire(locks: FileLocks): void {
  const now = clockNs(CLOCK_MONOTONIC);
  for (const l of [...locks.leases]) {
    if (l.target !== -1 && l.deadlineNs <= now) setType(locks, l, l.target);
  }
}

/** F_GETLEASE: what the lease is or, while it is being broken, what it will be. */
export function leaseType(file: FileDescription): number {
  const { locks } = file.inode.identity;
  if (locks === null) return F_UNLCK;
  expire(locks);
  const own = locks.leases.find((l) => l.file === file);
  if (own === undefined) return F_UNLCK;
  return own.target !== -1 ? own.target : own.type;
}

/** F_SETLEASE of a regular file by somebody who may: 0 or −EAGAIN. */
export function setLease(
  file: FileDescription,
  type: number,
  onBreak: () => void,
  pid: object | null,
): number {
  const { inode } = file;
  const locks = locksOf(inode);
  expire(locks);
  const own = locks.leases.find((l) => l.file === file);
  if (type === F_UNLCK) {
    if (own === undefined) return -EAGAIN;
    setType(locks, own, F_UNLCK);
    return 0;
  }
  // Who waits to write counts as a writer already.
  if (own !== undefined && own.target === F_UNLCK && type === F_RDLCK) return -EAGAIN;
  if (!mayLease(inode, file, type)) return -EAGAIN;
  for (const l of locks.leases) {
    if (l !== own && (type === F_WRLCK || l.target === F_UNLCK)) return -EAGAIN;
  }
  if (own !== undefined) setType(locks, own, type);
  else locks.leases.push({ file, type, target: -1, deadlineNs: 0, onBreak, pid });
  locks.noteChange();
  return 0;
}

/** check_conflicting_open(): a read lease needs that nobody may write, a write lease that nobody else has the file open. */
function mayLease(inode: Inode, file: FileDescription, type: number): boolean {
  if (type === F_RDLCK) return inode.writeCount <= 0;
  const writers = file.writable ? 1 : 0;
  const readers = !file.writable && file.readable ? 1 : 0;
  return Math.max(0, inode.writeCount) === writers && inode.readCount === readers;
}

/** Removes the lease of an open file that is gone. */
export function removeLease(inode: Inode, file: object): void {
  const { locks } = inode.identity;
  const own = locks?.leases.find((l) => l.file === file);
  if (own !== undefined) setType(locks!, own, F_UNLCK);
}

const conflicts = (l: Lease, write: boolean): boolean => write || l.type === F_WRLCK;

/**
 * Asks the holders of leases to let somebody in who opens the file to read, or to write or truncate. 0 if nobody is in the
 * way, else the CLOCK_MONOTONIC time at which the rest goes by force: wait on locksOf(inode).waiters until then, ask again.
 */
export function breakLeases(inode: Inode, write: boolean): number {
  const { locks } = inode.identity;
  if (locks === null || locks.leases.length === 0) return 0;
  expire(locks);
  const target = write ? F_UNLCK : F_RDLCK;
  let deadline = 0;
  for (const l of [...locks.leases]) {
    if (!conflicts(l, write)) continue;
    if (l.target === -1 || (write && l.target === F_RDLCK)) {
      l.deadlineNs = breakTimeSeconds === 0 ? Infinity : clockNs(CLOCK_MONOTONIC) + breakTimeSeconds * 1e9;
      l.target = target;
      l.onBreak();
    }
    deadline = deadline === 0 ? l.deadlineNs : Math.min(deadline, l.deadlineNs);
  }
  return deadline;
}
