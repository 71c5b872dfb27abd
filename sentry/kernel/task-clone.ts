/** New threads and processes (kernel/fork.c copy_process). The platform makes the host thread; everything else is here. */
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM, ERESTARTNOINTR } from '../abi/errno.ts';
import { SCHED_BATCH, SCHED_DEADLINE, SCHED_IDLE } from '../abi/sched.ts';
import { SS_DISABLE } from '../abi/signal.ts';
import { RSP } from '../arch/regs.ts';
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../auth/capability.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { TASK_SIZE } from '../lib/addr.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import type { Context } from '../platform/platform.ts';
import { noteFirstThread } from './cpu-time.ts';
import { RLIMIT_CPU, RLIMIT_NPROC, RLIMIT_RTTIME } from './limits.ts';
import { timersOf } from './process-timers.ts';
import { lendState } from './lent-state.ts';
import type { CssSet } from './cgroup/css-set.ts';
import { joinTimeNamespace, leaveNamespaces, useNamespaces, type NewNamespaces } from './namespaces.ts';
import type { Pid } from './pid-namespace.ts';
import { cloneEvent, ptraceEvent, traceChild } from './ptrace-stops.ts';
import { SYS_DETACHED, type SysResult } from './syscall-table.ts';
import { followTime } from './shifted-time.ts';
import { Task, TASK_VFORK } from './task.ts';
import { hasDeliverable } from './task-run.ts';
import { ThreadGroup } from './thread-group.ts';

export const CSIGNAL = 0xff;
export const CLONE_NEWTIME = 0x80;
export const CLONE_VM = 0x100;
export const CLONE_FS = 0x200;
export const CLONE_FILES = 0x400;
export const CLONE_SIGHAND = 0x800;
export const CLONE_PIDFD = 0x1000;
export const CLONE_PTRACE = 0x2000;
export const CLONE_VFORK = 0x4000;
export const CLONE_PARENT = 0x8000;
export const CLONE_THREAD = 0x10000;
export const CLONE_NEWNS = 0x20000;
export const CLONE_SYSVSEM = 0x40000;
export const CLONE_SETTLS = 0x80000;
export const CLONE_PARENT_SETTID = 0x100000;
export const CLONE_CHILD_CLEARTID = 0x200000;
export const CLONE_DETACHED = 0x400000;
export const CLONE_UNTRACED = 0x800000;
export const CLONE_CHILD_SETTID = 0x1000000;
export const CLONE_NEWCGROUP = 0x2000000;
export const CLONE_NEWUTS = 0x4000000;
export const CLONE_NEWIPC = 0x8000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;
export const CLONE_IO = 0x80000000;
/** clone3(2) only: bit 32. */
export const CLONE_CLEAR_SIGHAND_HI = 1;
export const CLONE_INTO_CGROUP_HI = 2;

/** All that ask for a namespace of the child's own. */
export const CLONE_NEW_ANY =
  (CLONE_NEWNS |
    CLONE_NEWCGROUP |
    CLONE_NEWUTS |
    CLONE_NEWIPC |
    CLONE_NEWUSER |
    CLONE_NEWPID |
    CLONE_NEWNET |
    CLONE_NEWTIME) >>>
  0;

export interface CloneArgs {
  /** CLONE_* below 2^32, without the exit signal; uint32. */
  flags: number;
  clearSighand: boolean;
  exitSignal: number;
  /** Initial stack pointer, 0: the caller's. */
  stack: number;
  tls: number;
  parentTid: number;
  childTid: number;
  /** Where the pidfd's number goes; used with CLONE_PIDFD. */
  pidfd: number;
  /** Wanted numbers, own namespace first (clone3). */
  setTid: readonly number[];
  /** Makes a pidfd for the child in the caller's table: fd or −errno. Undone by closing it. */
  makePidfd: ((t: Task, pid: Pid) => number) | null;
  /** The groups of the child (CLONE_INTO_CGROUP); null: the caller's. */
  cset: CssSet | null;
  /** Namespaces of the child when flags ask for new ones: −errno if refused. */
  makeNamespaces: ((t: Task, flags: number) => NewNamespaces | number) | null;
}

function has(flags: number, bit: number): boolean {
  return (flags & bit) !== 0;
}

