/**
 * Linux asynchronous I/O: io_setup, io_submit, io_getevents and their kin (fs/aio.c). Transfers are done at submission, as
 * Linux does them for buffered files; only IOCB_CMD_POLL waits.
 */
import { EAGAIN, EBADF, EFAULT, EINPROGRESS, EINTR, EINVAL, ENOMEM, ESPIPE } from '../sentry/abi/errno.ts';
import { PROT_READ, PROT_WRITE } from '../sentry/abi/mman.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { EventFile } from '../sentry/fsimpl/eventfd/eventfd.ts';
import {
  AioContext,
  addAioContext,
  aioRingSize,
  findAioContext,
  IO_EVENT_SIZE,
  putEvent,
  removeAioContext,
  type AioEvent,
  type AioPending,
} from '../sentry/kernel/aio-context.ts';
import {
  hex,
  inStruct,
  long,
  outStruct,
  ptr,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { mayFlags } from '../sentry/mm/host-map.ts';
import { mapVma, munmap } from '../sentry/mm/mmap.ts';
import { RingMemory } from '../sentry/mm/ring-memory.ts';
import { findFree } from '../sentry/mm/unmapped-area.ts';
import { Vma } from '../sentry/mm/vma.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { RWF_HIPRI, type FileDescription } from '../sentry/vfs/file-description.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, WaitEntry } from '../sentry/waiter/wait-queue.ts';
import { fileAt, readVec, RUN_BUDGET } from './io.ts';
import { importRange, SSIZE_LIMIT, UIO_MAXIOV } from './iovec.ts';
import { checkRwFlags, writeFlagged } from './read-write.ts';
import { deadlineIn, useSigMask } from './wait-args.ts';

const IOCB_SIZE = 64;
const IOCB_FLAG_RESFD = 1;
const PREAD = 0;
const PWRITE = 1;
const FSYNC = 2;
const FDSYNC = 3;
const POLL = 5;
const PREADV = 7;
const PWRITEV = 8;
/** Requests of one context: 0x10000000 / sizeof(struct io_event) in Linux, before aio-max-nr. */
const EVENTS_LIMIT = 0x10000000 / IO_EVENT_SIZE;
/** One request moves at most so much; the rest is a short transfer. */
const REQUEST_MAX = 16 * 1024 * 1024;

function sysIoSetup(t: Task, a: SyscallArgs): SysResult {
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 8) !== 0) return -EFAULT;
  const nr = a.uint(0);
  if (scratch.u32[0] !== 0 || scratch.u32[1] !== 0 || nr === 0) return -EINVAL;
  // ioctx_alloc() wants room for twice as many, of which 32 bits count.
  if (Math.imul(nr, 2) >>> 0 > EVENTS_LIMIT) return -EINVAL;
  const { aio } = t.kernel;
  if (nr > aio.max || aio.used + nr > aio.max) return -EAGAIN;
  const size = aioRingSize(nr);
  if (!t.mm.mayExpand(size, false, t.group.limits)) return -ENOMEM;
  const at = findFree(t.mm, 0, size, PAGE_SIZE);
  if (at < 0) return -ENOMEM;
  const ring = RingMemory.create(size, '/[aio] (deleted)');
  if (typeof ring === 'number') return ring;
  const prot = PROT_READ | PROT_WRITE;
  ring.shared.ref();
  mapVma(
    t.mm,
    t.ctx,
    new Vma(at, at + size, prot, mayFlags(true, true, true), ring.shared, 0),
    t.memoryChange,
  );
  const ctx = new AioContext(nr, ring);
  addAioContext(t.kernel, t.mm, ctx);
  if (t.mem.writeU64(a.addr(1), at) === 0) return 0;
  destroy(t, ctx, at);
  return -EFAULT;
}

function destroy(t: Task, ctx: AioContext, at: number): void {
  removeAioContext(t.kernel, t.mm, ctx);
  munmap(t.mm, t.ctx, at, ctx.ringSize);
}

function sysIoDestroy(t: Task, a: SyscallArgs): SysResult {
  const ctx = findAioContext(t.mm, a.addr(0));
  if (ctx === null) return -EINVAL;
  destroy(t, ctx, a.addr(0));
  return 0;
}

/** struct iocb, copied. */
interface Request {
  readonly addr: number;
  readonly dataLo: number;
  readonly dataHi: number;
  /** RWF_* */
  readonly rwf: number;
  readonly opcode: number;
  readonly fd: number;
  readonly buf: number;
  readonly bytes: number;
  readonly offset: number;
  readonly resfd: number;
}

