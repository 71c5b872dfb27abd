/**
 * Provided buffers (io_uring/kbuf.c): groups from which a request takes one when it has something to put there. A group is a list that
 * PROVIDE_BUFFERS fills, or a ring of the guest's own memory, which is copied entry by entry.
 */
import { E2BIG, EEXIST, EFAULT, EINVAL, ENOBUFS, ENOENT, EOVERFLOW, ENOMEM } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { MemoryManager } from '../../sentry/mm/memory-manager.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { isPageAligned, TASK_SIZE } from '../../sentry/lib/addr.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { ownRow } from './op-calls.ts';
import type { Op } from './op.ts';
import { wide, type Request } from './request.ts';
import type { UringFile } from './uring-file.ts';

/** MAX_BIDS_PER_BGID */
const BUFFERS_MAX = 65536;
const GROUPS_MAX = 65536;
/** sizeof(struct io_uring_buf): addr, len, bid, resv; the resv of the first is the ring's tail. */
const BUF_SIZE = 16;
const TAIL_AT = 14;

interface ProvidedBuffer {
  readonly addr: number;
  readonly len: number;
  readonly id: number;
}

/** One group: `ring` is where the guest's entries lie, in `mm`; otherwise `list` has the buffers. */
export interface BufferGroup {
  readonly list: ProvidedBuffer[];
  readonly ring: {
    readonly mm: MemoryManager;
    readonly addr: number;
    readonly entries: number;
    head: number;
  } | null;
}

/** Takes a buffer for up to `want` bytes (0: as many as it has): where, or −errno. It is the request's until dropped or used. */
export function selectBuffer(r: Request, t: Task, want: number): { addr: number; len: number } | number {
  const group = r.ring.groups.get(r.bufIndex);
  if (group === undefined) return -ENOBUFS;
  const b = group.ring === null ? (group.list.shift() ?? null) : next(group.ring, t);
  if (b === null) return -ENOBUFS;
  if (typeof b === 'number') return b;
  r.buffer = b;
  return { addr: b.addr, len: want === 0 ? b.len : Math.min(want, b.len) };
}

function next(ring: NonNullable<BufferGroup['ring']>, t: Task): ProvidedBuffer | number | null {
  if (t.mm !== ring.mm) return -EFAULT;
  if (t.mem.copyIn(ring.addr + TAIL_AT, scratch.bytes, 0, 2) !== 0) return -EFAULT;
  if (((scratch.u32[0]! & 0xffff) - ring.head) % 0x10000 === 0) return null;
  const slot = ring.head & (ring.entries - 1);
  if (t.mem.copyIn(ring.addr + slot * BUF_SIZE, scratch.bytes, 0, BUF_SIZE) !== 0) return -EFAULT;
  ring.head = (ring.head + 1) & 0xffff;
  const { u32 } = scratch;
  return { addr: wide(u32, 0), len: u32[2]!, id: u32[3]! & 0xffff };
}

/** io_kbuf_recycle(): nothing was put there, it goes back to the front. */
export function dropBuffer(r: Request): void {
  const { buffer } = r;
  if (buffer === null) return;
  r.buffer = null;
  const group = r.ring.groups.get(r.bufIndex);
  if (group === undefined) return;
  if (group.ring === null) group.list.unshift(buffer);
  else group.ring.head = (group.ring.head - 1) & 0xffff;
}

/** The completion's flags: the buffer is the guest's again. */
export function bufferFlags(r: Request): number {
  const { buffer } = r;
  if (buffer === null) return 0;
  r.buffer = null;
  return U.IORING_CQE_F_BUFFER + buffer.id * 2 ** U.IORING_CQE_BUFFER_SHIFT;
}

function provide(r: Request): number {
  const count = r.fd;
  const group = r.ring.groups.get(r.bufIndex) ?? { list: [], ring: null };
  if (group.ring !== null) return -EINVAL;
  const start = r.sqe[2]!;
  if (group.list.length + count > BUFFERS_MAX || r.ring.groups.size >= GROUPS_MAX) return -ENOMEM;
  r.ring.groups.set(r.bufIndex, group);
  for (let i = 0; i < count; i++)
    group.list.push({ addr: r.addr + i * r.len, len: r.len, id: (start + i) & 0xffff });
  return 0;
}

