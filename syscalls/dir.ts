/** Directories: getdents(2), mkdir(2), rmdir(2), chdir(2), getcwd(2), chroot(2) (fs/readdir.c, fs/open.c, fs/d_path.c). */
import { EBADF, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, ERANGE } from '../sentry/abi/errno.ts';
import { AT_FDCWD, PATH_MAX } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_CHROOT } from '../sentry/auth/capability.ts';
import {
  fd,
  octal,
  outBuf,
  path,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { HostBuffer } from '../sentry/host/memory.ffi.ts';
import { hi32, lo32 } from '../sentry/lib/addr.ts';
import type { DirEmit } from '../sentry/vfs/file-description.ts';
import { IN_ACCESS, notifyFile } from '../sentry/vfs/fsnotify.ts';
import { vfsMkdir, vfsRmdir } from '../sentry/vfs/namei.ts';
import { cwdName } from '../sentry/vfs/path-name.ts';
import { maySearch } from '../sentry/vfs/permission.ts';
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, nd } from '../sentry/vfs/walk.ts';
import { getname, startAt, walkAt } from './path.ts';

/** Entries go through this buffer; a larger one of the guest's is filled by several calls. */
const dents = new HostBuffer(64 * 1024);
let used = 0;
let room = 0;
let tooSmall = false;

/** Names are short: a loop is cheaper than a call out of JavaScript. Zeros up to the next entry. */
function putName(name: string, at: number, end: number): void {
  const { bytes } = dents;
  for (let i = 0; i < name.length; i++) bytes[at + i] = name.charCodeAt(i);
  for (let i = at + name.length; i < end; i++) bytes[i] = 0;
}

/**
 * Begins a record with what both layouts begin with: ino, off, reclen. Returns the record's place, or −1 if the buffer
 * is full.
 */
function putRecord(ino: number, off: number, reclen: number): number {
  if (used + reclen > room) {
    tooSmall = used === 0;
    return -1;
  }
  const at = used;
  const w = at >> 2;
  const { u32, bytes } = dents;
  u32[w] = lo32(ino);
  u32[w + 1] = hi32(ino);
  u32[w + 2] = lo32(off);
  u32[w + 3] = hi32(off);
  bytes[at + 16] = reclen & 0xff;
  bytes[at + 17] = reclen >> 8;
  used += reclen;
  return at;
}

/** struct linux_dirent64: ino, off, reclen, type, name. */
const emit64: DirEmit = (name, ino, type, off) => {
  const reclen = (19 + name.length + 1 + 7) & ~7;
  const at = putRecord(ino, off, reclen);
  if (at < 0) return false;
  dents.bytes[at + 18] = type;
  putName(name, at + 19, at + reclen);
  return true;
};

/** struct linux_dirent: ino, off, reclen, name, and the type in the record's last byte. */
const emit32: DirEmit = (name, ino, type, off) => {
  const reclen = (18 + name.length + 2 + 7) & ~7;
  const at = putRecord(ino, off, reclen);
  if (at < 0) return false;
  putName(name, at + 18, at + reclen);
  dents.bytes[at + reclen - 1] = type;
  return true;
};

function doGetdents(t: Task, a: SyscallArgs, emit: DirEmit): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if (!f.inode.isDir) return -ENOTDIR;
  if (f.inode.dead) return -ENOENT;
  // A count that is negative as an int has room for nothing.
  const size = Math.min(Math.max(a.int(2), 0), dents.size);
  // A fault ends the list as a full buffer does (filldir64).
  room = size > 0 ? t.mem.accessible(a.addr(1), size, true) : 0;
  used = 0;
  tooSmall = false;
  const before = f.pos;
  const r = f.getdents(t, emit);
  if (used === 0) return !tooSmall ? r : room < size ? -EFAULT : -EINVAL;
  notifyFile(IN_ACCESS, f);
  if (t.mem.copyOut(a.addr(1), dents.bytes, 0, used) < 0) {
    f.pos = before;
    return -EFAULT;
  }
  return used;
}

function sysGetdents(t: Task, a: SyscallArgs): SysResult {
  return doGetdents(t, a, emit32);
}

function sysGetdents64(t: Task, a: SyscallArgs): SysResult {
  return doGetdents(t, a, emit64);
}

function doMkdir(t: Task, dfd: number, addr: number, mode: number): SysResult {
  const name = getname(t, addr);
  if (typeof name === 'number') return name;
  const start = startAt(t, dfd, name);
  return typeof start === 'number' ? start : vfsMkdir(t, start, name, mode);
}

function sysMkdir(t: Task, a: SyscallArgs): SysResult {
  return doMkdir(t, AT_FDCWD, a.addr(0), a.uint(1));
}

function sysMkdirat(t: Task, a: SyscallArgs): SysResult {
  return doMkdir(t, a.int(0), a.addr(1), a.uint(2));
}

function sysRmdir(t: Task, a: SyscallArgs): SysResult {
  const name = getname(t, a.addr(0));
  return typeof name === 'number' ? name : vfsRmdir(t, t.fs.cwd, name);
}

function sysChdir(t: Task, a: SyscallArgs): SysResult {
  const r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) return r;
  const access = maySearch(t, nd.dentry.inode!);
  if (access === 0) t.fs.setCwd(nd.path());
  return access;
}

function sysFchdir(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.getRaw(a.int(0));
  if (f === null) return -EBADF;
  if (f.path === null || !f.inode.isDir) return -ENOTDIR;
  const access = maySearch(t, f.inode);
  if (access === 0) t.fs.setCwd(f.path);
  return access;
}

/** Returns the length including the NUL, as the kernel does and libc does not. */
function sysGetcwd(t: Task, a: SyscallArgs): SysResult {
  const name = cwdName(t.fs.cwd, t.fs.root);
  if (name === null) return -ENOENT;
  const len = name.length + 1;
  if (len > PATH_MAX) return -ENAMETOOLONG;
  if (len > a.size(1)) return -ERANGE;
  dents.bytes.write(name, 0, 'latin1');
  dents.bytes[len - 1] = 0;
  return t.mem.copyOut(a.addr(0), dents.bytes, 0, len) < 0 ? -EFAULT : len;
}

function sysChroot(t: Task, a: SyscallArgs): SysResult {
  const r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) return r;
  const access = maySearch(t, nd.dentry.inode!);
  if (access !== 0) return access;
  if (!t.creds.hasOwn(CAP_SYS_CHROOT)) return -EPERM;
  t.fs.setRoot(nd.path());
  return 0;
}

export const dirRows: SyscallRow[] = [
  { nr: 78, name: 'getdents', fn: sysGetdents, args: [fd, outBuf(2), size], support: 'full' },
  { nr: 79, name: 'getcwd', fn: sysGetcwd, args: [outBuf(1), size], support: 'full' },
  { nr: 80, name: 'chdir', fn: sysChdir, args: [path], support: 'full' },
  { nr: 81, name: 'fchdir', fn: sysFchdir, args: [fd], support: 'full' },
  { nr: 83, name: 'mkdir', fn: sysMkdir, args: [path, octal], support: 'full' },
  { nr: 84, name: 'rmdir', fn: sysRmdir, args: [path], support: 'full' },
  { nr: 161, name: 'chroot', fn: sysChroot, args: [path], support: 'full' },
  { nr: 217, name: 'getdents64', fn: sysGetdents64, args: [fd, outBuf(2), size], support: 'full' },
  { nr: 258, name: 'mkdirat', fn: sysMkdirat, args: [fd, path, octal], support: 'full' },
];
