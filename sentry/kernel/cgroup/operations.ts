/** What is done to the tasks of a control group: moved into it, frozen, killed (kernel/cgroup/cgroup.c, freezer.c). */
import { SIGKILL, SI_USER } from '../../abi/signal.ts';
import { Timer } from '../../time/timer-queue.ts';
import { standsStill, stopForFreezer, thawTask } from '../freezer.ts';
import { processUsage } from '../cpu-time.ts';
import type { Kernel } from '../kernel.ts';
import { sigInfoUser } from '../sig-info.ts';
import { sendGroupSignal } from '../signal-send.ts';
import type { Task } from '../task.ts';
import type { ThreadGroup } from '../thread-group.ts';
import type { Cgroup } from './cgroup.ts';
import { settleCpu } from './cpu.ts';

const FREEZE_POLL_NS = 1e6;

/** Tasks in `g`, or with `deep` also below it, by process. */
export function* tasksIn(k: Kernel, g: Cgroup, deep: boolean): Iterable<Task> {
  for (const p of k.allGroups()) {
    for (const t of p.tasks) {
      const own = t.cset.all === g.hierarchy.all ? t.cset.groupIn(g.hierarchy) : null;
      if (own === g || (deep && own !== null && own.isBelow(g))) yield t;
    }
  }
}

/** cgroup_attach_task(): moves one thread, or all of a process. What has ended stays where it was. */
export function attachTasks(g: Cgroup, t: Task, threadgroup: boolean): void {
  if (g.hierarchy.unified && threadgroup) settleCpu(t.group, processUsage(t.group));
  for (const moved of threadgroup ? [...t.group.tasks] : [t]) if (!moved.dead) moveTask(moved, g);
  for (const top of [t.cset.unified, g]) if (top.effectiveFreeze) watchFreeze(t.kernel, top);
}

function moveTask(t: Task, g: Cgroup): void {
  const from = t.cset;
  const to = from.with(g);
  if (to === from) return;
  const [a, b] = [from.pids, to.pids];
  to.enter();
  t.cset = to;
  from.leave();
  if (a !== b) {
    b.chargePids(1);
    a.chargePids(-1);
  }
  if (to.frozen && !from.frozen) stopForFreezer(t);
  else if (from.frozen && !to.frozen) thawTask(t);
}

/** cgroup_freeze() */
export function freezeGroup(k: Kernel, g: Cgroup, on: boolean): void {
  if (g.freeze === on) return;
  g.freeze = on;
  for (const c of g.subtree()) {
    const frozen = c.freeze || c.parent?.effectiveFreeze === true;
    if (frozen === c.effectiveFreeze) continue;
    c.effectiveFreeze = frozen;
    if (!frozen) setFrozen(c, false);
    for (const t of tasksIn(k, c, false)) {
      if (frozen) stopForFreezer(t);
      else thawTask(t);
    }
  }
  if (on) watchFreeze(k, g);
}

function setFrozen(g: Cgroup, on: boolean): void {
  if (g.frozen === on) return;
  g.frozen = on;
  g.notify('cgroup.events');
}

/** Tells of the groups from `top` down when all in them stand still. */
function watchFreeze(k: Kernel, top: Cgroup): void {
  const timer = new Timer(look);
  function look(): void {
    let waits = false;
    for (const g of top.subtree()) {
      if (g.dead || !g.effectiveFreeze) continue;
      const still = allStill(k, g);
      setFrozen(g, still);
      waits ||= !still;
    }
    if (waits) k.timers.arm(timer, k.clock.monotonicNs() + FREEZE_POLL_NS);
  }
  look();
}

function allStill(k: Kernel, g: Cgroup): boolean {
  for (const t of tasksIn(k, g, true)) if (!standsStill(t)) return false;
  return true;
}

/** cgroup_kill() */
export function killGroup(k: Kernel, g: Cgroup): void {
  const doomed = new Set<ThreadGroup>();
  for (const t of tasksIn(k, g, true)) doomed.add(t.group);
  for (const p of doomed) sendGroupSignal(p, sigInfoUser(SIGKILL, SI_USER, 0, 0), true);
}

/** What the file system does by the kernel's hands. */
export const cgroupOperations = { tasksIn, attachTasks, freezeGroup, killGroup };
export type CgroupOperations = typeof cgroupOperations;
