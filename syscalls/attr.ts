/** Attributes: chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2) and their kin (fs/open.c, fs/utimes.c, fs/attr.c). */
import {
  EACCES,
  EBADF,
  EFAULT,
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
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import { S_IFIFO, S_IFMT } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  flags,
  hex,
  int,
  octal,
  off,
  path,
  ptr,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { fileRemovePrivs, prepareChmod, prepareChown } from '../sentry/vfs/attr.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import {
  IN_ACCESS,
  IN_ATTRIB,
  IN_MODIFY,
  notifyDentry,
  notifyFile,
  notifying,
  notifyObject,
} from '../sentry/vfs/fsnotify.ts';
import type { AttrChange, Inode, Timestamp } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import { breakLeases } from '../sentry/vfs/leases.ts';
import { truncateInode } from '../sentry/vfs/open.ts';
import { waitForLease } from './open.ts';
import { MAY_WRITE, inodePermission, ownerOrCapable } from '../sentry/vfs/permission.ts';
import { currentTime } from '../sentry/vfs/times.ts';
import { treeChanged } from '../sentry/vfs/walk-cache.ts';
import { LOOKUP_FOLLOW, nd } from '../sentry/vfs/walk.ts';
import { endIo, yieldIo, type IoWait } from './io.ts';
import { raiseFileSize } from './io-signals.ts';
import type { Dentry } from '../sentry/vfs/dentry.ts';
import { resolveAt, target, walkAt } from './path.ts';

/** fsnotify_change(): what is told of a change of attributes. One time alone looks like what sets it. */
function eventsOfChange(attr: AttrChange): number {
  let mask = 0;
  if (attr.uid !== undefined || attr.gid !== undefined || attr.mode !== undefined) mask |= IN_ATTRIB;
  if (attr.atime !== undefined && attr.mtime !== undefined) mask |= IN_ATTRIB;
  else if (attr.atime !== undefined) mask |= IN_ACCESS;
  else if (attr.mtime !== undefined) mask |= IN_MODIFY;
  return mask;
}

/** notify_change() with the event it causes: told to the directory too if `dentry`, the name just found, is the object's. */
function change(inode: Inode, attr: AttrChange, dentry: Dentry | null): number {
  const r = inode.setAttr(attr);
  // A link's time of access would not change with walks that are known.
  if (inode.isDir || inode.isSymlink) treeChanged();
  if (r === 0 && notifying()) {
    const mask = eventsOfChange(attr);
    if (mask !== 0) notifyObject(mask, inode, dentry);
  }
  return r;
}

function chmodInode(
  t: Task,
  inode: Inode,
  mount: Mount | null,
  mode: number,
  dentry: Dentry | null,
): SysResult {
  if (mount !== null && mount.readOnly) return -EROFS;
  // A symbolic link has no permissions of its own.
  if (inode.isSymlink) return -EOPNOTSUPP;
  if (inode.attributesFixed) return -EOPNOTSUPP;
  const attr: AttrChange = { mode: mode & 0o7777, ctime: currentTime() };
  const r = prepareChmod(t, inode, attr);
  return r !== 0 ? r : change(inode, attr, dentry);
}

