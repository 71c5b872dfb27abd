/** Descriptors: dup(2), fcntl(2), lseek(2), umask(2) (fs/file.c, fs/fcntl.c). Locks are in locks.ts. */
import { EACCES, EBADF, EFAULT, EINVAL, ENOTDIR, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import * as F from '../sentry/abi/fcntl.ts';
import { O_APPEND, O_CLOEXEC, O_DIRECT, O_NOATIME, O_NONBLOCK, O_PATH, FASYNC } from '../sentry/abi/fcntl.ts';
import { S_IFIFO, S_IFMT } from '../sentry/abi/stat.ts';
import { CAP_LEASE } from '../sentry/auth/capability.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  flags,
  hex,
  octal,
  oneOf,
  off,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import {
  F_OWNER_PGRP,
  F_OWNER_PID,
  F_OWNER_TID,
  changeOwner,
  changeOwnerTo,
  ownerOf,
  ownerNumber,
  setAsync,
  setOwner,
  tellMessage,
} from './async-io.ts';
import { ownerOrCapable } from '../sentry/vfs/permission.ts';
import { leaseType, setLease } from '../sentry/vfs/leases.ts';
import { notifyDirectory } from '../sentry/fsimpl/inotify/dnotify.ts';
import { sysClose } from './close.ts';
import { fcntlLock, resumeLock } from './locks.ts';
import { fcntlFile } from './fcntl-hooks.ts';
import { openFileLimit } from './fd-install.ts';

const CLOSE_RANGE_UNSHARE = 2;
const CLOSE_RANGE_CLOEXEC = 4;

function sysCloseRange(t: Task, a: SyscallArgs): SysResult {
  const first = a.uint(0);
  const how = a.uint(2);
  if ((how & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) !== 0 || first > a.uint(1)) return -EINVAL;
  if ((how & CLOSE_RANGE_UNSHARE) !== 0 && t.fdTable.shared) {
    const own = t.fdTable.clone();
    t.fdTable.unref(t);
    t.fdTable = own;
  }
  const last = Math.min(a.uint(1), t.fdTable.size - 1);
  for (let n = first; n <= last; n++) {
    const f = t.fdTable.getRaw(n);
    if (f === null) continue;
    if ((how & CLOSE_RANGE_CLOEXEC) !== 0) {
      t.fdTable.setCloexec(n, true);
      continue;
    }
    const wait = f.closing();
    if (wait < 0) return wait;
    t.fdTable.close(t, n);
  }
  return 0;
}

function duplicate(t: Task, f: FileDescription, min: number, cloexec: boolean): SysResult {
  const n = t.fdTable.install(f.ref(), cloexec, openFileLimit(t), min);
  if (n < 0) f.unref();
  return n;
}

function sysDup(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.getRaw(a.int(0));
  return f === null ? -EBADF : duplicate(t, f, 0, false);
}

function dupTo(t: Task, from: number, to: number, cloexec: boolean): SysResult {
  if (to < 0 || to >= openFileLimit(t)) return -EBADF;
  const f = t.fdTable.getRaw(from);
  if (f === null) return -EBADF;
  const wait = t.fdTable.getRaw(to)?.closing() ?? 0;
  if (wait < 0) return wait;
  t.fdTable.replace(t, to, f.ref(), cloexec);
  return to;
}

function sysDup2(t: Task, a: SyscallArgs): SysResult {
  const from = a.int(0);
  if (from === a.int(1)) return t.fdTable.getRaw(from) === null ? -EBADF : from;
  return dupTo(t, from, a.int(1), false);
}

function sysDup3(t: Task, a: SyscallArgs): SysResult {
  const how = a.int(2);
  if ((how & ~O_CLOEXEC) !== 0 || a.int(0) === a.int(1)) return -EINVAL;
  return dupTo(t, a.int(0), a.int(1), how !== 0);
}

const SETFL_MASK = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

function setFlags(t: Task, f: FileDescription, fd: number, arg: number): SysResult {
  // "O_APPEND cannot be cleared if the file is marked as append-only"
  if (((arg ^ f.flags) & O_APPEND) !== 0 && f.inode.isAppendOnly) return -EPERM;
  if ((arg & O_NOATIME) !== 0 && (f.flags & O_NOATIME) === 0 && !ownerOrCapable(t, f.inode)) return -EPERM;
  // Of pipes it asks for packets.
  if ((arg & O_DIRECT) !== 0 && (f.inode.mode & S_IFMT) !== S_IFIFO && !f.canDirect) return -EINVAL;
  f.flags = (f.flags & ~SETFL_MASK) | (arg & SETFL_MASK);
  setAsync(f, fd, (arg & FASYNC) !== 0);
  return 0;
}

function fcntlOwner(t: Task, f: FileDescription, cmd: number, a: SyscallArgs): SysResult {
  const o = ownerOf(f);
  switch (cmd) {
    case F.F_SETOWN:
      return changeOwnerTo(t, f, a.int(2));
    case F.F_GETOWN:
      return ownerNumber(f);
    case F.F_SETSIG:
      if (a.int(2) < 0 || a.int(2) > 64) return -EINVAL;
      o.signo = a.int(2);
      return 0;
    case F.F_GETSIG:
      return o.signo;
    case F.F_SETOWN_EX: {
      if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 8) < 0) return -EFAULT;
      const type = scratch.i32[0]!;
      if (type < F_OWNER_TID || type > F_OWNER_PGRP) return -EINVAL;
      if (scratch.i32[1]! < 0) return -ESRCH;
      return changeOwner(t, f, type, scratch.i32[1]!);
    }
    case F.F_GETOWNER_UIDS:
      scratch.u32[0] = t.creds.userNs.fromUid(o.creds?.uid ?? 0);
      scratch.u32[1] = t.creds.userNs.fromUid(o.creds?.euid ?? 0);
      return t.mem.copyOut(a.addr(2), scratch.bytes, 0, 8);
    default:
      scratch.i32[0] = o.type;
      scratch.i32[1] = o.pid;
      return t.mem.copyOut(a.addr(2), scratch.bytes, 0, 8);
  }
}

