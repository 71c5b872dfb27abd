/** Moving data between files without the caller's memory: sendfile(2), splice(2), tee(2), vmsplice(2), copy_file_range(2). */
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  EISDIR,
  EOVERFLOW,
  EPERM,
  EPIPE,
  ESPIPE,
  EXDEV,
} from '../sentry/abi/errno.ts';
import { O_APPEND, SEEK_CUR } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import {
  fd,
  flags,
  inBuf,
  inoutStruct,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE, pageOffset } from '../sentry/lib/addr.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { IO_CHUNK, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY, notifyData, notifyFile } from '../sentry/vfs/fsnotify.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDNORM,
  EPOLLWRNORM,
} from '../sentry/waiter/wait-queue.ts';
import { endIo, fileAt, limitFileSize, nonBlocking, parkIo, RUN_BUDGET, yieldIo, type IoWait } from './io.ts';
import { raisePipe } from './io-signals.ts';
import {
  importIovec,
  iovAccessible,
  iovAddress,
  iovCopyIn,
  iovCopyOut,
  iovRange,
  iovTotal,
  MAX_RW_COUNT,
  SSIZE_LIMIT,
} from './iovec.ts';

const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const SPLICE_F_MORE = 4;
const SPLICE_F_GIFT = 8;
const SPLICE_F_ALL = 15;
const READ_EVENTS = EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
const WRITE_EVENTS = EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP;

/** Reads the loff_t at `addr` (0: none, −1 is returned); other negative values are −errno. */
function readOffset(t: Task, addr: number): number {
  if (addr === 0) return -1;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  const off = scratch.i32[1]! * 0x100000000 + scratch.u32[0]!;
  return off < 0 ? -EINVAL : off;
}

/** Where a transfer of `n` bytes of `f` from `pos` on has come to; false: EFAULT. */
function storeOffset(t: Task, addr: number, f: FileDescription, pos: number, n: number): boolean {
  return t.mem.writeU64(addr, f.movesOffset ? pos + n : pos) === 0;
}

function brokenPipe(t: Task): number {
  raisePipe(t);
  return -EPIPE;
}

/** Tells who watches the files of what was moved, if anything was. */
function notifyMoved(moved: number, input: FileDescription, out: FileDescription): number {
  if (moved > 0) {
    notifyData(IN_ACCESS, input);
    notifyData(IN_MODIFY, out);
  }
  return moved;
}

/** Writes to `out` what lies in the bounce buffer: bytes taken or −errno, with SIGPIPE. */
function put(t: Task, out: FileDescription, n: number, pos: number): number {
  const at = pos >= 0 ? pos : out.usesPos ? out.pos : -1;
  const allowed = at >= 0 ? limitFileSize(t, out, n, at) : n;
  if (allowed < 0) return allowed;
  if (!out.canSplice(true)) return -EINVAL;
  const { mode } = out.inode;
  const r = out.writeSpliced(t, ioBuffer.bytes, 0, allowed, at);
  if (out.inode.mode !== mode) notifyFile(IN_ATTRIB, out);
  if (r === -EPIPE && !(out instanceof Socket && out.messages)) raisePipe(t);
  if (r > 0 && pos < 0 && out.usesPos) out.pos += r;
  return r;
}

/**
 * Moves up to `count` bytes from a positioned file to `out`. `inPos` −1: the file's own position, which is advanced. Bytes
 * moved from `done` on, or −errno if none.
 */
function moveFile(
  t: Task,
  input: FileDescription,
  inPos: number,
  out: FileDescription,
  outPos: number,
  count: number,
  done: number,
): number {
  const start = done;
  let at = done;
  while (at < count && at - start < RUN_BUDGET) {
    const pos = inPos >= 0 ? inPos + at : input.usesPos ? input.pos : -1;
    const n = input.read(t, ioBuffer.bytes, 0, Math.min(count - at, IO_CHUNK), pos);
    if (n <= 0) return at > start || n === 0 ? at : n;
    const r = put(t, out, n, outPos >= 0 ? outPos + at : -1);
    if (r < 0) {
      // A file that keeps its position in the host has moved too far.
      if (inPos < 0 && !input.usesPos) input.seek(t, -n, 1);
      return at > start ? at : r;
    }
    // A file that is moved to itself has one position.
    if (inPos < 0 && input.usesPos) input.pos += input === out ? 0 : r;
    else if (inPos < 0 && r < n) input.seek(t, r - n, 1);
    at += r;
    if (r < n) return at;
  }
  return at;
}

