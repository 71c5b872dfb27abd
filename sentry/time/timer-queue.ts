/** Deadlines on the monotonic clock, kept in a binary heap. A timer's callback runs from the kernel's loop. */

export class Timer {
  /** CLOCK_MONOTONIC ns at which it fires. */
  deadlineNs = 0;
  /** Heap position, −1 when not armed. */
  index = -1;
  readonly fire: (t: Timer) => void;

  constructor(fire: (t: Timer) => void) {
    this.fire = fire;
  }

  get armed(): boolean {
    return this.index >= 0;
  }
}

export class TimerQueue {
  private heap: Timer[] = [];

  get size(): number {
    return this.heap.length;
  }

  /** Earliest deadline in ns, Infinity if none. */
  get nextDeadlineNs(): number {
    return this.heap.length > 0 ? this.heap[0]!.deadlineNs : Infinity;
  }

  /** Arms or re-arms `t`. An infinite deadline disarms. */
  arm(t: Timer, deadlineNs: number): void {
    this.disarm(t);
    if (deadlineNs === Infinity) return;
    t.deadlineNs = deadlineNs;
    t.index = this.heap.length;
    this.heap.push(t);
    this.up(t.index);
  }

  disarm(t: Timer): void {
    const i = t.index;
    if (i < 0) return;
    t.index = -1;
    const last = this.heap.pop()!;
    if (last === t) return;
    this.heap[i] = last;
    last.index = i;
    this.up(i);
    this.down(last.index);
  }

  /** Fires what is due at `nowNs`, each timer at most once, and returns how many. Callbacks may arm timers. */
  expire(nowNs: number): number {
    let fired = 0;
    const due: Timer[] = [];
    while (this.heap.length > 0 && this.heap[0]!.deadlineNs <= nowNs) {
      const t = this.heap[0]!;
      this.disarm(t);
      due.push(t);
    }
    for (const t of due) {
      // An earlier callback may have re-armed it.
      if (t.index < 0) {
        t.fire(t);
        fired++;
      }
    }
    return fired;
  }

  private up(i: number): void {
    const h = this.heap;
    const t = h[i]!;
    while (i > 0) {
      const p = (i - 1) >> 1;
      if (h[p]!.deadlineNs <= t.deadlineNs) break;
      h[i] = h[p]!;
      h[i]!.index = i;
      i = p;
    }
    h[i] = t;
    t.index = i;
  }

  private down(i: number): void {
    const h = this.heap;
    const t = h[i]!;
    for (;;) {
      let c = 2 * i + 1;
      if (c >= h.length) break;
      if (c + 1 < h.length && h[c + 1]!.deadlineNs < h[c]!.deadlineNs) c++;
      if (t.deadlineNs <= h[c]!.deadlineNs) break;
      h[i] = h[c]!;
      h[i]!.index = i;
      i = c;
    }
    h[i] = t;
    t.index = i;
  }
}
