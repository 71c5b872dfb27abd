/** Sending signals (kernel/signal.c: send_signal, prepare_signal, complete_signal, force_sig). */
import { EAGAIN, EPERM } from '../abi/errno.ts';
import {
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  NSIG,
  SA_NOCLDSTOP,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGRTMIN,
  SIG_DFL,
  SIG_IGN,
  SI_TKILL,
  SI_USER,
} from '../abi/signal.ts';
import { CAP_KILL } from '../auth/capability.ts';
import { EPOLLIN } from '../waiter/wait-queue.ts';
import { processUsage } from './cpu-time.ts';
import type { ProcessGroup } from './job-control.ts';
import { RLIMIT_SIGPENDING } from './limits.ts';
import { SigInfo, sigInfoChild } from './sig-info.ts';
import type { SigQueue } from './sig-queue.ts';
import { CONT_LO, STOP_LO } from './sig-set.ts';
import { defaultDumpsCore, defaultIgnored, defaultStops, kernelOnly } from './signal-handlers.ts';
import { nextTarget, wantsSignal } from './signal-target.ts';
import type { Task } from './task.ts';
import { TASK_ASKING, TASK_BLOCKED, TASK_DEAD, TASK_RUNNING, TASK_STOPPED, TASK_TRACED } from './task.ts';
import { CHILD_EVENT, type ThreadGroup } from './thread-group.ts';

/** Makes `t` look at its signals soon. `fatal` gets it out of a group stop too. */
export function signalWake(t: Task, fatal = false): void {
  t.work = true;
  if (
    t.state === TASK_BLOCKED ||
    t.state === TASK_ASKING ||
    (fatal && (t.state === TASK_STOPPED || t.state === TASK_TRACED))
  )
    t.kernel.runQueue.add(t);
  else if (t.state === TASK_RUNNING && !t.ctxGone) t.ctx.interrupt();
}

/** RLIMIT_SIGPENDING accounting of queued entries per real user. */
export function freeSigInfo(t: { kernel: Task['kernel'] }, info: SigInfo): void {
  if (info.accountedUid < 0) return;
  const counts = t.kernel.pendingByUid;
  const n = (counts.get(info.accountedUid) ?? 1) - 1;
  if (n === 0) counts.delete(info.accountedUid);
  else counts.set(info.accountedUid, n);
  info.accountedUid = -1;
}

/** True if the entry may be queued under the limit of the receiver. */
function account(t: Task, info: SigInfo, override: boolean): boolean {
  const counts = t.kernel.pendingByUid;
  const n = counts.get(t.creds.uid) ?? 0;
  if (!override && n >= t.group.limits.cur(RLIMIT_SIGPENDING)) return false;
  counts.set(t.creds.uid, n + 1);
  info.accountedUid = t.creds.uid;
  return true;
}

/** sig_ignored(): dropped at once. Blocked signals are kept, the action may change before they are unblocked. */
function ignoredBy(t: Task, sig: number, force: boolean): boolean {
  if (t.sigMask.has(sig) || t.realSigMask.has(sig)) return false;
  // "Tracers may want to know about even ignored signal" (sig_ignored).
  if (t.ptrace !== null && sig !== SIGKILL) return false;
  const g = t.group;
  if (g.unkillable && g.handlers.handler[sig] === SIG_DFL && !(force && kernelOnly(sig))) return true;
  return !kernelOnly(sig) && g.handlers.ignores(sig);
}

/** prepare_signal(): SIGCONT and stop signals cancel each other. False if the signal is not to be queued. */
function prepare(t: Task, sig: number, force: boolean): boolean {
  const g = t.group;
  if (g.exiting) return sig === SIGKILL;
  if (defaultStops(sig)) flushFromAll(g, CONT_LO);
  else if (sig === SIGCONT) {
    flushFromAll(g, STOP_LO);
    continueGroup(g);
  }
  return !ignoredBy(t, sig, force);
}

