/** Operations about the ring itself, other rings and registered files: NOP, MSG_RING, FILES_UPDATE, FIXED_FD_INSTALL, CLOSE. */
import { EBADF, EBADFD, EFAULT, EINVAL, ENXIO, EOVERFLOW, EPERM } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { installFd } from '../fd-install.ts';
import { fileForSlot, putFixed, removeFixed, updateFiles } from './fixed-files.ts';
import { ADDR, anySet, BUF_INDEX, FD, FILE_INDEX, FLAGS, LEN, OFF, ownRow, setArgs } from './op-calls.ts';
import type { Op } from './op.ts';
import type { Request } from './request.ts';
import { UringFile } from './uring-file.ts';

const IORING_NOP_INJECT_RESULT = 1;
const nopRow = ownRow('NOP', (_t, r) => (r.opFlags === IORING_NOP_INJECT_RESULT ? r.len | 0 : 0));

const plain = { needsFile: false, usesPrio: false, selectsBuffer: false } as const;

export const NOP: Op = {
  ...plain,
  name: 'NOP',
  polls: true,
  prep: (r) => ((r.opFlags & ~IORING_NOP_INJECT_RESULT) !== 0 ? -EINVAL : 0),
  begin: () => nopRow,
};

const NR_CLOSE = 3;

const closeSlot = ownRow('CLOSE', (_t, r) => removeFixed(r.ring, r.fileIndex - 1));

export const CLOSE: Op = {
  ...plain,
  name: 'CLOSE',
  prep(r) {
    if (anySet(r, [OFF, ADDR, LEN, FLAGS, BUF_INDEX])) return -EINVAL;
    if (r.has(U.IOSQE_FIXED_FILE)) return -EBADF;
    return r.fileIndex !== 0 && r.fd !== 0 ? -EINVAL : 0;
  },
  begin(r, t) {
    if (r.fileIndex !== 0) return closeSlot;
    // Rings are closed by close(2) only.
    if (r.owner.fdTable.getRaw(r.fd) instanceof UringFile) return -EBADF;
    setArgs(r, t, [FD]);
    return t.kernel.table[NR_CLOSE]!;
  },
};

const filesRow = ownRow('FILES_UPDATE', (t, r) => updateSlots(t, r));

/** io_files_update_with_index_alloc(): descriptors are replaced by the slots that were found for them. */
function updateSlots(t: Task, r: Request): SysResult {
  const offset = r.sqe[2]!;
  if (offset !== U.IORING_FILE_INDEX_ALLOC) return updateFiles(r.ring, r.owner, offset, r.addr, r.len);
  if (r.ring.files === null) return -ENXIO;
  for (let i = 0; i < r.len; i++) {
    const at = r.addr + 4 * i;
    if (t.mem.copyIn(at, scratch.bytes, 0, 4) !== 0) return i > 0 ? i : -EFAULT;
    const f = fileForSlot(r.owner, scratch.i32[0]!);
    if (typeof f === 'number') return i > 0 ? i : f;
    const slot = putFixed(r.ring, U.IORING_FILE_INDEX_ALLOC, f);
    if (slot < 0) f.unref();
    if (slot < 0) return i > 0 ? i : slot;
    if (t.mem.writeU32(at, slot) === 0) continue;
    removeFixed(r.ring, slot);
    return i > 0 ? i : -EFAULT;
  }
  return r.len;
}

export const FILES_UPDATE: Op = {
  ...plain,
  name: 'FILES_UPDATE',
  prep(r) {
    if (r.has(U.IOSQE_FIXED_FILE) || anySet(r, [FLAGS, FILE_INDEX])) return -EINVAL;
    return r.len === 0 ? -EINVAL : 0;
  },
  begin: () => filesRow,
};

const IORING_FIXED_FD_NO_CLOEXEC = 1;

const installRow = ownRow('FIXED_FD_INSTALL', (t, r) =>
  installFd(t, r.file!.ref(), r.opFlags !== IORING_FIXED_FD_NO_CLOEXEC),
);

export const FIXED_FD_INSTALL: Op = {
  ...plain,
  name: 'FIXED_FD_INSTALL',
  needsFile: true,
  prep(r) {
    if (anySet(r, [OFF, ADDR, LEN, BUF_INDEX, FILE_INDEX, 12, 13])) return -EINVAL;
    if (!r.has(U.IOSQE_FIXED_FILE)) return -EBADF;
    if ((r.opFlags & ~IORING_FIXED_FD_NO_CLOEXEC) !== 0) return -EINVAL;
    return r.creds !== null ? -EPERM : 0;
  },
  begin: () => installRow,
};

/** io_msg_ring(): a completion in another ring, or a registered file for it. */
function message(r: Request): SysResult {
  const { file } = r;
  if (!(file instanceof UringFile)) return -EBADFD;
  if (file.disabled) return -EBADFD;
  const kind = r.sqe[4];
  if (kind === U.IORING_MSG_DATA) return sendData(r, file);
  return kind === U.IORING_MSG_SEND_FD ? sendFile(r, file) : -EINVAL;
}

function tell(r: Request, to: UringFile, result: number): SysResult {
  const pass = (r.opFlags & U.IORING_MSG_RING_FLAGS_PASS) !== 0;
  if (!to.postMore(r.sqe[2]!, r.sqe[3]!, result, pass ? r.sqe[FILE_INDEX]! : 0)) return -EOVERFLOW;
  if (to !== r.ring) to.settle();
  return 0;
}

function sendData(r: Request, to: UringFile): SysResult {
  // addr3 and, without FLAGS_PASS, file_index mean nothing to it.
  if (r.sqe[12] !== 0 || r.sqe[13] !== 0 || (r.opFlags & ~U.IORING_MSG_RING_FLAGS_PASS) !== 0) return -EINVAL;
  if ((r.opFlags & U.IORING_MSG_RING_FLAGS_PASS) === 0 && r.fileIndex !== 0) return -EINVAL;
  return tell(r, to, r.len | 0);
}

function sendFile(r: Request, to: UringFile): SysResult {
  if (r.len !== 0 || to === r.ring) return -EINVAL;
  const f = r.ring.files?.[r.sqe[12]!] ?? null;
  if (f === null) return -EBADF;
  const slot = putFixed(to, r.fileIndex, f.ref());
  if (slot < 0) {
    f.unref();
    return slot;
  }
  if ((r.opFlags & U.IORING_MSG_RING_CQE_SKIP) !== 0) return slot;
  const told = tell(r, to, slot);
  return told < 0 ? told : slot;
}

const messageRow = ownRow('MSG_RING', (_t, r) => message(r));

export const MSG_RING: Op = {
  ...plain,
  name: 'MSG_RING',
  needsFile: true,
  prep(r) {
    if (r.bufIndex !== 0 || r.sqe[10]! >>> 16 !== 0) return -EINVAL;
    const known = U.IORING_MSG_RING_CQE_SKIP | U.IORING_MSG_RING_FLAGS_PASS;
    return (r.opFlags & ~known) !== 0 ? -EINVAL : 0;
  },
  begin: () => messageRow,
};