function readRequest(t: Task, addr: number): Request | number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, IOCB_SIZE) !== 0) return -EFAULT;
  const { u32, i32, view } = scratch;
  const u64 = (word: number): number => u32[word + 1]! * 0x100000000 + u32[word]!;
  // aio_reserved2
  if (u64(12) !== 0 || u64(8) >= SSIZE_LIMIT) return -EINVAL;
  return {
    addr,
    dataLo: u32[0]!,
    dataHi: u32[1]!,
    rwf: u32[3]!,
    opcode: view.getUint16(16, true),
    fd: i32[5]!,
    buf: u64(6),
    bytes: u64(8),
    offset: i32[11]! * 0x100000000 + u32[10]!,
    resfd: (u32[14]! & IOCB_FLAG_RESFD) !== 0 ? i32[15]! : -1,
  };
}

/** One range, in slices that a run of the loops in io.ts does not park in. Bytes moved or −errno. */
function transfer(
  t: Task,
  f: FileDescription,
  write: boolean,
  rwf: number,
  addr: number,
  len: number,
  pos: number,
): number {
  let done = 0;
  do {
    const n = Math.min(len - done, RUN_BUDGET);
    let r = importRange(addr + done, n);
    const at = f.seekable ? pos + done : -1;
    if (r === 0) r = write ? writeFlagged(t, f, at, rwf, true, null) : readVec(t, f, at, true, null);
    if (r < 0) return done > 0 ? done : r;
    done += r;
    if (r < n) break;
  } while (done < len);
  return done;
}

/** The ranges of a vectored request: base, length, base, … */
function readRanges(t: Task, r: Request): number[] | number {
  if (r.opcode === PREAD || r.opcode === PWRITE) return [r.buf, r.bytes];
  if (r.bytes > UIO_MAXIOV) return -EINVAL;
  if (t.mem.copyIn(r.buf, scratch.bytes, 0, r.bytes * 16) !== 0) return -EFAULT;
  const ranges: number[] = [];
  for (let i = 0; i < r.bytes * 2; i++)
    ranges.push(scratch.u32[2 * i + 1]! * 0x100000000 + scratch.u32[2 * i]!);
  return ranges.some((v, i) => i % 2 === 1 && v >= SSIZE_LIMIT) ? -EINVAL : ranges;
}

/** The outcome for the event, or −errno of io_submit itself in `refused`. */
function readOrWrite(t: Task, f: FileDescription, r: Request): { refused: number; result: number } {
  const write = r.opcode === PWRITE || r.opcode === PWRITEV;
  const hasIterator = f.rwFlags(write) !== RWF_HIPRI;
  const bad = hasIterator ? checkRwFlags(f, r.rwf, write) : 0;
  if (bad < 0) return { refused: bad, result: 0 };
  if (write ? !f.writable : !f.readable) return { refused: -EBADF, result: 0 };
  if (!hasIterator || !(write ? f.canWrite : f.canRead)) return { refused: -EINVAL, result: 0 };
  // Requests of a call would have to wait one by one for the program that serves the file.
  if (f.inode.sb.served) return { refused: -EINVAL, result: 0 };
  const ranges = readRanges(t, r);
  if (typeof ranges === 'number') return { refused: ranges, result: 0 };
  if (r.offset < 0) return { refused: -EINVAL, result: 0 };
  if (r.offset !== 0 && f instanceof Socket) return { refused: 0, result: -ESPIPE };
  let done = 0;
  for (let i = 0; i < ranges.length && done < REQUEST_MAX; i += 2) {
    const want = Math.min(ranges[i + 1]!, REQUEST_MAX - done);
    const n = transfer(t, f, write, r.rwf, ranges[i]!, want, r.offset + done);
    if (n < 0) return { refused: 0, result: done > 0 ? done : n };
    done += n;
    if (n < want) break;
  }
  moved += done;
  return { refused: 0, result: done };
}

/** Bytes moved in this run of io_submit. */
let moved = 0;

function finish(ctx: AioContext, r: Request, eventFile: EventFile | null, result: number): void {
  const event: AioEvent = { dataLo: r.dataLo, dataHi: r.dataHi, iocb: r.addr, result };
  ctx.complete(event);
  if (eventFile !== null) {
    eventFile.add(1);
    eventFile.unref();
  }
}

