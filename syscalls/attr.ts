/** chmod(2), chown(2) and their kin (fs/open.c, fs/attr.c). */
import { EBADF, EINVAL, EOPNOTSUPP, EROFS } from '../sentry/abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  flags,
  int,
  octal,
  path,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { prepareChmod, prepareChown } from '../sentry/vfs/attr.ts';
import type { Dentry } from '../sentry/vfs/dentry.ts';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY, notifying, notifyObject } from '../sentry/vfs/fsnotify.ts';
import type { AttrChange, Inode } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import { currentTime } from '../sentry/vfs/times.ts';
import { treeChanged } from '../sentry/vfs/walk-cache.ts';
import { resolveAt, target } from './path.ts';

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
export function change(inode: Inode, attr: AttrChange, dentry: Dentry | null): number {
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

function sysChmod(t: Task, a: SyscallArgs): SysResult {
  return chmodAt(t, AT_FDCWD, a.addr(0), a.uint(1), 0);
}

function sysFchmod(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  return chmodInode(t, f.inode, f.path?.mount ?? null, a.uint(1), f.path?.dentry ?? null);
}

function sysFchmodat(t: Task, a: SyscallArgs): SysResult {
  return chmodAt(t, a.int(0), a.addr(1), a.uint(2), 0);
}

function sysFchmodat2(t: Task, a: SyscallArgs): SysResult {
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

function sysChown(t: Task, a: SyscallArgs): SysResult {
  return chownAt(t, AT_FDCWD, a.addr(0), id(a, 1), id(a, 2), 0);
}

function sysLchown(t: Task, a: SyscallArgs): SysResult {
  return chownAt(t, AT_FDCWD, a.addr(0), id(a, 1), id(a, 2), AT_SYMLINK_NOFOLLOW);
}

function sysFchown(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  return chownInode(t, f.inode, f.path?.mount ?? null, id(a, 1), id(a, 2), f.path?.dentry ?? null);
}

function sysFchownat(t: Task, a: SyscallArgs): SysResult {
  return chownAt(t, a.int(0), a.addr(1), id(a, 2), id(a, 3), a.int(4));
}

const atFlags = flags({ AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH });

export const attrRows: SyscallRow[] = [
  { nr: 90, name: 'chmod', fn: sysChmod, args: [path, octal], support: 'full' },
  { nr: 91, name: 'fchmod', fn: sysFchmod, args: [fd, octal], support: 'full' },
  { nr: 92, name: 'chown', fn: sysChown, args: [path, int, int], support: 'full' },
  { nr: 93, name: 'fchown', fn: sysFchown, args: [fd, int, int], support: 'full' },
  { nr: 94, name: 'lchown', fn: sysLchown, args: [path, int, int], support: 'full' },
  { nr: 260, name: 'fchownat', fn: sysFchownat, args: [fd, path, int, int, atFlags], support: 'full' },
  { nr: 268, name: 'fchmodat', fn: sysFchmodat, args: [fd, path, octal], support: 'full' },
  { nr: 452, name: 'fchmodat2', fn: sysFchmodat2, args: [fd, path, octal, atFlags], support: 'full' },
];
