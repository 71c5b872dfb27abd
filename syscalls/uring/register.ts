/** io_uring_register(2) (io_uring/register.c). */
import {
  EACCES,
  EBADF,
  EBADFD,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENXIO,
  EOVERFLOW,
} from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SyscallArgs } from '../../sentry/arch/syscall-args.ts';
import { EventFile } from '../../sentry/fsimpl/eventfd/eventfd.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { bufferRingStatus, registerBufferRing, unregisterBufferRing } from './buffers.ts';
import { ringOf } from './enter.ts';
import { registerBuffers, unregisterBuffers, updateBuffers } from './fixed-buffers.ts';
import { registerFiles, unregisterFiles, updateFiles } from './fixed-files.ts';
import { CANCEL_FLAGS, cancelRequests } from './op-cancel.ts';
import { opOf } from './ops.ts';
import { registerRings, unregisterRings } from './registered-rings.ts';
import { wide } from './request.ts';
import type { Restrictions, UringFile } from './uring-file.ts';

const REGISTER_LAST = 37;
const RSRC_SIZE = 32;
const IORING_RSRC_REGISTER_SPARSE = 1;
const PERSONALITIES_MAX = 0xffff;
const PROBE_MAX = 256;
const RESTRICTIONS_MAX = 64;

type Register = (ring: UringFile, t: Task, arg: number, nr: number) => number;

/** Without arguments, with one, or with some. */
const none =
  (fn: Register): Register =>
  (ring, t, arg, nr) =>
    arg !== 0 || nr !== 0 ? -EINVAL : fn(ring, t, arg, nr);
const one =
  (fn: Register): Register =>
  (ring, t, arg, nr) =>
    arg === 0 || nr !== 1 ? -EINVAL : fn(ring, t, arg, nr);
const some =
  (fn: Register): Register =>
  (ring, t, arg, nr) =>
    arg === 0 ? -EFAULT : fn(ring, t, arg, nr);

/** struct io_uring_rsrc_register: the number, holes only, the array. Tags are not told of: they have to be 0. */
function registerResources(to: Register): Register {
  return (ring, t, arg, size) => {
    if (size !== RSRC_SIZE) return -EINVAL;
    if (t.mem.copyIn(arg, scratch.bytes, 0, RSRC_SIZE) !== 0) return -EFAULT;
    const { u32 } = scratch;
    const nr = u32[0]!;
    const flags = u32[1]!;
    const data = wide(u32, 4);
    const tags = wide(u32, 6);
    if (nr === 0 || wide(u32, 2) !== 0 || (flags & ~IORING_RSRC_REGISTER_SPARSE) !== 0) return -EINVAL;
    const isSparse = (flags & IORING_RSRC_REGISTER_SPARSE) !== 0;
    if (isSparse && data !== 0) return -EINVAL;
    if (tags !== 0) return -EINVAL;
    return to(ring, t, isSparse ? 0 : data, nr);
  };
}

type Update = (ring: UringFile, t: Task, offset: number, addr: number, count: number) => number;

/** struct io_uring_rsrc_update: where, and the array. */
const update =
  (to: Update): Register =>
  (ring, t, arg, nr) => {
    if (nr === 0) return -EINVAL;
    if (t.mem.copyIn(arg, scratch.bytes, 0, 16) !== 0) return -EFAULT;
    const { u32 } = scratch;
    if (u32[1] !== 0) return -EINVAL;
    if (u32[0]! + nr > 0xffffffff) return -EOVERFLOW;
    return to(ring, t, u32[0]!, wide(u32, 2), nr);
  };

/** struct io_uring_rsrc_update2 */
const update2 =
  (to: Update): Register =>
  (ring, t, arg, size) => {
    if (size !== RSRC_SIZE) return -EINVAL;
    if (t.mem.copyIn(arg, scratch.bytes, 0, RSRC_SIZE) !== 0) return -EFAULT;
    const { u32 } = scratch;
    const nr = u32[6]!;
    if (nr === 0 || u32[1] !== 0 || u32[7] !== 0 || wide(u32, 4) !== 0) return -EINVAL;
    return to(ring, t, u32[0]!, wide(u32, 2), nr);
  };

function registerEventfd(isAsync: boolean): Register {
  return (ring, t, arg) => {
    if (ring.eventFile !== null) return -EBUSY;
    if (t.mem.copyIn(arg, scratch.bytes, 0, 4) !== 0) return -EFAULT;
    const f = t.fdTable.get(scratch.i32[0]!);
    if (!(f instanceof EventFile)) return f === null ? -EBADF : -EINVAL;
    ring.eventFile = f.ref();
    ring.isEventAsync = isAsync;
    return 0;
  };
}

