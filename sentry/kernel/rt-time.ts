/**
 * RLIMIT_RTTIME: how long, in µs of CPU time, a real-time thread may run without waiting: SIGXCPU at the soft limit, which then
 * grows by a second, SIGKILL at the hard one (kernel/time/posix-cpu-timers.c check_thread_timers).
 */
import { SCHED_FIFO, SCHED_RR } from '../abi/sched.ts';
import { SIGKILL, SIGXCPU } from '../abi/signal.ts';
import { Timer } from '../time/timer-queue.ts';
import { threadNs } from './cpu-time.ts';
import { RLIMIT_RTTIME } from './limits.ts';
import { sigInfoKernel } from './sig-info.ts';
import { sendGroupSignal } from './signal-send.ts';
import type { Task } from './task.ts';
import type { ThreadGroup } from './thread-group.ts';

/** CPU time is looked at no more often than this. */
const POLL_MIN_NS = 1_000_000;

/** A thread's CPU time and number of waits when it was last seen to have waited. */
interface Mark {
  cpuNs: number;
  waits: number;
}

/** Of threads that were born under watch. */
const FROM_BIRTH: Mark = { cpuNs: 0, waits: 0 };

const isRealTime = (t: Task): boolean => t.schedPolicy === SCHED_FIFO || t.schedPolicy === SCHED_RR;

/** Looks at the real-time threads of one process as long as it has any, and a limit. */
export class RtTimeWatch {
  private readonly group: ThreadGroup;
  private readonly timer = new Timer(() => this.check());
  private readonly marks = new WeakMap<Task, Mark>();

  constructor(group: ThreadGroup) {
    this.group = group;
  }

  /** The limit or a thread's policy has changed: what has run so far does not count. */
  start(): void {
    for (const t of this.group.tasks) this.mark(t, threadNs(t));
    this.armFor(0);
  }

  private armFor(runNs: number): void {
    const { limits, kernel } = this.group;
    const left = limits.cur(RLIMIT_RTTIME) * 1000 - runNs;
    kernel.timers.arm(this.timer, kernel.clock.monotonicNs() + Math.max(left, POLL_MIN_NS));
  }

  private mark(t: Task, cpuNs: number): void {
    this.marks.set(t, { cpuNs, waits: t.usage.voluntarySwitches });
  }

  stop(): void {
    this.group.kernel.timers.disarm(this.timer);
  }

  /** CPU time since it last waited. That it waited is found out when somebody looks. */
  private runNs(t: Task): number {
    const cpuNs = threadNs(t);
    const { cpuNs: before, waits } = this.marks.get(t) ?? FROM_BIRTH;
    if (waits === t.usage.voluntarySwitches) return cpuNs - before;
    this.mark(t, cpuNs);
    return 0;
  }

  private check(): void {
    const { group } = this;
    const { limits } = group;
    if (limits.cur(RLIMIT_RTTIME) === Infinity) return;
    let longest = -1;
    for (const t of group.tasks) if (!t.dead && isRealTime(t)) longest = Math.max(longest, this.runNs(t));
    if (longest < 0) return;
    const usedUs = longest / 1000;
    if (usedUs >= limits.max(RLIMIT_RTTIME)) {
      sendGroupSignal(group, sigInfoKernel(SIGKILL));
      return;
    }
    const soft = limits.cur(RLIMIT_RTTIME);
    if (usedUs >= soft) {
      limits.set(RLIMIT_RTTIME, Math.min(soft + 1e6, limits.max(RLIMIT_RTTIME)), limits.max(RLIMIT_RTTIME));
      sendGroupSignal(group, sigInfoKernel(SIGXCPU));
    }
    this.armFor(longest);
  }
}
