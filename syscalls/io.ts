/**
 * The loops behind read(2), write(2) and their kin (fs/read_write.c): chunks through the bounce buffer, partial results,
 * faults in the middle, blocking by retry. A transfer that has to wait keeps its file and progress in an IoWait.
 */
import {
  EAGAIN,
  EFAULT,
  EFBIG,
  EINTR,
  EINVAL,
  EISDIR,
  EMSGSIZE,
  EPIPE,
  ERESTARTSYS,
} from '../sentry/abi/errno.ts';
import { O_APPEND, O_NONBLOCK, O_PATH } from '../sentry/abi/fcntl.ts';
import { pread } from '../sentry/host/sys.ffi.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { IO_CHUNK, IO_MAX, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import { RWF_HIPRI, type FileDescription } from '../sentry/vfs/file-description.ts';
import { UNANSWERED } from '../sentry/vfs/served-call.ts';
import { IN_ACCESS, notifyData, notifyWritten } from '../sentry/vfs/fsnotify.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDNORM,
  EPOLLWRNORM,
} from '../sentry/waiter/wait-queue.ts';
import { iovAccessible, iovBase, iovCopyIn, iovCopyOut, iovRangeLeft, iovSingle, iovTotal } from './iovec.ts';
import { raisePipe, raiseFileSize } from './io-signals.ts';
import { readTorn, tornEnd } from './torn-read.ts';

/** Bytes one run of a handler moves at most; then the others get their turn. */
export const RUN_BUDGET = 1024 * 1024;
/** Shorter writes are as fast through the bounce buffer. */
const DIRECT_MIN = 4096;
export const READ_EVENTS = EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
export const WRITE_EVENTS = EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP;

/** File of descriptor `fd` for I/O; null (EBADF) for none and for O_PATH ones. */
export function fileAt(t: Task, fd: number): FileDescription | null {
  const f = t.fdTable.get(fd);
  return f === null || (f.flags & O_PATH) !== 0 ? null : f;
}

/** A transfer in progress while its task is parked: holds the file, as fdget() does. */
export class IoWait {
  readonly file: FileDescription;
  done = 0;
  deadlineNs = Infinity;
  /** When the time of recvmmsg(2) is over. */
  endNs = Infinity;
  /** sendmmsg(2): bytes of the message in hand that have gone, and where its msg_len is. */
  part = 0;
  partLenAddr = 0;
  /** Both files of a transfer between files, held too. */
  input: FileDescription | null = null;
  output: FileDescription | null = null;

  constructor(t: Task, file: FileDescription, timeoutNs: number) {
    this.file = file.ref();
    this.restartTime(t, timeoutNs);
  }

  hold(input: FileDescription, output: FileDescription): void {
    this.input = input.ref();
    this.output = output.ref();
  }

  restartTime(t: Task, timeoutNs: number): void {
    this.deadlineNs = timeoutNs === Infinity ? Infinity : t.kernel.clock.monotonicNs() + timeoutNs;
  }

  release(): void {
    this.input?.unref();
    this.output?.unref();
    this.file.unref();
  }
}

/** A socket with SO_RCVTIMEO or SO_SNDTIMEO does not restart (signal(7)). */
function interrupted(t: Task): SysResult {
  const w = t.blockState as IoWait;
  if (w.part > 0 && t.mem.writeU32(w.partLenAddr, w.part) === 0) w.done++;
  const r = w.done > 0 ? w.done : w.deadlineNs === Infinity ? -ERESTARTSYS : -EINTR;
  w.release();
  return r;
}

/** Parks the task until `f` has one of `events`; the handler then runs again with the IoWait as blockState. */
export function parkIo(
  t: Task,
  f: FileDescription,
  w: IoWait | null,
  done: number,
  events: number,
  timeoutNs: number,
): SysResult {
  const state = w ?? new IoWait(t, f, timeoutNs);
  state.done = done;
  t.blockState = state;
  t.waitOn(f.waiters, events);
  return t.block(state.deadlineNs, interrupted);
}

/** Lets others run, then goes on with the same transfer. */
export function yieldIo(
  t: Task,
  f: FileDescription,
  w: IoWait | null,
  done: number,
  onInterrupt: (t: Task) => SysResult = interrupted,
): SysResult {
  const state = w ?? new IoWait(t, f, Infinity);
  state.done = done;
  return t.yieldCall(state, onInterrupt, state.deadlineNs);
}

