/**
 * GapHints: down to where a search from above for free addresses has found nothing large enough, so that the next one starts there
 * instead of walking all VMAs again (65,000 mappings of a page took a minute). Linux keeps the largest gap of each subtree (mm_mt).
 */

import { PAGE_SIZE } from '../lib/addr.ts';

/** Searches are remembered by the power of two of their length in pages. */
const CLASSES = 40;

export class GapHints {
  /** No gap of `lengths[c]` bytes or more is in [bottoms[c], tops[c]). bottoms: Infinity if nothing is known. */
  private readonly bottoms = new Float64Array(CLASSES).fill(Infinity);
  private readonly tops = new Float64Array(CLASSES);
  private readonly lengths = new Float64Array(CLASSES);
  private lowest = Infinity;

  /** Where a search for `len` bytes below `high` may start: `high`, or less. */
  startOf(len: number, high: number): number {
    let start = high;
    if (this.lowest >= high) return high;
    for (let c = classOf(len); c >= 0; c--)
      if (this.bottoms[c]! < start && this.tops[c]! >= high && this.lengths[c]! <= len)
        start = this.bottoms[c]!;
    return start;
  }

  /** [bottom, high) has no gap of `len` bytes. */
  found(len: number, bottom: number, high: number): void {
    const c = classOf(len);
    this.bottoms[c] = bottom;
    this.tops[c] = high;
    this.lengths[c] = len;
    this.lowest = Math.min(this.lowest, bottom);
  }

  /** Something below `end` has been taken out; the next VMA from there on starts at `next` (Infinity: there is none). */
  freed(end: number, next: number): void {
    if (end <= this.lowest) return;
    this.lowest = Infinity;
    for (let c = 0; c < CLASSES; c++) {
      if (this.bottoms[c]! < end) this.bottoms[c] = next < this.tops[c]! ? next : Infinity;
      this.lowest = Math.min(this.lowest, this.bottoms[c]!);
    }
  }
}

function classOf(len: number): number {
  return Math.min(CLASSES - 1, Math.floor(Math.log2(Math.max(1, len / PAGE_SIZE))));
}
