/**
 * Deadlines of threads that owe something: a report, an arrival, the stop that an interrupt asks for. A thread that runs
 * answers at once, so one whose process has used CPU time since and still has not answered will not. One that gets no CPU
 * (throttled, paged out, stopped from outside) is given longer; nobody waits for it meanwhile.
 */
import { clockNs } from '../../sentry/host/sys.ffi.ts';
import type { ThreadSlot } from './thread-slot.ts';

const CLOCK_MONOTONIC = 1;
/** First look. */
const PATIENCE_NS = 2e9;
/** Between further looks. */
const LOOK_NS = 2.5e8;
/** CPU time between two looks that proves unwillingness. */
const CPU_TIME_NS = 1e8;
const LAST_LOOK_NS = 20e9;
/** A sentry that has not looked for this long was stopped itself: all deadlines start anew. */
const STALL_NS = PATIENCE_NS + 5e8;

/** Clock of a process's CPU time (linux/posix-timers.h MAKE_PROCESS_CPUCLOCK, CPUCLOCK_SCHED). */
function cpuTimeNs(pid: number): number {
  return clockNs((~pid << 3) | 2);
}

interface Deadline {
  since: number;
  next: number;
  /** CPU time of the process at the last look; −1 before the first. */
  cpuTime: number;
}

export class Deadlines {
  private readonly owing = new Map<ThreadSlot, Deadline>();
  private lastLook = 0;

  /** True if somebody owes something. */
  get any(): boolean {
    return this.owing.size > 0;
  }

  set(ctx: ThreadSlot): void {
    const now = clockNs(CLOCK_MONOTONIC);
    if (this.owing.size === 0) this.lastLook = now;
    this.owing.set(ctx, { since: now, next: now + PATIENCE_NS, cpuTime: -1 });
  }

  /** The thread is known to be gone. */
  expire(ctx: ThreadSlot): void {
    this.owing.set(ctx, { since: 0, next: 0, cpuTime: 0 });
  }

  clear(ctx: ThreadSlot): void {
    this.owing.delete(ctx);
  }

  /** `timeoutNs` (−1: no limit), or less if a deadline comes first. */
  limit(timeoutNs: number): number {
    let first = Infinity;
    for (const deadline of this.owing.values()) if (deadline.next < first) first = deadline.next;
    if (first === Infinity) return timeoutNs;
    const left = Math.max(first - clockNs(CLOCK_MONOTONIC), 0) + 1e6;
    return timeoutNs < 0 ? left : Math.min(left, timeoutNs);
  }

  /** Calls `expired` for those who will not answer. */
  check(expired: (ctx: ThreadSlot) => void): void {
    const now = clockNs(CLOCK_MONOTONIC);
    const stalled = now - this.lastLook > STALL_NS;
    this.lastLook = now;
    for (const [ctx, deadline] of this.owing) {
      if (now < deadline.next) continue;
      if (deadline.since === 0) {
        expired(ctx);
      } else if (stalled) {
        this.set(ctx);
      } else {
        const cpuTime = cpuTimeNs(ctx.space.pid);
        const ran = deadline.cpuTime >= 0 && cpuTime - deadline.cpuTime >= CPU_TIME_NS;
        if (ran || now - deadline.since > LAST_LOOK_NS) expired(ctx);
        if (deadline.cpuTime < 0 || cpuTime - deadline.cpuTime >= CPU_TIME_NS) deadline.cpuTime = cpuTime;
        deadline.next = now + LOOK_NS;
      }
    }
  }
}
