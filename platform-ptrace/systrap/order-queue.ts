/** The orders that a guest thread is given, which go to its slot in batches of ORDERS_MAX. */
import * as host from '../../sentry/host/sys.ffi.ts';
import * as NR from '../order-numbers.ts';
import { MAP_FD, ORDER_SIZE, ORDERS_MAX, SLOT_ORDER_COUNT, SLOT_ORDERS } from '../stub-layout.ts';
import type { ThreadSlot } from './thread-slot.ts';

interface Order {
  readonly nr: number;
  readonly args: readonly number[];
  /** For the gate, or what a newborn process inherits; −1: none. Owned by the order. */
  readonly hostFd: number;
  readonly nonce: number;
}

export class OrderQueue {
  private readonly ctx: ThreadSlot;
  private readonly orders: Order[] = [];
  /** Index of the first order of the batch in the slot. */
  private batchStart = 0;
  private batchLength = 0;

  constructor(ctx: ThreadSlot) {
    this.ctx = ctx;
  }

  get length(): number {
    return this.orders.length;
  }

  push(nr: number, args: readonly number[], hostFd: number, nonce: number): void {
    this.orders.push({ nr, args, hostFd, nonce });
  }

  /** The last order sets `code` by system call `nr`, which another one makes needless. */
  dropLast(nr: number, code: number): void {
    const last = this.orders.at(-1);
    if (last !== undefined && last.nr === nr && last.args[0] === code) this.orders.pop();
  }

  /** Writes the first batch into the slot. True if it is the only one. */
  first(): boolean {
    this.batchStart = 0;
    this.writeBatch();
    return this.isLast;
  }

  /** The batch in the slot has been executed. True if another one is there now. */
  next(): boolean {
    this.batchStart += this.batchLength;
    this.batchLength = 0;
    if (this.isLast) return false;
    this.writeBatch();
    return true;
  }

  get isLast(): boolean {
    return this.batchStart + this.batchLength >= this.orders.length;
  }

  /** Writes the next batch of orders into the slot and announces gated ones. */
  private writeBatch(): void {
    const { platform, base, index, tid } = this.ctx;
    const { memory } = platform;
    const count = Math.min(this.orders.length - this.batchStart, ORDERS_MAX);
    for (let i = 0; i < count; i++) {
      const { nr, args, hostFd, nonce } = this.orders[this.batchStart + i]!;
      const at = base + (SLOT_ORDERS + i * ORDER_SIZE) / 4;
      memory.storeNumber(at, nr);
      for (let k = 0; k < 6; k++) memory.storeNumber(at + 2 + 2 * k, args[k] ?? 0);
      memory.storeNumber(at + 14, nonce);
      if (nr === NR.CLONE) platform.births.expectClone(this.ctx, args[0]!, args[1]!, hostFd);
      else if (hostFd >= 0) platform.gate.order(tid, { nr: NR.MMAP, args, hostFd, fd: MAP_FD + index });
    }
    this.batchLength = count;
    memory.storeRelaxed(base + SLOT_ORDER_COUNT / 4, count);
  }

  /** Those that have not been announced are nobody's any more. */
  clear(): void {
    for (let i = this.given; i < this.orders.length; i++) {
      if (this.orders[i]!.hostFd >= 0) host.close(this.orders[i]!.hostFd);
    }
    if (this.orders.length > 0) this.orders.length = 0;
    this.batchStart = 0;
    this.batchLength = 0;
  }

  /** How many have been written so far, those of earlier batches among them. */
  get given(): number {
    return this.batchStart + this.batchLength;
  }

  /** Index in the queue of number `i` of the batch in the slot. */
  indexOf(i: number): number {
    return this.batchStart + i;
  }
}
