/** Processes without a parent inside: a container's init, and what an engine's `exec` brings in. */
import { EAGAIN, ENOMEM } from '../abi/errno.ts';
import type { Container } from './container.ts';
import { lookAtWork } from './cpu-time.ts';
import { ProcessGroup, Session } from './job-control.ts';
import type { Kernel } from './kernel.ts';
import { ResourceLimits } from './limits.ts';
import { SignalHandlers } from './signal-handlers.ts';
import { Task, type TaskInit } from './task.ts';
import { ThreadGroup } from './thread-group.ts';

export interface ProcessInit extends Omit<TaskInit, 'pid' | 'group' | 'cset'> {
  limits?: ResourceLimits;
  /** The container that the process and its descendants belong to. */
  container?: Container;
}

/** Makes a container's init: first process of its PID namespace, leader of a session of its own. */
export function createInit(kernel: Kernel, init: ProcessInit): Task | number {
  const t = createProcess(kernel, init);
  if (typeof t === 'number') return t;
  t.pidNs.reaper = t.group;
  return t;
}

/** A process without a parent inside, in a session of its own: init, or what an engine's `exec` brings in. */
export function createProcess(kernel: Kernel, init: ProcessInit): Task | number {
  const pidNs = init.ns.pidForChildren;
  if (pidNs.dying) return -ENOMEM;
  const pid = pidNs.alloc();
  if (typeof pid === 'number') return -EAGAIN;
  // The process exists before its session does: the leader is set at the end.
  lookAtWork(kernel);
  const session = new Session(pid);
  const pgrp = new ProcessGroup(pid, session);
  const group = new ThreadGroup(kernel, pid, new SignalHandlers(), pgrp, init.limits ?? new ResourceLimits());
  session.leader = group;
  group.container = init.container ?? null;
  const { hierarchies } = init.ns.cgroup;
  const cset = hierarchies.entrance(pidNs.reaper?.leader.cset ?? null);
  cset.pids.chargePids(1);
  const t = new Task(kernel, { ...init, pid, group, cset });
  group.leader = t;
  t.work = t.frozen; // `exec` in a container that is paused
  return t;
}