/** The refusals at the top of copy_process(). */
function checkFlags(t: Task, a: CloneArgs): number {
  const f = a.flags;
  if (has(f, CLONE_NEWNS) && has(f, CLONE_FS)) return -EINVAL;
  if (has(f, CLONE_NEWUSER) && has(f, CLONE_FS)) return -EINVAL;
  if (has(f, CLONE_THREAD) && !has(f, CLONE_SIGHAND)) return -EINVAL;
  if (has(f, CLONE_SIGHAND) && !has(f, CLONE_VM)) return -EINVAL;
  if (has(f, CLONE_PARENT) && t.group.isInit) return -EINVAL;
  if (has(f, CLONE_THREAD)) {
    if (has(f, CLONE_NEWUSER) || has(f, CLONE_NEWPID)) return -EINVAL;
    if (t.ns.pidForChildren !== t.pidNs) return -EINVAL;
  }
  if (has(f, CLONE_PIDFD) && has(f, CLONE_DETACHED)) return -EINVAL;
  if (has(f, CLONE_SETTLS) && a.tls >= TASK_SIZE) return -EPERM;
  if (has(f, CLONE_NEW_ANY) && !has(f, CLONE_NEWUSER) && !t.creds.hasOwn(CAP_SYS_ADMIN)) return -EPERM;
  if (has(f, CLONE_NEWIPC) && has(f, CLONE_SYSVSEM)) return -EINVAL;
  if (t.ns.pidForChildren.dying) return -ENOMEM;
  return 0;
}

/** RLIMIT_NPROC, which root and the privileged are free of; and the sandbox's own bound. */
function checkCount(t: Task): number {
  const c = t.creds;
  const n = t.kernel.tasksByUid.get(c.uid) ?? 0;
  if (n >= t.group.limits.cur(RLIMIT_NPROC) && c.uid !== 0) {
    if (!c.has(CAP_SYS_RESOURCE) && !c.has(CAP_SYS_ADMIN)) return -EAGAIN;
  }
  const box = t.group.container;
  const full = box === null ? t.kernel.pidNs.count >= t.kernel.tasksMax : box.pidNs.count >= box.tasksMax;
  if (full) t.cset.all.unified.root.pidRefused();
  return full ? -EAGAIN : 0;
}

/** clone(2) and its kin. SYS_DETACHED: the platform is making the thread, the caller is resumed when it exists. */
export function cloneTask(t: Task, a: CloneArgs): SysResult {
  const bad = checkFlags(t, a) || checkCount(t);
  if (bad !== 0) return bad;
  // sched_fork(): nobody inherits a share of the processor.
  if (t.schedPolicy === SCHED_DEADLINE && !t.schedResetOnFork) return -EAGAIN;
  if (!has(a.flags, CLONE_VM) && !t.mm.mayFork) return -ENOMEM;
  // A signal first: the child would inherit half of its effects.
  if (t.work && (t.killed || hasDeliverable(t))) return -ERESTARTNOINTR;
  const unshared =
    a.makeNamespaces === null ? { ns: t.ns, fs: null, creds: null } : a.makeNamespaces(t, a.flags);
  if (typeof unshared === 'number') return unshared;
  const made = has(a.flags, CLONE_VM) ? unshared : { ...unshared, ns: joinTimeNamespace(unshared.ns) };
  // cgroup_can_fork(): counted from now on, wherever the caller is moved meanwhile.
  const cset = a.cset ?? t.cset;
  const room = cset.pids.tryChargePid();
  if (room !== 0) {
    discard(made, null);
    return room;
  }
  const pid = made.ns.pidForChildren.alloc(a.setTid);
  if (typeof pid === 'number') {
    discard(made, cset);
    return pid;
  }
  let pidfd = -1;
  if (a.makePidfd !== null) {
    pidfd = a.makePidfd(t, pid);
    if (pidfd < 0) {
      pid.releaseIfUnused();
      discard(made, cset);
      return pidfd;
    }
    if (t.mem.check(a.pidfd, 4, true) !== 0) {
      t.fdTable.close(t, pidfd);
      pid.releaseIfUnused();
      discard(made, cset);
      return -EFAULT;
    }
  }
  // One call of this closure per thread made; the platform may run it before fork() returns.
  const done = (ctx: Context | number): void => {
    if (typeof ctx !== 'number' && !t.dead && !t.killed) {
      finishClone(t, a, made, cset, pid, pidfd, ctx);
      return;
    }
    if (typeof ctx !== 'number') ctx.exit();
    if (pidfd >= 0 && !t.dead) t.fdTable.close(t, pidfd);
    pid.releaseIfUnused();
    discard(made, cset);
    t.kernel.endDetached(t, typeof ctx === 'number' ? ctx : -ERESTARTNOINTR);
  };
  if (has(a.flags, CLONE_VM)) t.ctx.spawn(done);
  else t.ctx.fork(done);
  return SYS_DETACHED;
}