/** splice_direct_to_actor(): streams only go into pipes; what has a place (FMODE_LSEEK) is accessed, even if it cannot be read. */
function canSendDirectly(t: Task, input: FileDescription, count: number): boolean {
  if (input.seek(t, 0, SEEK_CUR) === -ESPIPE) return false;
  input.accessed(1);
  return count === 0 || (input.seekable && !input.inode.isDir && input.canSplice(false));
}

/** The offset goes out again even if the call has failed. */
function sysSendfile(t: Task, a: SyscallArgs): SysResult {
  const r = sendfile(t, a);
  const failed = r < 0 && r >= -4095;
  return failed && a.addr(2) !== 0 && t.mem.check(a.addr(2), 8, true) !== 0 ? -EFAULT : r;
}

function sendfile(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  const offAddr = a.addr(2);
  const out = w === null ? fileAt(t, a.int(0)) : w.output;
  const input = w === null ? fileAt(t, a.int(1)) : w.input;
  // The guest's offset is written back at the end, so it still says where the transfer began.
  const pos = readOffset(t, offAddr);
  if (pos === -EFAULT) return endIo(w, pos);
  if (input === null || !input.readable) return -EBADF;
  if (offAddr !== 0 && !input.takesOffset(false)) return -ESPIPE;
  if (pos < -1 || a.size(3) >= SSIZE_LIMIT) return endIo(w, -EINVAL);
  if (out === null || !out.writable) return -EBADF;
  const intoPipe = out instanceof PipeFile;
  if (w === null) {
    if (!intoPipe && (out.flags & O_APPEND) !== 0) return -EINVAL;
    if (!intoPipe && !canSendDirectly(t, input, a.size(3))) return -EINVAL;
  }
  const count = Math.min(a.size(3), MAX_RW_COUNT);
  if (intoPipe) return sendToPipe(t, a, input, pos, out, count);
  const before = w === null ? 0 : w.done;
  let done = before;
  while (done < count) {
    const moved = moveFile(t, input, pos, out, -1, count, done);
    if (moved === done) break;
    if (moved > done) done = moved;
    const again = moved >= 0 && done < count && done - before >= RUN_BUDGET;
    if (again || (moved === -EAGAIN && !nonBlocking(out))) {
      const r = again ? yieldIo(t, out, w, done) : parkIo(t, out, w, done, WRITE_EVENTS, Infinity);
      if (w === null) (t.blockState as IoWait).hold(input, out);
      return r;
    }
    if (moved < 0) {
      if (done === 0) return endIo(w, moved);
      break;
    }
  }
  if (offAddr !== 0 && !storeOffset(t, offAddr, input, pos, done)) return endIo(w, -EFAULT);
  return endIo(w, notifyMoved(done, input, out));
}

/** sendfile(2) into a pipe is a splice: it waits for the first room only. */
function sendToPipe(
  t: Task,
  a: SyscallArgs,
  input: FileDescription,
  pos: number,
  out: PipeFile,
  count: number,
): SysResult {
  const w = t.blockState as IoWait | null;
  const r = toPipe(t, input, pos, out, count);
  const side = out.ends.pipe.writable ? input : out;
  if (r === -EAGAIN && !nonBlocking(side)) {
    const parked = parkIo(t, side, w, 0, side === out ? WRITE_EVENTS : READ_EVENTS, Infinity);
    if (w === null) (t.blockState as IoWait).hold(input, out);
    return parked;
  }
  if (r >= 0 && a.addr(2) !== 0 && !storeOffset(t, a.addr(2), input, pos, r)) return endIo(w, -EFAULT);
  return endIo(w, notifyMoved(r, input, out));
}

const blocks = (f: FileDescription, noWait: boolean): boolean => !noWait && !nonBlocking(f);
/** Between pipes each one's O_NONBLOCK is for both. */
const pipesBlock = (input: FileDescription, out: FileDescription, noWait: boolean): boolean =>
  blocks(input, noWait) && !nonBlocking(out);

