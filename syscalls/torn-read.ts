/** Reads whose memory ends before the data does (copy_to_iter() and what each kind of file makes of its failing). */
import { EFAULT } from '../sentry/abi/errno.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { ioBuffer } from '../sentry/usermem/io-buffer.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { iovCopyOut } from './iovec.ts';

/** Bytes or −errno: what `readTorn` has read itself, or found out. */
export let tornEnd = 0;

/** The read has come to its end. */
function end(result: number): number {
  tornEnd = result;
  return 0;
}

/**
 * Of a read of `want` bytes into position `skip` of the ranges only `fit` have a place there. Returns how many can be read as
 * if nothing were wrong, or 0: the end, which `tornEnd` tells. `read` reads so many bytes into the bounce buffer.
 */
export function readTorn(
  t: Task,
  f: FileDescription,
  skip: number,
  want: number,
  fit: number,
  read: (len: number) => number,
): number {
  switch (f.tornRead) {
    case 'fits':
      return fit > 0 ? fit : end(-EFAULT);
    case 'kept': {
      const n = f.peek(t, ioBuffer.bytes, 0, want);
      if (n <= 0) return end(n);
      if (n <= fit) return n;
      const whole = f.wholePieces(fit);
      if (whole > 0) return whole;
      // What has arrived does not count.
      iovCopyOut(t, skip, ioBuffer.bytes, 0, fit);
      return end(-EFAULT);
    }
    case 'lost': {
      const n = read(want);
      if (n > 0) iovCopyOut(t, skip, ioBuffer.bytes, 0, Math.min(n, fit));
      return end(n > fit ? -EFAULT : n);
    }
    case 'spilt': {
      const unit = f.copyUnit(false);
      const n = read(Math.min(want, (Math.floor(fit / unit) + 1) * unit));
      if (n <= 0) return end(n);
      return end(fit > 0 ? iovCopyOut(t, skip, ioBuffer.bytes, 0, Math.min(n, fit)) : -EFAULT);
    }
  }
}
