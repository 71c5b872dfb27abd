/**
 * The conversation with a guest thread's stub through its slot: the orders and the command that it is given, and what the
 * sentry believes about it since. All decisions rest on the private fields here; words in the slot are guesses of a hostile party.
 */
import { assert } from '../../sentry/lib/assert.ts';
import { MemoryOrders } from '../memory-orders.ts';
import {
  AREA_ADDR,
  COMMAND_COMPLETE,
  COMMAND_EXIT_THREAD,
  COMMAND_REPORT,
  MAP_FD,
  SLOT_COPYOUT_COUNT,
  SLOT_EVENT,
  SLOT_NR,
  SLOT_ORDER_COUNT,
  SLOT_SIZE,
  SLOT_STATE,
  STATE_GO,
  STATE_PARKED,
  STATE_SLEEPING,
  STATE_TRAPPED,
} from '../stub-layout.ts';
import { DataWindow } from './data-window.ts';
import { OrderQueue } from './order-queue.ts';
import type { PlacedThread } from './placement.ts';
import type { Chunk, SystrapSpace } from './space.ts';
import type { SystrapPlatform } from './systrap.ts';

/** In place of the nonce of orders that have none: see stub-orders.c. */
const ORDER_MAY_FAIL = 1;

// Phases of a thread.
/** Running guest code, or obeying a resume. */
export const RUNNING = 0;
/** Held by the kernel. */
export const STOPPED = 1;
/** Executing orders that it will report. */
export const ORDERING = 2;
/** Gone, or left for ever in its slot. */
export const GONE = 3;
/** Of nobody: its host thread waits for another guest thread (idle-threads.ts). */
export const IDLE = 4;

export abstract class ThreadSlot extends MemoryOrders implements PlacedThread {
  readonly space: SystrapSpace;
  readonly platform: SystrapPlatform;
  /** Number of the slot in its area, its word index in the window, and its address in the guest's process. */
  readonly index: number;
  readonly chunk: Chunk;
  readonly base: number;
  readonly addr: number;
  /** Host thread id; 0 until known. */
  tid = 0;
  phase = STOPPED;

  /** Trapped from a patched site: there is no frame. */
  partial = false;
  /** Told to trap for real. */
  completing = false;
  /** The slot's prefetch lengths belong to the current syscall. */
  hasPrefetch = false;
  /** The registers that the sentry has read are those of the last trap. */
  protected regsValid = false;

  protected readonly orders = new OrderQueue(this);
  protected readonly window: DataWindow;
  /** Command that follows the last batch, and its result. */
  private finalCommand = 0;
  private finalResult = 0;
  /** Counts in the slot are not zero. */
  private slotDirty = true;
  /** Receives the outcome of ORDERING. */
  reported: ((result: number) => void) | null = null;

  /** An unanswered sleep notification. */
  sleeping = false;
  sleepIdLo = 0;
  sleepIdHi = 0;

  cpu = -1;
  pinned = false;
  cpus: readonly number[] | null = null;
  loneCalls = 0;
  placeIn = 64;

  constructor(platform: SystrapPlatform, space: SystrapSpace, index: number, base: number) {
    super();
    this.platform = platform;
    this.space = space;
    this.index = index;
    this.chunk = space.chunkOf(index);
    this.base = base;
    this.addr = AREA_ADDR + index * SLOT_SIZE;
    this.window = new DataWindow(platform.memory, base);
  }

  // ---- orders -------------------------------------------------------------------------------------------------------

  protected order(nr: number, args: readonly number[], hostFd = -1, mayFail = false): void {
    this.queueOrder(nr, args, hostFd, mayFail ? ORDER_MAY_FAIL : 0);
  }

  protected get orderFd(): number {
    return MAP_FD + this.index;
  }

  protected queueOrder(nr: number, args: readonly number[], hostFd: number, nonce: number): void {
    assert(this.phase === STOPPED || this.phase === GONE, 'orders are given to stopped contexts');
    this.orders.push(nr, args, hostFd, nonce);
  }

  dropQueued(): void {
    this.orders.clear();
    this.window.clear();
  }

  /** Orders that the thread has been given, those of earlier batches among them. */
  get orderCount(): number {
    return this.orders.given;
  }

  /** Index in the order queue of number `i` of the batch in the slot. */
  queueIndex(i: number): number {
    return this.orders.indexOf(i);
  }

  // ---- commands -----------------------------------------------------------------------------------------------------