/** The events that IOCB_CMD_POLL waits for. */
const pollMask = (r: Request): number => (r.buf % 0x10000) | EPOLLERR | EPOLLHUP;

/** IOCB_CMD_POLL: one event, when the file is ready; what cannot be polled is at once, or never. */
function submitPoll(ctx: AioContext, f: FileDescription, r: Request, eventFile: EventFile | null): void {
  const wanted = pollMask(r);
  const ready = f.poll() & wanted;
  if (ready !== 0) {
    finish(ctx, r, eventFile, ready);
    return;
  }
  const end = (result: number): void => {
    entry.remove();
    ctx.pending.delete(pending);
    f.unref();
    finish(ctx, r, eventFile, result);
  };
  const entry = new WaitEntry(() => {
    const now = f.poll() & wanted;
    if (now !== 0) end(now);
  });
  const pending: AioPending = { iocb: r.addr, cancel: () => end(0) };
  ctx.pending.add(pending);
  f.ref().waiters.add(entry, wanted);
}

/** io_submit_one(): 0 or −errno. */
function submitOne(t: Task, ctx: AioContext, addr: number): number {
  const r = readRequest(t, addr);
  if (typeof r === 'number') return r;
  if (ctx.full) return -EAGAIN;
  const f = fileAt(t, r.fd);
  if (f === null) return -EBADF;
  let eventFile: EventFile | null = null;
  if (r.resfd >= 0 || r.resfd < -1) {
    const e = t.fdTable.get(r.resfd);
    if (e === null) return -EBADF;
    if (!(e instanceof EventFile)) return -EINVAL;
    eventFile = e;
  }
  // aio_key: KIOCB_KEY
  if (t.mem.writeU32(addr + 8, 0) !== 0) return -EFAULT;
  switch (r.opcode) {
    case PREAD:
    case PWRITE:
    case PREADV:
    case PWRITEV: {
      const { refused, result } = readOrWrite(t, f, r);
      if (refused < 0) return refused;
      finish(ctx, r, eventFile?.ref() ?? null, result);
      return 0;
    }
    case FSYNC:
    case FDSYNC: {
      if (r.buf !== 0 || r.offset !== 0 || r.bytes !== 0 || r.rwf !== 0) return -EINVAL;
      const result = f.fsync(r.opcode === FDSYNC);
      // No fsync() of such a file.
      if (result === -EINVAL) return result;
      finish(ctx, r, eventFile?.ref() ?? null, result);
      return 0;
    }
    case POLL:
      if (r.buf > 0xffff || r.offset !== 0 || r.bytes !== 0 || r.rwf !== 0) return -EINVAL;
      if (!f.pollable && (f.poll() & pollMask(r)) === 0) return -EINVAL;
      submitPoll(ctx, f, r, eventFile?.ref() ?? null);
      return 0;
    default:
      return -EINVAL;
  }
}

/** io_submit between two requests, while others have their turn. */
class SubmitWait {
  done: number;

  constructor(done: number) {
    this.done = done;
  }
}

function sysIoSubmit(t: Task, a: SyscallArgs): SysResult {
  const nr = a.long(1);
  const start = t.blockState === null ? 0 : (t.blockState as SubmitWait).done;
  if (nr < 0) return -EINVAL;
  const ctx = findAioContext(t.mm, a.addr(0));
  if (ctx === null) return start > 0 ? start : -EINVAL;
  const count = Math.min(nr, ctx.slots);
  moved = 0;
  for (let i = start; i < count; i++) {
    if (moved >= RUN_BUDGET) {
      return t.yieldCall(new SubmitWait(i), i);
    }
    if (t.mem.copyIn(a.addr(2) + i * 8, scratch.bytes, 0, 8) !== 0) return i > 0 ? i : -EFAULT;
    const r = submitOne(t, ctx, scratch.u32[1]! * 0x100000000 + scratch.u32[0]!);
    if (r < 0) return i > 0 ? i : r;
  }
  return count;
}

/** io_getevents while parked: the events delivered so far. */
class EventsWait {
  readonly ctx: AioContext;
  readonly deadlineNs: number;
  done = 0;

  constructor(ctx: AioContext, deadlineNs: number) {
    this.ctx = ctx;
    this.deadlineNs = deadlineNs;
  }
}

