/** The end of threads and processes (kernel/exit.c: do_exit, exit_notify, release_task, forget_original_parent). */
import { ENOSYS } from '../abi/errno.ts';
import { SIGCHLD, SIGKILL, SI_USER } from '../abi/signal.ts';
import { EPOLLHUP, EPOLLIN } from '../waiter/wait-queue.ts';
import { settleCpu } from './cgroup/cpu.ts';
import { chargeGroupSpace, chargeSpace, noteThreadEnd, processUsage } from './cpu-time.ts';
import { disassociateTty, killOrphanedProcessGroup } from './job-control.ts';
import type { PidNamespace } from './pid-namespace.ts';
import { seccompExit } from './seccomp-notify.ts';
import { awaitsTracer, tracedProcessEnded, tracedThreadEnded } from './ptrace-zombies.ts';
import { unlink } from './ptrace.ts';
import { endIsWatched, exitStop } from './ptrace-stops.ts';
import { sigInfoUser } from './sig-info.ts';
import {
  checkKill,
  flushFromAll,
  freeSigInfo,
  groupExit,
  notifyParentExit,
  sendGroupSignal,
  takePartInStop,
} from './signal-send.ts';
import { passSignalTarget } from './signal-target.ts';
import type { Task } from './task.ts';
import { futexExit } from './futex.ts';
import { releasePiLocks } from './futex-pi.ts';
import { leaveNamespaces } from './namespaces.ts';
import {
  TASK_ASKING,
  TASK_BLOCKED,
  TASK_DEAD,
  TASK_DETACHED,
  TASK_DUMPED,
  TASK_FROZEN,
  TASK_RUNNING,
  TASK_STOPPED,
  TASK_TRACED,
  TASK_VFORK,
} from './task.ts';
import { CHILD_EVENT, type ThreadGroup } from './thread-group.ts';

/** Robust list and clear_child_tid, once per life of an address space. */
export function releaseFutexes(t: Task): void {
  if (t.futexesReleased) return;
  t.futexesReleased = true;
  futexExit(t);
  releasePiLocks(t);
}

/** Ends one thread; `status` is the wait status if it turns out to be the process's. */
export function exitTask(t: Task, status: number): void {
  if (t.state === TASK_DEAD) return;
  const g = t.group;
  const k = t.kernel;
  // A call that was waiting gives back what it holds (files, places in queues); its result is nobody's.
  t.killed = true;
  if (t.blocked || t.state === TASK_ASKING) t.interruptWait();
  else t.cancelWait();
  t.blockState = null;
  t.endServed();
  if (!t.ctxGone) t.ctx.leaving();
  releaseFutexes(t);
  if (g.dethread?.task === t) {
    g.dethread.abandoned();
    g.dethread = null;
  }
  t.state = TASK_DEAD;
  releaseVforkParent(t);
  for (const hook of k.taskExitHooks) hook(t);
  t.landlock?.unref();
  t.landlock = null;
  if (t.seccomp !== null) seccompExit(t);
  t.fdTable.unref(t);
  t.fs.unref();
  leaveNamespaces(t.ns);
  t.pending.flush(~0, ~0, (info) => freeSigInfo(t, info));
  noteThreadEnd(t);
  if (!t.ctxGone) {
    chargeSpace(t);
    t.ctxGone = true;
    t.ctx.exit();
  }
  t.mm.unref();
  k.uncountTask(t);
  t.cset.leave();
  // Of a process one number stays in use until it has been waited for.
  if (g.leader !== t) t.cset.pids.chargePids(-1);
  if (g.signalTarget === t) passSignalTarget(g);
  g.tasks.delete(t);
  g.usage.add(t.usage);
  if (t.stopPending) takePartInStop(t);
  // Without exit_group the last thread's code is the process's (synchronize_group_exit).
  if (!g.exiting) g.exitStatus = status;
  parentThreadGone(t);
  g.coreDump?.left(t);
  if (g.leader !== t) {
    if (t.ptrace !== null) tracedThreadEnded(t, g.exiting ? g.exitStatus : status);
    else {
      t.pid.task = null;
      t.pid.releaseIfUnused();
    }
  }
  t.pid.waiters.wake(EPOLLIN | EPOLLHUP);
  if (g.tasks.size === 0) endProcess(g);
  else if (g.dethread !== null && g.isAlone) k.runQueue.add(g.dethread.task);
}

/**
 * The end of a thread that is in the kernel, would answer its call with `result`, or goes by its registers: first its tracer may
 * look at it.
 */
export function endTask(t: Task, status: number, result: number, inSyscall: boolean): void {
  if (!exitStop(t, status, result, inSyscall, (task) => exitTask(task, status))) exitTask(t, status);
}

/** The same of a thread that waits, stands still, or is dead. */
export function endWaiting(t: Task, status: number): void {
  if (t.ptrace === null) {
    exitTask(t, status);
    return;
  }
  switch (t.state) {
    case TASK_BLOCKED:
    case TASK_ASKING:
      endTask(t, status, t.interruptWait(), true);
      return;
    case TASK_TRACED:
      endTask(t, status, t.ptrace.result, t.ptrace.inSyscall);
      return;
    case TASK_STOPPED:
    case TASK_FROZEN:
    case TASK_DUMPED:
      endTask(t, status, t.stopResult, t.stopInSyscall);
      return;
    default:
      endTask(t, status, -ENOSYS, true);
  }
}

