/** The kernel's clocks: the host's, so that the guest's vDSO agrees with them. */
import { clockNs } from '../host/sys.ffi.ts';

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

  /** CLOCK_REALTIME since the epoch in ms-exact milliseconds; ns since the epoch do not fit a number. */
  realtimeSec(): number {
    return Math.floor(Date.now() / 1000);
  }

  /** Nanosecond part of the wall clock, from the same source as realtimeSec. */
  realtimeNsec(): number {
    return (Date.now() % 1000) * 1_000_000;
  }
}
