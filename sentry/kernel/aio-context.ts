/**
 * Contexts of asynchronous I/O (fs/aio.c struct kioctx): finished requests wait here until io_getevents(2) takes them. A
 * context belongs to an address space and is named by the address of a ring in it, wherever that is moved, from which programs may
 * take events by themselves (QEMU does): they move its head, the kernel its tail.
 */
import { HostBuffer } from '../host/memory.ffi.ts';
import { pageUp } from '../lib/addr.ts';
import type { Backing } from '../mm/backing.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import { RingMemory } from '../mm/ring-memory.ts';
import { WaitQueue } from '../waiter/wait-queue.ts';
import type { Kernel } from './kernel.ts';

/** struct io_event: words of data, the address of the iocb, the result. */
export interface AioEvent {
  readonly dataLo: number;
  readonly dataHi: number;
  readonly iocb: number;
  readonly result: number;
}

/** A request that has not finished: IOCB_CMD_POLL. */
export interface AioPending {
  readonly iocb: number;
  /** Ends it early, with result 0. */
  cancel(): void;
}

export const IO_EVENT_SIZE = 32;
/** struct aio_ring: id, nr, head, tail, magic, compat_features, incompat_features, header_length; then the events. */
const RING_HEADER = 32;
const RING_HEAD = 8;
const RING_TAIL = 12;
const RING_MAGIC = 0xa10a10a1;

/** struct io_event */
export function putEvent(u32: Uint32Array, e: AioEvent): void {
  u32[0] = e.dataLo;
  u32[1] = e.dataHi;
  u32[2] = e.iocb >>> 0;
  u32[3] = Math.floor(e.iocb / 0x100000000);
  u32[4] = e.result >>> 0;
  u32[5] = e.result < 0 ? 0xffffffff : Math.floor(e.result / 0x100000000);
  u32[6] = 0;
  u32[7] = 0;
}

const buffer = new HostBuffer(RING_HEADER);

/** Bytes of the ring for so many requests; Linux has twice as many events, too (ioctx_alloc()). */
export const aioRingSize = (slots: number): number => pageUp(RING_HEADER + (2 * slots + 2) * IO_EVENT_SIZE);

export class AioContext {
  /** Requests it was made for; counted in Kernel.aio.used. */
  readonly slots: number;
  /** What is between the ring's head and tail. */
  private readonly events: AioEvent[] = [];
  readonly pending = new Set<AioPending>();
  readonly waiters = new WaitQueue();
  dead = false;
  readonly ring: RingMemory;
  readonly ringSize: number;
  /** Events that the ring has room for, its first one and the next one, as the kernel sees it. */
  private readonly room: number;
  private head = 0;
  private tail = 0;

  constructor(slots: number, ring: RingMemory) {
    this.slots = slots;
    this.ring = ring;
    this.ringSize = ring.shared.size;
    this.room = Math.floor((this.ringSize - RING_HEADER) / IO_EVENT_SIZE);
    buffer.u32.set([0, this.room, 0, 0, RING_MAGIC, 1, 0, RING_HEADER]);
    ring.write(0, buffer, 0, RING_HEADER);
  }

  get full(): boolean {
    if (this.events.length + this.pending.size < this.slots) return false;
    this.noteTaken();
    return this.events.length + this.pending.size >= this.slots;
  }

  /** The program may have taken events by moving the head; a head beyond the tail says nothing. */
  noteTaken(): void {
    if (this.dead) return;
    const head = this.ring.readU32(RING_HEAD) % this.room;
    const taken = (head - this.head + this.room) % this.room;
    if (taken > this.events.length) return;
    this.events.splice(0, taken);
    this.head = head;
  }

  complete(event: AioEvent): void {
    this.events.push(event);
    putEvent(buffer.u32, event);
    this.ring.write(RING_HEADER + this.tail * IO_EVENT_SIZE, buffer, 0, IO_EVENT_SIZE);
    this.tail = (this.tail + 1) % this.room;
    this.ring.writeU32(RING_TAIL, this.tail);
    this.waiters.wake(1);
  }

  event(index: number): AioEvent | null {
    return this.events[index] ?? null;
  }

  /** `n` events have gone where they belong. */
  take(n: number): void {
    if (n === 0 || this.dead) return;
    this.events.splice(0, n);
    this.head = (this.head + n) % this.room;
    this.ring.writeU32(RING_HEAD, this.head);
  }

  release(): void {
    this.ring.release();
  }
}

const contexts = new WeakMap<MemoryManager, Map<Backing, AioContext>>();

/** lookup_ioctx(): the context whose ring begins at `id`. */
export function findAioContext(mm: MemoryManager, id: number): AioContext | null {
  const own = contexts.get(mm);
  if (own === undefined) return null;
  const v = mm.table.find(id);
  return v !== null && v.start === id && v.backing !== null ? (own.get(v.backing) ?? null) : null;
}

export function addAioContext(k: Kernel, mm: MemoryManager, ctx: AioContext): void {
  let all = contexts.get(mm);
  if (all === undefined) {
    all = new Map();
    contexts.set(mm, all);
    mm.releaseHooks.push(() => {
      for (const c of [...all!.values()]) removeAioContext(k, mm, c);
    });
  }
  all.set(ctx.ring.shared, ctx);
  k.aio.used += ctx.slots;
}

/** kill_ioctx(): what waits for events is told that the context is gone. */
export function removeAioContext(k: Kernel, mm: MemoryManager, ctx: AioContext): void {
  if (ctx.dead) return;
  ctx.dead = true;
  k.aio.used -= ctx.slots;
  for (const p of [...ctx.pending]) p.cancel();
  contexts.get(mm)?.delete(ctx.ring.shared);
  ctx.release();
  ctx.waiters.wake(1);
}