/** Moves events to the guest's array: how many, or −EFAULT if none. */
function takeEvents(t: Task, ctx: AioContext, addr: number, max: number): number {
  let n = 0;
  ctx.noteTaken();
  for (; n < max; n++) {
    const e = ctx.event(n);
    if (e === null) break;
    putEvent(scratch.u32, e);
    if (t.mem.copyOut(addr + n * IO_EVENT_SIZE, scratch.bytes, 0, IO_EVENT_SIZE) === 0) continue;
    if (n === 0) return -EFAULT;
    break;
  }
  ctx.take(n);
  return n;
}

/** ns of the struct timespec at `addr`, which nobody checks here; −EFAULT. */
function readTimeout(t: Task, addr: number): number {
  if (addr === 0) return Infinity;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const { u32, i32 } = scratch;
  const ns = (i32[1]! * 0x100000000 + u32[0]!) * 1e9 + i32[3]! * 0x100000000 + u32[2]!;
  // A time before now overflows (ktime_add_safe).
  return ns < 0 ? Infinity : ns;
}

function getEvents(t: Task, a: SyscallArgs): SysResult {
  const min = a.long(1);
  const nr = a.long(2);
  let w = t.blockState as EventsWait | null;
  if (w === null) {
    const ns = readTimeout(t, a.addr(4));
    if (ns < 0) return ns;
    const ctx = findAioContext(t.mm, a.addr(0));
    if (ctx === null || min > nr || min < 0) return -EINVAL;
    w = new EventsWait(ctx, deadlineIn(t, ns));
  }
  const n = takeEvents(t, w.ctx, a.addr(3) + w.done * IO_EVENT_SIZE, nr - w.done);
  if (n < 0) return w.done > 0 ? w.done : n;
  w.done += n;
  if (w.done >= min || t.timedOut || w.ctx.dead) return w.ctx.dead && w.done === 0 ? -EINVAL : w.done;
  if (w.deadlineNs <= t.kernel.clock.monotonicNs()) return w.done;
  const { done } = w;
  t.blockState = w;
  t.waitOn(w.ctx.waiters, EPOLLIN);
  return t.block(w.deadlineNs, () => (done > 0 ? done : -EINTR));
}

/** io_pgetevents(2): the sixth argument points to { const sigset_t *mask; size_t size }. */
function sysIoPgetevents(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState === null && a.addr(4) !== 0 && t.mem.check(a.addr(4), 16, false) !== 0) return -EFAULT;
  if (t.blockState === null && a.addr(5) !== 0) {
    if (t.mem.copyIn(a.addr(5), scratch.bytes, 0, 16) !== 0) return -EFAULT;
    const { u32 } = scratch;
    const mask = u32[1]! * 0x100000000 + u32[0]!;
    const r = useSigMask(t, mask, u32[3]! * 0x100000000 + u32[2]!);
    if (r < 0) return r;
  }
  return getEvents(t, a);
}

/** io_cancel(2): what is cancelled still gives its event. */
function sysIoCancel(t: Task, a: SyscallArgs): SysResult {
  if (t.mem.readU32(a.addr(1) + 8) !== 0) return -EFAULT;
  if (scratch.u32[0] !== 0) return -EINVAL;
  const ctx = findAioContext(t.mm, a.addr(0));
  if (ctx === null) return -EINVAL;
  for (const p of ctx.pending) {
    if (p.iocb !== a.addr(1)) continue;
    p.cancel();
    return -EINPROGRESS;
  }
  return -EINVAL;
}

const timespec = inStruct(16, 'timespec');

export const aioRows: readonly SyscallRow[] = [
  { nr: 206, name: 'io_setup', fn: sysIoSetup, args: [uint, outStruct(8, 'aio_context_t')], support: 'full' },
  { nr: 207, name: 'io_destroy', fn: sysIoDestroy, args: [hex], support: 'full' },
  { nr: 208, name: 'io_getevents', fn: getEvents, args: [hex, long, long, ptr, timespec], support: 'full' },
  {
    nr: 209,
    name: 'io_submit',
    fn: sysIoSubmit,
    args: [hex, long, ptr],
    support: 'partial',
    note: 'transfers are done at submission, in one request at most 16 MiB; priorities have no effect; files of FUSE are refused (EINVAL)',
  },
  { nr: 210, name: 'io_cancel', fn: sysIoCancel, args: [hex, ptr, ptr], support: 'full' },
  {
    nr: 333,
    name: 'io_pgetevents',
    fn: sysIoPgetevents,
    args: [hex, long, long, ptr, timespec, ptr],
    support: 'full',
  },
];