function chmodAt(t: Task, dfd: number, addr: number, mode: number, at: number): SysResult {
  if ((at & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const r = resolveAt(t, dfd, addr, at);
  return r !== 0 ? r : chmodInode(t, target.inode, target.mount, mode, target.dentry);
}

export function sysChmod(t: Task, a: SyscallArgs): SysResult {
  return chmodAt(t, AT_FDCWD, a.addr(0), a.uint(1), 0);
}

export function sysFchmod(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  return chmodInode(t, f.inode, f.path?.mount ?? null, a.uint(1), f.path?.dentry ?? null);
}

export function sysFchmodat(t: Task, a: SyscallArgs): SysResult {
  return chmodAt(t, a.int(0), a.addr(1), a.uint(2), 0);
}

export function sysFchmodat2(t: Task, a: SyscallArgs): SysResult {
  return chmodAt(t, a.int(0), a.addr(1), a.uint(2), a.int(3));
}

function chownInode(
  t: Task,
  inode: Inode,
  mount: Mount | null,
  uid: number,
  gid: number,
  dentry: Dentry | null,
): SysResult {
  const { userNs } = t.creds;
  if (userNs.level > 0) {
    // make_kuid(): ids that mean nobody.
    if (uid !== -1 && (uid = userNs.toUid(uid)) < 0) return -EINVAL;
    if (gid !== -1 && (gid = userNs.toGid(gid)) < 0) return -EINVAL;
  }
  if (mount !== null && mount.readOnly) return -EROFS;
  if (inode.attributesFixed) return -EOPNOTSUPP;
  const attr = prepareChown(t, inode, uid, gid);
  if (typeof attr === 'number') return attr;
  attr.ctime = currentTime();
  const r = change(inode, attr, dentry);
  if (r === 0 && inode.hasFileCaps) inode.killFileCaps();
  return r;
}

function chownAt(t: Task, dfd: number, addr: number, uid: number, gid: number, at: number): SysResult {
  if ((at & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const r = resolveAt(t, dfd, addr, at);
  return r !== 0 ? r : chownInode(t, target.inode, target.mount, uid, gid, target.dentry);
}

/** uid_t and gid_t: (uid_t) −1 is "unchanged". */
function id(a: SyscallArgs, i: number): number {
  return a.uint(i) === 0xffffffff ? -1 : a.uint(i);
}

export function sysChown(t: Task, a: SyscallArgs): SysResult {
  return chownAt(t, AT_FDCWD, a.addr(0), id(a, 1), id(a, 2), 0);
}

export function sysLchown(t: Task, a: SyscallArgs): SysResult {
  return chownAt(t, AT_FDCWD, a.addr(0), id(a, 1), id(a, 2), AT_SYMLINK_NOFOLLOW);
}

export function sysFchown(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  return chownInode(t, f.inode, f.path?.mount ?? null, id(a, 1), id(a, 2), f.path?.dentry ?? null);
}

export function sysFchownat(t: Task, a: SyscallArgs): SysResult {
  return chownAt(t, a.int(0), a.addr(1), id(a, 2), id(a, 3), a.int(4));
}

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

/** What to do with atime and mtime: a time, 'now', or null to leave it. */
type TimeWish = Timestamp | 'now' | null;

function utimesInode(
  t: Task,
  inode: Inode,
  mount: Mount | null,
  atime: TimeWish,
  mtime: TimeWish,
  dentry: Dentry | null,
): SysResult {
  if (mount !== null && mount.readOnly) return -EROFS;
  if (inode.isImmutable) return -EPERM;
  if (atime === 'now' && mtime === 'now') {
    // Touching needs ownership or write permission.
    if (!ownerOrCapable(t, inode) && inodePermission(t, inode, MAY_WRITE) !== 0) return -EACCES;
  } else if (inode.isAppendOnly || !ownerOrCapable(t, inode)) {
    return -EPERM;
  }
  const now = currentTime();
  const attr: AttrChange = { ctime: now };
  if (atime !== null) attr.atime = atime === 'now' ? now : atime;
  if (mtime !== null) attr.mtime = mtime === 'now' ? now : mtime;
  return change(inode, attr, dentry);
}

/** The time_t at word `i`, cut to what file systems here can hold (timestamp_truncate(), fs/inode.c): ±2^53. */
function seconds(i: number): number {
  const sec = scratch.i32[i + 1]! * 0x100000000 + scratch.u32[i]!;
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, sec));
}

function wish(i: number): TimeWish | number {
  const nsec = scratch.u32[i + 2]!;
  if (scratch.u32[i + 3] !== 0) return -EINVAL;
  if (nsec === UTIME_NOW) return 'now';
  if (nsec === UTIME_OMIT) return null;
  return nsec > 999_999_999 ? -EINVAL : { sec: seconds(i), nsec };
}

/** do_utimes() for the object that `at` flags, dfd and name select; a null name with a descriptor means the file itself. */
function utimesAt(
  t: Task,
  dfd: number,
  addr: number,
  at: number,
  atime: TimeWish,
  mtime: TimeWish,
): SysResult {
  if (addr === 0 && dfd !== AT_FDCWD) {
    if (at !== 0) return -EINVAL;
    const f = t.fdTable.get(dfd);
    if (f === null) return -EBADF;
    return utimesInode(t, f.inode, f.path?.mount ?? null, atime, mtime, f.path?.dentry ?? null);
  }
  if ((at & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const r = addr === 0 ? -EFAULT : resolveAt(t, dfd, addr, at);
  return r !== 0 ? r : utimesInode(t, target.inode, target.mount, atime, mtime, target.dentry);
}

export function sysUtimensat(t: Task, a: SyscallArgs): SysResult {
  let atime: TimeWish | number = 'now';
  let mtime: TimeWish | number = 'now';
  if (a.addr(2) !== 0) {
    if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 32) < 0) return -EFAULT;
    atime = wish(0);
    mtime = wish(4);
    // "Nothing to do, we must not even check the path."
    if (atime === null && mtime === null) return 0;
    if (typeof atime === 'number') return atime;
    if (typeof mtime === 'number') return mtime;
  }
  return utimesAt(t, a.int(0), a.addr(1), a.int(3), atime, mtime);
}

/** struct timeval[2] at `addr`, null for the current time. */
function doFutimesat(t: Task, dfd: number, nameAddr: number, addr: number): SysResult {
  if (addr === 0) return utimesAt(t, dfd, nameAddr, 0, 'now', 'now');
  if (t.mem.copyIn(addr, scratch.bytes, 0, 32) < 0) return -EFAULT;
  const times: Timestamp[] = [];
  for (const i of [0, 4]) {
    const usec = scratch.u32[i + 2]!;
    if (scratch.u32[i + 3] !== 0 || usec >= 1_000_000) return -EINVAL;
    times.push({ sec: seconds(i), nsec: usec * 1000 });
  }
  return utimesAt(t, dfd, nameAddr, 0, times[0]!, times[1]!);
}

export function sysUtimes(t: Task, a: SyscallArgs): SysResult {
  return doFutimesat(t, AT_FDCWD, a.addr(0), a.addr(1));
}

export function sysFutimesat(t: Task, a: SyscallArgs): SysResult {
  return doFutimesat(t, a.int(0), a.addr(1), a.addr(2));
}

/** utime(2): struct utimbuf in seconds. */
export function sysUtime(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) === 0) return utimesAt(t, AT_FDCWD, a.addr(0), 0, 'now', 'now');
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 16) < 0) return -EFAULT;
  const sec = (i: number): Timestamp => ({ sec: seconds(i), nsec: 0 });
  return utimesAt(t, AT_FDCWD, a.addr(0), 0, sec(0), sec(2));
}