export function flushFromAll(g: ThreadGroup, lo: number, hi = 0): void {
  const freed = (info: SigInfo): void => freeSigInfo(g, info);
  g.pending.flush(lo, hi, freed);
  for (const t of g.tasks) t.pending.flush(lo, hi, freed);
}

/** complete_signal(): who handles it; a fatal one ends the process at once. */
function complete(t: Task, sig: number, shared: boolean): void {
  const g = t.group;
  let target: Task | null = wantsSignal(t, sig) ? t : null;
  if (target === null && shared) {
    target = nextTarget(g, sig);
    // All who could take it are busy with another signal: they look at the shared queue afterwards.
    if (target === null)
      for (const o of g.tasks)
        if (!o.sigMask.has(sig) && o.state !== TASK_STOPPED && o.state !== TASK_TRACED) o.work = true;
  } else if (target === null && !t.sigMask.has(sig)) t.work = true;
  if (target === null) return;
  const fatal =
    (!g.unkillable || kernelOnly(sig)) &&
    g.handlers.handler[sig] === SIG_DFL &&
    !defaultIgnored(sig) &&
    !defaultStops(sig) &&
    !defaultDumpsCore(sig) &&
    (target.ptrace === null || sig === SIGKILL);
  if (fatal && !g.exiting && !target.realSigMask.has(sig)) {
    groupExit(g, sig);
    return;
  }
  signalWake(target, sig === SIGKILL);
}

/** si_uid as the receiver's user namespace names the sender (send_signal_locked). */
function nameSender(t: Task, info: SigInfo): void {
  const hasUid = info.code === SI_USER || info.code === SI_TKILL || (info.signo === SIGCHLD && info.code > 0);
  if (hasUid) info.bytes.writeUInt32LE(t.creds.userNs.fromUid(info.bytes.readUInt32LE(20)), 20);
}

/** send_signal(): 0, or −EAGAIN if a queued real-time signal finds the queue full. `force`: from outside the PID namespace. */
function send(t: Task, queue: SigQueue, info: SigInfo, shared: boolean, force: boolean): number {
  const sig = info.signo;
  if (!prepare(t, sig, force)) return 0;
  if (sig < SIGRTMIN && queue.has(sig)) return 0;
  if (sig === SIGKILL) {
    groupExit(t.group, SIGKILL);
    return 0;
  }
  if (t.creds.userNs.level > 0) nameSender(t, info);
  let kept: SigInfo | null = info;
  if (!account(t, info, sig < SIGRTMIN && !info.fromUser)) {
    if (sig >= SIGRTMIN && info.fromUser && info.code !== SI_USER) return -EAGAIN;
    kept = null;
  }
  if (shared) for (const o of t.group.tasks) o.reclaim();
  else t.reclaim();
  queue.push(sig, kept);
  t.group.signalWaiters.wake(EPOLLIN);
  complete(t, sig, shared);
  return 0;
}

/** Sends to one thread (tgkill, faults of others). */
export function sendTaskSignal(t: Task, info: SigInfo, force = false): number {
  return t.state === TASK_DEAD ? 0 : send(t, t.pending, info, false, force);
}

/** Sends to the process (kill); thread `to` of it is the first to be asked whether it takes it. */
export function sendGroupSignal(
  g: ThreadGroup,
  info: SigInfo,
  force = false,
  to: Task | null = null,
): number {
  const asked = to ?? g.leader;
  const first = asked.state !== TASK_DEAD ? asked : g.tasks.values().next().value;
  return first === undefined ? 0 : send(first, g.pending, info, true, force);
}

/** Sends to every member (kill_pgrp), each with an entry of its own. */
export function sendProcessGroupSignal(pgrp: ProcessGroup, info: SigInfo, force = false): void {
  for (const g of [...pgrp.members]) sendGroupSignal(g, copySigInfo(info), force);
}

export function copySigInfo(info: SigInfo): SigInfo {
  const c = new SigInfo(info.signo, info.code);
  info.bytes.copy(c.bytes);
  return c;
}