/** The groups of a new thread: the caller's as they are now, which may have changed since it was counted; not one that is gone. */
function groupsOfChild(t: Task, a: CloneArgs, charged: CssSet): CssSet {
  const cset = a.cset === null || a.cset.unified.dead ? t.cset : a.cset;
  if (cset.pids !== charged.pids) {
    cset.pids.chargePids(1);
    charged.pids.chargePids(-1);
  }
  return cset;
}

/** What was made and counted for a thread which is not to be. */
function discard({ fs, ns }: NewNamespaces, charged: CssSet | null): void {
  charged?.pids.chargePids(-1);
  fs?.unref();
  useNamespaces(ns);
  leaveNamespaces(ns);
}

function newThreadGroup(t: Task, a: CloneArgs, pid: Pid): ThreadGroup {
  const g = t.group;
  const handlers = has(a.flags, CLONE_SIGHAND) ? g.handlers.ref() : g.handlers.clone();
  if (a.clearSighand) handlers.flushForExec();
  const child = new ThreadGroup(t.kernel, pid, handlers, g.processGroup, g.limits.clone());
  child.container = g.container;
  if (child.limits.cur(RLIMIT_CPU) !== Infinity) timersOf(child).watchCpuLimit(child);
  child.exitSignal = a.exitSignal;
  child.execId = g.execId;
  child.parentExecId = g.execId;
  child.oomScoreAdj = g.oomScoreAdj;
  child.oomScoreAdjMin = g.oomScoreAdjMin;
  child.coredumpFilter = g.coredumpFilter;
  if (has(a.flags, CLONE_PARENT)) {
    child.parent = g.parent;
    child.parentTask = g.parentTask;
    child.exitSignal = g.exitSignal;
    child.parentExecId = g.parentExecId;
  } else {
    child.parent = g;
    child.parentTask = t;
  }
  child.parent?.children.add(child);
  if (pid.ns.reaper === null) {
    pid.ns.reaper = child;
    child.unkillable = true;
  }
  return child;
}

function copyAttributes(t: Task, c: Task, a: CloneArgs): void {
  c.comm = t.comm;
  c.sigMask.copyFrom(t.restoreSigMask ? t.savedSigMask : t.sigMask);
  // "If the child shares memory, it gets no alternate stack" (sas_ss_reset), except after vfork.
  if (!has(a.flags, CLONE_VM) || has(a.flags, CLONE_VFORK)) {
    c.altStackSp = t.altStackSp;
    c.altStackSize = t.altStackSize;
    c.altStackFlags = t.altStackFlags;
  } else c.altStackFlags = SS_DISABLE;
  c.noNewPrivs = t.noNewPrivs;
  c.seccomp = t.seccomp;
  c.personality = t.personality;
  c.debugRegs = t.debugRegs?.inherit() ?? null;
  c.nice = t.nice;
  c.affinity = t.affinity;
  // copy_io(): not what has no class.
  c.ioprio = t.ioprio >> 13 === 0 ? 0 : t.ioprio;
  c.ioFlusher = t.ioFlusher;
  c.mceKill = t.mceKill;
  c.mempolicy = t.mempolicy;
  c.timerSlackNs = t.timerSlackNs;
  c.defaultTimerSlackNs = t.timerSlackNs;
  c.loginuid = t.loginuid;
  c.sessionid = t.sessionid;
  // sched_fork(): only fair policies survive a reset, without a negative nice value.
  if (!t.schedResetOnFork || t.schedPolicy === SCHED_BATCH || t.schedPolicy === SCHED_IDLE) {
    c.schedPolicy = t.schedPolicy;
    c.schedPriority = t.schedPriority;
  }
  const { group } = c;
  if (group !== t.group && c.schedPriority > 0 && group.limits.cur(RLIMIT_RTTIME) !== Infinity)
    timersOf(group).watchRtTime(group);
  if (t.schedResetOnFork) c.nice = c.schedPolicy === t.schedPolicy ? Math.max(0, t.nice) : 0;
  if (has(a.flags, CLONE_CHILD_CLEARTID)) c.clearChildTid = a.childTid;
}

