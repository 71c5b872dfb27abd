/**
 * A guest address space under systrap: one host process, and one memfd that holds the slots of its threads. The memfd is
 * made for this space and never used for another.
 */
import { EAGAIN, EFAULT, ESRCH } from '../../sentry/abi/errno.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { AddressSpace } from '../../sentry/platform/platform.ts';
import { killProcess, residentPages, vmRead, vmWrite } from '../ffi/process.ffi.ts';
import {
  AREA_EPOCH,
  AREA_KEYS,
  AREA_OWN_FUTEXES,
  CHUNK_PENDING,
  CHUNK_WAITING,
  CHUNKS_PER_AREA,
  SLOT_MASK,
  SLOT_RSEQ,
  SLOT_SIZE,
  SLOT_STATE,
  SLOTS_PER_CHUNK,
  STATE_FREE,
  STATE_TRAPPED,
} from '../stub-layout.ts';
import type { SystrapContext } from './context.ts';
import { IdleThreads } from './idle-threads.ts';
import type { SystrapPlatform } from './systrap.ts';
import { GONE, IDLE, RUNNING, type ThreadSlot } from './thread-slot.ts';

/** A mapped piece of a slot area: its slots and their pending word. */
export class Chunk {
  readonly space: SystrapSpace;
  readonly base: number;
  readonly pending: number;
  readonly contexts: (SystrapContext | null)[] = new Array<SystrapContext | null>(SLOTS_PER_CHUNK).fill(null);
  private readonly busy: Chunk[];
  private busyIndex = -1;

  constructor(space: SystrapSpace, base: number, busy: Chunk[]) {
    this.space = space;
    this.base = base;
    this.pending = base + CHUNK_PENDING / 4;
    this.busy = busy;
  }

  /** Threads that run guest code or obey orders. */
  running = 0;

  /** One more thread runs. */
  started(ctx: ThreadSlot): void {
    this.running++;
    this.space.platform.placement.started(ctx);
    if (this.busyIndex < 0) this.setBusy(true);
  }

  stopped(ctx: ThreadSlot): void {
    this.running--;
    const bit = 1 << (ctx.index % SLOTS_PER_CHUNK);
    if ((this.waiters & bit) !== 0) this.waiters &= ~bit;
    else this.space.platform.placement.stopped(ctx);
  }

  /** Bit n: the running thread of slot n is known to wait on the host. */
  private waiters = 0;

  /** Takes note of running threads that wait on the host, by their own account: they need no CPU meanwhile. */
  noteWaiters(): void {
    const { placement, memory } = this.space.platform;
    let changed = memory.load(this.base + CHUNK_WAITING / 4) ^ this.waiters;
    while (changed !== 0) {
      const slot = 31 - Math.clz32(changed & -changed);
      changed &= changed - 1;
      const ctx = this.contexts[slot]!;
      if (ctx === null || ctx.phase !== RUNNING) continue;
      this.waiters ^= 1 << slot;
      if ((this.waiters & (1 << slot)) === 0) {
        placement.started(ctx);
      } else {
        placement.stopped(ctx);
        placement.blocked(ctx);
      }
    }
  }

  /** True if the thread of `ctx` waits on the host, by its own account. */
  waits(ctx: ThreadSlot): boolean {
    const { memory } = this.space.platform;
    return ((memory.load(this.base + CHUNK_WAITING / 4) >>> (ctx.index % SLOTS_PER_CHUNK)) & 1) !== 0;
  }

  /** Bit n: the host thread of slot n has been sent away. */
  private leaving = 0;

  departs(index: number): void {
    this.leaving |= 1 << (index % SLOTS_PER_CHUNK);
  }

  /** Number of an unused slot, 0 if there is none. One whose thread has been sent away is unused when it says that it has left. */
  freeSlot(): number {
    const { memory } = this.space.platform;
    for (let i = 1; i < SLOTS_PER_CHUNK; i++) {
      if (this.contexts[i] !== null) continue;
      if ((this.leaving & (1 << i)) === 0) return i;
      if (memory.load(this.base + (i * SLOT_SIZE + SLOT_STATE) / 4) !== STATE_FREE) continue;
      this.leaving &= ~(1 << i);
      return i;
    }
    return 0;
  }

  /** Enters the chunk into the list of those to be looked at, or removes it. */
  setBusy(on: boolean): void {
    if (on === this.busyIndex >= 0) return;
    if (on) {
      this.busyIndex = this.busy.length;
      this.busy.push(this);
    } else {
      const last = this.busy.pop()!;
      if (last !== this) {
        this.busy[this.busyIndex] = last;
        last.busyIndex = this.busyIndex;
      }
      this.busyIndex = -1;
    }
  }
}

export class SystrapSpace implements AddressSpace {
  readonly platform: SystrapPlatform;
  readonly areaFd: number;
  private readonly chunks: Chunk[] = [];
  /** Host process; 0 until its first notification. */
  pid = 0;
  pidfd = -1;
  contexts = 0;
  dead = false;
  private lends = false;
  private epoch = 0;
  private parked: SystrapContext | null = null;
  private readonly idle = new IdleThreads(this);

  constructor(platform: SystrapPlatform, areaFd: number, chunkBase: number) {
    this.platform = platform;
    this.areaFd = areaFd;
    this.chunks.push(new Chunk(this, chunkBase, platform.busyChunks));
  }

  chunkOf(slotIndex: number): Chunk {
    return this.chunks[Math.floor(slotIndex / SLOTS_PER_CHUNK)]!;
  }