/** The program that serves the file is asked for more: the call goes on from here when it has answered. */
function keepIo(t: Task, f: FileDescription, w: IoWait | null, done: number): SysResult {
  const state = w ?? new IoWait(t, f, Infinity);
  state.done = done;
  t.blockState = state;
  t.onInterrupt = interrupted;
  t.served!.keepsProgress = true;
  return UNANSWERED;
}

/** Ends a transfer: drops what parking held. */
export function endIo(w: IoWait | null, result: SysResult): SysResult {
  w?.release();
  return result;
}

/** Nonblocking by O_NONBLOCK or RWF_NOWAIT. */
export function nonBlocking(f: FileDescription): boolean {
  return (f.flags & O_NONBLOCK) !== 0;
}

function readStep(t: Task, f: FileDescription, want: number, at: number): number {
  const hostFd = at >= 0 ? f.hostReadFd : -1;
  if (hostFd >= 0) {
    f.accessed(want);
    return pread(hostFd, ioBuffer.addr, want, at);
  }
  return f.read(t, ioBuffer.bytes, 0, want, at);
}

/** Small reads of host files: the host kernel writes straight into the platform's data buffer. −1: take the other way. */
function readDirect(t: Task, f: FileDescription, want: number, at: number): number {
  const ctx = t.ctx;
  const hostFd = f.hostReadFd;
  if (hostFd < 0 || t.mem.immediate || want > ctx.dataSize || !iovSingle()) return -1;
  const n = pread(hostFd, ctx.dataAddr, want, at);
  f.accessed(want);
  if (n > 0 && !ctx.copyOutData(iovBase(), 0, n)) return -1;
  return n >= 0 ? n : -1;
}

/** Writes over bytes of a file that lie in the sentry: they are copied there at once. ≤ 0: take the other way. */
function writeDirect(t: Task, f: FileDescription, want: number, at: number): number {
  if (want < DIRECT_MIN || t.fileSizeLimit !== Infinity) return -1;
  const view = f.bytesToChange(t, at, want);
  if (view === null) return -1;
  const n = t.mem.copyInPartial(iovBase(), view.bytes, view.off, want);
  if (n > 0) f.bytesChanged(t);
  return n;
}

/** Reads into the imported ranges. `pos` ≥ 0: explicit offset; −1: the file's own position or stream. */
export function readVec(
  t: Task,
  f: FileDescription,
  pos: number,
  noWait: boolean,
  w: IoWait | null,
): SysResult {
  const r = readLoop(t, f, pos, noWait, w);
  if (r > 0) notifyData(IN_ACCESS, f);
  return r;
}

/** Writes the imported ranges; conventions as readVec. */
export function writeVec(
  t: Task,
  f: FileDescription,
  pos: number,
  noWait: boolean,
  w: IoWait | null,
  noSignal = false,
): SysResult {
  const { mode } = f.inode;
  const r = writeLoop(t, f, pos, noWait, w, noSignal);
  if (r > 0) notifyWritten(f, mode);
  return r;
}

/** What a read says whose memory is bad: whether there is anything to read comes first. */
function readNowhere(f: FileDescription, pos: number): number {
  if (!f.canRead) return -EINVAL;
  if (f.inode.isDir) return -EISDIR;
  if (f.seekable) return f.canDirect && pos >= f.inode.size ? 0 : -EFAULT;
  return (f.poll() & READ_EVENTS) === 0 ? -EAGAIN : -EFAULT;
}

function readLoop(t: Task, f: FileDescription, pos: number, noWait: boolean, w: IoWait | null): SysResult {
  const total = iovTotal();
  const chunk = f.messages ? IO_MAX : IO_CHUNK;
  const usePos = pos < 0 && f.usesPos;
  let done = w === null ? 0 : w.done;
  const budget = done + RUN_BUDGET;
  for (;;) {
    const at = usePos ? f.pos : pos >= 0 ? pos + done : -1;
    let want = Math.min(total - done, chunk);
    if (want > 0) {
      const fit = iovAccessible(t, done, want, true);
      if (fit < want) want = readTorn(t, f, done, want, fit, (n) => f.read(t, ioBuffer.bytes, 0, n, at));
      if (want === 0) {
        if (done > 0) return endIo(w, done + Math.max(0, tornEnd));
        const r = fit === 0 && f.tornRead === 'fits' ? readNowhere(f, at) : tornEnd;
        if (r === -EAGAIN && !noWait && !t.timedOut)
          return parkIo(t, f, w, 0, READ_EVENTS, f.ioTimeoutNs(false));
        return endIo(w, r);
      }
    }
    if (done === 0 && want === total && at >= 0) {
      const n = readDirect(t, f, want, at);
      if (n >= 0) {
        if (usePos) f.pos += n;
        return endIo(w, n);
      }
    }
    const view = at >= 0 && want > 0 ? f.bytesAt(t, at, want) : null;
    const n = view !== null ? view.length : readStep(t, f, want, at);
    if (n < 0) {
      if (n === UNANSWERED) return keepIo(t, f, w, done);
      if (done > 0) return endIo(w, done);
      if (n !== -EAGAIN || noWait || t.timedOut) return endIo(w, n);
      return parkIo(t, f, w, 0, READ_EVENTS, f.ioTimeoutNs(false));
    }
    if (n > 0) {
      const out =
        view !== null
          ? iovCopyOut(t, done, view.bytes, view.off, n)
          : iovCopyOut(t, done, ioBuffer.bytes, 0, n);
      if (usePos) f.pos += out;
      done += out;
      if (out < n) return endIo(w, done > 0 ? done : -EFAULT);
    }
    if (n < want || done === total || f.messages) return endIo(w, done);
    if (done >= budget) return yieldIo(t, f, w, done);
  }
}

