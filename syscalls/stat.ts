/** stat(2) and its kin, access(2), readlink(2), statfs(2) (fs/stat.c, fs/open.c, fs/statfs.c). */
import { EBADF, EFAULT, EINVAL, EROFS, EACCES, ENOENT } from '../sentry/abi/errno.ts';
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
} from '../sentry/abi/fcntl.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, S_IFSOCK } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CapSet } from '../sentry/auth/capability.ts';
import type { Credentials } from '../sentry/auth/credentials.ts';
import {
  fd,
  flags,
  hex,
  outBuf,
  outStruct,
  path,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { lendAnswer } from '../sentry/kernel/lent-names.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { touchInodeAtime } from '../sentry/vfs/atime.ts';
import type { Inode } from '../sentry/vfs/inode.ts';
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_MANDLOCK,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  type Mount,
} from '../sentry/vfs/mount.ts';
import { MAY_ACCESS, MAY_EXEC, MAY_WRITE, inodePermission } from '../sentry/vfs/permission.ts';
import { LOOKUP_FOLLOW, nd } from '../sentry/vfs/walk.ts';
import { namelessMount } from '../sentry/fsimpl/proc/fd-dir.ts';
import { copyOutStat, copyOutStatfs, copyOutStatx, STAT_SIZE, STATFS_SIZE, STATX_SIZE } from './stat-buf.ts';
import { getnameEmpty, resolveAt, resolveFd, resolveName, target, walkAt } from './path.ts';

function sysStat(t: Task, a: SyscallArgs): SysResult {
  const r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW);
  return r !== 0 ? r : copyOutStat(t, a.addr(1), nd.dentry.inode!);
}

function sysLstat(t: Task, a: SyscallArgs): SysResult {
  const r = walkAt(t, AT_FDCWD, a.addr(0), 0);
  return r !== 0 ? r : copyOutStat(t, a.addr(1), nd.dentry.inode!);
}

function sysFstat(t: Task, a: SyscallArgs): SysResult {
  return sysFstatOf(t, a.int(0), a.addr(1));
}

function sysFstatOf(t: Task, fdnum: number, addr: number): SysResult {
  const f = t.fdTable.getRaw(fdnum);
  return f === null ? -EBADF : copyOutStat(t, addr, f.inode);
}

/** getname_maybe_null(): no pointer, or an empty string. */
function isEmptyPath(t: Task, addr: number): boolean {
  return addr === 0 || (t.mem.copyIn(addr, scratch.bytes, 0, 1) === 0 && scratch.bytes[0] === 0);
}

const STAT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
/** AT_STATX_SYNC_TYPE */
const AT_STATX_SYNC = 0x6000;

function sysNewfstatat(t: Task, a: SyscallArgs): SysResult {
  const at = a.int(3);
  // A descriptor alone is asked as by fstat(2), whatever the other flags are (vfs_fstatat).
  const alone = (at & AT_EMPTY_PATH) !== 0 && a.int(0) >= 0 && isEmptyPath(t, a.addr(1));
  if (alone) return sysFstatOf(t, a.int(0), a.addr(2));
  if ((at & ~(STAT_FLAGS | AT_STATX_SYNC)) !== 0) return -EINVAL;
  const r = resolveAt(t, a.int(0), a.addr(1), at);
  return r !== 0 ? r : copyOutStat(t, a.addr(2), target.inode);
}

const STATX_RESERVED = 0x80000000;

function sysStatx(t: Task, a: SyscallArgs): SysResult {
  const at = a.int(2);
  if ((a.uint(3) & STATX_RESERVED) !== 0) return -EINVAL;
  if ((at & AT_STATX_SYNC) === AT_STATX_SYNC || (at & ~(STAT_FLAGS | AT_STATX_SYNC)) !== 0) return -EINVAL;
  const r = resolveAt(t, a.int(0), a.addr(1), at);
  if (r !== 0) return r;
  const { mount, inode } = target;
  const isRoot = mount !== null && mount.root.inode === inode;
  return copyOutStatx(t, a.addr(4), inode, mount ?? namelessMount(inode.sb), isRoot, a.uint(3));
}

