/**
 * Host file system calls of the gofer. Names are byte strings without NUL; every function returns a value or
 * −errno. None of them follows a symbolic link in a name, except the ones through `procFd`, where the link is the
 * kernel's own for one of our descriptors.
 */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall as sys } from '../../sentry/host/sys.ffi.ts';
import { STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID, STATX_SIZE } from '../protocol/attr.ts';

const SYS_close = 3;
const SYS_fcntl = 72;
const SYS_fsync = 74;
const SYS_fdatasync = 75;
const SYS_ftruncate = 77;
const SYS_fstatfs = 138;
const SYS_fsetxattr = 190;
const SYS_fgetxattr = 193;
const SYS_llistxattr = 195;
const SYS_flistxattr = 196;
const SYS_fremovexattr = 199;
const SYS_getdents64 = 217;
const SYS_openat = 257;
const SYS_mkdirat = 258;
const SYS_mknodat = 259;
const SYS_fchownat = 260;
const SYS_unlinkat = 263;
const SYS_linkat = 265;
const SYS_symlinkat = 266;
const SYS_readlinkat = 267;
const SYS_fchmodat = 268;
const SYS_inotify_add_watch = 254;
const SYS_inotify_rm_watch = 255;
const SYS_utimensat = 280;
const SYS_inotify_init1 = 294;
const SYS_renameat2 = 316;
const SYS_statx = 332;
const SYS_openat2 = 437;

export const AT_FDCWD = -100;
export const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_TRUNC = 0o1000;
export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const O_NOATIME = 0o1000000;
export const O_TMPFILE = 0o20200000;

export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;

const pathA = new HostBuffer(4352);
const pathB = new HostBuffer(4352);
const openHow = new HostBuffer(24);
/** Result of the last `statx*` call. */
export const statxBuffer = new HostBuffer(STATX_SIZE);
/** Result of the last `fstatfs` call: struct statfs. */
export const statfsBuffer = new HostBuffer(128);
/** Entries of the last `getdents` call. */
export const direntBuffer = new HostBuffer(65536);
/** Data of the last readlink, getxattr, listxattr call. */
export const dataBuffer = new HostBuffer(65536);
const timesBuffer = new HostBuffer(32);

function cstr(buf: HostBuffer, s: string): number {
  if (s.length > 4200) throw new RangeError('path too long');
  const n = buf.bytes.write(s, 0, 'latin1');
  buf.bytes[n] = 0;
  return buf.addr;
}

/** openat2(2) of one name. */
export function openBeneath(
  dirFd: number,
  name: string,
  flags: number,
  mode: number,
  resolve: number,
): number {
  openHow.u32[0] = flags;
  openHow.u32[2] = mode;
  openHow.u32[4] = resolve;
  return sys(SYS_openat2, dirFd, cstr(pathA, name), openHow.addr, 24, 0, 0);
}

/** openat(2); for paths of our own making: mount roots and /proc/self/fd. */
export function openAt(dirFd: number, path: string, flags: number): number {
  return sys(SYS_openat, dirFd, cstr(pathA, path), flags, 0, 0, 0);
}

export function closeFd(fd: number): void {
  sys(SYS_close, fd, 0, 0, 0, 0, 0);
}

/** A second descriptor for the same open file. */
export function dupFd(fd: number): number {
  const F_DUPFD_CLOEXEC = 1030;
  return sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0, 0, 0, 0);
}

const STATX_MASK = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;

/** Attributes of name in directory, the link itself if it is one, into statxBuffer. */
export function statxAt(dirFd: number, name: string): number {
  statxBuffer.u32.fill(0);
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  return sys(SYS_statx, dirFd, cstr(pathA, name), flags, STATX_MASK, statxBuffer.addr, 0);
}

/** Attributes of an open or O_PATH descriptor into statxBuffer. */
export function statxFd(fd: number): number {
  statxBuffer.u32.fill(0);
  pathA.bytes[0] = 0;
  return sys(SYS_statx, fd, pathA.addr, AT_EMPTY_PATH, STATX_MASK, statxBuffer.addr, 0);
}

export function fstatfs(fd: number): number {
  statfsBuffer.u32.fill(0);
  return sys(SYS_fstatfs, fd, statfsBuffer.addr, 0, 0, 0, 0);
}

/** Target of the symbolic link that O_PATH descriptor `fd` is, into dataBuffer. */
export function readlinkFd(fd: number): number {
  pathA.bytes[0] = 0;
  return sys(SYS_readlinkat, fd, pathA.addr, dataBuffer.addr, 4096, 0, 0);
}

export function getdents(fd: number): number {
  return sys(SYS_getdents64, fd, direntBuffer.addr, direntBuffer.size, 0, 0, 0);
}

export function mkdirAt(dirFd: number, name: string, mode: number): number {
  return sys(SYS_mkdirat, dirFd, cstr(pathA, name), mode, 0, 0, 0);
}

/** mknod(2) with device number 0: FIFOs and sockets. */
export function mknodAt(dirFd: number, name: string, mode: number): number {
  return sys(SYS_mknodat, dirFd, cstr(pathA, name), mode, 0, 0, 0);
}

