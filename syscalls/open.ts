/** open(2), openat(2), openat2(2), creat(2) (fs/open.c). */
import { E2BIG, EAGAIN, EINVAL, ERESTARTSYS } from '../sentry/abi/errno.ts';
import * as fcntl from '../sentry/abi/fcntl.ts';
import {
  AT_FDCWD,
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_DSYNC,
  O_EXCL,
  O_LARGEFILE,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_SYNC,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  FASYNC,
} from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { openFifo } from '../sentry/fsimpl/pipefs/fifo.ts';
import {
  fd,
  flags,
  inBuf,
  octal,
  path,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import type { Inode } from '../sentry/vfs/inode.ts';
import { locksOf } from '../sentry/vfs/locks.ts';
import { LEASED, leaseDeadlineNs, leasedInode, vfsOpen } from '../sentry/vfs/open.ts';
import {
  RESOLVE_BENEATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  resolveFlags,
} from '../sentry/vfs/resolve.ts';
import { setFifoOpen } from '../sentry/vfs/special.ts';
import { LOOKUP_IN_ROOT } from '../sentry/vfs/walk.ts';
import { EPOLLIN, EPOLL_ALL } from '../sentry/waiter/wait-queue.ts';
import { installFd } from './fd-install.ts';
import { getname, startAt } from './path.ts';

setFifoOpen((_t, at, inode, how) => openFifo(inode, at, how));

/** VALID_OPEN_FLAGS: openat(2) ignores the others, openat2(2) refuses them. */
const VALID_FLAGS =
  O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | FASYNC |
  O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE; // prettier-ignore
const O_PATH_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
const VALID_RESOLVE =
  RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED; // prettier-ignore

/** build_open_flags(): the flags to open with, or −EINVAL. */
function checkFlags(f: number): number {
  if ((f & O_CREAT) !== 0 && (f & O_DIRECTORY) !== 0 && (f & O_TMPFILE) !== O_TMPFILE) return -EINVAL;
  if ((f & O_TMPFILE & ~O_DIRECTORY) !== 0) {
    if ((f & O_TMPFILE) !== O_TMPFILE || (f & O_CREAT) !== 0) return -EINVAL;
    if ((f & O_ACCMODE) === O_RDONLY) return -EINVAL;
  }
  // "O_SYNC implies O_DSYNC", whichever of its two bits was given.
  return (f & O_SYNC & ~O_DSYNC) !== 0 && (f & O_PATH) === 0 ? f | O_DSYNC : f;
}

function interruptedOpen(t: Task): SysResult {
  (t.blockState as FileDescription).unref();
  return -ERESTARTSYS;
}

/** Waits until the lease on `inode` may be gone; the call then starts anew. */
export function waitForLease(t: Task, inode: Inode, deadlineNs: number): SysResult {
  t.waitOn(locksOf(inode).waiters, EPOLLIN);
  t.blockState = LEASED;
  return t.block(deadlineNs, -ERESTARTSYS);
}

/** An opened file gets its descriptor as soon as open(2) need not wait for it (a FIFO's peer). */
function finishOpen(t: Task, f: FileDescription | number, cloexec: boolean): SysResult {
  if (f === LEASED) return waitForLease(t, leasedInode!, leaseDeadlineNs);
  if (typeof f === 'number') return f;
  if (f.openPending) {
    t.waitOn(f.waiters, EPOLL_ALL);
    t.blockState = f;
    return t.block(Infinity, interruptedOpen);
  }
  return installFd(t, f, cloexec);
}

function doOpen(
  t: Task,
  dfd: number,
  nameAddr: number,
  how: number,
  mode: number,
  lookup: number,
): SysResult {
  const cloexec = (how & O_CLOEXEC) !== 0;
  if (t.blockState === LEASED) t.blockState = null;
  if (t.blockState !== null) return finishOpen(t, t.blockState as FileDescription, cloexec);
  const checked = checkFlags(how);
  if (checked < 0) return checked;
  const name = getname(t, nameAddr);
  if (typeof name === 'number') return name;
  const start = (lookup & LOOKUP_IN_ROOT) !== 0 ? startAt(t, dfd, '') : startAt(t, dfd, name);
  if (typeof start === 'number') return start;
  return finishOpen(t, vfsOpen(t, start, name, checked, mode, lookup), cloexec);
}

/** Unknown flags are ignored; O_PATH ignores all but its own. */
function lenientFlags(f: number): number {
  const known = (f & VALID_FLAGS) | O_LARGEFILE;
  return (f & O_PATH) !== 0 ? known & O_PATH_FLAGS : known;
}

function sysOpen(t: Task, a: SyscallArgs): SysResult {
  return doOpen(t, AT_FDCWD, a.addr(0), lenientFlags(a.int(1)), a.int(2), 0);
}

function sysOpenat(t: Task, a: SyscallArgs): SysResult {
  return doOpen(t, a.int(0), a.addr(1), lenientFlags(a.int(2)), a.int(3), 0);
}

function sysCreat(t: Task, a: SyscallArgs): SysResult {
  return doOpen(t, AT_FDCWD, a.addr(0), O_CREAT | O_WRONLY | O_TRUNC | O_LARGEFILE, a.int(1), 0);
}

/** sizeof(struct open_how) of the first version: flags, mode, resolve. */
const OPEN_HOW_SIZE = 24;

/** openat2(2): struct open_how may grow; what is not known must be zero (copy_struct_from_user). */
function sysOpenat2(t: Task, a: SyscallArgs): SysResult {
  const len = a.size(3);
  if (len < OPEN_HOW_SIZE) return -EINVAL;
  if (len > 4096) return -E2BIG;
  const bad = t.mem.copyInStruct(a.addr(2), len, OPEN_HOW_SIZE);
  if (bad !== 0) return bad;
  const [how, howHi, mode, modeHi, resolve, resolveHi] = scratch.u32 as unknown as number[];
  if (howHi !== 0 || (how! & ~VALID_FLAGS) !== 0) return -EINVAL;
  if (resolveHi !== 0 || (resolve! & ~VALID_RESOLVE) !== 0) return -EINVAL;
  const scoped = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
  if ((resolve! & scoped) === scoped) return -EINVAL;
  const mayCreate = (how! & O_CREAT) !== 0 || (how! & O_TMPFILE & ~O_DIRECTORY) !== 0;
  if (modeHi !== 0 || (mode! & ~0o7777) !== 0 || (!mayCreate && mode !== 0)) return -EINVAL;
  if ((how! & O_PATH) !== 0 && (how! & ~O_PATH_FLAGS) !== 0) return -EINVAL;
  if ((resolve! & RESOLVE_CACHED) !== 0) {
    // "Make the open operation fail unless all path components are already present in the kernel's lookup cache."
    if ((how! & (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) !== 0) return -EAGAIN;
  }
  const f = (how! & O_PATH) !== 0 ? how! : how! | O_LARGEFILE;
  return doOpen(t, a.int(0), a.addr(1), f, mode!, resolveFlags(resolve!));
}

const openFlags = flags({
  O_WRONLY, O_RDWR: fcntl.O_RDWR, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK, O_SYNC, O_DSYNC, FASYNC,
  O_DIRECT, O_LARGEFILE, O_TMPFILE, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_CLOEXEC, O_PATH,
}); // prettier-ignore

export const openRows: SyscallRow[] = [
  { nr: 2, name: 'open', fn: sysOpen, args: [path, openFlags, octal], support: 'full' },
  { nr: 85, name: 'creat', fn: sysCreat, args: [path, octal], support: 'full' },
  { nr: 257, name: 'openat', fn: sysOpenat, args: [fd, path, openFlags, octal], support: 'full' },
  {
    nr: 437,
    name: 'openat2',
    fn: sysOpenat2,
    args: [fd, path, inBuf(3), size],
    support: 'full',
    note: 'RESOLVE_CACHED: what is missing was never asked for, and /proc is never cached',
  },
];