function unregisterEventfd(ring: UringFile): number {
  const { eventFile } = ring;
  if (eventFile === null) return -ENXIO;
  ring.eventFile = null;
  eventFile.unref();
  return 0;
}

/** struct io_uring_probe: what there is. */
function probe(_ring: UringFile, t: Task, arg: number, nr: number): number {
  if (nr > PROBE_MAX) return -EINVAL;
  const size = 16 + 8 * nr;
  if (t.mem.copyIn(arg, scratch.bytes, 0, size) !== 0) return -EFAULT;
  const { bytes, u32 } = scratch;
  for (let i = 0; i < size / 4; i++) if (u32[i] !== 0) return -EINVAL;
  const count = Math.min(nr, U.IORING_OP_LAST);
  bytes[0] = U.IORING_OP_LAST - 1;
  bytes[1] = count;
  for (let i = 0; i < count; i++) {
    bytes[16 + 8 * i] = i;
    // IO_URING_OP_SUPPORTED
    bytes[16 + 8 * i + 2] = opOf(i) === null ? 0 : 1;
  }
  return t.mem.copyOut(arg, bytes, 0, size);
}

function registerPersonality(ring: UringFile, t: Task): number {
  const { personalities } = ring;
  if (personalities.size >= PERSONALITIES_MAX) return -EBUSY;
  do ring.lastPersonality = (ring.lastPersonality % PERSONALITIES_MAX) + 1;
  while (personalities.has(ring.lastPersonality));
  personalities.set(ring.lastPersonality, t.creds);
  return ring.lastPersonality;
}

const REGISTER_OP = 0;
const SQE_OP = 1;
const SQE_FLAGS_ALLOWED = 2;
const SQE_FLAGS_REQUIRED = 3;

/** struct io_uring_restriction[]; they hold from when the ring is enabled. */
function registerRestrictions(ring: UringFile, t: Task, arg: number, nr: number): number {
  if (!ring.disabled) return -EBADFD;
  if (ring.restrictions !== null) return -EBUSY;
  if (arg === 0 || nr > RESTRICTIONS_MAX) return -EINVAL;
  const size = 16 * nr;
  if (t.mem.copyIn(arg, scratch.bytes, 0, size) !== 0) return -EFAULT;
  const made: Restrictions = {
    registerOps: new Set(),
    sqeOps: new Set(),
    flagsAllowed: 0,
    flagsRequired: 0,
  };
  for (let i = 0; i < nr; i++) {
    const value = scratch.bytes[16 * i + 2]!;
    switch (scratch.u32[4 * i]! & 0xffff) {
      case REGISTER_OP:
        if (value >= REGISTER_LAST) return -EINVAL;
        made.registerOps.add(value);
        break;
      case SQE_OP:
        if (value >= U.IORING_OP_LAST) return -EINVAL;
        made.sqeOps.add(value);
        break;
      case SQE_FLAGS_ALLOWED:
        made.flagsAllowed = value;
        break;
      case SQE_FLAGS_REQUIRED:
        made.flagsRequired = value;
        break;
      default:
        return -EINVAL;
    }
  }
  ring.restrictions = made;
  return 0;
}

function enableRings(ring: UringFile, t: Task): number {
  if (!ring.disabled) return -EBADFD;
  ring.disabled = false;
  if ((ring.setup & U.IORING_SETUP_SINGLE_ISSUER) !== 0) ring.submitter = t;
  return 0;
}

/** Workers are no threads: the numbers are only remembered. */
function maxWorkers(ring: UringFile, t: Task, arg: number, nr: number): number {
  if (arg === 0 || nr !== 2) return -EINVAL;
  if (t.mem.copyIn(arg, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  const wanted = [scratch.u32[0]!, scratch.u32[1]!];
  if (wanted.some((n) => n > 0x7fffffff)) return -EINVAL;
  wanted.forEach((n, i) => {
    scratch.u32[i] = ring.maxWorkers[i]!;
    if (n !== 0) ring.maxWorkers[i] = n;
  });
  return t.mem.copyOut(arg, scratch.bytes, 0, 8);
}

/** struct io_uring_sync_cancel_reg: addr, fd, flags, timeout, opcode. */
function cancelNow(ring: UringFile, t: Task, arg: number): number {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 64) !== 0) return -EFAULT;
  const { u32, i32 } = scratch;
  const flags = u32[3]!;
  for (let i = 10; i < 16; i++) if (u32[i] !== 0) return -EINVAL;
  if (u32[9] !== 0 || u32[8]! >>> 8 !== 0 || (flags & ~CANCEL_FLAGS) !== 0) return -EINVAL;
  const byFile = (flags & U.IORING_ASYNC_CANCEL_FD) !== 0;
  const isFixed = (flags & U.IORING_ASYNC_CANCEL_FD_FIXED) !== 0;
  const fd = i32[2]!;
  const file = !byFile ? null : isFixed ? (ring.files?.[fd] ?? null) : t.fdTable.get(fd);
  if (byFile && file === null) return -EBADF;
  const r = cancelRequests(ring, { flags, lo: u32[0]!, hi: u32[1]!, opcode: u32[8]! & 0xff, file }, null);
  ring.settle();
  return Math.min(r, 0);
}

