/**
 * Where MADV_GUARD_INSTALL has put guards. The pages' marks are the host's, these ranges only say where it is worth asking:
 * what was unmapped and mapped again may be among them, a guard is never missing.
 */
interface Range {
  start: number;
  end: number;
}

export class GuardRanges {
  private ranges: Range[] = [];

  get any(): boolean {
    return this.ranges.length > 0;
  }

  add(start: number, end: number): void {
    this.remove(start, end);
    const at = this.ranges.findIndex((r) => r.start > start);
    this.ranges.splice(at < 0 ? this.ranges.length : at, 0, { start, end });
  }

  remove(start: number, end: number): void {
    if (!this.any) return;
    const left: Range[] = [];
    for (const r of this.ranges) {
      if (r.start < start) left.push({ start: r.start, end: Math.min(r.end, start) });
      if (r.end > end) left.push({ start: Math.max(r.start, end), end: r.end });
    }
    this.ranges = left;
  }

  /** Those in [start, end) go along to `to` (mremap). */
  move(start: number, end: number, to: number): void {
    for (const r of this.within(start, end)) this.add(r.start - start + to, r.end - start + to);
  }

  /** What lies in [start, end), in order. */
  within(start: number, end: number): Range[] {
    const found: Range[] = [];
    for (const r of this.ranges) {
      if (r.start < end && r.end > start)
        found.push({ start: Math.max(r.start, start), end: Math.min(r.end, end) });
    }
    return found;
  }

  copyFrom(o: GuardRanges): void {
    this.ranges = o.ranges.map((r) => ({ ...r }));
  }
}
