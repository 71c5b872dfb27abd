/** ASYNC_CANCEL, and the same by io_uring_register(2) (io_uring/cancel.c). */
import { EALREADY, EBADF, EINVAL, ENOENT } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { FileDescription } from '../../sentry/vfs/file-description.ts';
import { anySet, FILE_INDEX, OFF, ownRow } from './op-calls.ts';
import type { Op } from './op.ts';
import type { Request } from './request.ts';
import type { UringFile } from './uring-file.ts';

const { IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY, IORING_ASYNC_CANCEL_FD } = U;
const { IORING_ASYNC_CANCEL_FD_FIXED, IORING_ASYNC_CANCEL_OP, IORING_ASYNC_CANCEL_USERDATA } = U;
export const CANCEL_FLAGS = 0x3f;

/** Which requests are meant (struct io_cancel_data). */
export interface CancelWish {
  readonly flags: number;
  readonly lo: number;
  readonly hi: number;
  readonly opcode: number;
  readonly file: FileDescription | null;
}

/** io_cancel_req_match() */
function matches(r: Request, c: CancelWish): boolean {
  const { flags } = c;
  if ((flags & IORING_ASYNC_CANCEL_ANY) !== 0) return true;
  let byData = (flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP)) === 0;
  if ((flags & IORING_ASYNC_CANCEL_FD) !== 0 && r.file !== c.file) return false;
  if ((flags & IORING_ASYNC_CANCEL_OP) !== 0 && (r.sqe[0]! & 0xff) !== c.opcode) return false;
  if ((flags & IORING_ASYNC_CANCEL_USERDATA) !== 0) byData = true;
  return !byData || (r.sqe[8] === c.lo && r.sqe[9] === c.hi);
}

/** How many were cancelled if there may be several, else 0; −errno. */
export function cancelRequests(ring: UringFile, c: CancelWish, self: Request | null): number {
  const all = (c.flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0;
  let count = 0;
  for (const r of [...ring.requests]) {
    if (r === self || !matches(r, c)) continue;
    const error = r.cancel();
    if (!all) return error;
    if (error !== -EALREADY) count++;
  }
  return all ? count : -ENOENT;
}

function cancel(r: Request): SysResult {
  const flags = r.opFlags;
  const byFile = (flags & IORING_ASYNC_CANCEL_FD) !== 0;
  const fixed = r.has(U.IOSQE_FIXED_FILE) || (flags & IORING_ASYNC_CANCEL_FD_FIXED) !== 0;
  const file = byFile ? r.fileOf(r.sqe[1]!, fixed) : null;
  if (byFile && file === null) return -EBADF;
  const n = cancelRequests(r.ring, { flags, lo: r.sqe[4]!, hi: r.sqe[5]!, opcode: r.len, file }, r);
  file?.unref();
  return n;
}

const row = ownRow('ASYNC_CANCEL', (_t, r) => cancel(r));

export const ASYNC_CANCEL: Op = {
  name: 'ASYNC_CANCEL',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  prep(r) {
    const flags = r.opFlags;
    const any = (flags & IORING_ASYNC_CANCEL_ANY) !== 0;
    if (anySet(r, [OFF, FILE_INDEX]) || (flags & ~CANCEL_FLAGS) !== 0) return -EINVAL;
    return any && (flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP)) !== 0 ? -EINVAL : 0;
  },
  begin: () => row,
};
