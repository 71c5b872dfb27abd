/**
 * Where nothing is mapped and nothing is about to be unmapped. Orders of several threads reach the host in any order, so where one of
 * them is to unmap something nothing new may be put until that has certainly happened.
 */
import { PAGE_SIZE } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import type { VmaTable } from './vma-table.ts';

/** A range whose unmapping was ordered on a context that has not been heard of since. */
interface Unsettled {
  readonly start: number;
  readonly end: number;
  readonly by: Orders;
}

export class FreeRanges {
  private readonly table: VmaTable;
  private readonly minAddr: number;
  private unsettled: Unsettled[] = [];

  constructor(table: VmaTable, minAddr: number) {
    this.table = table;
    this.minAddr = minAddr;
  }

  /** True while some unmapping may not have happened yet. */
  get areUnsettled(): boolean {
    return this.unsettled.length > 0;
  }

  /** [start, end) is being unmapped by an order on `by`. */
  unmapping(by: Orders, start: number, end: number): void {
    this.unsettled.push({ start, end, by });
  }

  /** The context has stopped again: what it was ordered has happened. */
  settle(by: Orders): void {
    this.unsettled = this.unsettled.filter((r) => r.by !== by);
  }

  /** Some unmapping under way in [start, end). */
  unmappingIn(start: number, end: number): Unsettled | null {
    for (const r of this.unsettled) if (r.start < end && r.end > start) return r;
    return null;
  }

  has(start: number, end: number): boolean {
    return this.table.isFree(start, end) && this.unmappingIn(start, end) === null;
  }

  /** The highest of `len` bytes below `high`, or −1. */
  below(len: number, high: number, align: number): number {
    let top = high;
    for (;;) {
      const at = this.table.gapBelow(len, this.minAddr, top, align);
      const busy = at < 0 ? null : this.unmappingIn(at, at + len);
      if (busy === null) return at;
      top = Math.min(busy.start, at + len - PAGE_SIZE);
    }
  }

  /** The lowest of `len` bytes in [low, high), or −1. */
  above(len: number, low: number, high: number): number {
    let bottom = low;
    for (;;) {
      const at = this.table.gapAbove(len, bottom, high);
      const busy = at < 0 ? null : this.unmappingIn(at, at + len);
      if (busy === null) return at;
      bottom = busy.end;
    }
  }
}