/** splice(2) from a pipe to a file: the bytes leave it only when `out` has taken them. */
function fromPipe(t: Task, input: PipeFile, out: FileDescription, outPos: number, len: number): number {
  const { ends } = input;
  let done = 0;
  while (done < len) {
    const n = ends.pipe.peek(ioBuffer.bytes, 0, Math.min(len - done, IO_CHUNK));
    if (n === 0) return done === 0 && ends.writers > 0 ? -EAGAIN : done;
    const r = put(t, out, n, outPos >= 0 ? outPos + done : -1);
    if (r < 0) return done > 0 ? done : r;
    input.spliced(r);
    done += r;
    if (r < n) break;
  }
  return done;
}

/** splice(2), which takes the bytes out, and tee(2) between pipes. */
function betweenPipes(t: Task, input: PipeFile, out: PipeFile, len: number, take: boolean): number {
  const empty = input.ends.pipe.used === 0;
  if (empty && input.ends.writers > 0) return -EAGAIN;
  if (out.ends.readers === 0) return brokenPipe(t);
  if (empty) return 0;
  return input.passTo(out, len, take) || -EAGAIN;
}

/** Into a pipe goes what fits: of a file all that is there, of others what one read gives. */
function toPipe(t: Task, input: FileDescription, inPos: number, out: PipeFile, len: number): number {
  const { pipe, readers } = out.ends;
  if (readers === 0) return brokenPipe(t);
  if (!pipe.writable) return -EAGAIN;
  if (len === 0) return 0;
  if (input instanceof PipeFile || input.inode.isDir || !input.canSplice(false)) return -EINVAL;
  for (let done = 0; ;) {
    const at = inPos >= 0 ? inPos + done : input.usesPos ? input.pos : -1;
    // Pages of a file as they lie there.
    const lead = at > 0 && input.inode.isRegular ? pageOffset(at) : 0;
    const want = Math.min(len - done, pipe.free - lead, IO_CHUNK - lead);
    const n = input.read(t, ioBuffer.bytes, 0, want, at);
    if (n <= 0) return done > 0 ? done : n;
    if (inPos < 0 && input.usesPos) input.pos += n;
    done += out.give(ioBuffer.bytes, 0, n, lead);
    if (n < want || done === len || !pipe.writable || !input.inode.isRegular) return done;
  }
}

function sysSplice(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  const f = a.uint(5);
  const len = Math.min(a.size(4), MAX_RW_COUNT);
  if (w === null && len === 0) return 0;
  if ((f & ~SPLICE_F_ALL) !== 0) return -EINVAL;
  const input = w === null ? fileAt(t, a.int(0)) : w.input;
  const out = w === null ? fileAt(t, a.int(2)) : w.output;
  if (input === null || out === null) return -EBADF;
  const r = splice(t, a, input, out, len);
  const noWait = (f & SPLICE_F_NONBLOCK) !== 0;
  if (r !== -EAGAIN) return endIo(w, notifyMoved(r, input, out));
  // Wait for the side that is not ready: an empty pipe first.
  const inReady = (input.poll() & READ_EVENTS) !== 0;
  const side = inReady ? out : input;
  const pipes = input instanceof PipeFile && out instanceof PipeFile;
  if (pipes ? !pipesBlock(input, out, noWait) : !blocks(side, noWait)) return endIo(w, -EAGAIN);
  const parked = parkIo(t, side, w, 0, inReady ? WRITE_EVENTS : READ_EVENTS, Infinity);
  if (w === null) (t.blockState as IoWait).hold(input, out);
  return parked;
}