/** inode_newsize_ok(): RLIMIT_FSIZE. */
function overLimit(t: Task, inode: Inode, size: number): boolean {
  if (size <= inode.size || size <= t.fileSizeLimit) return false;
  raiseFileSize(t);
  return true;
}

export function sysTruncate(t: Task, a: SyscallArgs): SysResult {
  const size = a.long(1);
  if (size < 0) return -EINVAL;
  const r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW);
  if (r !== 0) return r;
  const { dentry, mount } = nd;
  const inode = dentry.inode!;
  if (inode.isDir) return -EISDIR;
  if (!inode.isRegular) return -EINVAL;
  if (mount.readOnly) return -EROFS;
  const access = inodePermission(t, inode, MAY_WRITE);
  if (access !== 0) return access;
  if (inode.isAppendOnly) return -EPERM;
  if (inode.writeCount < 0) return -ETXTBSY;
  t.blockState = null;
  const leased = breakLeases(inode, true);
  if (leased !== 0) return waitForLease(t, inode, leased);
  const fresh = inode.refresh();
  if (fresh < 0) return fresh;
  if (overLimit(t, inode, size)) return -EFBIG;
  const done = truncateInode(t, inode, size);
  if (done === 0) notifyDentry(IN_MODIFY, dentry);
  return done;
}

export function sysFtruncate(t: Task, a: SyscallArgs): SysResult {
  const size = a.long(1);
  if (size < 0) return -EINVAL;
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if (!f.inode.isRegular || !f.writable) return -EINVAL;
  if (f.inode.isAppendOnly) return -EPERM;
  if (overLimit(t, f.inode, size)) return -EFBIG;
  const r = f.truncate(t, size);
  if (r === 0) {
    fileRemovePrivs(t, f.inode);
    notifyFile(IN_MODIFY, f);
  }
  return r;
}

const FALLOC_KEEP_SIZE = 1;
const FALLOC_PUNCH_HOLE = 2;
const FALLOC_COLLAPSE_RANGE = 8;
const FALLOC_ZERO_RANGE = 16;
const FALLOC_INSERT_RANGE = 32;
const FALLOC_UNSHARE_RANGE = 64;
const FALLOC_WRITE_ZEROES = 128;
const FALLOC_ALL = 0xfb;

