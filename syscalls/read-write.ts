/** read(2), write(2), readv(2) and the positioned and flagged variants (fs/read_write.c). */
import { EAGAIN, EBADF, EINVAL, EOPNOTSUPP, EPERM, ESPIPE } from '../sentry/abi/errno.ts';
import { O_APPEND } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  flags,
  inBuf,
  int,
  off,
  outBuf,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import {
  RWF_APPEND,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOAPPEND,
  RWF_NOSIGNAL,
  RWF_NOWAIT,
  RWF_SYNC,
  type FileDescription,
} from '../sentry/vfs/file-description.ts';
import { endIo, fileAt, nonBlocking, readVec, writeVec, type IoWait } from './io.ts';
import { importIovec, importBuffer, iovTotal } from './iovec.ts';

const RWF_NAMES = { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND, RWF_NOSIGNAL };

/** The file of a transfer: kept by the wait if one is in progress, so that close(2) meanwhile does not matter. */
function readable(t: Task, fdnum: number): FileDescription | null {
  if (t.blockState !== null) return (t.blockState as IoWait).file;
  const f = fileAt(t, fdnum);
  return f !== null && f.readable ? f : null;
}

function writable(t: Task, fdnum: number): FileDescription | null {
  if (t.blockState !== null) return (t.blockState as IoWait).file;
  const f = fileAt(t, fdnum);
  return f !== null && f.writable ? f : null;
}

function sysRead(t: Task, a: SyscallArgs): SysResult {
  const f = readable(t, a.int(0));
  if (f === null) return -EBADF;
  const r = f.canRead ? importBuffer(a.addr(1), a.size(2)) : -EINVAL;
  if (r < 0) return endIo(t.blockState as IoWait | null, r);
  return readVec(t, f, -1, nonBlocking(f), t.blockState as IoWait | null);
}

function sysWrite(t: Task, a: SyscallArgs): SysResult {
  const f = writable(t, a.int(0));
  if (f === null) return -EBADF;
  const r = f.canWrite ? importBuffer(a.addr(1), a.size(2)) : -EINVAL;
  if (r < 0) return endIo(t.blockState as IoWait | null, r);
  return writeVec(t, f, -1, nonBlocking(f), t.blockState as IoWait | null);
}

function sysReadv(t: Task, a: SyscallArgs): SysResult {
  const f = readable(t, a.int(0));
  if (f === null) return -EBADF;
  const r = importRanges(t, a, f.canRead);
  if (r <= 0) return endIo(t.blockState as IoWait | null, r);
  return readVec(t, f, -1, nonBlocking(f), t.blockState as IoWait | null);
}

function sysWritev(t: Task, a: SyscallArgs): SysResult {
  const f = writable(t, a.int(0));
  if (f === null) return -EBADF;
  const r = importRanges(t, a, f.canWrite);
  if (r <= 0) return endIo(t.blockState as IoWait | null, r);
  return writeVec(t, f, -1, nonBlocking(f), t.blockState as IoWait | null);
}

/**
 * The ranges of a vectored call. "If iovcnt is zero" or all are empty, the file is not asked (vfs_readv): 0 then, and 1 if there
 * is something to move. Files that cannot be read are EINVAL, whatever the ranges are.
 */
function importRanges(t: Task, a: SyscallArgs, can: boolean): number {
  if (!can) return -EINVAL;
  const r = importIovec(t, a.addr(1), a.uint(2));
  if (r < 0) return r;
  return iovTotal() > 0 ? 1 : 0;
}

/** Checks of the positioned calls in Linux's order: offset, descriptor, seekable, mode. */
function positioned(t: Task, fdnum: number, pos: number, write: boolean): FileDescription | number {
  if (t.blockState !== null) return (t.blockState as IoWait).file;
  if (pos < 0) return -EINVAL;
  const f = fileAt(t, fdnum);
  if (f === null) return -EBADF;
  if (!f.takesOffset(write)) return -ESPIPE;
  return (write ? f.writable : f.readable) ? f : -EBADF;
}

/** No file reaches so far; what is asked for beyond is asked for there, because a number is not exact. */
const POSITION_MAX = 2 ** 62;

const positionOf = (a: SyscallArgs): number => Math.min(a.long(3), POSITION_MAX);

/** rw_verify_area(): the end of `len` bytes is a position, too. Exactly. */
function endsBeyond(a: SyscallArgs, len: number): boolean {
  return a.words[7] === 0x7fffffff && a.words[6]! + len > 0xffffffff;
}

function sysPread64(t: Task, a: SyscallArgs): SysResult {
  const f = positioned(t, a.int(0), a.long(3), false);
  if (typeof f === 'number') return f;
  let r = f.canRead ? importBuffer(a.addr(1), a.size(2)) : -EINVAL;
  if (r === 0 && endsBeyond(a, a.size(2))) r = -EINVAL;
  if (r < 0) return endIo(t.blockState as IoWait | null, r);
  return readVec(t, f, positionOf(a), nonBlocking(f), t.blockState as IoWait | null);
}

function sysPwrite64(t: Task, a: SyscallArgs): SysResult {
  const f = positioned(t, a.int(0), a.long(3), true);
  if (typeof f === 'number') return f;
  let r = f.canWrite ? importBuffer(a.addr(1), a.size(2)) : -EINVAL;
  if (r === 0 && endsBeyond(a, a.size(2))) r = -EINVAL;
  if (r < 0) return endIo(t.blockState as IoWait | null, r);
  return writeVec(t, f, positionOf(a), nonBlocking(f), t.blockState as IoWait | null);
}