function splice(t: Task, a: SyscallArgs, input: FileDescription, out: FileDescription, len: number): number {
  const inAddr = a.addr(1);
  const outAddr = a.addr(3);
  const inPipe = input instanceof PipeFile;
  const outPipe = out instanceof PipeFile;
  if ((inPipe && inAddr !== 0) || (outPipe && outAddr !== 0)) return -ESPIPE;
  const outPos = readOffset(t, outAddr);
  const inPos = readOffset(t, inAddr);
  if (outPos === -EFAULT || inPos === -EFAULT) return -EFAULT;
  if (!input.readable || !out.writable) return -EBADF;
  if (!inPipe && !outPipe) return -EINVAL;
  if (inPipe && !out.canSplice(true)) return -EINVAL;
  if (inPipe && outPipe && input.ends === out.ends) return -EINVAL;
  if (inPipe && outPipe) return betweenPipes(t, input, out, len, true);
  if (inPipe) {
    if ((out.flags & O_APPEND) !== 0) return -EINVAL;
    if (outAddr !== 0 && !out.seekable) return -EINVAL;
    if (outPos < -1) return outPos;
    const r = fromPipe(t, input, out, outPos, len);
    if (r >= 0 && outAddr !== 0 && !storeOffset(t, outAddr, out, outPos, r)) return -EFAULT;
    return r;
  }
  if (inAddr !== 0 && !input.takesOffset(false)) return -EINVAL;
  if (inPos < -1) return inPos;
  const r = toPipe(t, input, inPos, out as PipeFile, len);
  if (r >= 0 && inAddr !== 0 && !storeOffset(t, inAddr, input, inPos, r)) return -EFAULT;
  return r;
}

function sysTee(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  const f = a.uint(3);
  if ((f & ~SPLICE_F_ALL) !== 0) return endIo(w, -EINVAL);
  const len = Math.min(a.size(2), MAX_RW_COUNT);
  if (len === 0) return endIo(w, 0);
  const input = fileAt(t, a.int(0));
  const out = fileAt(t, a.int(1));
  if (input === null || out === null || !input.readable || !out.writable) return endIo(w, -EBADF);
  if (!(input instanceof PipeFile) || !(out instanceof PipeFile) || input.ends === out.ends)
    return endIo(w, -EINVAL);
  const r = betweenPipes(t, input, out, len, false);
  if (r !== -EAGAIN) return endIo(w, r);
  const empty = input.ends.pipe.used === 0;
  const side = empty ? input : out;
  if (!pipesBlock(input, out, (f & SPLICE_F_NONBLOCK) !== 0)) return endIo(w, -EAGAIN);
  // The wait may change sides: it starts anew.
  if (w !== null && w.file !== side) {
    endIo(w, 0);
    t.blockState = null;
  }
  return parkIo(t, side, t.blockState as IoWait | null, 0, empty ? READ_EVENTS : WRITE_EVENTS, Infinity);
}

function sysVmsplice(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  if ((a.uint(3) & ~SPLICE_F_ALL) !== 0) return endIo(w, -EINVAL);
  const f = w === null ? fileAt(t, a.int(0)) : w.file;
  if (f === null || (!f.readable && !f.writable)) return -EBADF;
  const r = importIovec(t, a.addr(1), a.uint(2));
  if (r < 0 || iovTotal() === 0) return endIo(w, r);
  if (!(f instanceof PipeFile)) return -EBADF;
  // O_NONBLOCK does not matter.
  const noWait = (a.uint(3) & SPLICE_F_NONBLOCK) !== 0;
  if (!f.writable) {
    const moved = pipeToUserPages(t, f);
    if (moved === -EAGAIN && !noWait) return parkIo(t, f, w, 0, READ_EVENTS, Infinity);
    if (moved > 0) notifyData(IN_ACCESS, f);
    return endIo(w, moved);
  }
  // Waits for the first room only, then takes what fits.
  if (!noWait && !f.ends.pipe.writable && f.ends.readers > 0)
    return parkIo(t, f, w, 0, WRITE_EVENTS, Infinity);
  return endIo(w, userPagesToPipe(t, f));
}

/** vmsplice_to_user(): page by page, those of packets like others. A page whose place is not there stays. */
function pipeToUserPages(t: Task, f: PipeFile): number {
  const { pipe, writers } = f.ends;
  const total = iovTotal();
  let done = 0;
  while (done < total) {
    const n = Math.min(pipe.firstPage, total - done);
    if (n === 0) return done === 0 && writers > 0 ? -EAGAIN : done;
    pipe.peek(ioBuffer.bytes, 0, n);
    if (iovAccessible(t, done, n, true) < n || iovCopyOut(t, done, ioBuffer.bytes, 0, n) < n)
      return done > 0 ? done : -EFAULT;
    f.spliced(n);
    done += n;
  }
  return done;
}

