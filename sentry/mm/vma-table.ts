/**
 * VmaTable: the VMAs of an address space in order of address, as a sorted list (Linux: mm_mt). Keeps them disjoint
 * and merged; knows nothing of protection rules, limits or the host.
 */
import { PAGE_SIZE } from '../lib/addr.ts';
import { GapArray } from '../lib/gap-array.ts';
import { GapHints } from './gap-hints.ts';
import { VM_GROWSDOWN, VM_SPECIAL, type Vma } from './vma.ts';

/** stack_guard_gap: what unmapped-area searches leave free below a growing stack. */
export const STACK_GUARD_GAP = 256 * 4096;

/** Shorter walks for a gap are not worth remembering. */
const LONG_WALK = 8;

/** VMAs of all address spaces: they live in the kernel's heap, about 150 bytes each. */
let live = 0;

export class VmaTable {
  private list = new GapArray<Vma>();
  /** The one found last: accesses cluster. */
  private last: Vma | null = null;
  /** Null before the first long walk: most processes have none. */
  private hints: GapHints | null = null;
  /** Splits of the change that goes on: as often two VMAs of a System V segment become one. */
  private splits = 0;

  get size(): number {
    return this.list.length;
  }

  /** VMAs of all tables together. */
  static get live(): number {
    return live;
  }

  at(i: number): Vma | undefined {
    return this.list.at(i);
  }

  /** Index of the first VMA that ends above `addr` (find_vma), `size` if none. */
  indexAt(addr: number): number {
    let lo = 0;
    let hi = this.list.length;
    while (lo < hi) {
      const mid = (lo + hi) >>> 1;
      if (this.list.at(mid)!.end > addr) hi = mid;
      else lo = mid + 1;
    }
    return lo;
  }

  /** The VMA that contains `addr`, or null. */
  find(addr: number): Vma | null {
    const c = this.last;
    if (c !== null && addr >= c.start && addr < c.end) return c;
    const v = this.list.at(this.indexAt(addr));
    if (v === undefined || v.start > addr) return null;
    this.last = v;
    return v;
  }

  /** True if nothing is mapped in [start, end). */
  isFree(start: number, end: number): boolean {
    const v = this.list.at(this.indexAt(start));
    return v === undefined || v.start >= end;
  }

  /** First address in [start, end) that is not mapped, `end` if none. */
  firstHole(start: number, end: number): number {
    let at = start;
    for (let i = this.indexAt(start); at < end; i++) {
      const v = this.list.at(i);
      if (v === undefined || v.start > at) return at;
      at = v.end;
    }
    return end;
  }

  /** Puts `v`, which overlaps nothing, in and merges it with its neighbours. Returns the VMA that covers it. */
  insert(v: Vma): Vma {
    const i = this.indexAt(v.start);
    this.list.insert(i, v);
    live++;
    // What is new is nobody's part yet.
    this.splits = 1;
    this.mergeAt(i);
    this.splits = 0;
    const before = i > 0 ? this.list.at(i - 1)! : null;
    return before !== null && before.end > v.start ? before : this.list.at(i)!;
  }

  /** Takes everything in [start, end) out, splitting at the edges; nothing if it is empty. The caller owns the returned VMAs. */
  remove(start: number, end: number): Vma[] {
    if (end <= start) return NONE;
    const first = this.splitAt(start);
    const past = this.splitAt(end);
    this.last = null;
    live -= past - first;
    if (first === past) return NONE;
    this.hints?.freed(end, this.list.at(past)?.start ?? Infinity);
    return this.list.remove(first, past - first);
  }

  /** Calls `change` for every VMA in [start, end), split at the edges, then merges again. */
  modify(start: number, end: number, change: (v: Vma) => void): void {
    if (end <= start) return;
    const before = this.list.length;
    const first = this.splitAt(start);
    const past = this.splitAt(end);
    this.splits = this.list.length - before;
    for (let i = first; i < past; i++) change(this.list.at(i)!);
    for (let i = past; i >= first; i--) this.mergeWithPrevious(i);
    this.splits = 0;
  }

