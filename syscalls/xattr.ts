/** Extended attributes: getxattr(2), setxattr(2), listxattr(2), removexattr(2) (fs/xattr.c, xattr(7)). */
import {
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ENODATA,
  ENAMETOOLONG,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  EROFS,
} from '../sentry/abi/errno.ts';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import { S_ISVTX } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SETFCAP, CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import {
  fd,
  flags,
  outBuf,
  inBuf,
  path,
  size,
  str,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { IN_ATTRIB, notifySelf } from '../sentry/vfs/fsnotify.ts';
import type { Inode } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import { MAY_READ, MAY_WRITE, inodePermission, ownerOrCapable } from '../sentry/vfs/permission.ts';
import {
  XATTR_CREATE,
  XATTR_LIST_MAX,
  XATTR_NAME_MAX,
  XATTR_REPLACE,
  XATTR_SIZE_MAX,
} from '../sentry/vfs/xattr.ts';
import { resolveAt, setTarget, target } from './path.ts';

/** import_xattr_name(): −ERANGE for empty or too long ones. */
function xattrName(t: Task, addr: number): string | number {
  const name = t.mem.copyInString(addr, XATTR_NAME_MAX + 1);
  if (name === -ENAMETOOLONG || name === '') return -ERANGE;
  return name;
}

/** xattr_permission(): what each namespace demands. */
function mayAccess(t: Task, inode: Inode, name: string, mask: number): number {
  const write = (mask & MAY_WRITE) !== 0;
  if (name.startsWith('trusted.')) {
    if (t.creds.has(CAP_SYS_ADMIN)) return 0;
    return write ? -EPERM : -ENODATA;
  }
  if (name.startsWith('user.')) {
    if (!inode.isRegular && !inode.isDir) return write ? -EPERM : -ENODATA;
    if (inode.isDir && (inode.mode & S_ISVTX) !== 0 && write && !ownerOrCapable(t, inode)) return -EPERM;
    return inodePermission(t, inode, mask);
  }
  if (name.startsWith('security.')) {
    if (!write) return 0;
    if (name === 'security.capability') return t.creds.has(CAP_SETFCAP) ? 0 : -EPERM;
    return t.creds.has(CAP_SYS_ADMIN) ? 0 : -EPERM;
  }
  // system.posix_acl_* and anything else: no file system here has a handler.
  return -EOPNOTSUPP;
}

function doSet(t: Task, inode: Inode, mount: Mount | null, a: SyscallArgs): SysResult {
  const how = a.int(4);
  if ((how & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return -EINVAL;
  const name = xattrName(t, a.addr(1));
  if (typeof name === 'number') return name;
  const len = a.size(3);
  if (len > XATTR_SIZE_MAX) return -E2BIG;
  const value = new Uint8Array(len);
  if (t.mem.copyIn(a.addr(2), value, 0, len) < 0) return -EFAULT;
  if (mount !== null && mount.readOnly) return -EROFS;
  const may = mayAccess(t, inode, name, MAY_WRITE);
  if (may !== 0) return may;
  const r = inode.setXattr(name, value, how);
  if (r === 0) notifySelf(IN_ATTRIB, inode);
  return r;
}

function doGet(t: Task, inode: Inode, a: SyscallArgs): SysResult {
  const name = xattrName(t, a.addr(1));
  if (typeof name === 'number') return name;
  const may = mayAccess(t, inode, name, MAY_READ);
  if (may !== 0) return may;
  const value = inode.getXattr(name);
  if (typeof value === 'number') return value;
  const len = Math.min(a.size(3), XATTR_SIZE_MAX);
  if (len === 0) return value.length;
  if (value.length > len) return -ERANGE;
  return t.mem.copyOut(a.addr(2), value, 0, value.length) < 0 ? -EFAULT : value.length;
}

function doList(t: Task, inode: Inode, a: SyscallArgs): SysResult {
  const names = inode.listXattr();
  if (typeof names === 'number') return names;
  const trusted = t.creds.has(CAP_SYS_ADMIN);
  const visible = names.filter((n) => trusted || !n.startsWith('trusted.'));
  const total = visible.reduce((n, name) => n + name.length + 1, 0);
  if (a.size(2) === 0) return total;
  if (total > a.size(2)) return -ERANGE;
  if (total > XATTR_LIST_MAX) return -E2BIG;
  let at = 0;
  for (const name of visible) {
    at += scratch.bytes.write(name, at, 'latin1');
    if (at < scratch.size) scratch.bytes[at++] = 0;
  }
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, total) < 0 ? -EFAULT : total;
}

function doRemove(t: Task, inode: Inode, mount: Mount | null, a: SyscallArgs): SysResult {
  const name = xattrName(t, a.addr(1));
  if (typeof name === 'number') return name;
  if (mount !== null && mount.readOnly) return -EROFS;
  const may = mayAccess(t, inode, name, MAY_WRITE);
  if (may !== 0) return may;
  const r = inode.removeXattr(name);
  if (r === 0) notifySelf(IN_ATTRIB, inode);
  return r;
}

/** Fills `target` from a path argument, or a descriptor for the f-variants. */
function resolve(t: Task, a: SyscallArgs, how: 'follow' | 'link' | 'fd'): number {
  if (how !== 'fd') return resolveAt(t, AT_FDCWD, a.addr(0), how === 'link' ? AT_SYMLINK_NOFOLLOW : 0);
  const f = t.fdTable.get(a.int(0));
  return f === null ? -EBADF : setTarget(f);
}

const onTarget =
  (
    how: 'follow' | 'link' | 'fd',
    op: (t: Task, inode: Inode, mount: Mount | null, a: SyscallArgs) => SysResult,
  ) =>
  (t: Task, a: SyscallArgs): SysResult => {
    const r = resolve(t, a, how);
    return r !== 0 ? r : op(t, target.inode, target.mount, a);
  };

const getOf = (t: Task, inode: Inode, _m: Mount | null, a: SyscallArgs): SysResult => doGet(t, inode, a);
const listOf = (t: Task, inode: Inode, _m: Mount | null, a: SyscallArgs): SysResult => doList(t, inode, a);
const setFlags = flags({ XATTR_CREATE, XATTR_REPLACE });

export const xattrRows: SyscallRow[] = [
  {
    nr: 188,
    name: 'setxattr',
    fn: onTarget('follow', doSet),
    args: [path, str, inBuf(3), size, setFlags],
    support: 'full',
  },
  {
    nr: 189,
    name: 'lsetxattr',
    fn: onTarget('link', doSet),
    args: [path, str, inBuf(3), size, setFlags],
    support: 'full',
  },
  {
    nr: 190,
    name: 'fsetxattr',
    fn: onTarget('fd', doSet),
    args: [fd, str, inBuf(3), size, setFlags],
    support: 'full',
  },
  {
    nr: 191,
    name: 'getxattr',
    fn: onTarget('follow', getOf),
    args: [path, str, outBuf(3), size],
    support: 'full',
  },
  {
    nr: 192,
    name: 'lgetxattr',
    fn: onTarget('link', getOf),
    args: [path, str, outBuf(3), size],
    support: 'full',
  },
  {
    nr: 193,
    name: 'fgetxattr',
    fn: onTarget('fd', getOf),
    args: [fd, str, outBuf(3), size],
    support: 'full',
  },
  {
    nr: 194,
    name: 'listxattr',
    fn: onTarget('follow', listOf),
    args: [path, outBuf(2), size],
    support: 'full',
  },
  {
    nr: 195,
    name: 'llistxattr',
    fn: onTarget('link', listOf),
    args: [path, outBuf(2), size],
    support: 'full',
  },
  { nr: 196, name: 'flistxattr', fn: onTarget('fd', listOf), args: [fd, outBuf(2), size], support: 'full' },
  { nr: 197, name: 'removexattr', fn: onTarget('follow', doRemove), args: [path, str], support: 'full' },
  { nr: 198, name: 'lremovexattr', fn: onTarget('link', doRemove), args: [path, str], support: 'full' },
  { nr: 199, name: 'fremovexattr', fn: onTarget('fd', doRemove), args: [fd, str], support: 'full' },
];