/** vfork(2): the parent goes on once its child has another address space or is gone (mm_release). */
export function releaseVforkParent(t: Task): void {
  const parent = t.vforkParent;
  if (parent === null) return;
  t.vforkParent = null;
  parent.vforkDone = true;
  if (parent.state === TASK_VFORK) parent.kernel.runQueue.add(parent);
}

/** Children made by this very thread: their PR_SET_PDEATHSIG fires, and another thread takes its place (forget_original_parent). */
function parentThreadGone(t: Task): void {
  for (const c of t.group.children) {
    if (c.parentTask !== t) continue;
    c.parentTask = t.group.tasks.values().next().value ?? null;
    const pid = t.group.pid.nrIn(c.pid.ns);
    for (const o of c.tasks) {
      const { pdeathSignal } = o;
      if (pdeathSignal === 0 || checkKill(t, c, pdeathSignal) !== 0) continue;
      // From outside its PID namespace even an init can be killed.
      sendGroupSignal(c, sigInfoUser(pdeathSignal, SI_USER, pid, t.creds.uid), pid === 0, o);
    }
  }
}

/** The last thread is gone (exit_notify). */
function endProcess(g: ThreadGroup): void {
  const k = g.kernel;
  for (const hook of k.processExitHooks) hook(g);
  flushFromAll(g, ~0, ~0);
  const ns = g.pid.ns;
  if (ns.reaper === g) zapPidNamespace(ns, g);
  reparentChildren(g);
  killOrphanedProcessGroup(g, g.parent, true);
  if (g.session.leader === g) {
    disassociateTty(g.session, true);
    g.session.leader = null;
  }
  g.handlers.unref();
  g.isZombie = true;
  k.ended.add(processUsage(g));
  g.stopped = false;
  g.continuedUnreported = false;
  if (g.hasEnded) announceEnd(g);
}

/** Nobody has to be waited for before the process: who traces it or is its parent hears of its end. */
export function announceEnd(g: ThreadGroup): void {
  const k = g.kernel;
  const traced = awaitsTracer(g);
  if (traced) tracedProcessEnded(g);
  const reap = !traced && notifyParentExit(g);
  g.pid.waiters.wake(EPOLLIN);
  const parent = g.parent;
  if (reap) reapProcess(g);
  parent?.childWaiters.wake(CHILD_EVENT);
  g.onEnd?.(g.exitStatus);
  if (k.pidNs.reaper === g) k.initEnded(g.exitStatus);
}

/** init of a PID namespace has ended: so does everything in it (zap_pid_ns_processes). */
function zapPidNamespace(ns: PidNamespace, init: ThreadGroup): void {
  ns.dying = true;
  for (const g of ns.groups()) if (g !== init && !g.isZombie) groupExit(g, SIGKILL);
}

/** find_new_reaper(): the nearest living subreaper among the ancestors, or the namespace's init. */
function newParent(g: ThreadGroup): ThreadGroup | null {
  const reaper = g.pid.ns.reaper;
  for (let a = g.parent; a !== null && a !== reaper; a = a.parent) {
    if (a.pid.ns !== g.pid.ns) break;
    if (a.childSubreaper && !a.isZombie && !a.exiting) return a;
  }
  return reaper === g ? null : reaper;
}

function reparentChildren(g: ThreadGroup): void {
  if (g.children.size === 0) return;
  const to = newParent(g);
  for (const c of [...g.children]) {
    g.children.delete(c);
    c.parent = to;
    c.parentTask = to?.tasks.values().next().value ?? null;
    if (to === null) {
      if (c.isZombie) reapProcess(c);
      continue;
    }
    to.children.add(c);
    c.exitSignal = SIGCHLD;
    if (c.hasEnded) {
      if (notifyParentExit(c)) reapProcess(c);
      to.childWaiters.wake(CHILD_EVENT);
    } else if (!c.isZombie) killOrphanedProcessGroup(c, g, false);
  }
}

/** release_task() for a whole process: waited for, or nobody cares. */
export function reapProcess(g: ThreadGroup): void {
  if (g.isReaped) return;
  g.isReaped = true;
  settleCpu(g, processUsage(g));
  g.leader.cset.pids.chargePids(-1);
  unlink(g.leader);
  g.parent?.children.delete(g);
  g.parent = null;
  g.processGroup.remove(g);
  g.pid.exitStatus = g.exitStatus;
  g.pid.group = null;
  g.pid.task = null;
  g.pid.waiters.wake(EPOLLIN | EPOLLHUP);
  g.pid.releaseIfUnused();
}

/** Carries out groupExit(): called from the kernel's loop, when no handler runs. */
export function exitThreads(g: ThreadGroup): void {
  const first = g.tasks.values().next().value;
  if (first === undefined) return;
  // Nobody else in the address space: the host process can be killed at once, wherever its threads are.
  if (first.mm.userCount === g.tasks.size && ![...g.tasks].some(endIsWatched)) {
    for (const t of g.tasks) releaseFutexes(t);
    const space = first.ctx.space;
    for (const t of g.tasks) t.ctxGone = true;
    chargeGroupSpace(g, space);
    space.destroy();
    for (const t of [...g.tasks]) exitTask(t, g.exitStatus);
    return;
  }
  for (const t of [...g.tasks]) {
    // Its tracer looks at it.
    if (!t.killed) continue;
    if (t.state === TASK_RUNNING && !t.ctxGone) t.ctx.interrupt();
    else if (t.state !== TASK_DETACHED || t.ctxGone) endWaiting(t, g.exitStatus);
  }
}
