/** sendfile(2) */
import { EAGAIN, EBADF, EFAULT, EINVAL, ESPIPE } from '../sentry/abi/errno.ts';
import { O_APPEND, SEEK_CUR } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { fd, inoutStruct, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import {
  endIo,
  fileAt,
  nonBlocking,
  parkIo,
  READ_EVENTS,
  RUN_BUDGET,
  type IoWait,
  WRITE_EVENTS,
  yieldIo,
} from './io.ts';
import { MAX_RW_COUNT, SSIZE_LIMIT } from './iovec.ts';
import { readOffset, storeOffset, notifyMoved, moveFile, toPipe } from './splice-io.ts';

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

const off = inoutStruct(8);

export const sendfileRows: SyscallRow[] = [
  { nr: 40, name: 'sendfile', fn: sysSendfile, args: [fd, fd, off, size], support: 'full' },
];
