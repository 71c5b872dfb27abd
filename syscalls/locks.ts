/** Record locks of fcntl(2), POSIX and OFD, and flock(2) (fs/locks.c). */
import { EAGAIN, EBADF, EFAULT, EINVAL, EOVERFLOW, ERESTARTSYS } from '../sentry/abi/errno.ts';
import {
  F_GETLK,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_RDLCK,
  F_SETLKW,
  F_UNLCK,
  F_WRLCK,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fd, flags, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Pid } from '../sentry/kernel/pid-namespace.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { hi32 } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import {
  blockOwner,
  findConflict,
  findOwn,
  locksOf,
  setFlock,
  setRecordLock,
  unblockOwner,
  type Flock,
  type RecordLock,
} from '../sentry/vfs/locks.ts';
import { EPOLLIN } from '../sentry/waiter/wait-queue.ts';

/** struct flock: type, whence, start, len, pid. */
const FLOCK_SIZE = 32;
/** OFFSET_MAX, rounded up as far as numbers go: the end of every file. */
const OFFSET_LIMIT = 2 ** 63;

/** A lock that its task waits for. Holds the file, whatever happens to the descriptor. */
interface LockWait {
  readonly file: FileDescription;
  readonly lock: RecordLock;
  /** POSIX locks take part in deadlock detection, OFD locks do not. */
  readonly posix: boolean;
}

/** struct flock at scratch, to a range with an owner: −EINVAL, −EOVERFLOW. */
function readFlock(f: FileDescription, owner: object, pid: Pid | null): RecordLock | number {
  const { view } = scratch;
  const type = view.getInt16(0, true);
  const whence = view.getInt16(2, true);
  if (type !== F_RDLCK && type !== F_WRLCK && type !== F_UNLCK) return -EINVAL;
  let start = view.getInt32(12, true) * 0x100000000 + view.getUint32(8, true);
  const len = view.getInt32(20, true) * 0x100000000 + view.getUint32(16, true);
  if (whence === SEEK_CUR) start += f.pos;
  else if (whence === SEEK_END) start += f.inode.size;
  else if (whence !== SEEK_SET) return -EINVAL;
  if (start >= OFFSET_LIMIT) return -EOVERFLOW;
  if (start < 0) return -EINVAL;
  let end = Infinity;
  if (len > 0) {
    end = start + len;
    if (end > OFFSET_LIMIT) return -EOVERFLOW;
  } else if (len < 0) {
    end = start;
    start += len;
    if (start < 0) return -EINVAL;
  }
  return { owner, file: f, type, start, end, pid };
}

/** Tells of the lock that is in the way, or that there is none. */
function writeFlock(t: Task, addr: number, found: RecordLock | null): number {
  const { view } = scratch;
  if (found === null) {
    view.setInt16(0, F_UNLCK, true);
  } else {
    const len = found.end === Infinity ? 0 : found.end - found.start;
    view.setInt16(0, found.type, true);
    view.setInt16(2, SEEK_SET, true);
    view.setUint32(8, found.start >>> 0, true);
    view.setUint32(12, hi32(found.start), true);
    view.setUint32(16, len >>> 0, true);
    view.setUint32(20, hi32(len), true);
    // locks_translate_pid(): nobody's is −1, who is not seen from here is 0.
    view.setInt32(24, found.pid === null ? -1 : (found.pid as Pid).nrIn(t.pidNs), true);
  }
  return t.mem.copyOut(addr, scratch.bytes, 0, FLOCK_SIZE);
}

