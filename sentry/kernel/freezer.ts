/**
 * The freezer of containers and of control groups (kernel/freezer.c, kernel/cgroup/freezer.c): threads that run are taken out of
 * guest code and kept from returning there. Those that wait inside a call go on waiting; what ends their wait they notice, but
 * not before the thaw do they act on it. SIGKILL works on frozen processes, as in cgroup v2.
 */
import type { Container } from './container.ts';
import type { Kernel } from './kernel.ts';
import { signalWake } from './signal-send.ts';
import { TASK_BLOCKED, TASK_FROZEN, TASK_KERNEL, TASK_RUNNING, type Task } from './task.ts';

/** A freezer has been switched on that it is under. */
export function stopForFreezer(t: Task): void {
  t.work = true;
  if (t.state === TASK_RUNNING && !t.ctxGone) t.ctx.interrupt();
}

/** A freezer has been switched off that it was under; another may still be on. */
export function thawTask(t: Task): void {
  if (t.frozen) return;
  if (t.state === TASK_FROZEN) t.kernel.runQueue.add(t);
  // Signals may have come for it.
  else if (t.state === TASK_BLOCKED) signalWake(t);
}

/** No code of it runs, and none will before the thaw. */
export function standsStill(t: Task): boolean {
  return t.state !== TASK_RUNNING && t.state !== TASK_KERNEL;
}

function* tasksOf(k: Kernel, c: Container): Iterable<Task> {
  for (const g of k.allGroups()) if (g.container === c) yield* g.tasks;
}

export function freeze(k: Kernel, c: Container): void {
  c.frozen = true;
  for (const t of tasksOf(k, c)) stopForFreezer(t);
}

/** False while threads have yet to leave guest code. */
export function isFrozen(k: Kernel, c: Container): boolean {
  for (const t of tasksOf(k, c)) if (t.state === TASK_RUNNING) return false;
  return c.frozen;
}

export function thaw(k: Kernel, c: Container): void {
  if (!c.frozen) return;
  c.frozen = false;
  for (const t of tasksOf(k, c)) thawTask(t);
}