export function symlinkAt(target: string, dirFd: number, name: string): number {
  return sys(SYS_symlinkat, cstr(pathA, target), dirFd, cstr(pathB, name), 0, 0, 0);
}

/** Links the inode of descriptor `fd` to a new name, through the gofer's own procfs. */
export function linkFd(procFd: number, fd: number, dirFd: number, name: string): number {
  return sys(SYS_linkat, procFd, cstr(pathA, String(fd)), dirFd, cstr(pathB, name), AT_SYMLINK_FOLLOW, 0);
}

export function unlinkAt(dirFd: number, name: string, flags: number): number {
  return sys(SYS_unlinkat, dirFd, cstr(pathA, name), flags, 0, 0, 0);
}

export function renameAt(
  oldDir: number,
  oldName: string,
  newDir: number,
  newName: string,
  flags: number,
): number {
  return sys(SYS_renameat2, oldDir, cstr(pathA, oldName), newDir, cstr(pathB, newName), flags, 0);
}

/** chown(2) of the very inode of `fd`, O_PATH or not, symbolic links included; −1 leaves an id alone. */
export function chownFd(fd: number, uid: number, gid: number): number {
  pathA.bytes[0] = 0;
  return sys(SYS_fchownat, fd, pathA.addr, uid, gid, AT_EMPTY_PATH, 0);
}

/** chmod(2) of the inode of `fd`, through procfs as O_PATH descriptors refuse fchmod. */
export function chmodFd(procFd: number, fd: number, mode: number): number {
  return sys(SYS_fchmodat, procFd, cstr(pathA, String(fd)), mode, 0, 0, 0);
}

export const UTIME_OMIT = 0x3ffffffe;

/** utimensat(2) of the inode of `fd`, through procfs. nsec may be UTIME_OMIT. */
export function utimensFd(
  procFd: number,
  fd: number,
  times: readonly [number, number, number, number],
): number {
  for (let i = 0; i < 4; i++) {
    const hi = Math.floor(times[i] / 0x100000000);
    timesBuffer.u32[i * 2] = times[i] - hi * 0x100000000;
    timesBuffer.i32[i * 2 + 1] = hi;
  }
  return sys(SYS_utimensat, procFd, cstr(pathA, String(fd)), timesBuffer.addr, 0, 0, 0);
}

export function truncateFd(fd: number, size: number): number {
  return sys(SYS_ftruncate, fd, size, 0, 0, 0, 0);
}

export function fsyncFd(fd: number, dataOnly: boolean): number {
  return sys(dataOnly ? SYS_fdatasync : SYS_fsync, fd, 0, 0, 0, 0, 0);
}

export function getxattrFd(fd: number, name: string): number {
  return sys(SYS_fgetxattr, fd, cstr(pathA, name), dataBuffer.addr, dataBuffer.size, 0, 0);
}

export function setxattrFd(fd: number, name: string, value: string, flags: number): number {
  if (value.length > dataBuffer.size) throw new RangeError('xattr too long');
  dataBuffer.bytes.write(value, 0, 'latin1');
  return sys(SYS_fsetxattr, fd, cstr(pathA, name), dataBuffer.addr, value.length, flags, 0);
}

export function listxattrFd(fd: number): number {
  return sys(SYS_flistxattr, fd, dataBuffer.addr, dataBuffer.size, 0, 0, 0);
}

/** How long the list of the attributes of a name in directory `dirFd` is, whose path in the gofer's procfs is used. */
export function listxattrLength(dirFd: number, name: string): number {
  return sys(SYS_llistxattr, cstr(pathA, `/proc/self/fd/${dirFd}/${name}`), 0, 0, 0, 0, 0);
}

export function removexattrFd(fd: number, name: string): number {
  return sys(SYS_fremovexattr, fd, cstr(pathA, name), 0, 0, 0, 0);
}

/** Everything that changes a file, or a directory's names and what is in it, inotify(7). */
export const WATCH_CHANGES =
  0x2 | // IN_MODIFY
  0x4 | // IN_ATTRIB
  0x8 | // IN_CLOSE_WRITE: after writes through a mapping
  0x40 | // IN_MOVED_FROM
  0x80 | // IN_MOVED_TO
  0x100 | // IN_CREATE
  0x200 | // IN_DELETE
  0x400 | // IN_DELETE_SELF
  0x800; // IN_MOVE_SELF
/** IN_ONLYDIR */
export const WATCH_DIRECTORY = 0x01000000;
/** IN_EXCL_UNLINK: nothing of files that are open without a name. */
export const WATCH_LINKED = 0x04000000;

/** A new nonblocking inotify descriptor. */
export function inotifyOpen(): number {
  return sys(SYS_inotify_init1, O_NONBLOCK | O_CLOEXEC, 0, 0, 0, 0, 0);
}

/** Watches the inode of O_PATH descriptor `fd`, whose path in the gofer's procfs is used. */
export function inotifyWatch(inotify: number, fd: number, mask: number): number {
  return sys(SYS_inotify_add_watch, inotify, cstr(pathA, `/proc/self/fd/${fd}`), mask, 0, 0, 0);
}

export function inotifyUnwatch(inotify: number, watch: number): void {
  sys(SYS_inotify_rm_watch, inotify, watch, 0, 0, 0, 0);
}
