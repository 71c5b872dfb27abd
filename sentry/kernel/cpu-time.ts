/**
 * CPU time of guest processes and threads (kernel/sched/cputime.c, CPU clocks of kernel/time/posix-cpu-timers.c).
 *
 * A process's is that of the host processes which are its address spaces, and a share of this kernel's own: by the number of its
 * calls, as nobody looks at a clock for each of them.
 *
 * The host tells the time of a thread only to its own process. Of itself, or of another thread of its process, a thread asks the host
 * (askThread); ended ones have left a note. For everybody else what is not accounted for is given to those threads that
 * were seen running.
 */
import { clockNs, clockSec, lastNsec } from '../host/sys.ffi.ts';
import type { AddressSpace, HostUsage } from '../platform/platform.ts';
import { CLOCK_THREAD_CPUTIME_ID } from '../time/clock.ts';
import type { Kernel } from './kernel.ts';
import { TASK_RUNNING, type Task } from './task.ts';
import { ResourceUsage, type ThreadGroup } from './thread-group.ts';

const CPUCLOCK_VIRT = 1;
const CPUCLOCK_SCHED = 2;
/** A thread that was not running when it was looked at, but has run since the last time, against one that was. */
const PASSING_WEIGHT = 0.02;

const told: HostUsage = {
  utimeNs: 0,
  stimeNs: 0,
  maxRssKb: 0,
  minFaults: 0,
  majFaults: 0,
  involuntarySwitches: 0,
};

/** Reading of a host process's CPU clock in ns, 0 if the process is gone. */
function hostCpuNs(pid: number, type: number): number {
  const sec = clockSec((~pid << 3) | type);
  return sec < 0 ? 0 : sec * 1e9 + lastNsec();
}

/** CPU time of an address space on the host. */
function spaceNs(space: AddressSpace): number {
  return space.dead || space.pid === 0 ? 0 : hostCpuNs(space.pid, CPUCLOCK_SCHED);
}

function addSpace(u: ResourceUsage, space: AddressSpace): void {
  const total = spaceNs(space);
  if (total === 0) return;
  const user = Math.min(hostCpuNs(space.pid, CPUCLOCK_VIRT), total);
  u.utimeNs += user;
  u.stimeNs += total - user;
}

/** What the host has counted besides time. Each thread may have been told at another time. */
function addCounts(u: ResourceUsage, tasks: Iterable<Task>): void {
  let minFaults = 0;
  let majFaults = 0;
  let switches = 0;
  for (const t of tasks) {
    t.ctx.account.usage(false, told);
    minFaults = Math.max(minFaults, told.minFaults);
    majFaults = Math.max(majFaults, told.majFaults);
    switches = Math.max(switches, told.involuntarySwitches);
    u.maxRssKb = Math.max(u.maxRssKb, told.maxRssKb);
  }
  u.minFaults += minFaults;
  u.majFaults += majFaults;
  u.involuntarySwitches += switches;
}

/** True if the process's address space is its own. A vfork child runs in its parent's: the time there is the parent's. */
function ownsSpace(g: ThreadGroup, t: Task): boolean {
  return t.mm.userCount <= g.tasks.size;
}

/** The task is the last user of its address space and leaves it: its time becomes the process's. */
export function chargeSpace(t: Task): void {
  if (t.mm.userCount !== 1) return;
  addSpace(t.group.usage, t.mm.space);
  addCounts(t.group.usage, [t]);
}

/** The same for all threads of a process at once. */
export function chargeGroupSpace(g: ThreadGroup, space: AddressSpace): void {
  addSpace(g.usage, space);
  addCounts(g.usage, g.tasks);
}

/** Before execve leaves the address space. */
export function noteExec(t: Task): void {
  const g = t.group;
  t.cpu.earlierNs += g.hadThreads ? t.cpu.hostNs : ownsSpace(g, t) ? spaceNs(t.mm.space) : 0;
  t.cpu.hostNs = 0;
  g.endedHostNs = 0;
}

/** A process gets its second thread: from now on its time is not the first one's alone. */
export function noteFirstThread(t: Task): void {
  const g = t.group;
  processUsage(g);
  t.cpu.shown.copyFrom(g.shown);
  if (ownsSpace(g, t)) t.cpu.hostNs = spaceNs(t.mm.space);
  g.hadThreads = true;
}

/** A thread ends, before its context goes. */
export function noteThreadEnd(t: Task): void {
  const g = t.group;
  settle(t.kernel, [t]);
  g.kernelNs += t.cpu.kernelNs;
  t.cpu.lifeNs = t.kernel.clock.monotonicNs() - t.startNs;
  g.lifeNs += t.cpu.lifeNs;
  if (!g.hadThreads || g.tasks.size === 1 || t.ctxGone) return;
  t.ctx.account.usage(true, told);
  if (told.utimeNs + told.stimeNs > 0) t.cpu.hostNs = told.utimeNs + told.stimeNs;
  else shareOut(g);
  g.endedHostNs += t.cpu.hostNs;
}

/** Reads the kernel's own CPU clock. */
export function lookAtWork({ work }: Kernel): void {
  work.ns = clockNs(CLOCK_THREAD_CPUTIME_ID);
  work.callsThen = work.calls;
}