function fcntlLease(t: Task, f: FileDescription, n: number, type: number): SysResult {
  if (type !== F.F_RDLCK && type !== F.F_WRLCK && type !== F.F_UNLCK) return -EINVAL;
  if (t.creds.fsuid !== f.inode.uid && !t.creds.has(CAP_LEASE)) return -EACCES;
  if (!f.inode.isRegular) return -EINVAL;
  const r = setLease(f, type, () => tellMessage(f, n), t.group.pid);
  // "By default, the signal goes to the caller" - lease_setup()
  if (r === 0 && type !== F.F_UNLCK && ownerOf(f).pid === 0) setOwner(t, f, F_OWNER_PID, t.tgid);
  return r;
}

/** fcntl_dirnotify() */
function fcntlNotify(t: Task, f: FileDescription, n: number, bits: number): SysResult {
  if ((bits & 0x7fffffff) !== 0) {
    if (!f.inode.isDir) return -ENOTDIR;
    if (ownerOf(f).pid === 0) setOwner(t, f, F_OWNER_PID, t.tgid);
  }
  return notifyDirectory(f, t.fdTable, bits, () => tellMessage(f, n));
}

/** Commands that an O_PATH descriptor admits. */
function onPathFile(cmd: number): boolean {
  return (
    cmd === F.F_DUPFD ||
    cmd === F.F_DUPFD_CLOEXEC ||
    cmd === F.F_DUPFD_QUERY ||
    cmd === F.F_CREATED_QUERY ||
    cmd === F.F_GETFD ||
    cmd === F.F_SETFD ||
    cmd === F.F_GETFL
  );
}

