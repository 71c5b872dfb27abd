/**
 * Contexts of asynchronous I/O (fs/aio.c struct kioctx): finished requests wait here until io_getevents(2) takes them. A
 * context belongs to an address space and is named by the address of a page in it, where Linux keeps a ring that C libraries
 * may read; ours holds zeros, which tells them to ask by system call.
 */
import type { MemoryManager } from '../mm/memory-manager.ts';
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

export class AioContext {
  readonly id: number;
  /** Requests it was made for; counted in Kernel.aio.used. */
  readonly slots: number;
  readonly events: AioEvent[] = [];
  readonly pending = new Set<AioPending>();
  readonly waiters = new WaitQueue();
  dead = false;

  constructor(id: number, slots: number) {
    this.id = id;
    this.slots = slots;
  }

  get full(): boolean {
    return this.events.length + this.pending.size >= this.slots;
  }

  complete(event: AioEvent): void {
    this.events.push(event);
    this.waiters.wake(1);
  }
}

const contexts = new WeakMap<MemoryManager, Map<number, AioContext>>();

export function findAioContext(mm: MemoryManager, id: number): AioContext | null {
  return contexts.get(mm)?.get(id) ?? null;
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
  all.set(ctx.id, ctx);
  k.aio.used += ctx.slots;
}

/** kill_ioctx(): what waits for events is told that the context is gone. */
export function removeAioContext(k: Kernel, mm: MemoryManager, ctx: AioContext): void {
  if (ctx.dead) return;
  ctx.dead = true;
  k.aio.used -= ctx.slots;
  for (const p of [...ctx.pending]) p.cancel();
  contexts.get(mm)?.delete(ctx.id);
  ctx.waiters.wake(1);
}
