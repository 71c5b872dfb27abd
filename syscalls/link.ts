/** Names: link(2), symlink(2), unlink(2), rename(2), mknod(2) and their at variants (fs/namei.c). */
import { EINVAL, ENOENT, EPERM } from '../sentry/abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
} from '../sentry/abi/fcntl.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_DAC_READ_SEARCH } from '../sentry/auth/capability.ts';
import {
  fd,
  flags,
  hex,
  octal,
  path,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import {
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  vfsLink,
  vfsMknod,
  vfsRename,
  vfsRmdir,
  vfsSymlink,
  vfsUnlink,
} from '../sentry/vfs/namei.ts';
import { LOOKUP_PARENT, walk } from '../sentry/vfs/walk.ts';
import { getname, getnameEmpty, resolveName, startAt, target } from './path.ts';

/** LOOKUP_LINKAT_EMPTY: a descriptor that others have opened and passed on is not for everybody. */
function mayLinkFrom(t: Task, dfd: number, name: string): boolean {
  if (dfd === AT_FDCWD || name.charCodeAt(0) === 0x2f) return true;
  const f = t.fdTable.getRaw(dfd);
  if (f === null || f.openCreds === null || (f.openCreds === t.creds && f.openTgid === t.tgid)) return true;
  return t.creds.hasIn(CAP_DAC_READ_SEARCH, f.openCreds.userNs);
}

function doLink(
  t: Task,
  oldFd: number,
  oldAddr: number,
  newFd: number,
  newAddr: number,
  at: number,
): SysResult {
  if ((at & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const from = getnameEmpty(t, oldAddr, at);
  if (typeof from === 'number') return from;
  if ((at & AT_EMPTY_PATH) !== 0 && !mayLinkFrom(t, oldFd, from)) return -ENOENT;
  const r = resolveName(t, oldFd, from, (at & AT_SYMLINK_FOLLOW) !== 0 ? 0 : AT_SYMLINK_NOFOLLOW);
  if (r !== 0) return r;
  const { inode, mount, dentry } = target;
  const name = getname(t, newAddr);
  if (typeof name === 'number') return name;
  const start = startAt(t, newFd, name);
  if (typeof start === 'number') return start;
  // Without a name only O_TMPFILE inodes can get one; whoever was unlinked cannot.
  return vfsLink(t, inode, mount, dentry, start, name);
}

function sysLink(t: Task, a: SyscallArgs): SysResult {
  return doLink(t, AT_FDCWD, a.addr(0), AT_FDCWD, a.addr(1), 0);
}

function sysLinkat(t: Task, a: SyscallArgs): SysResult {
  return doLink(t, a.int(0), a.addr(1), a.int(2), a.addr(3), a.int(4));
}

function doSymlink(t: Task, targetAddr: number, dfd: number, addr: number): SysResult {
  const to = getname(t, targetAddr);
  if (typeof to === 'number') return to;
  const name = getname(t, addr);
  if (typeof name === 'number') return name;
  const start = startAt(t, dfd, name);
  return typeof start === 'number' ? start : vfsSymlink(t, to, start, name);
}

function sysSymlink(t: Task, a: SyscallArgs): SysResult {
  return doSymlink(t, a.addr(0), AT_FDCWD, a.addr(1));
}

function sysSymlinkat(t: Task, a: SyscallArgs): SysResult {
  return doSymlink(t, a.addr(0), a.int(1), a.addr(2));
}

function doUnlink(t: Task, dfd: number, addr: number, dir: boolean): SysResult {
  const name = getname(t, addr);
  if (typeof name === 'number') return name;
  const start = startAt(t, dfd, name);
  if (typeof start === 'number') return start;
  return dir ? vfsRmdir(t, start, name) : vfsUnlink(t, start, name);
}

function sysUnlink(t: Task, a: SyscallArgs): SysResult {
  return doUnlink(t, AT_FDCWD, a.addr(0), false);
}

function sysUnlinkat(t: Task, a: SyscallArgs): SysResult {
  const at = a.int(2);
  if ((at & ~AT_REMOVEDIR) !== 0) return -EINVAL;
  return doUnlink(t, a.int(0), a.addr(1), (at & AT_REMOVEDIR) !== 0);
}

function doRename(
  t: Task,
  oldFd: number,
  oldAddr: number,
  newFd: number,
  newAddr: number,
  how: number,
): SysResult {
  if ((how & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
  if ((how & RENAME_EXCHANGE) !== 0 && (how & (RENAME_NOREPLACE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
  const from = getname(t, oldAddr);
  if (typeof from === 'number') return from;
  const oldStart = startAt(t, oldFd, from);
  if (typeof oldStart === 'number') return oldStart;
  // Where the old name leads comes before what the new one is.
  const to = getname(t, newAddr);
  if (typeof to === 'number') return walk(t, oldStart, from, LOOKUP_PARENT) || to;
  const newStart = startAt(t, newFd, to);
  if (typeof newStart === 'number') return walk(t, oldStart, from, LOOKUP_PARENT) || newStart;
  return vfsRename(t, oldStart, from, newStart, to, how);
}

function sysRename(t: Task, a: SyscallArgs): SysResult {
  return doRename(t, AT_FDCWD, a.addr(0), AT_FDCWD, a.addr(1), 0);
}

function sysRenameat(t: Task, a: SyscallArgs): SysResult {
  return doRename(t, a.int(0), a.addr(1), a.int(2), a.addr(3), 0);
}

function sysRenameat2(t: Task, a: SyscallArgs): SysResult {
  return doRename(t, a.int(0), a.addr(1), a.int(2), a.addr(3), a.int(4));
}

function doMknod(t: Task, dfd: number, addr: number, mode: number, dev: number): SysResult {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return -EPERM;
  const known =
    type === 0 ||
    type === S_IFREG ||
    type === S_IFCHR ||
    type === S_IFBLK ||
    type === S_IFIFO ||
    type === S_IFSOCK;
  if (!known) return -EINVAL;
  const name = getname(t, addr);
  if (typeof name === 'number') return name;
  const start = startAt(t, dfd, name);
  if (typeof start === 'number') return start;
  return vfsMknod(t, start, name, mode, type === S_IFCHR || type === S_IFBLK ? dev : 0);
}

function sysMknod(t: Task, a: SyscallArgs): SysResult {
  return doMknod(t, AT_FDCWD, a.addr(0), a.uint(1), a.uint(2));
}

function sysMknodat(t: Task, a: SyscallArgs): SysResult {
  return doMknod(t, a.int(0), a.addr(1), a.uint(2), a.uint(3));
}

const renameFlags = flags({ RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT });

export const linkRows: SyscallRow[] = [
  { nr: 82, name: 'rename', fn: sysRename, args: [path, path], support: 'full' },
  { nr: 86, name: 'link', fn: sysLink, args: [path, path], support: 'full' },
  { nr: 87, name: 'unlink', fn: sysUnlink, args: [path], support: 'full' },
  { nr: 88, name: 'symlink', fn: sysSymlink, args: [path, path], support: 'full' },
  { nr: 133, name: 'mknod', fn: sysMknod, args: [path, octal, hex], support: 'full' },
  { nr: 259, name: 'mknodat', fn: sysMknodat, args: [fd, path, octal, hex], support: 'full' },
  { nr: 263, name: 'unlinkat', fn: sysUnlinkat, args: [fd, path, flags({ AT_REMOVEDIR })], support: 'full' },
  { nr: 264, name: 'renameat', fn: sysRenameat, args: [fd, path, fd, path], support: 'full' },
  {
    nr: 265,
    name: 'linkat',
    fn: sysLinkat,
    args: [fd, path, fd, path, flags({ AT_SYMLINK_FOLLOW, AT_EMPTY_PATH })],
    support: 'full',
  },
  { nr: 266, name: 'symlinkat', fn: sysSymlinkat, args: [path, fd, path], support: 'full' },
  { nr: 316, name: 'renameat2', fn: sysRenameat2, args: [fd, path, fd, path, renameFlags], support: 'full' },
];
