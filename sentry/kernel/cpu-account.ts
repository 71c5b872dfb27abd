/** What is kept of a thread's CPU time, and how times are shown. See cpu-time.ts, which does the sums. */

/** What this kernel has worked for all tasks together. */
export class KernelWork {
  /** System calls so far; and at the last look at the clock, with its reading. */
  calls = 0;
  callsThen = 0;
  ns = 0;
}

/** User and system time as they were told the last time: they never go back (struct prev_cputime). */
export class ShownTimes {
  utimeNs = 0;
  stimeNs = 0;
  /** Life at that time, and what has been left out because nobody can have used so much. */
  private lifeNs = 0;
  private surplusNs = 0;

  copyFrom(o: ShownTimes): void {
    this.utimeNs = o.utimeNs;
    this.stimeNs = o.stimeNs;
    this.lifeNs = o.lifeNs;
    this.surplusNs = o.surplusNs;
  }

  /**
   * `userNs` and `systemNs` are guesses, their sum is not. Since the last time it has not grown by more than threads have lived,
   * `lifeNs` altogether: the kernel and a stub that waits for it work in parallel. Then cputime_adjust() (kernel/sched/cputime.c).
   */
  adjust(userNs: number, systemNs: number, lifeNs: number): void {
    const before = this.utimeNs + this.stimeNs;
    let total = Math.floor(userNs + systemNs - this.surplusNs);
    const most = Math.floor(before + (lifeNs - this.lifeNs));
    if (total > most) {
      this.surplusNs += total - most;
      total = most;
    }
    if (total <= before) return;
    this.lifeNs = lifeNs;
    let stime = systemNs === 0 ? 0 : Math.floor((total * systemNs) / (systemNs + userNs));
    stime = Math.max(stime, this.stimeNs);
    const utime = Math.max(total - stime, this.utimeNs);
    this.utimeNs = utime;
    this.stimeNs = total - utime;
  }
}

/** Of one thread. */
export class CpuAccount {
  /** System calls it has made. */
  calls = 0;
  /** Time of this kernel for the first `settledCalls` of them, and what the kernel had done for everybody at that time. */
  kernelNs = 0;
  settledCalls = 0;
  markCalls: number;
  markNs: number;
  /** CPU time on the host in its address space, as far as it is known or guessed; and in those it has left. */
  hostNs = 0;
  earlierNs = 0;
  /** Its voluntary switches when `hostNs` was last guessed. */
  switchesSeen = 0;
  /** How long it has lived, once it has ended. */
  lifeNs = 0;
  readonly shown = new ShownTimes();

  constructor(work: KernelWork) {
    this.markCalls = work.callsThen;
    this.markNs = work.ns;
  }

  /** The kernel has been at `work` since the last time: the thread's part by its number of calls. */
  settle(work: KernelWork): void {
    const own = this.calls - this.settledCalls;
    const all = work.callsThen - this.markCalls;
    if (own > 0 && all > 0) this.kernelNs += (work.ns - this.markNs) * Math.min(1, own / all);
    this.settledCalls = this.calls;
    this.markCalls = work.callsThen;
    this.markNs = work.ns;
  }
}
