/** vmsplice(2): copies of the caller's pages. */
import { EAGAIN, EBADF, EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { fd, inBuf, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE, pageOffset } from '../sentry/lib/addr.ts';
import { ioBuffer } from '../sentry/usermem/io-buffer.ts';
import { IN_ACCESS, notifyData } from '../sentry/vfs/fsnotify.ts';
import { endIo, fileAt, parkIo, READ_EVENTS, type IoWait, WRITE_EVENTS } from './io.ts';
import {
  importIovec,
  iovAccessible,
  iovAddress,
  iovCopyIn,
  iovCopyOut,
  iovRange,
  iovTotal,
} from './iovec.ts';
import { SPLICE, SPLICE_F_NONBLOCK, SPLICE_F_ALL, brokenPipe } from './splice-io.ts';

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

export const vmspliceRows: SyscallRow[] = [
  { nr: 278, name: 'vmsplice', fn: sysVmsplice, args: [fd, inBuf(2, 16), size, SPLICE], support: 'full' },
];
