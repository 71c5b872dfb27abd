/**
 * execve(2) apart from loading: the point of no return (fs/exec.c begin_new_exec, de_thread) and the move to the new
 * address space.
 */
import { SIGCHLD } from '../abi/signal.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import { GONE_SPACE } from '../platform/gone-space.ts';
import type { Context } from '../platform/platform.ts';
import { chargeSpace, noteExec } from './cpu-time.ts';
import { joinTimeNamespace } from './namespaces.ts';
import { unlink } from './ptrace.ts';
import { followTime } from './shifted-time.ts';
import { signalWake } from './signal-send.ts';
import { SYS_DETACHED, type SysResult } from './syscall-table.ts';
import {
  TASK_ASKING,
  TASK_BLOCKED,
  TASK_DEAD,
  TASK_DETHREAD,
  TASK_FROZEN,
  TASK_RUNNING,
  TASK_STOPPED,
  TASK_TRACED,
  TASK_VFORK,
  type Task,
} from './task.ts';
import { endWaiting, releaseFutexes, releaseVforkParent } from './task-exit.ts';

/**
 * de_thread(): ends all other threads, then runs `done` with `t` as the only one and leader of its process. Calls `done` at once if
 * it is alone. The handler returns what this returns; `done` ends the call with kernel.endDetached or by exitTask. Threads whose
 * tracer has not waited for them hold it up; `abandoned`: it has been killed meanwhile.
 */
export function deThread(t: Task, done: (t: Task) => void, abandoned: () => void): SysResult {
  const g = t.group;
  if (g.isAlone) {
    takeLeadership(t);
    done(t);
    return SYS_DETACHED;
  }
  const lead = (self: Task): void => {
    takeLeadership(self);
    done(self);
  };
  g.dethread = { task: t, done: lead, abandoned };
  t.state = TASK_DETHREAD;
  for (const o of [...g.tasks]) {
    if (o === t) continue;
    o.killed = true;
    o.work = true;
    if (o.state === TASK_RUNNING) signalWake(o, true);
    else if (
      o.state === TASK_BLOCKED ||
      o.state === TASK_STOPPED ||
      o.state === TASK_TRACED ||
      o.state === TASK_FROZEN ||
      o.state === TASK_VFORK ||
      o.state === TASK_ASKING
    )
      endWaiting(o, 0);
    // Others are on their way through the kernel and see `killed`.
  }
  return SYS_DETACHED;
}

/** The thread becomes the leader and takes over the process's number. */
function takeLeadership(t: Task): void {
  const g = t.group;
  const old = g.leader;
  if (old === t) return;
  const ownPid = t.pid;
  t.pid = g.pid;
  g.pid.task = t;
  ownPid.task = null;
  ownPid.releaseIfUnused();
  old.pid = ownPid;
  unlink(old);
  old.cset.pids.chargePids(-1);
  g.leader = t;
  g.exitSignal = SIGCHLD;
}

/**
 * The new image is ready in `ctx` (stopped, registers set) and `mm`, whose reference the task takes over: leaves the old address
 * space, which may be the same one on the host, and resets what exec resets. Credentials are the loader's affair and come before.
 */
export function commitExec(t: Task, ctx: Context, mm: MemoryManager, comm: string): void {
  const g = t.group;
  releaseFutexes(t);
  for (const hook of t.kernel.execHooks) hook(t);
  const oldCtx = t.ctx;
  const oldMm = t.mm;
  // In the same host process the host counts on.
  const stays = oldCtx === ctx;
  if (!stays) noteExec(t);
  if (!stays && !t.ctxGone) chargeSpace(t);
  mm.inheritFrom(oldMm);
  t.dispatch = null;
  // exec_task_namespaces()
  t.ns = joinTimeNamespace(t.ns);
  followTime(t.kernel, ctx, mm, t.ns.time);
  t.rebind(ctx, mm);
  oldMm.unref();
  if (stays) leaveSpace(oldMm);
  else if (!t.ctxGone) oldCtx.exit();
  t.ctxGone = false;
  releaseVforkParent(t);
  t.futexesReleased = false;
  t.clearChildTid = 0;
  t.robustList = 0;
  t.debugRegs = null;
  if (g.handlers.shared) {
    const own = g.handlers.clone();
    g.handlers.unref();
    g.handlers = own;
  }
  g.handlers.flushForExec();
  t.altStackSp = 0;
  t.altStackSize = 0;
  if (t.fdTable.shared) {
    const own = t.fdTable.clone();
    t.fdTable.unref(t);
    t.fdTable = own;
  }
  t.fdTable.closeOnExec(t);
  t.comm = comm.slice(0, 15);
  g.didExec = true;
  g.execId++;
  g.exitSignal = SIGCHLD;
  t.restart = null;
}

/** The host process goes on without what it has done for the old program. Open files of /proc may still refer to that. */
function leaveSpace(old: MemoryManager): void {
  old.space.forgetAnswers();
  old.space.ownFutexes(false);
  old.space = GONE_SPACE;
}

export function isAlive(t: Task): boolean {
  return t.state !== TASK_DEAD;
}