/** access_override_creds(): credentials with the real ids, the same object if nothing differs. */
function realCreds(own: Credentials): Credentials {
  const fixup = (own.securebits & SECBIT_NO_SETUID_FIXUP) === 0;
  const effective = !fixup ? own.effective : own.uid === own.userNs.toUid(0) ? own.permitted : CapSet.EMPTY;
  if (own.fsuid === own.uid && own.fsgid === own.gid && own.effective.equals(effective)) return own;
  const real = own.clone();
  real.fsuid = own.uid;
  real.fsgid = own.gid;
  real.effective = effective;
  return real;
}

/** access(2) checks for the real ids. */
function faccess(t: Task, dfd: number, addr: number, mode: number, at: number): SysResult {
  if ((mode & ~7) !== 0) return -EINVAL;
  if ((at & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const own = t.creds;
  if ((at & AT_EACCESS) === 0) t.creds = realCreds(own);
  let r = resolveAt(t, dfd, addr, at);
  if (r === 0) r = accessTarget(t, target.inode, target.mount, mode);
  t.creds = own;
  return r;
}

const SECBIT_NO_SETUID_FIXUP = 4;

function accessTarget(t: Task, inode: Inode, mount: Mount | null, mode: number): number {
  if ((mode & MAY_EXEC) !== 0 && inode.isRegular && mount !== null && (mount.flags & MS_NOEXEC) !== 0) {
    return -EACCES;
  }
  const r = inodePermission(t, inode, mode | MAY_ACCESS);
  if (r !== 0 || (mode & MAY_WRITE) === 0) return r;
  const type = inode.mode & S_IFMT;
  if (type === S_IFCHR || type === S_IFBLK || type === S_IFIFO || type === S_IFSOCK) return 0;
  return mount !== null && mount.readOnly ? -EROFS : 0;
}

function sysAccess(t: Task, a: SyscallArgs): SysResult {
  return faccess(t, AT_FDCWD, a.addr(0), a.int(1), 0);
}

function sysFaccessat(t: Task, a: SyscallArgs): SysResult {
  return faccess(t, a.int(0), a.addr(1), a.int(2), 0);
}

function sysFaccessat2(t: Task, a: SyscallArgs): SysResult {
  return faccess(t, a.int(0), a.addr(1), a.int(2), a.int(3));
}

const NR_READLINK = 89;
const linkBytes = Buffer.alloc(4096);

/** readlinkat(2): an empty path names the symbolic link open as dfd (O_PATH). */
function doReadlink(t: Task, dfd: number, nameAddr: number, bufAddr: number, len: number): SysResult {
  if (len <= 0) return -EINVAL;
  if (nameAddr === 0) return -EFAULT;
  const name = getnameEmpty(t, nameAddr, AT_EMPTY_PATH);
  if (typeof name === 'number') return name;
  const r = readlinkOf(t, dfd, name, bufAddr, len);
  if ((r === -EINVAL || r === -ENOENT) && t.sysno === NR_READLINK) lendAnswer(t, name);
  return r;
}

function readlinkOf(t: Task, dfd: number, name: string, bufAddr: number, len: number): SysResult {
  const r = resolveName(t, dfd, name, AT_SYMLINK_NOFOLLOW);
  if (r !== 0) return r;
  const { inode, mount, file, path: place } = target;
  const named = file === null && place === null;
  if (!inode.isSymlink) return named ? -EINVAL : -ENOENT;
  const link = inode.readlink(t);
  if (typeof link === 'number') return link;
  if (mount !== null) touchInodeAtime(mount, inode);
  const n = linkBytes.write(link, 0, Math.min(len, linkBytes.length), 'latin1');
  return t.mem.copyOut(bufAddr, linkBytes, 0, n) < 0 ? -EFAULT : n;
}

function sysReadlink(t: Task, a: SyscallArgs): SysResult {
  return doReadlink(t, AT_FDCWD, a.addr(0), a.addr(1), a.int(2));
}

function sysReadlinkat(t: Task, a: SyscallArgs): SysResult {
  return doReadlink(t, a.int(0), a.addr(1), a.addr(2), a.int(3));
}

// ST_* flags of statfs(2) (include/linux/statfs.h); ST_VALID says that f_flags is filled.
const ST_VALID = 0x20;
const ST_NOATIME = 0x400;
const ST_NODIRATIME = 0x800;
const ST_RELATIME = 0x1000;
const ST_NOSYMFOLLOW = 0x2000;

function statfsFlags(m: Mount | null): number {
  if (m === null) return ST_VALID;
  let f = ST_VALID | (m.flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC)) | (m.readOnly ? 1 : 0);
  f |= m.sb.flags & (MS_SYNCHRONOUS | MS_MANDLOCK);
  if (m.flags & MS_NOATIME) f |= ST_NOATIME;
  else if ((m.flags & MS_STRICTATIME) === 0) f |= ST_RELATIME;
  if (m.flags & MS_NODIRATIME) f |= ST_NODIRATIME;
  if (m.flags & MS_NOSYMFOLLOW) f |= ST_NOSYMFOLLOW;
  return f;
}

function doStatfs(t: Task, inode: Inode, mount: Mount | null, addr: number): SysResult {
  const s = inode.sb.statfs();
  if (typeof s === 'number') return s;
  return copyOutStatfs(t, addr, s, inode.sb.dev, statfsFlags(mount));
}

function sysStatfs(t: Task, a: SyscallArgs): SysResult {
  const r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW);
  return r !== 0 ? r : doStatfs(t, nd.dentry.inode!, nd.mount, a.addr(1));
}

