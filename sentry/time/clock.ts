/** The kernel's clocks: the host's, so that the guest's vDSO agrees with them. */
import { clockNs, clockSec, lastNsec } from '../host/sys.ffi.ts';

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;

export class Clock {
  /** CLOCK_MONOTONIC in ns. */
  monotonicNs(): number {
    return clockNs(CLOCK_MONOTONIC);
  }

  /**
   * Seconds of the wall clock. Nanoseconds since the epoch do not fit a number: realtimeNsec() gives the rest, of a
   * reading of its own.
   */
  realtimeSec(): number {
    return clockSec(CLOCK_REALTIME);
  }

  /** Nanosecond part of the reading that the last realtimeSec() took. */
  realtimeNsec(): number {
    return lastNsec();
  }

  /** Deadline for a wait of `ns` from now. */
  deadlineIn(ns: number): number {
    return ns === Infinity ? Infinity : this.monotonicNs() + ns;
  }

  /** CLOCK_MONOTONIC time at which CLOCK_REALTIME, not set meanwhile, will show `ns` (exact to 256 ns). */
  monotonicOf(ns: number): number {
    if (ns === Infinity) return Infinity;
    // In this order: what passes between the two readings makes it late, never early.
    const left = ns - clockNs(CLOCK_REALTIME);
    return this.monotonicNs() + left;
  }
}
