/** Which thread takes a signal that is sent to a process (kernel/signal.c: wants_signal, complete_signal's curr_target). */
import { SIGKILL } from '../abi/signal.ts';
import { TASK_DEAD, TASK_STOPPED, TASK_TRACED, type Task } from './task.ts';
import type { ThreadGroup } from './thread-group.ts';

/** wants_signal() */
export function wantsSignal(t: Task, sig: number): boolean {
  if (t.state === TASK_DEAD || t.killed) return false;
  if (t.sigMask.has(sig)) return false;
  if (sig === SIGKILL) return true;
  // A frozen thread has work, but none that keeps it from dying.
  return t.state !== TASK_STOPPED && t.state !== TASK_TRACED && (!t.work || t.frozen);
}

/** A thread that takes a signal for the process, from the last one that did on. */
export function nextTarget(g: ThreadGroup, sig: number): Task | null {
  const last = g.signalTarget ?? g.leader;
  let first: Task | null = null;
  let passed = false;
  for (const o of g.tasks) {
    passed ||= o === last;
    if ((!passed && first !== null) || !wantsSignal(o, sig)) continue;
    first = o;
    if (passed) break;
  }
  if (first !== null) g.signalTarget = first;
  return first;
}

/** The thread that took the last signal leaves: the one behind it is the next. */
export function passSignalTarget(g: ThreadGroup): void {
  let passed = false;
  let next: Task | null = null;
  for (const o of g.tasks) {
    if (passed) {
      next = o;
      break;
    }
    passed = o === g.signalTarget;
  }
  g.signalTarget = next;
}
