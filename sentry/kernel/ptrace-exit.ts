/** The end of tracees that have been waited for, and of tracers (kernel/ptrace.c: exit_ptrace, __ptrace_detach). */
import { PTRACE_O_EXITKILL } from '../abi/ptrace.ts';
import { SIGKILL } from '../abi/signal.ts';
import { awaitsTracer } from './ptrace-zombies.ts';
import { detach, unlink } from './ptrace.ts';
import { groupExit, notifyParentExit } from './signal-send.ts';
import { announceEnd, reapProcess } from './task-exit.ts';
import type { Task } from './task.ts';
import { CHILD_EVENT } from './thread-group.ts';

/** Waited for, or the tracer is gone: a thread disappears, a process becomes its parent's zombie. */
export function releaseTracedZombie(t: Task): void {
  const g = t.group;
  const reparented = g.hasEnded && awaitsTracer(g);
  unlink(t);
  if (g.leader !== t) {
    g.tracedZombies.delete(t);
    t.pid.task = null;
    t.pid.releaseIfUnused();
    if (g.dethread !== null && g.isAlone) g.kernel.runQueue.add(g.dethread.task);
    else if (g.hasEnded && !g.isReaped) announceEnd(g);
    return;
  }
  if (!reparented) return;
  const { parent } = g;
  if (notifyParentExit(g)) reapProcess(g);
  parent?.childWaiters.wake(CHILD_EVENT);
}

/** exit_ptrace(): a tracer ends. */
export function tracerExit(t: Task): void {
  const { tracees } = t;
  if (tracees === null) return;
  for (const c of [...tracees]) {
    if (c.dead) {
      const g = c.group;
      releaseTracedZombie(c);
      if (c === g.leader && g.hasEnded && g.parent === t.group && t.group.autoReaps) {
        reapProcess(g);
        t.group.childWaiters.wake(CHILD_EVENT);
      }
      continue;
    }
    const kill = (c.ptrace!.options & PTRACE_O_EXITKILL) !== 0;
    // A stop that nobody has waited for ends as if the tracer had let its signal through.
    detach(c, c.ptrace!.stopped ? c.ptrace!.exitCode : 0);
    if (kill) groupExit(c.group, SIGKILL);
  }
  t.tracees = null;
}
