/** splice(2), tee(2): pipes to and from files. */
import { EAGAIN, EBADF, EFAULT, EINVAL, ESPIPE } from '../sentry/abi/errno.ts';
import { O_APPEND } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { fd, inoutStruct, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { IO_CHUNK, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { endIo, fileAt, nonBlocking, parkIo, type IoWait } from './io.ts';
import { MAX_RW_COUNT } from './iovec.ts';
import {
  brokenPipe,
  notifyMoved,
  put,
  READ_EVENTS,
  readOffset,
  SPLICE,
  SPLICE_F_ALL,
  SPLICE_F_NONBLOCK,
  storeOffset,
  toPipe,
  WRITE_EVENTS,
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

const off = inoutStruct(8);

export const spliceRows: SyscallRow[] = [
  { nr: 275, name: 'splice', fn: sysSplice, args: [fd, off, fd, off, size, SPLICE], support: 'full' },
  { nr: 276, name: 'tee', fn: sysTee, args: [fd, fd, size, SPLICE], support: 'full' },
];