function sysFcntl(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState !== null) return resumeLock(t);
  const n = a.int(0);
  const cmd = a.int(1);
  const f = t.fdTable.getRaw(n);
  if (f === null || ((f.flags & O_PATH) !== 0 && !onPathFile(cmd))) return -EBADF;
  switch (cmd) {
    case F.F_DUPFD:
    case F.F_DUPFD_CLOEXEC: {
      const min = a.int(2);
      if (min < 0 || min >= openFileLimit(t)) return -EINVAL;
      return duplicate(t, f, min, cmd === F.F_DUPFD_CLOEXEC);
    }
    case F.F_DUPFD_QUERY: {
      const other = t.fdTable.getRaw(a.int(2));
      return other === null ? -EBADF : other === f ? 1 : 0;
    }
    case F.F_CREATED_QUERY:
      return f.created ? 1 : 0;
    case F.F_GETFD:
      return t.fdTable.isCloexec(n) ? F.FD_CLOEXEC : 0;
    case F.F_SETFD:
      t.fdTable.setCloexec(n, (a.int(2) & F.FD_CLOEXEC) !== 0);
      return 0;
    case F.F_GETFL:
      return f.flags;
    case F.F_SETFL:
      return setFlags(t, f, a.int(0), a.int(2));
    case F.F_GETLK:
    case F.F_SETLK:
    case F.F_SETLKW:
    case F.F_OFD_GETLK:
    case F.F_OFD_SETLK:
    case F.F_OFD_SETLKW:
      return fcntlLock(t, f, cmd, a.addr(2));
    case F.F_SETOWN:
    case F.F_GETOWN:
    case F.F_SETSIG:
    case F.F_GETSIG:
    case F.F_SETOWN_EX:
    case F.F_GETOWN_EX:
    case F.F_GETOWNER_UIDS:
      return fcntlOwner(t, f, cmd, a);
    case F.F_GETLEASE:
      return leaseType(f);
    case F.F_SETLEASE:
      return fcntlLease(t, f, n, a.int(2));
    case F.F_NOTIFY:
      return fcntlNotify(t, f, n, a.int(2));
    default:
      return fcntlFile(t, f, cmd, a.addr(2));
  }
}

function sysLseek(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  const whence = a.uint(2);
  return whence > F.SEEK_HOLE ? -EINVAL : f.seek(t, a.long(1), whence);
}

function sysUmask(t: Task, a: SyscallArgs): SysResult {
  const old = t.fs.umask;
  t.fs.umask = a.int(0) & 0o777;
  return old;
}

const whence = oneOf({
  SEEK_SET: F.SEEK_SET,
  SEEK_CUR: F.SEEK_CUR,
  SEEK_END: F.SEEK_END,
  SEEK_DATA: F.SEEK_DATA,
  SEEK_HOLE: F.SEEK_HOLE,
});
const fcntlCmd = oneOf(
  Object.fromEntries(Object.entries(F).filter(([k]) => /^F_(?!SEAL|RDLCK|WRLCK|UNLCK)/.test(k))),
);

export const fdRows: SyscallRow[] = [
  { nr: 3, name: 'close', fn: sysClose, args: [fd], support: 'full' },
  { nr: 8, name: 'lseek', fn: sysLseek, args: [fd, off, whence], support: 'full' },
  { nr: 32, name: 'dup', fn: sysDup, args: [fd], support: 'full' },
  { nr: 33, name: 'dup2', fn: sysDup2, args: [fd, fd], support: 'full' },
  {
    nr: 72,
    name: 'fcntl',
    fn: sysFcntl,
    args: [fd, fcntlCmd, hex],
    support: 'partial',
    note: 'only what happens inside the sandbox breaks a lease',
  },
  { nr: 95, name: 'umask', fn: sysUmask, args: [octal], support: 'full' },
  { nr: 292, name: 'dup3', fn: sysDup3, args: [fd, fd, flags({ O_CLOEXEC })], support: 'full' },
  {
    nr: 436,
    name: 'close_range',
    fn: sysCloseRange,
    args: [uint, uint, flags({ CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC })],
    support: 'full',
  },
];
