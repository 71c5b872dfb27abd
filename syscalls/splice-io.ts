/** What the calls that move data between files without the caller's memory have in common (fs/splice.c). */
import { EAGAIN, EFAULT, EINVAL, EPIPE } from '../sentry/abi/errno.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { flags } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { pageOffset } from '../sentry/lib/addr.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { IO_CHUNK, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY, notifyData, notifyFile } from '../sentry/vfs/fsnotify.ts';
import { limitFileSize, RUN_BUDGET } from './io.ts';
import { raisePipe } from './io-signals.ts';

const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;
const SPLICE_F_MORE = 4;
const SPLICE_F_GIFT = 8;
export const SPLICE_F_ALL = 15;
export const SPLICE = flags({ SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT });

/** Reads the loff_t at `addr` (0: none, −1 is returned); other negative values are −errno. */
export function readOffset(t: Task, addr: number): number {
  if (addr === 0) return -1;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  const off = scratch.i32[1]! * 0x100000000 + scratch.u32[0]!;
  return off < 0 ? -EINVAL : off;
}

/** Where a transfer of `n` bytes of `f` from `pos` on has come to; false: EFAULT. */
export function storeOffset(t: Task, addr: number, f: FileDescription, pos: number, n: number): boolean {
  return t.mem.writeU64(addr, f.movesOffset ? pos + n : pos) === 0;
}

export function brokenPipe(t: Task): number {
  raisePipe(t);
  return -EPIPE;
}

/** Tells who watches the files of what was moved, if anything was. */
export function notifyMoved(moved: number, input: FileDescription, out: FileDescription): number {
  if (moved > 0) {
    notifyData(IN_ACCESS, input);
    notifyData(IN_MODIFY, out);
  }
  return moved;
}

/** Writes to `out` what lies in the bounce buffer: bytes taken or −errno, with SIGPIPE. */
export function put(t: Task, out: FileDescription, n: number, pos: number): number {
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
export function moveFile(
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

/** Into a pipe goes what fits: of a file all that is there, of others what one read gives. */
export function toPipe(t: Task, input: FileDescription, inPos: number, out: PipeFile, len: number): number {
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