  /** Finds an unused slot: its number, or −errno. */
  private findSlot(): number {
    for (let c = 0; c < CHUNKS_PER_AREA; c++) {
      let chunk = this.chunks[c];
      if (chunk === undefined) {
        const base = this.platform.memory.mapChunk(this.areaFd, c);
        if (base < 0) return base;
        chunk = new Chunk(this, base, this.platform.busyChunks);
        this.chunks.push(chunk);
      }
      const slot = chunk.freeSlot();
      if (slot !== 0) return c * SLOTS_PER_CHUNK + slot;
    }
    return -EAGAIN;
  }

  private slotBase(index: number): number {
    return this.chunkOf(index).base + ((index % SLOTS_PER_CHUNK) * SLOT_SIZE) / 4;
  }

  /** A stopped context in a fresh slot, whose thread is still to be made; −errno if there is no room. */
  newContext(): SystrapContext | number {
    const index = this.findSlot();
    if (index < 0) return index;
    const base = this.slotBase(index);
    const ctx = this.platform.makeContext(this, index, base);
    this.platform.memory.store(base + SLOT_MASK / 4, 0);
    this.platform.memory.storeNumber(base + SLOT_RSEQ / 4, 0);
    this.platform.memory.store(base + SLOT_STATE / 4, STATE_TRAPPED);
    this.chunkOf(index).contexts[index % SLOTS_PER_CHUNK] = ctx;
    this.contexts++;
    return ctx;
  }

  /** True if no thread but that of `ctx`, the process's leader, is here. */
  isOnly(ctx: SystrapContext): boolean {
    return (
      !this.dead && this.contexts === 1 && this.parked === null && this.idle.none && ctx.tid === this.pid
    );
  }

  /** Takes a context out of its slot; the slot stays taken while its thread is there. */
  removeContext(ctx: SystrapContext): void {
    this.chunkOf(ctx.index).departs(ctx.index);
    this.dropContext(ctx);
  }

  /** Ends a context; its host thread may be kept for a later one. */
  keepThread(ctx: SystrapContext): boolean {
    if (!this.idle.keep(ctx)) return false;
    this.contexts--;
    return true;
  }

  /** A stopped context in the slot of a thread that is there already; null if there is none. */
  takeThread(): SystrapContext | null {
    const ctx = this.idle.take();
    if (ctx !== null) this.contexts++;
    return ctx;
  }

  /** Leaves a stopped thread in its slot until the process ends. */
  park(ctx: SystrapContext): void {
    this.parked = ctx;
    this.contexts--;
    ctx.park();
  }

  /** Removes a context whose thread never came to be. */
  dropContext(ctx: SystrapContext): void {
    this.contexts--;
    this.discard(ctx);
  }

  /** Empties the slot of a context that does not count. */
  discard(ctx: SystrapContext): void {
    this.chunkOf(ctx.index).contexts[ctx.index % SLOTS_PER_CHUNK] = null;
    ctx.release();
  }

  *liveContexts(): Generator<SystrapContext> {
    for (const chunk of this.chunks) {
      for (const ctx of chunk.contexts)
        if (ctx !== null && ctx.phase !== GONE && ctx.phase !== IDLE) yield ctx;
    }
  }

  /** Answers are lent from now on, in this epoch. */
  lendingEpoch(): number {
    this.lends = true;
    return this.epoch;
  }

  forgetAnswers(): void {
    if (!this.lends || this.dead) return;
    this.lends = false;
    this.epoch = (this.epoch + 1) | 0;
    this.platform.memory.store(this.chunks[0]!.base + AREA_EPOCH / 4, this.epoch);
  }

  get hasKeys(): boolean {
    return this.platform.hasKeys;
  }

  useKeys(on: boolean): void {
    if (!this.dead) this.platform.memory.store(this.chunks[0]!.base + AREA_KEYS / 4, on ? 1 : 0);
  }

  ownFutexes(on: boolean): boolean {
    if (this.dead) return false;
    this.platform.memory.store(this.chunks[0]!.base + AREA_OWN_FUTEXES / 4, on ? 1 : 0);
    if (!on) for (const ctx of this.liveContexts()) ctx.interrupt();
    return on;
  }

  get isInterrupting(): boolean {
    for (const ctx of this.liveContexts()) if (ctx.isInterrupting) return true;
    return false;
  }

  read(addr: number, dst: Uint8Array, off: number, len: number): number {
    assert(off >= 0 && len >= 0 && off + len <= dst.length, 'destination of a guest read');
    if (this.pid === 0 || this.dead) return -EFAULT;
    const n = vmRead(this.pid, addr, dst, off, len);
    return n > 0 || len === 0 ? n : -EFAULT;
  }

  write(addr: number, src: Uint8Array, off: number, len: number): number {
    assert(off >= 0 && len >= 0 && off + len <= src.length, 'source of a guest write');
    if (this.pid === 0 || this.dead) return -EFAULT;
    const n = vmWrite(this.pid, addr, src, off, len);
    return n > 0 || len === 0 ? n : -EFAULT;
  }

  residency(addr: number, pages: number, out: Uint8Array, off: number): number {
    assert(off >= 0 && pages >= 0 && off + pages <= out.length, 'destination of residency');
    return this.pid === 0 || this.dead ? -ESRCH : residentPages(this.pid, addr, pages, out, off);
  }

  destroy(): void {
    if (this.dead) return;
    this.dead = true;
    for (const ctx of [...this.liveContexts()]) ctx.release();
    if (this.parked !== null) this.platform.forgetThread(this.parked);
    this.idle.release();
    this.contexts = 0;
    if (this.pidfd >= 0) killProcess(this.pidfd);
    for (const chunk of this.chunks) {
      chunk.setBusy(false);
      this.platform.memory.unmapChunk(chunk.base);
    }
    this.chunks.length = 0;
    host.close(this.areaFd);
  }
}