function sysPreadv(t: Task, a: SyscallArgs): SysResult {
  const f = positioned(t, a.int(0), a.long(3), false);
  if (typeof f === 'number') return f;
  let r = importRanges(t, a, f.canRead);
  if (r > 0 && endsBeyond(a, iovTotal())) r = -EINVAL;
  if (r <= 0) return endIo(t.blockState as IoWait | null, r);
  return readVec(t, f, positionOf(a), nonBlocking(f), t.blockState as IoWait | null);
}

function sysPwritev(t: Task, a: SyscallArgs): SysResult {
  const f = positioned(t, a.int(0), a.long(3), true);
  if (typeof f === 'number') return f;
  let r = importRanges(t, a, f.canWrite);
  if (r > 0 && endsBeyond(a, iovTotal())) r = -EINVAL;
  if (r <= 0) return endIo(t.blockState as IoWait | null, r);
  return writeVec(t, f, positionOf(a), nonBlocking(f), t.blockState as IoWait | null);
}

function sysPreadv2(t: Task, a: SyscallArgs): SysResult {
  const pos = positionOf(a);
  const rwf = a.uint(5);
  const f = pos === -1 ? (readable(t, a.int(0)) ?? -EBADF) : positioned(t, a.int(0), pos, false);
  if (typeof f === 'number') return f;
  const w = t.blockState as IoWait | null;
  let r = importRanges(t, a, f.canRead);
  if (r > 0 && endsBeyond(a, iovTotal())) r = -EINVAL;
  if (r <= 0) return endIo(w, r);
  const bad = checkRwFlags(f, rwf, false);
  if (bad < 0) return endIo(w, bad);
  return readVec(t, f, pos, nonBlocking(f) || (rwf & RWF_NOWAIT) !== 0, w);
}

function sysPwritev2(t: Task, a: SyscallArgs): SysResult {
  const pos = positionOf(a);
  const rwf = a.uint(5);
  const f = pos === -1 ? (writable(t, a.int(0)) ?? -EBADF) : positioned(t, a.int(0), pos, true);
  if (typeof f === 'number') return f;
  const w = t.blockState as IoWait | null;
  let r = importRanges(t, a, f.canWrite);
  if (r > 0 && endsBeyond(a, iovTotal())) r = -EINVAL;
  if (r <= 0) return endIo(w, r);
  const bad = checkRwFlags(f, rwf, true);
  if (bad < 0) return endIo(w, bad);
  return writeFlagged(t, f, pos, rwf, nonBlocking(f) || (rwf & RWF_NOWAIT) !== 0, w);
}

/** kiocb_set_rw_flags(), and what file systems say to O_SYNC without waiting. */
export function checkRwFlags(f: FileDescription, rwf: number, write: boolean): number {
  if ((rwf & ~f.rwFlags(write)) !== 0) return -EOPNOTSUPP;
  if ((rwf & RWF_APPEND) !== 0 && (rwf & RWF_NOAPPEND) !== 0) return -EINVAL;
  if (!write) return 0;
  if (f.inode.isRegular && (rwf & RWF_NOWAIT) !== 0 && (rwf & (RWF_SYNC | RWF_DSYNC)) !== 0) return -EAGAIN;
  return (rwf & RWF_NOAPPEND) !== 0 && (f.flags & O_APPEND) !== 0 && f.inode.isAppendOnly ? -EPERM : 0;
}

/** writeVec() with RWF_* flags that checkRwFlags() has admitted. */
export function writeFlagged(
  t: Task,
  f: FileDescription,
  pos: number,
  rwf: number,
  noWait: boolean,
  w: IoWait | null,
): SysResult {
  const saved = f.flags;
  if ((rwf & RWF_APPEND) !== 0) f.flags |= O_APPEND;
  if ((rwf & RWF_NOAPPEND) !== 0) f.flags &= ~O_APPEND;
  const noSignal = (rwf & RWF_NOSIGNAL) !== 0;
  const result = writeVec(t, f, pos, noWait, w, noSignal);
  f.flags = saved;
  if (result > 0 && (rwf & (RWF_SYNC | RWF_DSYNC)) !== 0) {
    const s = f.fsync((rwf & RWF_SYNC) === 0);
    if (s < 0 && s !== -EINVAL) return s;
  }
  return result;
}

const iovec = inBuf(2, 16);

export const readWriteRows: SyscallRow[] = [
  { nr: 0, name: 'read', fn: sysRead, args: [fd, outBuf(2), size], support: 'full' },
  { nr: 1, name: 'write', fn: sysWrite, args: [fd, inBuf(2), size], support: 'full' },
  { nr: 17, name: 'pread64', fn: sysPread64, args: [fd, outBuf(2), size, off], support: 'full' },
  { nr: 18, name: 'pwrite64', fn: sysPwrite64, args: [fd, inBuf(2), size, off], support: 'full' },
  { nr: 19, name: 'readv', fn: sysReadv, args: [fd, iovec, int], support: 'full' },
  { nr: 20, name: 'writev', fn: sysWritev, args: [fd, iovec, int], support: 'full' },
  { nr: 295, name: 'preadv', fn: sysPreadv, args: [fd, iovec, int, off, off], support: 'full' },
  { nr: 296, name: 'pwritev', fn: sysPwritev, args: [fd, iovec, int, off, off], support: 'full' },
  {
    nr: 327,
    name: 'preadv2',
    fn: sysPreadv2,
    args: [fd, iovec, int, off, off, flags(RWF_NAMES)],
    support: 'full',
  },
  {
    nr: 328,
    name: 'pwritev2',
    fn: sysPwritev2,
    args: [fd, iovec, int, off, off, flags(RWF_NAMES)],
    support: 'full',
  },
];