  /** Has the thread carry out what is queued, and then `command`. */
  protected send(command: number, result: number): void {
    if (this.phase === GONE) {
      this.dropQueued();
      return;
    }
    assert(this.phase === STOPPED, 'only a stopped context can be resumed');
    const { memory } = this.platform;
    this.finalCommand = command;
    this.finalResult = result;
    let now = command;
    if (this.orders.length > 0) {
      if (!this.orders.first()) now = COMMAND_REPORT;
    } else if (this.slotDirty) {
      memory.storeRelaxed(this.base + SLOT_ORDER_COUNT / 4, 0);
    }
    if (now !== COMMAND_REPORT && (this.window.copyOuts > 0 || this.slotDirty)) {
      memory.storeRelaxed(this.base + SLOT_COPYOUT_COUNT / 4, this.window.copyOuts);
    }
    this.slotDirty = this.orders.length > 0 || this.window.copyOuts > 0;
    this.go(now, result);
  }

  /** Has a thread without a frame trap for real; `done(0)` when it has. */
  protected sendComplete(done: (result: number) => void): void {
    assert(this.phase === STOPPED, 'only a stopped context can be completed');
    this.reported = done;
    this.completing = true;
    this.platform.setDeadline(this);
    this.go(COMMAND_COMPLETE, 0);
  }

  /** Hands the slot to the stub. */
  private go(command: number, result: number): void {
    const { memory } = this.platform;
    const { base } = this;
    memory.storeRelaxed(base + SLOT_EVENT / 4, command);
    memory.storeRelaxed(base + SLOT_NR / 4, result | 0);
    memory.storeRelaxed(base + SLOT_NR / 4 + 1, Math.floor(result / 0x100000000) | 0);
    const old = memory.exchange(base + SLOT_STATE / 4, STATE_GO);
    if (this.phase === STOPPED) {
      if (this.sleeping || old === STATE_SLEEPING)
        this.platform.placement.woken(this, this.platform.sentryCpu);
      this.chunk.started(this);
    }
    this.phase = command === COMMAND_REPORT || command === COMMAND_COMPLETE ? ORDERING : RUNNING;
    if (this.sleeping) {
      this.sleeping = false;
      this.platform.gate.wake(this.sleepIdLo, this.sleepIdHi);
    } else if (old === STATE_SLEEPING) {
      // Its notification is on its way: it has to be received and answered.
      this.platform.sleepers.owed++;
    }
  }

  /** The thread will not be answered for a while: its stub need not keep a CPU busy with waiting. */
  letSleep(): void {
    if (this.phase !== STOPPED || this.platform.births.awaitsChild(this)) return;
    this.platform.placement.blocked(this);
    this.platform.memory.compareExchange(this.base + SLOT_STATE / 4, STATE_TRAPPED, STATE_PARKED);
  }

  /** Sends the host thread away. Its slot is free again when the thread says so. */
  leave(): void {
    this.dropQueued();
    this.go(COMMAND_EXIT_THREAD, 0);
  }

  /** The thread stays where it is, asleep, and is not heard of again. */
  park(): void {
    this.dropQueued();
    this.phase = GONE;
  }

  // ---- answers ------------------------------------------------------------------------------------------------------

  /** The guest thread has trapped: nothing of what it was told is outstanding any more. */
  stop(): void {
    this.phase = STOPPED;
    this.chunk.stopped(this);
    this.regsValid = false;
    this.hasPrefetch = false;
    this.partial = false;
    this.completing = false;
    if (this.slotDirty) {
      this.platform.gate.forget(this.tid);
      if (this.orders.length > 0 || this.window.copyOuts > 0) this.dropQueued();
    }
  }

  /** The same after orders: what the thread trapped with is still there. */
  stopAfterOrders(): void {
    const { partial } = this;
    this.stop();
    this.partial = partial;
  }

  /** The stub has trapped for real. What was queued stays so. */
  completed(): void {
    this.completing = false;
    this.partial = false;
    this.regsValid = false;
    this.phase = STOPPED;
    this.chunk.stopped(this);
  }

  /**
   * A batch of orders has been executed. True if more follow, or the guest has been resumed; false if the outcome is
   * to be reported.
   */
  batchDone(): boolean {
    const { memory } = this.platform;
    const { base, orders } = this;
    if (!orders.next()) {
      if (this.finalCommand === COMMAND_REPORT) return false;
      memory.storeRelaxed(base + SLOT_ORDER_COUNT / 4, 0);
    }
    if (orders.isLast) memory.storeRelaxed(base + SLOT_COPYOUT_COUNT / 4, this.window.copyOuts);
    this.go(orders.isLast ? this.finalCommand : COMMAND_REPORT, this.finalResult);
    return true;
  }
}
