/**
 * Registered buffers (io_uring/rsrc.c): ranges of the caller's memory, checked when they are registered and counted for RLIMIT_MEMLOCK.
 * They are not pinned: what is unmapped later is EFAULT.
 */
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO } from '../../sentry/abi/errno.ts';
import { CAP_IPC_LOCK } from '../../sentry/auth/capability.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { pageDown, pageUp, TASK_SIZE } from '../../sentry/lib/addr.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { wide } from './request.ts';
import type { FixedBuffer, UringFile } from './uring-file.ts';

const BUFFERS_MAX = 1 << 14;
const BUFFER_SIZE_MAX = 2 ** 30;
const IOVEC_SIZE = 16;

const pinned = (b: FixedBuffer | null): number =>
  b === null ? 0 : pageUp(b.addr + b.len) - pageDown(b.addr);

/** The buffer of the struct iovec at `at`; null: none. −errno. */
function readBuffer(t: Task, at: number): FixedBuffer | null | number {
  if (t.mem.copyIn(at, scratch.bytes, 0, IOVEC_SIZE) !== 0) return -EFAULT;
  const addr = wide(scratch.u32, 0);
  const len = wide(scratch.u32, 2);
  if (addr === 0) return len === 0 ? null : -EFAULT;
  if (len === 0 || len > BUFFER_SIZE_MAX || addr + len > TASK_SIZE) return -EFAULT;
  return t.mem.check(addr, len, true) !== 0 ? -EFAULT : { addr, len };
}

/** io_account_mem(): −ENOMEM if the ring would hold more than the caller may lock. */
function charge(ring: UringFile, t: Task, bytes: number): number {
  if (!t.creds.has(CAP_IPC_LOCK) && ring.lockedBytes + bytes > t.group.limits.memlock) return -ENOMEM;
  ring.lockedBytes += bytes;
  return 0;
}

/** io_sqe_buffers_register(): `count` struct iovec at `addr`; 0 for `addr`: all holes. */
export function registerBuffers(ring: UringFile, t: Task, addr: number, count: number): number {
  if (ring.buffers !== null) return -EBUSY;
  if (count === 0 || count > BUFFERS_MAX) return -EINVAL;
  const buffers: (FixedBuffer | null)[] = [];
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const b = addr === 0 ? null : readBuffer(t, addr + i * IOVEC_SIZE);
    if (typeof b === 'number') return b;
    buffers.push(b);
    bytes += pinned(b);
  }
  const bad = charge(ring, t, bytes);
  if (bad < 0) return bad;
  ring.buffers = buffers;
  return 0;
}

export function unregisterBuffers(ring: UringFile): number {
  if (ring.buffers === null) return -ENXIO;
  ring.buffers = null;
  ring.lockedBytes = 0;
  return 0;
}

/** __io_sqe_buffers_update(): how many from `offset` on were changed, or −errno if none. */
export function updateBuffers(ring: UringFile, t: Task, offset: number, addr: number, count: number): number {
  const { buffers } = ring;
  if (buffers === null) return -ENXIO;
  if (offset + count > buffers.length) return -EINVAL;
  for (let i = 0; i < count; i++) {
    const b = readBuffer(t, addr + i * IOVEC_SIZE);
    const bad = typeof b === 'number' ? b : charge(ring, t, pinned(b));
    if (bad < 0) return i > 0 ? i : bad;
    ring.lockedBytes -= pinned(buffers[offset + i]!);
    buffers[offset + i] = b as FixedBuffer | null;
  }
  return count;
}
