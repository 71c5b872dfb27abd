/** copy_file_range(2) */
import { EBADF, EFAULT, EINVAL, EISDIR, EOVERFLOW, EPERM, EXDEV } from '../sentry/abi/errno.ts';
import { O_APPEND } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  inoutStruct,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { fileAt, RUN_BUDGET } from './io.ts';
import { readOffset, notifyMoved, moveFile } from './splice-io.ts';

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

const off = inoutStruct(8);

export const copyRangeRows: SyscallRow[] = [
  {
    nr: 326,
    name: 'copy_file_range',
    fn: sysCopyFileRange,
    args: [fd, off, fd, off, size, uint],
    support: 'full',
  },
];