const word = new HostBuffer(8);

/**
 * Writes to the parent's memory before the child runs. Not by the parent's UserMemory, which may wait for its resume: a thread that
 * is faster would have cleared its tid there already.
 */
function storeNow(mm: MemoryManager, addr: number, value: number): void {
  if (mm.accessible(addr, 4, true) !== 4) return;
  word.u32[0] = value;
  mm.space.write(addr, word.bytes, 0, 4);
}

function finishClone(
  t: Task,
  a: CloneArgs,
  made: NewNamespaces,
  charged: CssSet,
  pid: Pid,
  pidfd: number,
  ctx: Context,
): void {
  const f = a.flags;
  const mm: MemoryManager = has(f, CLONE_VM) ? t.mm.ref() : t.mm.fork(ctx.space);
  const thread = has(f, CLONE_THREAD);
  const fs = made.fs ?? (has(f, CLONE_FS) ? t.fs.ref() : t.fs.clone());
  const fdTable = has(f, CLONE_FILES) ? t.fdTable.ref() : t.fdTable.clone();
  const creds = made.creds ?? t.creds;
  const cset = groupsOfChild(t, a, charged);
  const group = thread ? t.group : newThreadGroup(t, a, pid);
  const c = new Task(t.kernel, { pid, group, ctx, mm, fs, fdTable, creds, ns: made.ns, cset });
  if (!thread) group.leader = c;
  else if (!group.hadThreads) noteFirstThread(t);
  if (!has(f, CLONE_VM)) followTime(t.kernel, ctx, mm, made.ns.time);
  const lends = t.lent;
  copyAttributes(t, c, a);
  c.landlock = t.landlock?.ref() ?? null;
  for (const hook of t.kernel.cloneHooks) hook(t, c);
  if (thread && group.stopSignal !== 0) {
    c.stopPending = true;
    c.stopSignal = t.stopSignal;
    c.work = true;
    if (!group.stopped) {
      c.stopConsume = true;
      group.stopsOutstanding++;
    }
  }

  if (a.stack !== 0) {
    ctx.regs().set(RSP, a.stack);
    ctx.regsChanged();
  }
  if (has(f, CLONE_SETTLS)) ctx.setSegmentBase('fs', a.tls);
  const nr = pid.nrIn(t.pidNs);
  if (has(f, CLONE_CHILD_SETTID)) c.mem.writeU32(a.childTid, pid.nr);
  if (has(f, CLONE_PARENT_SETTID)) storeNow(t.mm, a.parentTid, nr);
  if (pidfd >= 0) storeNow(t.mm, a.pidfd, pidfd);

  const event = cloneEvent(t, f, a.exitSignal);
  traceChild(t, c, f, event);
  const vfork = has(f, CLONE_VFORK);
  if (vfork) {
    c.vforkParent = t;
    t.vforkResult = nr;
    t.vforkDone = false;
  }
  t.kernel.startTask(c);
  if (lends) {
    lendState(t);
    lendState(c); // Not earlier: its way out looks at the mask.
  }
  const goOn = (task: Task): void => {
    if (!vfork) {
      task.kernel.endDetached(task, nr);
      return;
    }
    task.state = TASK_VFORK;
    task.blockState = null;
    // The child was faster than the tracer, or the task was killed in its stop.
    if (task.vforkDone || task.killed) task.kernel.runQueue.add(task);
  };
  if (event === 0) goOn(t);
  else ptraceEvent(t, event, pid.nrIn(t.ptrace!.tracer.pidNs), goOn);
}