/**
 * force_sig_info(): a signal the thread has caused itself (fault). If it is blocked or ignored, or `fatal`, the default action
 * applies.
 */
export function forceSignal(t: Task, info: SigInfo, fatal = false): void {
  if (t.state === TASK_DEAD) return;
  const sig = info.signo;
  const h = t.group.handlers;
  const blocked = t.sigMask.has(sig);
  if (blocked || fatal || h.ignores(sig)) {
    h.handler[sig] = SIG_DFL;
    if (blocked) t.sigMask.delete(sig);
  }
  if (h.handler[sig] === SIG_DFL) t.group.unkillable = false;
  if (t.group.exiting) return;
  if (!t.pending.has(sig)) t.pending.push(sig, info);
  signalWake(t);
}

/** check_kill_permission(): may `t` send `sig` to `target`? 0 or −EPERM. */
export function checkKill(t: Task, target: ThreadGroup, sig: number): number {
  const c = t.creds;
  const o = target.leader.creds;
  if (target === t.group) return 0;
  if (c.euid === o.suid || c.euid === o.uid || c.uid === o.suid || c.uid === o.uid) return 0;
  if (c.hasIn(CAP_KILL, o.userNs)) return 0;
  if (sig === SIGCONT && target.session === t.group.session) return 0;
  return -EPERM;
}

export function validSignal(sig: number): boolean {
  return sig >= 0 && sig <= NSIG;
}

/**
 * Starts the end of the whole process with wait status `status` (do_group_exit): every thread leaves, from the kernel's loop.
 */
export function groupExit(g: ThreadGroup, status: number): void {
  if (g.exiting) {
    if (status === SIGKILL) g.coreDump?.kill();
    return;
  }
  beginGroupExit(g, status);
  g.kernel.runQueue.addExit(g);
}

/** The same without an end to it: a core is dumped first. */
export function beginGroupExit(g: ThreadGroup, status: number): void {
  g.exiting = true;
  g.exitStatus = status;
  g.stopSignal = 0;
  g.stopped = false;
  for (const t of g.tasks) {
    t.killed = true;
    t.work = true;
  }
}

/** SIGCONT has been sent, whatever its action: the stop ends (prepare_signal). */
function continueGroup(g: ThreadGroup): void {
  const { stopped, stopSignal } = g;
  g.stopSignal = 0;
  g.stopsOutstanding = 0;
  g.stopped = false;
  g.stopUnreported = false;
  for (const t of g.tasks) {
    t.stopPending = false;
    t.stopConsume = false;
    t.stopDequeued = false;
    if (t.ptrace !== null && t.ptrace.seized) t.kernel.trapNotify(t);
    else if (t.state === TASK_STOPPED) t.kernel.runQueue.add(t);
  }
  if (stopSignal === 0) return;
  g.continuedUnreported = true;
  // A stop that was not complete yet is told of all the same.
  notifyStop(g, stopped ? CLD_CONTINUED : CLD_STOPPED);
}

/**
 * do_signal_stop(): `t` has taken a stop signal, and every thread stops as soon as it can. Tracers may let threads go on in a
 * stopped group, and then there is a second stop, which only they hear of.
 */
export function stopGroup(t: Task, sig: number): void {
  const g = t.group;
  if (t.stopPending || !t.stopDequeued || g.exiting || g.dethread !== null) return;
  if (!g.stopped) g.stopSignal = sig;
  g.stopsOutstanding = 0;
  for (const o of g.tasks) {
    if (o.killed || o.state === TASK_STOPPED) continue;
    o.stopPending = true;
    o.stopConsume = true;
    o.stopSignal = sig;
    g.stopsOutstanding++;
    o.work = true;
  }
  for (const o of g.tasks) {
    if (o === t || !o.stopPending) continue;
    if (o.ptrace !== null && o.ptrace.seized) o.kernel.trapNotify(o);
    else signalWake(o);
  }
}