/** struct io_uring_file_index_range */
function fileAllocRange(ring: UringFile, t: Task, arg: number): number {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const [off, len, r0, r1] = scratch.u32 as unknown as number[];
  if (off! + len! > 0xffffffff) return -EOVERFLOW;
  if (r0 !== 0 || r1 !== 0 || off! + len! > (ring.files?.length ?? 0)) return -EINVAL;
  ring.allocRange = [off!, off! + len!];
  return 0;
}

const OPS = new Map<number, Register>([
  [U.IORING_REGISTER_BUFFERS, some(registerBuffers)],
  [U.IORING_UNREGISTER_BUFFERS, none(unregisterBuffers)],
  [U.IORING_REGISTER_FILES, some(registerFiles)],
  [U.IORING_UNREGISTER_FILES, none(unregisterFiles)],
  [U.IORING_REGISTER_EVENTFD, one(registerEventfd(false))],
  [U.IORING_UNREGISTER_EVENTFD, none(unregisterEventfd)],
  [U.IORING_REGISTER_FILES_UPDATE, update(updateFiles)],
  [U.IORING_REGISTER_EVENTFD_ASYNC, one(registerEventfd(true))],
  [U.IORING_REGISTER_PROBE, (ring, t, arg, nr) => (arg === 0 ? -EINVAL : probe(ring, t, arg, nr))],
  [U.IORING_REGISTER_PERSONALITY, none(registerPersonality)],
  [
    U.IORING_UNREGISTER_PERSONALITY,
    (ring, _t, arg, nr) => (arg !== 0 || !ring.personalities.delete(nr) ? -EINVAL : 0),
  ],
  [U.IORING_REGISTER_RESTRICTIONS, registerRestrictions],
  [U.IORING_REGISTER_ENABLE_RINGS, none(enableRings)],
  [U.IORING_REGISTER_FILES2, registerResources(registerFiles)],
  [U.IORING_REGISTER_FILES_UPDATE2, update2(updateFiles)],
  [U.IORING_REGISTER_BUFFERS2, registerResources(registerBuffers)],
  [U.IORING_REGISTER_BUFFERS_UPDATE, update2(updateBuffers)],
  [U.IORING_REGISTER_IOWQ_MAX_WORKERS, maxWorkers],
  [U.IORING_REGISTER_RING_FDS, (_ring, t, arg, nr) => registerRings(t, arg, nr)],
  [U.IORING_UNREGISTER_RING_FDS, (_ring, t, arg, nr) => unregisterRings(t, arg, nr)],
  [U.IORING_REGISTER_PBUF_RING, one(registerBufferRing)],
  [U.IORING_UNREGISTER_PBUF_RING, one(unregisterBufferRing)],
  [U.IORING_REGISTER_SYNC_CANCEL, one(cancelNow)],
  [
    U.IORING_REGISTER_FILE_ALLOC_RANGE,
    (ring, t, arg, nr) => (arg === 0 || nr !== 0 ? -EINVAL : fileAllocRange(ring, t, arg)),
  ],
  [U.IORING_REGISTER_PBUF_STATUS, one(bufferRingStatus)],
]);

export function sysIoUringRegister(t: Task, a: SyscallArgs): SysResult {
  const word = a.uint(1);
  const isRegistered = (word & U.IORING_REGISTER_USE_REGISTERED_RING) !== 0;
  const op = (word & ~U.IORING_REGISTER_USE_REGISTERED_RING) >>> 0;
  if (op >= REGISTER_LAST) return -EINVAL;
  const ring = ringOf(t, a.int(0), isRegistered);
  if (typeof ring === 'number') return ring;
  if (ring.submitter !== null && ring.submitter !== t) return -EEXIST;
  if (ring.restrictions !== null && !ring.disabled && !ring.restrictions.registerOps.has(op)) return -EACCES;
  const fn = OPS.get(op);
  return fn === undefined ? -EINVAL : fn(ring, t, a.addr(2), a.uint(3));
}
