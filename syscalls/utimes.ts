/** utimensat(2) and its elders (fs/utimes.c). */
import { EACCES, EBADF, EFAULT, EINVAL, EPERM, EROFS } from '../sentry/abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fd, flags, path, ptr, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { Dentry } from '../sentry/vfs/dentry.ts';
import type { AttrChange, Inode, Timestamp } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import { inodePermission, MAY_WRITE, ownerOrCapable } from '../sentry/vfs/permission.ts';
import { currentTime } from '../sentry/vfs/times.ts';
import { change } from './attr.ts';
import { resolveAt, target } from './path.ts';

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

/** What to do with atime and mtime: a time, 'now', or null to leave it. */
type TimeWish = Timestamp | 'now' | null;

function utimesInode(
  t: Task,
  inode: Inode,
  mount: Mount | null,
  atime: TimeWish | number,
  mtime: TimeWish | number,
  dentry: Dentry | null,
): SysResult {
  // Times that are none count once the file has been found.
  if (typeof atime === 'number' || typeof mtime === 'number') return -EINVAL;
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
  atime: TimeWish | number,
  mtime: TimeWish | number,
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

function sysUtimensat(t: Task, a: SyscallArgs): SysResult {
  let atime: TimeWish | number = 'now';
  let mtime: TimeWish | number = 'now';
  if (a.addr(2) !== 0) {
    if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 32) < 0) return -EFAULT;
    atime = wish(0);
    mtime = wish(4);
    // "Nothing to do, we must not even check the path."
    if (atime === null && mtime === null) return 0;
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

function sysUtimes(t: Task, a: SyscallArgs): SysResult {
  return doFutimesat(t, AT_FDCWD, a.addr(0), a.addr(1));
}

function sysFutimesat(t: Task, a: SyscallArgs): SysResult {
  return doFutimesat(t, a.int(0), a.addr(1), a.addr(2));
}

/** utime(2): struct utimbuf in seconds. */
function sysUtime(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) === 0) return utimesAt(t, AT_FDCWD, a.addr(0), 0, 'now', 'now');
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 16) < 0) return -EFAULT;
  const sec = (i: number): Timestamp => ({ sec: seconds(i), nsec: 0 });
  return utimesAt(t, AT_FDCWD, a.addr(0), 0, sec(0), sec(2));
}

export const utimesRows: SyscallRow[] = [
  { nr: 132, name: 'utime', fn: sysUtime, args: [path, ptr], support: 'full' },
  { nr: 235, name: 'utimes', fn: sysUtimes, args: [path, ptr], support: 'full' },
  { nr: 261, name: 'futimesat', fn: sysFutimesat, args: [fd, path, ptr], support: 'full' },
  {
    nr: 280,
    name: 'utimensat',
    fn: sysUtimensat,
    args: [fd, path, ptr, flags({ AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH })],
    support: 'full',
  },
];
