/** Extended attributes: getxattr(2), setxattr(2), listxattr(2), removexattr(2) (fs/xattr.c, xattr(7)). */
import {
  E2BIG,
  EACCES,
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
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import { S_ISVTX } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SETFCAP, CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import {
  fd,
  flags,
  outBuf,
  hex,
  inBuf,
  path,
  ptr,
  size,
  str,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { isProtected, setPosixAcl } from '../sentry/vfs/attr.ts';
import { IN_ATTRIB, notifyObject } from '../sentry/vfs/fsnotify.ts';
import type { Inode } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import {
  MAY_READ,
  MAY_WRITE,
  capableWrtInode,
  inodePermission,
  ownerOrCapable,
} from '../sentry/vfs/permission.ts';
import { aclFromXattr, aclToXattr, aclTypeOf, type AclType } from '../sentry/vfs/posix-acl.ts';
import { treeChanged } from '../sentry/vfs/walk-cache.ts';
import {
  XATTR_CREATE,
  XATTR_LIST_MAX,
  XATTR_NAME_MAX,
  XATTR_REPLACE,
  XATTR_SIZE_MAX,
} from '../sentry/vfs/xattr.ts';
import { getnameEmpty, resolveAt, resolveFd, resolveName, setTarget, target } from './path.ts';

/** import_xattr_name(): −ERANGE for empty or too long ones. */
function xattrName(t: Task, addr: number): string | number {
  const name = t.mem.copyInString(addr, XATTR_NAME_MAX + 1);
  if (name === -ENAMETOOLONG || name === '') return -ERANGE;
  return name;
}

/** xattr_permission(): what each namespace demands. */
function mayAccess(t: Task, inode: Inode, name: string, mask: number): number {
  if ((mask & MAY_WRITE) !== 0 && isProtected(inode)) return -EPERM;
  const refused = namespaceRefusal(t, inode, name, mask);
  // A namespace without a name behind it (xattr_resolve_name).
  return refused === 0 && PREFIXES.includes(name) ? -EINVAL : refused;
}

function namespaceRefusal(t: Task, inode: Inode, name: string, mask: number): number {
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
    if (name === 'security.capability') return capableWrtInode(t.creds, inode, CAP_SETFCAP) ? 0 : -EPERM;
    return t.creds.has(CAP_SYS_ADMIN) ? 0 : -EPERM;
  }
  // What a nameless object (a socket) has, it says itself.
  if (name.startsWith('system.') && !write && inode.anonName !== '') return 0;
  // No file system here has a handler for any other; access control lists do not come here.
  const may = name.startsWith('system.') ? 0 : inodePermission(t, inode, mask);
  return may !== 0 ? may : -EOPNOTSUPP;
}

const PREFIXES: readonly string[] = ['user.', 'trusted.', 'security.'];

/** A capability set of a file that Linux would take (security/commoncap.c validheader). */
function isFileCapability(value: Uint8Array): boolean {
  const revision = value.length >= 4 ? value[3] : 0;
  return (value.length === 20 && revision === 2) || (value.length === 24 && revision === 3);
}

const NOTHING = new Uint8Array(0);

/** The arguments of the call in progress, whichever variant it is; `attr` and `data` once they have been read. */
const call = { name: 0, value: 0, size: 0, flags: 0, attr: '', data: NOTHING };

/** What is read before the object is looked for: 0 or −errno. */
type Prepare = (t: Task) => number;

/** import_xattr_name() */
function takeName(t: Task): number {
  const name = xattrName(t, call.name);
  if (typeof name === 'number') return name;
  call.attr = name;
  return 0;
}

/** setxattr_copy() */
function takeValue(t: Task): number {
  if ((call.flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return -EINVAL;
  const r = takeName(t);
  if (r !== 0) return r;
  const len = call.size;
  if (len > XATTR_SIZE_MAX) return -E2BIG;
  call.data = len === 0 ? NOTHING : new Uint8Array(len);
  return t.mem.copyIn(call.value, call.data, 0, len) < 0 ? -EFAULT : 0;
}

const takeNothing: Prepare = () => 0;

function doSet(t: Task, inode: Inode, mount: Mount | null): SysResult {
  const { attr: name, data: value, flags: how } = call;
  if (name === 'security.capability' && !isFileCapability(value)) return -EINVAL;
  if (mount !== null && mount.readOnly) return -EROFS;
  const type = aclTypeOf(name);
  if (type !== null) return setAcl(t, inode, type, value);
  const may = mayAccess(t, inode, name, MAY_WRITE);
  if (may === -EOPNOTSUPP || may === -EINVAL) return inode.xattrRefused(may);
  if (may !== 0) return may;
  const r = inode.setXattr(name, value, how);
  if (r === 0) notifyObject(IN_ATTRIB, inode, target.dentry);
  return r;
}

/** vfs_set_acl(): `value` empty takes the list away. */
function setAcl(t: Task, inode: Inode, type: AclType, value: Uint8Array): SysResult {
  const { userNs } = t.creds;
  const acl = aclFromXattr(userNs.level > 0 ? userNs : null, value);
  if (typeof acl === 'number') return acl;
  if (inode.sb.readOnly) return -EROFS;
  if (isProtected(inode) || !userNs.hasUid(inode.uid) || !userNs.hasGid(inode.gid)) return -EPERM;
  if (inode.getAcl(type) === -EOPNOTSUPP) return -EOPNOTSUPP;
  if (type === 'default' && !inode.isDir) return acl === null ? 0 : -EACCES;
  if (!ownerOrCapable(t, inode)) return -EPERM;
  const r = setPosixAcl(t, inode, type, acl);
  if (r !== 0) return r;
  if (inode.isDir) treeChanged();
  notifyObject(IN_ATTRIB, inode, target.dentry);
  return 0;
}

function readXattr(t: Task, inode: Inode, name: string): Uint8Array | number {
  const type = aclTypeOf(name);
  if (type === null) {
    const may = mayAccess(t, inode, name, MAY_READ);
    // A file system without attributes does not look at names.
    if (may === -EINVAL && inode.getXattr(name) === -EOPNOTSUPP) return -EOPNOTSUPP;
    return may !== 0 ? may : inode.getXattr(name);
  }
  // vfs_get_acl(): whoever can name the object.
  const acl = inode.getAcl(type);
  if (typeof acl === 'number') return acl;
  const { userNs } = t.creds;
  return acl === null ? -ENODATA : aclToXattr(userNs.level > 0 ? userNs : null, acl);
}

function doGet(t: Task, inode: Inode): SysResult {
  const value = readXattr(t, inode, call.attr);
  if (typeof value === 'number') return value;
  const len = Math.min(call.size, XATTR_SIZE_MAX);
  if (len === 0) return value.length;
  if (value.length > len) return -ERANGE;
  return t.mem.copyOut(call.value, value, 0, value.length) < 0 ? -EFAULT : value.length;
}

function lengthOfList(names: readonly string[]): number {
  return names.reduce((n, name) => n + name.length + 1, 0);
}

function doList(t: Task, inode: Inode): SysResult {
  const names = inode.listXattr();
  if (typeof names === 'number') return names;
  const trusted = t.creds.has(CAP_SYS_ADMIN);
  const visible = names.filter((n) => trusted || !n.startsWith('trusted.'));
  if (call.size === 0) return lengthOfList(inode.countedXattrs(visible));
  const total = lengthOfList(visible);
  if (total > call.size) return -ERANGE;
  if (total > XATTR_LIST_MAX) return -E2BIG;
  let at = 0;
  for (const name of visible) {
    at += scratch.bytes.write(name, at, 'latin1');
    if (at < scratch.size) scratch.bytes[at++] = 0;
  }
  return t.mem.copyOut(call.value, scratch.bytes, 0, total) < 0 ? -EFAULT : total;
}

function doRemove(t: Task, inode: Inode, mount: Mount | null): SysResult {
  const { attr: name } = call;
  if (mount !== null && mount.readOnly) return -EROFS;
  const type = aclTypeOf(name);
  if (type !== null) return setAcl(t, inode, type, NOTHING);
  const may = mayAccess(t, inode, name, MAY_WRITE);
  if (may !== 0) return may;
  const r = inode.removeXattr(name);
  if (r === 0) notifyObject(IN_ATTRIB, inode, target.dentry);
  return r;
}

type Named = 'follow' | 'link' | 'fd' | 'fd or cwd';

/** Fills `target` from a path argument, or a descriptor for the f-variants. */
function resolve(t: Task, a: SyscallArgs, how: Named): number {
  if (how === 'follow' || how === 'link')
    return resolveAt(t, AT_FDCWD, a.addr(0), how === 'link' ? AT_SYMLINK_NOFOLLOW : 0);
  return resolveOpen(t, a.int(0), how === 'fd or cwd');
}

/** The file of a descriptor, not of one with O_PATH (fdget()). */
function resolveOpen(t: Task, fd: number, orCwd: boolean): number {
  if (orCwd && fd === AT_FDCWD) return resolveFd(t, AT_FDCWD);
  const f = t.fdTable.get(fd);
  return f === null ? -EBADF : setTarget(f);
}

type Operation = (t: Task, inode: Inode, mount: Mount | null) => SysResult;
type TakeArguments = (a: SyscallArgs) => void;

const valueArgs: TakeArguments = (a) => {
  call.name = a.addr(1);
  call.value = a.addr(2);
  call.size = a.size(3);
  call.flags = a.int(4);
};
const listArgs: TakeArguments = (a) => {
  call.value = a.addr(1);
  call.size = a.size(2);
};
const nameArgs: TakeArguments = (a) => {
  call.name = a.addr(1);
};

const onTarget =
  (how: Named, take: TakeArguments, prepare: Prepare, op: Operation) =>
  (t: Task, a: SyscallArgs): SysResult => {
    take(a);
    const prepared = prepare(t);
    if (prepared !== 0) return prepared;
    const r = resolve(t, a, how);
    return r !== 0 ? r : op(t, target.inode, target.mount);
  };

// The at-variants of Linux 6.13: struct xattr_args holds value, size and flags.
const XATTR_ARGS_SIZE_VER0 = 16;

/** copy_struct_from_user() of struct xattr_args: 0 or −errno. */
function takeXattrArgs(t: Task, addr: number, len: number): number {
  if (len < XATTR_ARGS_SIZE_VER0) return -EINVAL;
  if (len > PAGE_SIZE) return -E2BIG;
  const bad = t.mem.copyInStruct(addr, len, XATTR_ARGS_SIZE_VER0);
  if (bad !== 0) return bad;
  const [lo, hi, n, how] = scratch.u32 as unknown as [number, number, number, number];
  call.value = hi * 0x100000000 + lo;
  call.size = n;
  call.flags = how;
  return 0;
}

function resolveXattrAt(t: Task, a: SyscallArgs, at: number, orCwd: boolean): number {
  const name = getnameEmpty(t, a.addr(1), at);
  if (typeof name === 'number') return name;
  return name === '' ? resolveOpen(t, a.int(0), orCwd) : resolveName(t, a.int(0), name, at);
}

/** `orCwd`: without a name, AT_FDCWD is the working directory. */
function onTargetAt(t: Task, a: SyscallArgs, orCwd: boolean, prepare: Prepare, op: Operation): SysResult {
  const at = a.uint(2);
  if ((at & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const prepared = prepare(t);
  if (prepared !== 0) return prepared;
  const r = resolveXattrAt(t, a, at, orCwd);
  return r !== 0 ? r : op(t, target.inode, target.mount);
}

function sysSetxattrat(t: Task, a: SyscallArgs): SysResult {
  const r = takeXattrArgs(t, a.addr(4), a.size(5));
  if (r !== 0) return r;
  call.name = a.addr(3);
  return onTargetAt(t, a, true, takeValue, doSet);
}

function sysGetxattrat(t: Task, a: SyscallArgs): SysResult {
  const r = takeXattrArgs(t, a.addr(4), a.size(5));
  if (r !== 0) return r;
  if (call.flags !== 0) return -EINVAL;
  call.name = a.addr(3);
  return onTargetAt(t, a, true, takeName, doGet);
}

function sysListxattrat(t: Task, a: SyscallArgs): SysResult {
  call.value = a.addr(3);
  call.size = a.size(4);
  return onTargetAt(t, a, false, takeNothing, doList);
}

function sysRemovexattrat(t: Task, a: SyscallArgs): SysResult {
  call.name = a.addr(3);
  return onTargetAt(t, a, false, takeName, doRemove);
}

const setFlags = flags({ XATTR_CREATE, XATTR_REPLACE });

export const xattrRows: SyscallRow[] = [
  {
    nr: 188,
    name: 'setxattr',
    fn: onTarget('follow', valueArgs, takeValue, doSet),
    args: [path, str, inBuf(3), size, setFlags],
    support: 'full',
  },
  {
    nr: 189,
    name: 'lsetxattr',
    fn: onTarget('link', valueArgs, takeValue, doSet),
    args: [path, str, inBuf(3), size, setFlags],
    support: 'full',
  },
  {
    nr: 190,
    name: 'fsetxattr',
    fn: onTarget('fd or cwd', valueArgs, takeValue, doSet),
    args: [fd, str, inBuf(3), size, setFlags],
    support: 'full',
  },
  {
    nr: 191,
    name: 'getxattr',
    fn: onTarget('follow', valueArgs, takeName, doGet),
    args: [path, str, outBuf(3), size],
    support: 'full',
  },
  {
    nr: 192,
    name: 'lgetxattr',
    fn: onTarget('link', valueArgs, takeName, doGet),
    args: [path, str, outBuf(3), size],
    support: 'full',
  },
  {
    nr: 193,
    name: 'fgetxattr',
    fn: onTarget('fd or cwd', valueArgs, takeName, doGet),
    args: [fd, str, outBuf(3), size],
    support: 'full',
  },
  {
    nr: 194,
    name: 'listxattr',
    fn: onTarget('follow', listArgs, takeNothing, doList),
    args: [path, outBuf(2), size],
    support: 'full',
  },
  {
    nr: 195,
    name: 'llistxattr',
    fn: onTarget('link', listArgs, takeNothing, doList),
    args: [path, outBuf(2), size],
    support: 'full',
  },
  {
    nr: 196,
    name: 'flistxattr',
    fn: onTarget('fd', listArgs, takeNothing, doList),
    args: [fd, outBuf(2), size],
    support: 'full',
  },
  {
    nr: 197,
    name: 'removexattr',
    fn: onTarget('follow', nameArgs, takeName, doRemove),
    args: [path, str],
    support: 'full',
  },
  {
    nr: 198,
    name: 'lremovexattr',
    fn: onTarget('link', nameArgs, takeName, doRemove),
    args: [path, str],
    support: 'full',
  },
  {
    nr: 199,
    name: 'fremovexattr',
    fn: onTarget('fd', nameArgs, takeName, doRemove),
    args: [fd, str],
    support: 'full',
  },
  { nr: 463, name: 'setxattrat', fn: sysSetxattrat, args: [fd, path, hex, str, ptr, size], support: 'full' },
  { nr: 464, name: 'getxattrat', fn: sysGetxattrat, args: [fd, path, hex, str, ptr, size], support: 'full' },
  {
    nr: 465,
    name: 'listxattrat',
    fn: sysListxattrat,
    args: [fd, path, hex, outBuf(4), size],
    support: 'full',
  },
  { nr: 466, name: 'removexattrat', fn: sysRemovexattrat, args: [fd, path, hex, str], support: 'full' },
];
