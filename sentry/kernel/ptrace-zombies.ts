/**
 * Tracees that have ended: their tracer waits for each thread, and for a process before its parent does (kernel/exit.c:
 * exit_notify, wait_task_zombie).
 */
import { SIGCHLD } from '../abi/signal.ts';
import { childCode, childInfo, sendGroupSignal } from './signal-send.ts';
import type { Task } from './task.ts';
import { CHILD_EVENT, type ThreadGroup } from './thread-group.ts';

/** A traced thread that is no leader has ended with `status`: a zombie of its tracer's. */
export function tracedThreadEnded(t: Task, status: number): void {
  const p = t.ptrace!;
  p.exitStatus = status;
  p.stopped = false;
  t.group.tracedZombies.add(t);
  tell(t, p.tracer, status);
}

function tell(t: Task, by: Task, exitStatus: number): void {
  const tracer = by.group;
  const { code, status } = childCode(exitStatus);
  sendGroupSignal(tracer, childInfo(t.group, tracer, SIGCHLD, code, status, t), false, by);
  tracer.childWaiters.wake(CHILD_EVENT);
}

/** Is the zombie of `g` its tracer's first, somebody else than its parent? */
export function awaitsTracer(g: ThreadGroup): boolean {
  const p = g.leader.ptrace;
  return p !== null && p.tracer.group !== g.parent;
}

/** A process has ended that somebody else than its parent traces: the tracer hears of it first. */
export function tracedProcessEnded(g: ThreadGroup): void {
  const p = g.leader.ptrace!;
  p.exitStatus = g.exitStatus;
  p.stopped = false;
  tell(g.leader, p.tracer, g.exitStatus);
}