/** vfs_fallocate(): the checks that come before the file system's. */
function mayAllocate(t: Task, f: FileDescription, mode: number, offset: number, len: number): number {
  if (offset < 0 || len <= 0) return -EINVAL;
  if ((mode & ~FALLOC_ALL) !== 0) return -EOPNOTSUPP;
  const keep = (mode & FALLOC_KEEP_SIZE) !== 0;
  switch (mode & ~FALLOC_KEEP_SIZE) {
    case 0:
    case FALLOC_UNSHARE_RANGE:
    case FALLOC_ZERO_RANGE:
      break;
    case FALLOC_PUNCH_HOLE:
      if (!keep) return -EOPNOTSUPP;
      break;
    case FALLOC_COLLAPSE_RANGE:
    case FALLOC_INSERT_RANGE:
    case FALLOC_WRITE_ZEROES:
      if (keep) return -EOPNOTSUPP;
      break;
    default:
      return -EOPNOTSUPP;
  }
  if (!f.writable) return -EBADF;
  // "On append-only files only space preallocation is supported."
  if ((mode & ~FALLOC_KEEP_SIZE) !== 0 && f.inode.isAppendOnly) return -EPERM;
  if (f.inode.isImmutable) return -EPERM;
  if ((f.inode.mode & S_IFMT) === S_IFIFO) return -ESPIPE;
  if (f.inode.isDir) return -EISDIR;
  if (!f.inode.isRegular) return -ENODEV;
  if (offset + len > Number.MAX_SAFE_INTEGER) return -EFBIG;
  // shmem_fallocate(): "We need to check rlimit even when FALLOC_FL_KEEP_SIZE".
  if ((mode & FALLOC_PUNCH_HOLE) === 0 && overLimit(t, f.inode, offset + len)) return -EFBIG;
  return 0;
}

/** fallocate(2). A large range takes several turns; what an interrupted call has allocated stays (Linux: tmpfs frees it). */
export function sysFallocate(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  const f = w === null ? t.fdTable.get(a.int(0)) : w.file;
  if (f === null) return -EBADF;
  const mode = a.int(1);
  const offset = a.long(2);
  const len = a.long(3);
  const refused = w === null ? mayAllocate(t, f, mode, offset, len) : t.interrupted ? -EINTR : 0;
  if (refused !== 0) return endIo(w, refused);
  const r = f.allocate(t, mode, offset, len, w === null ? 0 : w.done);
  if (r >= 0 && r < len) return yieldIo(t, f, w, r, allocateInterrupted);
  if (r === len) {
    fileRemovePrivs(t, f.inode);
    notifyFile(IN_MODIFY, f);
  }
  return endIo(w, r === len ? 0 : r);
}

function allocateInterrupted(t: Task): SysResult {
  return endIo(t.blockState as IoWait, -EINTR);
}

const atFlags = flags({ AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH });

export const attrRows: SyscallRow[] = [
  { nr: 76, name: 'truncate', fn: sysTruncate, args: [path, off], support: 'full' },
  { nr: 77, name: 'ftruncate', fn: sysFtruncate, args: [fd, off], support: 'full' },
  { nr: 90, name: 'chmod', fn: sysChmod, args: [path, octal], support: 'full' },
  { nr: 91, name: 'fchmod', fn: sysFchmod, args: [fd, octal], support: 'full' },
  { nr: 92, name: 'chown', fn: sysChown, args: [path, int, int], support: 'full' },
  { nr: 93, name: 'fchown', fn: sysFchown, args: [fd, int, int], support: 'full' },
  { nr: 94, name: 'lchown', fn: sysLchown, args: [path, int, int], support: 'full' },
  { nr: 132, name: 'utime', fn: sysUtime, args: [path, ptr], support: 'full' },
  { nr: 235, name: 'utimes', fn: sysUtimes, args: [path, ptr], support: 'full' },
  { nr: 260, name: 'fchownat', fn: sysFchownat, args: [fd, path, int, int, atFlags], support: 'full' },
  { nr: 261, name: 'futimesat', fn: sysFutimesat, args: [fd, path, ptr], support: 'full' },
  { nr: 268, name: 'fchmodat', fn: sysFchmodat, args: [fd, path, octal], support: 'full' },
  { nr: 280, name: 'utimensat', fn: sysUtimensat, args: [fd, path, ptr, atFlags], support: 'full' },
  { nr: 285, name: 'fallocate', fn: sysFallocate, args: [fd, hex, off, off], support: 'full' },
  { nr: 452, name: 'fchmodat2', fn: sysFchmodat2, args: [fd, path, octal, atFlags], support: 'full' },
];