export function fcntlLock(t: Task, f: FileDescription, cmd: number, addr: number): SysResult {
  const ofd = cmd === F_OFD_GETLK || cmd === F_OFD_SETLK || cmd === F_OFD_SETLKW;
  if (t.mem.copyIn(addr, scratch.bytes, 0, FLOCK_SIZE) < 0) return -EFAULT;
  // "l_pid … must be set to zero" - fcntl(2), open file description locks
  if (ofd && scratch.i32[6] !== 0) return -EINVAL;
  const lock = readFlock(f, ofd ? f : t.fdTable, ofd ? null : t.group.pid);
  if (typeof lock === 'number') return lock;
  if (cmd === F_GETLK || cmd === F_OFD_GETLK) {
    // F_UNLCK asks for any lock of the open file itself (Linux 6.3).
    if (lock.type === F_UNLCK && !ofd) return -EINVAL;
    const { locks } = f.inode.findIdentity();
    if (locks === null) return writeFlock(t, addr, null);
    const { owner, type, start, end } = lock;
    const own = type === F_UNLCK;
    return writeFlock(
      t,
      addr,
      own ? findOwn(locks, owner, start, end) : findConflict(locks, owner, type, start, end),
    );
  }
  if (lock.type === F_RDLCK && !f.readable) return -EBADF;
  if (lock.type === F_WRLCK && !f.writable) return -EBADF;
  const r = setRecordLock(locksOf(f.inode), lock);
  if (r !== -EAGAIN || (cmd !== F_SETLKW && cmd !== F_OFD_SETLKW)) return r;
  return waitForLock(t, { file: f.ref(), lock, posix: !ofd });
}

function waitForLock(t: Task, w: LockWait): SysResult {
  const { lock } = w;
  const locks = locksOf(w.file.inode);
  const blocker = findConflict(locks, lock.owner, lock.type, lock.start, lock.end)!;
  if (w.posix) {
    const r = blockOwner(lock.owner, blocker.owner);
    if (r < 0) return endWait(t, w, r);
  }
  t.blockState = w;
  locks.wanted.push(lock);
  t.waitOn(locks.waiters, EPOLLIN);
  return t.block(Infinity, interruptedLock);
}

function endBlock(w: LockWait): void {
  if (w.posix) unblockOwner(w.lock.owner);
  locksOf(w.file.inode).unwant(w.lock);
}

function interruptedLock(t: Task): SysResult {
  const w = t.blockState as LockWait;
  endBlock(w);
  w.file.unref();
  return -ERESTARTSYS;
}

function endWait(_t: Task, w: LockWait, r: number): SysResult {
  w.file.unref();
  return r;
}

/** A lock went away: try again. */
export function resumeLock(t: Task): SysResult {
  const w = t.blockState as LockWait;
  endBlock(w);
  const r = setRecordLock(locksOf(w.file.inode), w.lock);
  return r === -EAGAIN ? waitForLock(t, w) : endWait(t, w, r);
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** Mandatory locks are gone; asking for one does nothing. */
const LOCK_MAND = 32;

/** flock(2) that waits. Holds the file. */
interface FlockWait {
  readonly file: FileDescription;
  readonly lock: Flock;
}

function sysFlock(t: Task, a: SyscallArgs): SysResult {
  if ((a.int(1) & LOCK_MAND) !== 0) return 0;
  const waiting = t.blockState as FlockWait | null;
  const f = waiting?.file ?? t.fdTable.get(a.int(0));
  const op = a.int(1) & ~LOCK_NB;
  const type = op === LOCK_SH ? F_RDLCK : op === LOCK_EX ? F_WRLCK : op === LOCK_UN ? F_UNLCK : -1;
  if (type < 0) return -EINVAL;
  if (f === null) return -EBADF;
  // Opened for neither reading nor writing.
  if (type !== F_UNLCK && !f.readable && !f.writable) return -EBADF;
  if (type === F_UNLCK && f.inode.identity.locks === null) return 0;
  const locks = locksOf(f.inode);
  if (waiting !== null) locks.unwant(waiting.lock);
  const r = setFlock(locks, f, type, t.group.pid);
  if (r === -EAGAIN && (a.int(1) & LOCK_NB) === 0) {
    const wait = waiting ?? { file: f.ref(), lock: { owner: f, type, pid: t.group.pid } };
    t.blockState = wait;
    locks.wanted.push(wait.lock);
    t.waitOn(locks.waiters, EPOLLIN);
    return t.block(Infinity, interruptedFlock);
  }
  waiting?.file.unref();
  return r;
}

function interruptedFlock(t: Task): SysResult {
  const { file, lock } = t.blockState as FlockWait;
  locksOf(file.inode).unwant(lock);
  file.unref();
  return -ERESTARTSYS;
}

export const lockRows: SyscallRow[] = [
  {
    nr: 73,
    name: 'flock',
    fn: sysFlock,
    args: [fd, flags({ LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN })],
    support: 'full',
  },
];