function sysFstatfs(t: Task, a: SyscallArgs): SysResult {
  const r = resolveFd(t, a.int(0));
  return a.int(0) < 0 ? -EBADF : r !== 0 ? r : doStatfs(t, target.inode, target.mount, a.addr(1));
}

const USTAT_SIZE = 32;

/** ustat(2): free blocks and inodes of the file system with a device number, of those the caller sees. */
function sysUstat(t: Task, a: SyscallArgs): SysResult {
  const mount = t.fs.root.mount.ns?.mounts().find((m) => m.sb.dev === a.uint(0));
  if (mount === undefined) return -EINVAL;
  const s = mount.sb.statfs();
  if (typeof s === 'number') return s;
  const { bytes, view } = scratch;
  bytes.fill(0, 0, USTAT_SIZE);
  view.setInt32(0, Math.min(s.bfree, 0x7fffffff), true);
  view.setUint32(8, s.ffree >>> 0, true);
  view.setUint32(12, Math.floor(s.ffree / 0x100000000), true);
  return t.mem.copyOut(a.addr(1), bytes, 0, USTAT_SIZE);
}

const atFlags = flags({ AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH });
const stat = outStruct(STAT_SIZE, 'stat');
const statfs = outStruct(STATFS_SIZE, 'statfs');
const accessMode = flags({ R_OK: 4, W_OK: 2, X_OK: 1 });

export const statRows: SyscallRow[] = [
  { nr: 4, name: 'stat', fn: sysStat, args: [path, stat], support: 'full' },
  { nr: 5, name: 'fstat', fn: sysFstat, args: [fd, stat], support: 'full' },
  { nr: 6, name: 'lstat', fn: sysLstat, args: [path, stat], support: 'full' },
  { nr: 21, name: 'access', fn: sysAccess, args: [path, accessMode], support: 'full' },
  { nr: 89, name: 'readlink', fn: sysReadlink, args: [path, outBuf(2), size], support: 'full' },
  {
    nr: 136,
    name: 'ustat',
    fn: sysUstat,
    args: [uint, ptr],
    support: 'full',
  },
  { nr: 137, name: 'statfs', fn: sysStatfs, args: [path, statfs], support: 'full' },
  { nr: 138, name: 'fstatfs', fn: sysFstatfs, args: [fd, statfs], support: 'full' },
  { nr: 262, name: 'newfstatat', fn: sysNewfstatat, args: [fd, path, stat, atFlags], support: 'full' },
  { nr: 267, name: 'readlinkat', fn: sysReadlinkat, args: [fd, path, outBuf(3), size], support: 'full' },
  { nr: 269, name: 'faccessat', fn: sysFaccessat, args: [fd, path, accessMode], support: 'full' },
  {
    nr: 332,
    name: 'statx',
    fn: sysStatx,
    args: [fd, path, atFlags, hex, outStruct(STATX_SIZE, 'statx')],
    support: 'full',
  },
  { nr: 439, name: 'faccessat2', fn: sysFaccessat2, args: [fd, path, accessMode, atFlags], support: 'full' },
];
