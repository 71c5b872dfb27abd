/** Path arguments of syscalls: names from guest memory, directory descriptors, AT_* flags (fs/namei.c getname, filename_lookup). */
import { EBADF, ENOENT, ENOTDIR } from '../sentry/abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PATH_MAX } from '../sentry/abi/fcntl.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { Dentry, Path } from '../sentry/vfs/dentry.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import type { Inode } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../sentry/vfs/walk.ts';

/** getname(): a path from guest memory; an empty one is −ENOENT. */
export function getname(t: Task, addr: number): string | number {
  const name = t.mem.copyInString(addr, PATH_MAX);
  return name === '' ? -ENOENT : name;
}

/** getname_flags(LOOKUP_EMPTY): with AT_EMPTY_PATH an empty name, or none at all, is allowed. */
export function getnameEmpty(t: Task, addr: number, atFlags: number): string | number {
  if ((atFlags & AT_EMPTY_PATH) === 0) return getname(t, addr);
  return addr === 0 ? '' : t.mem.copyInString(addr, PATH_MAX);
}

/** Where a relative `name` starts: the place of `dfd`, −EBADF, or −ENOTDIR. */
export function startAt(t: Task, dfd: number, name: string): Path | number {
  if (dfd === AT_FDCWD || name.charCodeAt(0) === 0x2f) return t.fs.cwd;
  const f = t.fdTable.getRaw(dfd);
  if (f === null) return -EBADF;
  return f.path !== null && f.inode.isDir ? f.path : -ENOTDIR;
}

/** Walks the name at `addr` from `dfd` with LOOKUP_* flags: 0 with the result in nd, or −errno. */
export function walkAt(t: Task, dfd: number, addr: number, lookup: number): number {
  const name = getname(t, addr);
  if (typeof name === 'number') return name;
  const start = startAt(t, dfd, name);
  return typeof start === 'number' ? start : walk(t, start, name, lookup);
}

/** What an *at call with AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW refers to. Valid until the next resolveAt. */
export class Target {
  inode: Inode = null as unknown as Inode;
  /** null for files without a place: pipes, sockets. */
  mount: Mount | null = null;
  path: Path | null = null;
  /** The name by which it was found or opened. */
  dentry: Dentry | null = null;
  /** The open file, if an empty path named a descriptor. */
  file: FileDescription | null = null;
}

export const target = new Target();

/** Fills `target`: 0 or −errno. */
export function resolveAt(t: Task, dfd: number, addr: number, atFlags: number): number {
  const name = getnameEmpty(t, addr, atFlags);
  return typeof name === 'number' ? name : resolveName(t, dfd, name, atFlags);
}

/** The same for a name that has been fetched. */
export function resolveName(t: Task, dfd: number, name: string, atFlags: number): number {
  if (name === '') return resolveFd(t, dfd);
  const start = startAt(t, dfd, name);
  if (typeof start === 'number') return start;
  const r = walk(t, start, name, (atFlags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : LOOKUP_FOLLOW);
  if (r !== 0) return r;
  target.inode = nd.dentry.inode!;
  target.mount = nd.mount;
  target.path = null;
  target.dentry = nd.dentry;
  target.file = null;
  return 0;
}

/** Fills `target` from a descriptor (O_PATH ones too) or the working directory. */
export function resolveFd(t: Task, fd: number): number {
  if (fd === AT_FDCWD) {
    target.path = t.fs.cwd;
    target.dentry = t.fs.cwd.dentry;
    target.inode = t.fs.cwd.dentry.inode!;
    target.mount = t.fs.cwd.mount;
    target.file = null;
    return 0;
  }
  const f = t.fdTable.getRaw(fd);
  return f === null ? -EBADF : setTarget(f);
}

export function setTarget(f: FileDescription): number {
  target.path = f.path;
  target.dentry = f.path === null ? null : f.path.dentry;
  target.inode = f.inode;
  target.mount = f.path === null ? null : f.path.mount;
  target.file = f;
  return 0;
}
