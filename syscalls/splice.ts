/** splice(2), tee(2): pipes to and from files. */
import { EAGAIN, EBADF, EFAULT, EINVAL, ESPIPE } from '../sentry/abi/errno.ts';
import { O_APPEND } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { fd, inoutStruct, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { IO_CHUNK, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { endIo, fileAt, nonBlocking, parkIo, READ_EVENTS, type IoWait, WRITE_EVENTS } from './io.ts';
import { MAX_RW_COUNT } from './iovec.ts';
import {
  brokenPipe,
  notifyMoved,
  put,
  readOffset,
  SPLICE,
  SPLICE_F_ALL,
  SPLICE_F_NONBLOCK,
  storeOffset,
  toPipe,
} from './splice-io.ts';

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

/** Where a side of a splice begins: at an offset that was given, and stands at `addr` (0: nowhere), or at the file's own position. */
export interface SplicePlace {
  readonly isGiven: boolean;
  /** −1 if none was given, or −errno. */
  readonly pos: number;
  readonly addr: number;
}

function placeAt(t: Task, addr: number): SplicePlace {
  return { isGiven: addr !== 0, pos: readOffset(t, addr), addr };
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
  return spliceFiles(t, input, placeAt(t, a.addr(1)), out, placeAt(t, a.addr(3)), len, f);
}

/** splice(2) when its arguments have been looked at. */
export function spliceFiles(
  t: Task,
  input: FileDescription,
  from: SplicePlace,
  out: FileDescription,
  to: SplicePlace,
  len: number,
  f: number,
): SysResult {
  const w = t.blockState as IoWait | null;
  const r = splice(t, input, from, out, to, len);
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

function splice(
  t: Task,
  input: FileDescription,
  from: SplicePlace,
  out: FileDescription,
  to: SplicePlace,
  len: number,
): number {
  const inPipe = input instanceof PipeFile;
  const outPipe = out instanceof PipeFile;
  if ((inPipe && from.isGiven) || (outPipe && to.isGiven)) return -ESPIPE;
  if (to.pos === -EFAULT || from.pos === -EFAULT) return -EFAULT;
  if (!input.readable || !out.writable) return -EBADF;
  if (!inPipe && !outPipe) return -EINVAL;
  if (inPipe && !out.canSplice(true)) return -EINVAL;
  if (inPipe && outPipe && input.ends === out.ends) return -EINVAL;
  if (inPipe && outPipe) return betweenPipes(t, input, out, len, true);
  if (inPipe) {
    if ((out.flags & O_APPEND) !== 0) return -EINVAL;
    if (to.isGiven && !out.seekable) return -EINVAL;
    if (to.pos < -1) return to.pos;
    const r = fromPipe(t, input, out, to.pos, len);
    return r >= 0 && to.addr !== 0 && !storeOffset(t, to.addr, out, to.pos, r) ? -EFAULT : r;
  }
  if (from.isGiven && !input.takesOffset(false)) return -EINVAL;
  if (from.pos < -1) return from.pos;
  const r = toPipe(t, input, from.pos, out as PipeFile, len);
  return r >= 0 && from.addr !== 0 && !storeOffset(t, from.addr, input, from.pos, r) ? -EFAULT : r;
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

const off = inoutStruct(8);

export const spliceRows: SyscallRow[] = [
  { nr: 275, name: 'splice', fn: sysSplice, args: [fd, off, fd, off, size, SPLICE], support: 'full' },
  { nr: 276, name: 'tee', fn: sysTee, args: [fd, fd, size, SPLICE], support: 'full' },
];