/** Bytes of `n` that RLIMIT_FSIZE admits at `at` (generic_write_checks), or −EFBIG with SIGXFSZ. */
export function limitFileSize(t: Task, f: FileDescription, n: number, at: number): number {
  const limit = t.fileSizeLimit;
  if (limit === Infinity || n === 0 || !f.inode.isRegular) return n;
  const start = (f.flags & O_APPEND) !== 0 ? f.inode.size : at;
  if (start >= limit) {
    raiseFileSize(t);
    return -EFBIG;
  }
  return Math.min(n, limit - start);
}

/** What a fault after `n` bytes leaves of a write whose bytes are fetched in units. */
function wholeUnits(n: number, unit: number): number {
  return n < unit ? -EFAULT : n - (n % unit);
}

function writeLoop(
  t: Task,
  f: FileDescription,
  pos: number,
  noWait: boolean,
  w: IoWait | null,
  noSignal: boolean,
): SysResult {
  const total = iovTotal();
  const chunk = f.messages ? IO_MAX : IO_CHUNK;
  if (f.messages && total > IO_MAX) return endIo(w, -EMSGSIZE);
  // do_loop_readv_writev(): without an iterator each range is a write of its own.
  const apart = !iovSingle() && f.rwFlags(true) === RWF_HIPRI;
  const usePos = pos < 0 && f.usesPos;
  let done = w === null ? 0 : w.done;
  const budget = done + RUN_BUDGET;
  for (;;) {
    const at = usePos ? f.pos : pos >= 0 ? pos + done : -1;
    const want = f.writePiece(apart ? iovRangeLeft(done) : total - done, chunk);
    if (done === 0 && want === total && at >= 0 && iovSingle()) {
      const n = writeDirect(t, f, want, at);
      if (n > 0) {
        if (usePos) f.pos += n;
        return endIo(w, n);
      }
    }
    let n = f.ignoresData ? want : iovCopyIn(t, done, ioBuffer.bytes, 0, want);
    if (n < want && n > 0) n = wholeUnits(n, f.copyUnit(true));
    const copied = n;
    if (n >= 0 && at >= 0) n = limitFileSize(t, f, n, at);
    if (n < 0) {
      const r = done > 0 ? done : n === -EFAULT ? f.writeNowhere(t, want) : n;
      if (r === -EPIPE && !noSignal) raisePipe(t);
      return endIo(w, r);
    }
    const r = f.write(t, ioBuffer.bytes, 0, n, at);
    if (r < 0) {
      if (r === UNANSWERED) return keepIo(t, f, w, done);
      if (r === -EAGAIN && !noWait && !t.timedOut) {
        return parkIo(t, f, w, done, WRITE_EVENTS, f.ioTimeoutNs(true));
      }
      // A pipe's writer hears of the end at once, a socket's by the next call.
      if (r === -EPIPE && !f.messages && !noSignal && (done === 0 || !(f instanceof Socket))) raisePipe(t);
      return endIo(w, done > 0 ? done : r);
    }
    done += r;
    if (usePos && r > 0) f.pos = (f.flags & O_APPEND) !== 0 ? f.inode.size : f.pos + r;
    // A write that RLIMIT_FSIZE cut short ends here; SIGXFSZ is for the next one.
    if (done >= total || r === 0 || n < copied || (r < n && f.seekable)) return endIo(w, done);
    if (done >= budget) return yieldIo(t, f, w, done);
  }
}