function settle(k: Kernel, tasks: Iterable<Task>): void {
  lookAtWork(k);
  for (const t of tasks) t.cpu.settle(k.work);
}

/** RUSAGE_SELF: ended threads and address spaces, live threads, and the address space as it is now. */
export function processUsage(g: ThreadGroup): ResourceUsage {
  const u = new ResourceUsage();
  u.add(g.usage);
  let kernelNs = g.kernelNs;
  let lifeNs = g.lifeNs;
  let first: Task | null = null;
  if (g.tasks.size > 0) {
    const now = g.kernel.clock.monotonicNs();
    settle(g.kernel, g.tasks);
    for (const t of g.tasks) {
      u.add(t.usage);
      kernelNs += t.cpu.kernelNs;
      lifeNs += now - t.startNs;
      first ??= t;
    }
  }
  if (first !== null && ownsSpace(g, first)) {
    addSpace(u, first.mm.space);
    addCounts(u, g.tasks);
  }
  u.stimeNs += kernelNs;
  g.shown.adjust(u.utimeNs, u.stimeNs, lifeNs);
  u.utimeNs = g.shown.utimeNs;
  u.stimeNs = g.shown.stimeNs;
  return u;
}

/** CPU time in ns of a process. */
export function processNs(g: ThreadGroup): number {
  const u = processUsage(g);
  return u.utimeNs + u.stimeNs;
}

/** Gives what the address space's threads have used and nobody has accounted for to those that run. */
function shareOut(g: ThreadGroup): void {
  const first = g.tasks.values().next().value;
  if (first === undefined || !ownsSpace(g, first)) return;
  let rest = spaceNs(first.mm.space) - g.endedHostNs;
  let weights = 0;
  for (const t of g.tasks) {
    rest -= t.cpu.hostNs;
    weights += weightOf(t);
  }
  if (rest <= 0) return;
  for (const t of g.tasks) {
    t.cpu.hostNs += weights === 0 ? rest / g.tasks.size : (rest * weightOf(t)) / weights;
  }
  for (const t of g.tasks) t.cpu.switchesSeen = t.usage.voluntarySwitches;
}

function weightOf(t: Task): number {
  if (t.state === TASK_RUNNING && !t.sleeping) return 1;
  return t.blocked && t.usage.voluntarySwitches === t.cpu.switchesSeen ? 0 : PASSING_WEIGHT;
}

/** RUSAGE_THREAD, as far as anybody else than the thread can know. */
export function threadUsage(t: Task): ResourceUsage {
  const g = t.group;
  if (!g.hadThreads) return processUsage(g);
  if (!t.dead) {
    shareOut(g);
    settle(t.kernel, [t]);
  }
  return knownUsage(t);
}

function knownUsage(t: Task): ResourceUsage {
  const { cpu } = t;
  const u = new ResourceUsage();
  u.add(t.usage);
  if (!t.dead) {
    t.ctx.account.usage(true, told);
    u.minFaults += told.minFaults;
    u.majFaults += told.majFaults;
    u.involuntarySwitches += told.involuntarySwitches;
    u.maxRssKb = processUsage(t.group).maxRssKb;
  }
  const host = cpu.earlierNs + cpu.hostNs;
  const lifeNs = t.dead ? cpu.lifeNs : t.kernel.clock.monotonicNs() - t.startNs;
  const { utimeNs, stimeNs } = t.group.shown;
  const user = utimeNs + stimeNs === 0 ? host : (host * utimeNs) / (utimeNs + stimeNs);
  cpu.shown.adjust(user, host - user + cpu.kernelNs, lifeNs);
  u.utimeNs = cpu.shown.utimeNs;
  u.stimeNs = cpu.shown.stimeNs;
  return u;
}

/** CPU time in ns of a thread, as far as anybody else can know. */
export function threadNs(t: Task): number {
  const u = threadUsage(t);
  return u.utimeNs + u.stimeNs;
}

/**
 * Has `t`, which is in a system call, ask the host about itself or another thread `of` its process; `done` is called with what
 * that has used, at once or later.
 */
export function askThread(t: Task, of: Task, done: (u: ResourceUsage) => void): void {
  const g = t.group;
  if (!g.hadThreads) {
    done(processUsage(g));
    return;
  }
  t.ctx.account.clock(of.ctx, (ns) => {
    if (ns >= 0) of.cpu.hostNs = Math.min(ns, spaceNs(of.mm.space));
    settle(t.kernel, [of]);
    done(knownUsage(of));
  });
}

/** The same about its whole process or itself, with what the host counts besides. */
export function askUsage(t: Task, ofThread: boolean, done: (u: ResourceUsage) => void): void {
  const alone = !t.group.hadThreads;
  t.ctx.account.ask(ofThread && !alone, () => {
    if (ofThread) askThread(t, t, done);
    else done(processUsage(t.group));
  });
}

/** All processes there are and have been. */
export function usageOfAll(kernel: Kernel): ResourceUsage {
  const sum = new ResourceUsage();
  sum.add(kernel.ended);
  for (const g of kernel.allGroups()) if (!g.isZombie) sum.add(processUsage(g));
  return sum;
}