/** iter_to_pipe(): copies of the caller's pages, each in a page of the pipe; those that are not there end the list of them. */
function userPagesToPipe(t: Task, f: PipeFile): number {
  const total = iovTotal();
  if (total === 0) return 0;
  if (f.ends.readers === 0) return brokenPipe(t);
  if (!f.ends.pipe.writable) return -EAGAIN;
  const there = iovAccessible(t, 0, total, false);
  let done = 0;
  while (done < there && f.ends.pipe.writable) {
    const lead = pageOffset(iovAddress(done));
    const n = iovCopyIn(t, done, ioBuffer.bytes, 0, Math.min(PAGE_SIZE - lead, iovRange, there - done));
    if (n <= 0) break;
    done += f.give(ioBuffer.bytes, 0, n, lead);
  }
  return done > 0 ? done : -EFAULT;
}

/** An offset (negative if it was refused) and a length that together leave the 64 bits they have. */
function wraps(offset: number, len: number): boolean {
  return offset === -EINVAL ? len > 0 : offset > 0 && offset + len >= 2 ** 64;
}

/** generic_file_rw_checks() */
export function checkFileRange(input: FileDescription, out: FileDescription): number {
  if (input.inode.isDir || out.inode.isDir) return -EISDIR;
  if (!input.inode.isRegular || !out.inode.isRegular) return -EINVAL;
  return !input.readable || !out.writable || (out.flags & O_APPEND) !== 0 ? -EBADF : 0;
}

function sysCopyFileRange(t: Task, a: SyscallArgs): SysResult {
  const input = fileAt(t, a.int(0));
  const out = fileAt(t, a.int(2));
  if (input === null || out === null) return -EBADF;
  const inGiven = readOffset(t, a.addr(1));
  const outGiven = readOffset(t, a.addr(3));
  if (inGiven === -EFAULT || outGiven === -EFAULT) return -EFAULT;
  if (a.uint(5) !== 0) return -EINVAL;
  const refused = checkFileRange(input, out);
  if (refused < 0) return refused;
  if (input.inode.sb !== out.inode.sb) return -EXDEV;
  if (out.inode.isImmutable) return -EPERM;
  if (inGiven < -1) return wraps(inGiven, a.size(4)) ? -EOVERFLOW : inGiven;
  if (outGiven < -1) return wraps(outGiven, a.size(4)) ? -EOVERFLOW : outGiven;
  const len = Math.min(a.size(4), 4 * RUN_BUDGET);
  const from = inGiven >= 0 ? inGiven : input.pos;
  const to = outGiven >= 0 ? outGiven : out.pos;
  if (wraps(from, a.size(4)) || wraps(to, a.size(4))) return -EOVERFLOW;
  const readable = Math.min(len, Math.max(0, input.inode.size - from));
  if (input.inode === out.inode && from < to + readable && to < from + readable && readable > 0)
    return -EINVAL;
  let done = 0;
  while (done < len) {
    const r = moveFile(t, input, inGiven >= 0 ? from : -1, out, outGiven >= 0 ? to : -1, len, done);
    if (r < 0) return done > 0 ? done : r;
    const short = r - done < Math.min(RUN_BUDGET, len - done);
    done = r;
    if (short) break;
  }
  if (a.addr(1) !== 0 && t.mem.writeU64(a.addr(1), from + done) !== 0) return -EFAULT;
  if (a.addr(3) !== 0 && t.mem.writeU64(a.addr(3), to + done) !== 0) return -EFAULT;
  return notifyMoved(done, input, out);
}

const SPLICE = flags({ SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT });
const off = inoutStruct(8);

export const spliceRows: SyscallRow[] = [
  { nr: 40, name: 'sendfile', fn: sysSendfile, args: [fd, fd, off, size], support: 'full' },
  { nr: 275, name: 'splice', fn: sysSplice, args: [fd, off, fd, off, size, SPLICE], support: 'full' },
  { nr: 276, name: 'tee', fn: sysTee, args: [fd, fd, size, SPLICE], support: 'full' },
  { nr: 278, name: 'vmsplice', fn: sysVmsplice, args: [fd, inBuf(2, 16), size, SPLICE], support: 'full' },
  {
    nr: 326,
    name: 'copy_file_range',
    fn: sysCopyFileRange,
    args: [fd, off, fd, off, size, uint],
    support: 'full',
  },
];
