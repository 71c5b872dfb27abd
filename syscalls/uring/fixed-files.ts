/** Registered files of a ring (io_uring/rsrc.c, filetable.c): slots with references of their own. */
import { EBADF, EBUSY, EFAULT, EINVAL, EMFILE, ENFILE, ENXIO } from '../../sentry/abi/errno.ts';
import { IORING_FILE_INDEX_ALLOC, IORING_REGISTER_FILES_SKIP } from '../../sentry/abi/io-uring.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../../sentry/vfs/file-description.ts';
import { UringFile } from './uring-file.ts';

/** The file of `fd` for a slot, with a reference, or −EBADF: rings do not go there. */
export function fileForSlot(t: Task, fd: number): FileDescription | number {
  const f = t.fdTable.get(fd);
  return f === null || f instanceof UringFile ? -EBADF : f.ref();
}

/** io_fixed_fd_install(): the place of the new file if one was to be found, else 0; −errno, and the reference is the caller's. */
export function putFixed(ring: UringFile, fileIndex: number, f: FileDescription): number {
  const { files } = ring;
  if (fileIndex !== IORING_FILE_INDEX_ALLOC) {
    if (files === null) return -ENXIO;
    if (fileIndex > files.length) return -EINVAL;
    files[fileIndex - 1]?.unref();
    files[fileIndex - 1] = f;
    return 0;
  }
  const [start, end] = ring.allocRange;
  const slot = files?.indexOf(null, start) ?? -1;
  if (files === null || slot < 0 || slot >= end) return -ENFILE;
  files[slot] = f;
  return slot;
}

/** io_fixed_fd_remove() */
export function removeFixed(ring: UringFile, slot: number): number {
  const { files } = ring;
  if (files === null) return -ENXIO;
  if (slot >= files.length) return -EINVAL;
  const f = files[slot]!;
  if (f === null) return -EBADF;
  files[slot] = null;
  f.unref();
  return 0;
}

/** Slots of one table; the descriptor limit of the caller counts, too. */
const FILES_MAX = 1 << 20;

/** io_sqe_files_register(): `count` descriptors at `addr`, −1 for a hole; 0 for `addr`: all holes. */
export function registerFiles(ring: UringFile, t: Task, addr: number, count: number): number {
  if (ring.files !== null) return -EBUSY;
  if (count === 0) return -EINVAL;
  if (count > FILES_MAX || count > t.group.limits.openFiles) return -EMFILE;
  const files: (FileDescription | null)[] = [];
  let error = 0;
  for (let i = 0; i < count && error === 0; i++) {
    const fd = addr === 0 ? -1 : readFd(t, addr + 4 * i);
    const f = fd === -1 ? null : fd === BAD_ADDRESS ? -EFAULT : fileForSlot(t, fd);
    if (typeof f === 'number') error = f;
    else files.push(f);
  }
  if (error < 0) {
    for (const f of files) f?.unref();
    return error;
  }
  ring.files = files;
  ring.allocRange = [0, count];
  return 0;
}

const BAD_ADDRESS = -0x100000000;

function readFd(t: Task, at: number): number {
  return t.mem.copyIn(at, scratch.bytes, 0, 4) !== 0 ? BAD_ADDRESS : scratch.i32[0]!;
}

export function unregisterFiles(ring: UringFile): number {
  const { files } = ring;
  if (files === null) return -ENXIO;
  ring.files = null;
  for (const f of files) f?.unref();
  return 0;
}

/** __io_sqe_files_update(): how many slots from `offset` on were changed, or −errno if none. */
export function updateFiles(ring: UringFile, t: Task, offset: number, addr: number, count: number): number {
  const { files } = ring;
  if (files === null) return -ENXIO;
  if (offset + count > files.length) return -EINVAL;
  for (let i = 0; i < count; i++) {
    const fd = readFd(t, addr + 4 * i);
    if (fd === BAD_ADDRESS) return i > 0 ? i : -EFAULT;
    if (fd === IORING_REGISTER_FILES_SKIP) continue;
    const f = fd === -1 ? null : fileForSlot(t, fd);
    const old = files[offset + i]!;
    files[offset + i] = null;
    old?.unref();
    if (typeof f === 'number') return i > 0 ? i : f;
    files[offset + i] = f;
  }
  return count;
}
