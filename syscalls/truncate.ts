/** The size of files: truncate(2), ftruncate(2), fallocate(2) (fs/open.c). */
import {
  EACCES,
  EBADF,
  EFBIG,
  EINTR,
  EINVAL,
  EISDIR,
  ENODEV,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  ESPIPE,
  ETXTBSY,
} from '../sentry/abi/errno.ts';
import {
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_UNSHARE_RANGE,
  FALLOC_FL_WRITE_ZEROES,
  FALLOC_FL_ZERO_RANGE,
} from '../sentry/abi/falloc.ts';
import { AT_FDCWD } from '../sentry/abi/fcntl.ts';
import { S_IFIFO, S_IFMT } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fd, hex, off, path, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { fileRemovePrivs } from '../sentry/vfs/attr.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { notifyDentry, notifyFile, notifyWritten, truncateEvents } from '../sentry/vfs/fsnotify.ts';
import type { Inode } from '../sentry/vfs/inode.ts';
import { ACCESS_TRUNCATE, landlocked } from '../sentry/vfs/landlock.ts';
import { breakLeases } from '../sentry/vfs/leases.ts';
import { truncateInode } from '../sentry/vfs/open.ts';
import { inodePermission, MAY_WRITE } from '../sentry/vfs/permission.ts';
import { LOOKUP_FOLLOW, nd } from '../sentry/vfs/walk.ts';
import { endIo, IoWait, yieldIo } from './io.ts';
import { raiseFileSize } from './io-signals.ts';
import { waitForLease } from './open.ts';
import { walkAt } from './path.ts';

/** inode_newsize_ok(): RLIMIT_FSIZE. */
function overLimit(t: Task, inode: Inode, size: number): boolean {
  if (size <= inode.size || size <= t.fileSizeLimit) return false;
  raiseFileSize(t);
  return true;
}

function sysTruncate(t: Task, a: SyscallArgs): SysResult {
  const size = a.long(1);
  if (size < 0) return -EINVAL;
  const r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW);
  if (r !== 0) return r;
  const { dentry, mount } = nd;
  const inode = dentry.inode!;
  if (inode.isDir) return -EISDIR;
  if (!inode.isRegular) return -EINVAL;
  const access = inodePermission(t, inode, MAY_WRITE);
  if (access !== 0) return access;
  if (mount.readOnly) return -EROFS;
  if (inode.isAppendOnly) return -EPERM;
  if (inode.writeCount < 0) return -ETXTBSY;
  t.blockState = null;
  const leased = breakLeases(inode, true);
  if (leased !== 0) return waitForLease(t, inode, leased);
  const fresh = inode.refresh();
  if (fresh < 0) return fresh;
  if (overLimit(t, inode, size)) return -EFBIG;
  const denied = landlocked(t, { mount, dentry }, ACCESS_TRUNCATE);
  if (denied !== 0) return denied;
  const { mode } = inode;
  const done = truncateInode(t, inode, size);
  if (done === 0) notifyDentry(truncateEvents(inode, mode), dentry);
  return done;
}

function sysFtruncate(t: Task, a: SyscallArgs): SysResult {
  const size = a.long(1);
  if (size < 0) return -EINVAL;
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if (!f.inode.isRegular || !f.writable) return -EINVAL;
  if (f.inode.isAppendOnly) return -EPERM;
  if (f.keepsSize) return -EACCES;
  if (overLimit(t, f.inode, size)) return -EFBIG;
  const { mode } = f.inode;
  const r = f.truncate(t, size);
  if (r === 0) {
    fileRemovePrivs(t, f.inode);
    notifyFile(truncateEvents(f.inode, mode), f);
  }
  return r;
}

/** All but NO_HIDE_STALE. */
const FALLOC_ALL = 0xfb;

/** vfs_fallocate(): the checks that come before the file system's. */
function mayAllocate(t: Task, f: FileDescription, mode: number, offset: number, len: number): number {
  if (offset < 0 || len <= 0) return -EINVAL;
  if ((mode & ~FALLOC_ALL) !== 0) return -EOPNOTSUPP;
  const keep = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
  switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0:
    case FALLOC_FL_UNSHARE_RANGE:
    case FALLOC_FL_ZERO_RANGE:
      break;
    case FALLOC_FL_PUNCH_HOLE:
      if (!keep) return -EOPNOTSUPP;
      break;
    case FALLOC_FL_COLLAPSE_RANGE:
    case FALLOC_FL_INSERT_RANGE:
    case FALLOC_FL_WRITE_ZEROES:
      if (keep) return -EOPNOTSUPP;
      break;
    default:
      return -EOPNOTSUPP;
  }
  if (!f.writable) return -EBADF;
  // "On append-only files only space preallocation is supported."
  if ((mode & ~FALLOC_FL_KEEP_SIZE) !== 0 && f.inode.isAppendOnly) return -EPERM;
  if (f.inode.isImmutable) return -EPERM;
  if ((f.inode.mode & S_IFMT) === S_IFIFO) return -ESPIPE;
  if (f.inode.isDir) return -EISDIR;
  if (!f.inode.isRegular) return -ENODEV;
  if (offset + len > Number.MAX_SAFE_INTEGER) return -EFBIG;
  // shmem_fallocate(): "We need to check rlimit even when FALLOC_FL_KEEP_SIZE".
  if ((mode & FALLOC_FL_PUNCH_HOLE) === 0 && overLimit(t, f.inode, offset + len)) return -EFBIG;
  return 0;
}

/** An allocation that takes several turns. */
export class Allocation extends IoWait {
  readonly mode: number;
  readonly offset: number;
  readonly len: number;

  constructor(t: Task, f: FileDescription, mode: number, offset: number, len: number) {
    super(t, f, Infinity);
    this.mode = mode;
    this.offset = offset;
    this.len = len;
  }
}

/** vfs_fallocate(). A large range takes several turns; what an interrupted call has allocated stays (Linux: tmpfs frees it). */
export function allocate(t: Task, f: FileDescription, mode: number, offset: number, len: number): SysResult {
  const refused = mayAllocate(t, f, mode, offset, len);
  return refused !== 0 ? refused : allocateMore(t, new Allocation(t, f, mode, offset, len));
}

/** Goes on with the allocation that the task's call is about. */
export function goOnAllocating(t: Task): SysResult {
  const w = t.blockState as Allocation;
  return t.interrupted ? endIo(w, -EINTR) : allocateMore(t, w);
}

function allocateMore(t: Task, w: Allocation): SysResult {
  const { file, len } = w;
  const r = file.allocate(t, w.mode, w.offset, len, w.done);
  if (r >= 0 && r < len) return yieldIo(t, file, w, r, allocateInterrupted);
  if (r === len) {
    const before = file.inode.mode;
    fileRemovePrivs(t, file.inode);
    notifyWritten(file, before);
  }
  return endIo(w, r === len ? 0 : r);
}

function allocateInterrupted(t: Task): SysResult {
  return endIo(t.blockState as Allocation, -EINTR);
}

function sysFallocate(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState !== null) return goOnAllocating(t);
  const f = t.fdTable.get(a.int(0));
  return f === null ? -EBADF : allocate(t, f, a.int(1), a.long(2), a.long(3));
}

export const truncateRows: SyscallRow[] = [
  { nr: 76, name: 'truncate', fn: sysTruncate, args: [path, off], support: 'full' },
  { nr: 77, name: 'ftruncate', fn: sysFtruncate, args: [fd, off], support: 'full' },
  { nr: 285, name: 'fallocate', fn: sysFallocate, args: [fd, hex, off, off], support: 'full' },
];
