/** What file systems ask the kernel about its processes, whose code they may not import: `kernel.accounts`. */
import { processUsage, threadUsage, usageOfAll } from './cpu-time.ts';
import type { Kernel } from './kernel.ts';
import { isRunnable } from './load-average.ts';
import { timersOf, type PosixTimer } from './process-timers.ts';
import type { ThreadGroup } from './thread-group.ts';

/** Tasks that run, and that there are. */
function countTasks(kernel: Kernel): { running: number; all: number } {
  const sum = { running: 0, all: 0 };
  for (const g of kernel.allGroups()) {
    for (const t of g.tasks) {
      sum.all++;
      if (isRunnable(t)) sum.running++;
    }
  }
  return sum;
}

/** Those of timer_create(2), oldest first. */
function posixTimers(g: ThreadGroup): PosixTimer[] {
  return g.timers === null ? [] : [...timersOf(g).posix.values()];
}

export const accounts = { processUsage, threadUsage, usageOfAll, countTasks, posixTimers };