const provideRow = ownRow('PROVIDE_BUFFERS', (_t, r) => provide(r));

export const PROVIDE_BUFFERS: Op = {
  name: 'PROVIDE_BUFFERS',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  prep(r) {
    if (r.opFlags !== 0 || r.sqe[11] !== 0) return -EINVAL;
    const count = r.fd;
    if (count <= 0 || count > BUFFERS_MAX) return -E2BIG;
    if (r.len === 0) return -EINVAL;
    const size = count * r.len;
    if (r.addr + size > TASK_SIZE) return size > 0xffffffff ? -EOVERFLOW : -EFAULT;
    const start = wide(r.sqe, 2);
    if (start > 0xffff) return -E2BIG;
    return start + count > BUFFERS_MAX ? -EINVAL : 0;
  },
  begin: () => provideRow,
};

const removeRow = ownRow('REMOVE_BUFFERS', (_t, r) => {
  const group = r.ring.groups.get(r.bufIndex);
  if (group === undefined) return -ENOENT;
  if (group.ring !== null) return -EINVAL;
  return group.list.splice(0, r.fd).length;
});

export const REMOVE_BUFFERS: Op = {
  name: 'REMOVE_BUFFERS',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  prep(r) {
    const isZero = [2, 3, 4, 5, 6, 7, 11].every((i) => r.sqe[i] === 0);
    return !isZero || r.fd <= 0 || r.fd > BUFFERS_MAX ? -EINVAL : 0;
  },
  begin: () => removeRow,
};

/** IORING_REGISTER_PBUF_RING: struct io_uring_buf_reg. */
export function registerBufferRing(ring: UringFile, t: Task, arg: number): number {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 40) !== 0) return -EFAULT;
  const { u32 } = scratch;
  const addr = wide(u32, 0);
  const entries = u32[2]!;
  const id = u32[3]! & 0xffff;
  const flags = u32[3]! >>> 16;
  for (let i = 4; i < 10; i++) if (u32[i] !== 0) return -EINVAL;
  // Rings in memory of the kernel's, and buffers that are used up bit by bit, are not there.
  if (flags !== 0) return -EINVAL;
  if (entries === 0 || (entries & (entries - 1)) !== 0) return -EINVAL;
  if (entries >= BUFFERS_MAX) return -EINVAL;
  const old = ring.groups.get(id);
  if (old !== undefined && (old.ring !== null || old.list.length > 0)) return -EEXIST;
  if (addr === 0 || !isPageAligned(addr)) return addr === 0 ? -EFAULT : -EINVAL;
  if (t.mem.check(addr, entries * BUF_SIZE, true) !== 0) return -EFAULT;
  if (old === undefined && ring.groups.size >= GROUPS_MAX) return -ENOMEM;
  ring.groups.set(id, { list: [], ring: { mm: t.mm, addr, entries, head: 0 } });
  return 0;
}

export function unregisterBufferRing(ring: UringFile, t: Task, arg: number): number {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 40) !== 0) return -EFAULT;
  const { u32 } = scratch;
  for (let i = 4; i < 10; i++) if (u32[i] !== 0) return -EINVAL;
  if (u32[3]! >>> 16 !== 0) return -EINVAL;
  const id = u32[3]! & 0xffff;
  const group = ring.groups.get(id);
  if (group === undefined) return -ENOENT;
  if (group.ring === null) return -EINVAL;
  ring.groups.delete(id);
  return 0;
}

/** IORING_REGISTER_PBUF_STATUS: struct io_uring_buf_status, whose head is told. */
export function bufferRingStatus(ring: UringFile, t: Task, arg: number): number {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 40) !== 0) return -EFAULT;
  const { u32 } = scratch;
  for (let i = 2; i < 10; i++) if (u32[i] !== 0) return -EINVAL;
  const group = ring.groups.get(u32[0]!);
  if (group === undefined) return -ENOENT;
  if (group.ring === null) return -EINVAL;
  u32[1] = group.ring.head;
  return t.mem.copyOut(arg, scratch.bytes, 0, 40);
}