  /** VMAs that meet [start, end), unsplit. */
  forEachIn(start: number, end: number, visit: (v: Vma) => void): void {
    for (let i = this.indexAt(start); ; i++) {
      const v = this.list.at(i);
      if (v === undefined || v.start >= end) return;
      visit(v);
    }
  }

  /** True if one of all VMAs is so. */
  some(fact: (v: Vma) => boolean): boolean {
    for (let i = 0; i < this.list.length; i++) if (fact(this.list.at(i)!)) return true;
    return false;
  }

  /** Number of VMAs that an unmapping of [start, end) would add (a hole inside one splits it). */
  splitsBy(start: number, end: number): number {
    const v = this.list.at(this.indexAt(start));
    return v !== undefined && v.start < start && v.end > end ? 1 : 0;
  }

  /** Highest address in [low, high) where `len` bytes are free, aligned to `align`, or −1. */
  gapBelow(len: number, low: number, high: number, align: number): number {
    let top = this.hints === null ? high : this.hints.startOf(len, high);
    const first = Math.min(this.indexAt(top), this.list.length - 1);
    let worth = align <= PAGE_SIZE;
    for (let i = first; ; i--) {
      const v = i < 0 ? undefined : this.list.at(i);
      const bottom = v === undefined ? low : Math.max(low, v.end);
      const at = Math.floor((top - len) / align) * align;
      if (at >= bottom || v === undefined || v.start <= low) {
        if (worth && first - i >= LONG_WALK) (this.hints ??= new GapHints()).found(len, top, high);
        return at >= bottom ? at : -1;
      }
      const start = gapStart(v);
      if (start >= top) continue;
      top = start;
      // What is left free below a stack is so for searches from above it only.
      if (start !== v.start) worth = false;
    }
  }

  /** Lowest address in [low, high) where `len` bytes are free, or −1. */
  gapAbove(len: number, low: number, high: number): number {
    let bottom = low;
    for (let i = this.indexAt(low); ; i++) {
      const v = this.list.at(i);
      const top = v === undefined ? high : Math.min(high, gapStart(v));
      if (top - bottom >= len) return bottom;
      if (v === undefined || v.end >= high) return -1;
      bottom = Math.max(bottom, v.end);
    }
  }

  /** Takes all out. */
  clear(): Vma[] {
    const all = this.list.toArray();
    live -= all.length;
    this.list = new GapArray();
    this.last = null;
    this.hints = null;
    return all;
  }

  /** Index of the first VMA at or after `addr`, after making `addr` a boundary. */
  private splitAt(addr: number): number {
    const i = this.indexAt(addr);
    const v = this.list.at(i);
    if (v === undefined || v.start >= addr) return i;
    const upper = v.slice(addr, v.end);
    v.end = addr;
    this.list.insert(i + 1, upper);
    live++;
    return i + 1;
  }

  private mergeAt(i: number): void {
    this.mergeWithPrevious(i + 1);
    this.mergeWithPrevious(i);
  }

  private mergeWithPrevious(i: number): void {
    const b = this.list.at(i);
    const a = i > 0 ? this.list.at(i - 1) : undefined;
    if (a === undefined || b === undefined || a.end !== b.start || !a.mergesWith(b)) return;
    if ((a.flags & VM_SPECIAL) !== 0) return;
    // Segments count their VMAs (shm_close): none is removed by a merge, only what a split has just added (can_merge_remove_vma).
    const counted = b.backing !== null && b.backing.onUnref !== null;
    if (counted && this.splits-- <= 0) return;
    a.end = b.end;
    a.asMapped &&= b.asMapped;
    if (counted) b.backing!.unsplit();
    else b.backing?.unref();
    if (this.last === b) this.last = null;
    this.list.remove(i, 1);
    live--;
  }
}

const NONE: Vma[] = [];

/** vm_start_gap(): where the space above which a growing stack claims begins. */
function gapStart(v: Vma): number {
  return (v.flags & VM_GROWSDOWN) !== 0 ? v.start - STACK_GUARD_GAP : v.start;
}