/** task_participate_group_stop(): a thread has stopped or has left; the last one completes the stop. */
export function takePartInStop(t: Task): void {
  const g = t.group;
  const { stopConsume } = t;
  t.stopPending = false;
  t.stopConsume = false;
  if (!stopConsume || g.exiting || --g.stopsOutstanding > 0 || g.stopped) return;
  g.stopped = true;
  g.stopUnreported = true;
  // A parent that traces it hears of its own stop.
  if (t.ptrace === null || t.ptrace.tracer.group !== g.parent) notifyParentStop(g, CLD_STOPPED);
}

/** signal->group_exit_code of a process in a group stop, which a wait takes. */
export function stopCode(g: ThreadGroup): number {
  return g.stopped && !g.stopUnreported ? 0 : g.stopSignal;
}

/** SIGCONT has ended a stop: its parent hears of it, and who traces it in the parent's stead. */
function notifyStop(g: ThreadGroup, why: typeof CLD_STOPPED | typeof CLD_CONTINUED): void {
  notifyParentStop(g, why);
  const p = g.leader.ptrace;
  if (p === null || p.tracer.group === g.parent) return;
  tellOfStop(g, p.tracer.group, p.tracer, why);
}

function notifyParentStop(g: ThreadGroup, why: typeof CLD_STOPPED | typeof CLD_CONTINUED): void {
  const parent = g.parent;
  if (parent === null) {
    g.kernel.onInitStop?.(why === CLD_STOPPED);
    return;
  }
  tellOfStop(g, parent, g.parentTask, why);
}

/** do_notify_parent_cldstop() */
function tellOfStop(
  g: ThreadGroup,
  to: ThreadGroup,
  thread: Task | null,
  why: typeof CLD_STOPPED | typeof CLD_CONTINUED,
): void {
  const h = to.handlers;
  if (h.handler[SIGCHLD] !== SIG_IGN && (h.flags[SIGCHLD]! & SA_NOCLDSTOP) === 0) {
    const status = why === CLD_STOPPED ? g.stopSignal : SIGCONT;
    sendGroupSignal(to, childInfo(g, to, SIGCHLD, why, status), false, thread);
  }
  to.childWaiters.wake(CHILD_EVENT);
}

/** SIGCHLD's siginfo about `g`, or about thread `t` of it, for `parent`. */
export function childInfo(
  g: ThreadGroup,
  parent: ThreadGroup,
  sig: number,
  why: number,
  status: number,
  t: Task = g.leader,
): SigInfo {
  const ticks = (ns: number): number => Math.floor(ns / 1e7);
  const usage = processUsage(g);
  return sigInfoChild(
    sig,
    why,
    (t === g.leader ? g.pid : t.pid).nrIn(parent.pid.ns),
    t.creds.uid,
    status,
    ticks(usage.utimeNs),
    ticks(usage.stimeNs),
  );
}

/** si_code and si_status of a wait status. */
export function childCode(status: number): { code: number; status: number } {
  const sig = status & 0x7f;
  if (sig === 0) return { code: CLD_EXITED, status: (status >> 8) & 0xff };
  return { code: (status & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED, status: sig };
}

/** do_notify_parent(): the process has ended. True if it leaves no zombie. */
export function notifyParentExit(g: ThreadGroup): boolean {
  const parent = g.parent;
  if (parent === null) return true;
  let sig = g.parentExecId === parent.execId ? g.exitSignal : SIGCHLD;
  const reap = g.leader.ptrace === null && sig === SIGCHLD && parent.autoReaps;
  if (reap && parent.handlers.handler[SIGCHLD] === SIG_IGN) sig = 0;
  // clone(2) takes any byte as the signal.
  if (sig > 0 && validSignal(sig)) {
    const { code, status } = childCode(g.exitStatus);
    sendGroupSignal(parent, childInfo(g, parent, sig, code, status), false, g.parentTask);
  }
  return reap;
}
