/** Waiting for children (kernel/exit.c do_wait). */
import { ECHILD } from '../abi/errno.ts';
import { CLD_CONTINUED, CLD_STOPPED, CLD_TRAPPED, SIGCHLD, SIGCONT } from '../abi/signal.ts';
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  P_ALL,
  P_PGID,
  P_PID,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
} from '../abi/wait.ts';
import type { Pid } from './pid-namespace.ts';
import { processUsage } from './cpu-time.ts';
import { releaseTracedZombie } from './ptrace-exit.ts';
import { awaitsTracer } from './ptrace-zombies.ts';
import { childCode } from './signal-send.ts';
import type { SysResult } from './syscall-table.ts';
import type { Task } from './task.ts';
import { reapProcess } from './task-exit.ts';
import { CHILD_EVENT, ResourceUsage, type ThreadGroup } from './thread-group.ts';

export interface WaitRequest {
  /** P_ALL, P_PID (also for pidfds) or P_PGID. */
  type: number;
  /** Whom to wait for; null with P_ALL, or if nobody has that number. */
  pid: Pid | null;
  options: number;
}

/** What a wait found. */
export class WaitOutcome {
  pid = 0;
  uid = 0;
  /** CLD_* */
  code = 0;
  /** si_status: exit code or signal. */
  siStatus = 0;
  /** wait4's status word. */
  status = 0;
  usage = new ResourceUsage();
}

/** eligible_child() */
function eligible(c: ThreadGroup, r: WaitRequest): boolean {
  if (r.type === P_PID && c.pid !== r.pid) return false;
  if (r.type === P_PGID && c.processGroup.pid !== r.pid) return false;
  if ((r.options & __WALL) !== 0) return true;
  return (c.exitSignal !== SIGCHLD) === ((r.options & __WCLONE) !== 0);
}

function totalUsage(g: ThreadGroup): ResourceUsage {
  const u = new ResourceUsage();
  u.add(processUsage(g));
  u.add(g.childrenUsage);
  return u;
}

/** wait_consider_child(): true if `c` has something to report, which is then in `out` and consumed unless WNOWAIT. */
function consider(t: Task, c: ThreadGroup, options: number, out: WaitOutcome): boolean {
  const keep = (options & WNOWAIT) !== 0;
  out.pid = c.pid.nrIn(t.pidNs);
  out.uid = c.leader.creds.uid;
  // A parent that traces it sees it as a tracee only, any other the stops of the group. An end is the tracer's first.
  const tracer = c.leader.ptrace?.tracer.group ?? null;
  if (tracer === c.parent && !c.hasEnded) return considerTracee(t, c.leader, options, out);
  if (tracer !== null && tracer !== c.parent && c.hasEnded) return false;
  if (c.hasEnded) {
    if ((options & WEXITED) === 0) return false;
    const { code, status } = childCode(c.exitStatus);
    out.code = code;
    out.siStatus = status;
    out.status = c.exitStatus;
    out.usage = totalUsage(c);
    if (!keep) {
      t.group.childrenUsage.add(out.usage);
      reapProcess(c);
    }
    return true;
  }
  if ((options & WSTOPPED) !== 0 && c.stopped && c.stopUnreported) {
    out.code = CLD_STOPPED;
    out.siStatus = c.stopSignal;
    out.status = (c.stopSignal << 8) | 0x7f;
    out.usage = totalUsage(c);
    if (!keep) c.stopUnreported = false;
    return true;
  }
  return considerContinued(c, options, out);
}

/** wait_task_continued(): "there's only one continued state and the ptracer can consume it". */
function considerContinued(c: ThreadGroup, options: number, out: WaitOutcome): boolean {
  if ((options & WCONTINUED) === 0 || !c.continuedUnreported) return false;
  out.code = CLD_CONTINUED;
  out.siStatus = SIGCONT;
  out.status = 0xffff;
  out.usage = totalUsage(c);
  if ((options & WNOWAIT) === 0) c.continuedUnreported = false;
  return true;
}

/** do_wait_thread() and ptrace_do_wait(): 1 with `out` filled, 0 if some child or tracee of `of` may report later, −1 for none. */
function considerThread(t: Task, of: Task, r: WaitRequest, out: WaitOutcome): number {
  let any = -1;
  for (const c of t.group.children) {
    if (c.parentTask !== of || !eligible(c, r)) continue;
    if (consider(t, c, r.options, out)) return 1;
    if (!c.hasEnded || awaitsTracer(c)) any = 0;
  }
  // The latest comes first (ptrace_link()).
  for (const c of of.tracees === null ? NOBODY : [...of.tracees].reverse()) {
    if (r.type === P_PID && c.pid !== r.pid) continue;
    if (r.type === P_PGID && c.group.processGroup.pid !== r.pid) continue;
    if (considerTracee(t, c, r.options, out)) return 1;
    // A zombie has no more to tell to who does not ask for its end.
    if (!c.dead || (!hasEnded(c) && (r.options & (WCONTINUED | WEXITED)) !== 0)) any = 0;
  }
  return any;
}

const NOBODY: readonly Task[] = [];

/** The threads in Linux's order: from the caller around, or the caller alone. */
function considerThreads(t: Task, r: WaitRequest, out: WaitOutcome): number {
  let found = considerThread(t, t, r, out);
  if ((r.options & __WNOTHREAD) !== 0) return found;
  for (let turn = 0; turn < 2 && t.group.tasks.size > 1; turn++) {
    let isBehind = false;
    for (const of of t.group.tasks) {
      if (of === t) isBehind = true;
      else if (found < 1 && isBehind === (turn === 0)) found = Math.max(found, considerThread(t, of, r, out));
    }
  }
  return found;
}

/** Is the tracee a zombie for its tracer? A leader's end is told with that of its last thread. */
function hasEnded(c: Task): boolean {
  return c.dead && (c.group.leader !== c || (c.group.hasEnded && awaitsTracer(c.group)));
}

function considerTracee(t: Task, c: Task, options: number, out: WaitOutcome): boolean {
  const p = c.ptrace!;
  const keep = (options & WNOWAIT) !== 0;
  const ended = hasEnded(c);
  out.pid = c.pid.nrIn(t.pidNs);
  out.uid = c.creds.uid;
  if (ended && (options & WEXITED) === 0) return false;
  if (!ended && (!p.stopped || p.listening || p.exitCode === 0 || c.dead))
    return !c.dead && considerContinued(c.group, options, out);
  out.usage = totalUsage(c.group);
  if (ended) {
    // The end of the process counts for threads that have ended before.
    const { group } = c;
    out.status = group.exiting || group.tasks.size === 0 ? group.exitStatus : p.exitStatus;
    const { code, status } = childCode(out.status);
    out.code = code;
    out.siStatus = status;
    if (!keep) releaseTracedZombie(c);
    return true;
  }
  out.code = CLD_TRAPPED;
  out.siStatus = p.exitCode;
  out.status = (p.exitCode << 8) | 0x7f;
  if (!keep) p.exitCode = 0;
  return true;
}

/** do_wait(): 1 with `out` filled, 0 (WNOHANG), −ECHILD, or SYS_BLOCKED. */
export function waitForChild(t: Task, r: WaitRequest, out: WaitOutcome): SysResult {
  if (r.type !== P_ALL && r.pid === null) return -ECHILD;
  const found = considerThreads(t, r, out);
  if (found === 1) return 1;
  if (found < 0) return -ECHILD;
  if ((r.options & WNOHANG) !== 0) return 0;
  t.waitOn(t.group.childWaiters, CHILD_EVENT);
  return t.block();
}
