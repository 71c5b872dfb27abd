/** CPU time and counts that the host keeps of guest threads and tells them alone (kernel/sys.c getrusage, posix-cpu-timers.c). */
import type { HostUsage } from '../sentry/platform/platform.ts';

export const NR_GETRUSAGE = 98;
export const NR_CLOCK_GETTIME = 228;
export const RUSAGE_SELF = 0;
export const RUSAGE_THREAD = 1;

/** Clock of a thread of the caller's process (linux/posix-timers.h MAKE_THREAD_CPUCLOCK, CPUCLOCK_SCHED), as an unsigned word. */
export function threadClock(tid: number): number {
  return ((~tid << 3) | 6) >>> 0;
}

export function noUsage(): HostUsage {
  return { utimeNs: 0, stimeNs: 0, maxRssKb: 0, minFaults: 0, majFaults: 0, involuntarySwitches: 0 };
}

/** Decodes struct rusage; `quad(i)` is its word i. What the guest says is only held to be a number of a sane size. */
export function usageOf(quad: (i: number) => number, out: HostUsage): void {
  const sane = (i: number): number => {
    const n = quad(i);
    return n >= 0 && n < 2 ** 43 ? n : 0;
  };
  out.utimeNs = sane(0) * 1e9 + sane(1) * 1e3;
  out.stimeNs = sane(2) * 1e9 + sane(3) * 1e3;
  out.maxRssKb = sane(4);
  out.minFaults = sane(8);
  out.majFaults = sane(9);
  out.involuntarySwitches = sane(17);
}

/** What came after `before`. */
export function subtractUsage(u: HostUsage, before: HostUsage): void {
  u.utimeNs = Math.max(0, u.utimeNs - before.utimeNs);
  u.stimeNs = Math.max(0, u.stimeNs - before.stimeNs);
  u.minFaults = Math.max(0, u.minFaults - before.minFaults);
  u.majFaults = Math.max(0, u.majFaults - before.majFaults);
  u.involuntarySwitches = Math.max(0, u.involuntarySwitches - before.involuntarySwitches);
}
