/** Container: what the kernel knows of a group of processes that an engine manages as one (their cgroup, on Linux). */
import type { DeviceList } from './device-list.ts';
import type { ControllingTty } from './job-control.ts';
import type { PidNamespace } from './pid-namespace.ts';

/** The container's share of the machine; 0: no limit. The host's groups enforce it, guests are shown it. */
export interface ContainerLimits {
  /** Bytes. */
  memory: number;
  /** Memory and swap. */
  memorySwap: number;
  /** µs of CPU time per period. */
  cpuQuota: number;
  cpuPeriod: number;
  /** Weight among others; 0: the default. */
  cpuShares: number;
  /** So many CPUs are in its cpuset. */
  cpus: number;
}

export const NO_LIMITS: ContainerLimits = {
  memory: 0,
  memorySwap: 0,
  cpuQuota: 0,
  cpuPeriod: 100_000,
  cpuShares: 0,
  cpus: 0,
};

/** CPUs that processes are told of, of `cpus` that are there: those of the cpuset, and no more than the quota is worth. */
export function cpusWithin(limits: ContainerLimits, cpus: number): number {
  const { cpuQuota, cpuPeriod } = limits;
  const quota = cpuQuota > 0 ? Math.max(1, Math.ceil(cpuQuota / cpuPeriod)) : Infinity;
  return Math.min(cpus, limits.cpus || Infinity, quota);
}

/** Bytes that processes are told of, of `memory` that are there. */
export function memoryWithin(limits: ContainerLimits, memory: number): number {
  return Math.min(memory, limits.memory || Infinity);
}

/** What the host's groups count. −1: it does not say. */
export interface GroupFigures {
  /** Bytes in use, and the most there ever were. */
  memoryUsage(): number;
  memoryPeak(): number;
  /** Of these, what cannot be dropped: anonymous and shared memory. */
  memoryPinned(): number;
  /** Times that the limit of memory was hit, and processes killed for it. */
  limitHits(): number;
  oomKills(): number;
  /** Periods with a quota, those in which it was used up, and ns waited for it. */
  periods(): number;
  throttledPeriods(): number;
  throttledNs(): number;
}

export class Container {
  readonly id: string;
  /** Where its init lives; its own unless containers share one. */
  readonly pidNs: PidNamespace;
  /** pids.max */
  tasksMax: number;
  limits: ContainerLimits;
  /** null: there are no groups, or no longer. */
  figures: GroupFigures | null = null;
  /** Of `figures`, those that were told. */
  oomKills = 0;
  /** Puts a new host process into the container's groups, if it is not born there. */
  adopt: ((hostPid: number) => void) | null = null;
  /** null: all devices. */
  devices: DeviceList | null = null;
  /** The terminal behind its /dev/console. */
  console: ControllingTty | null = null;
  /** The freezer is on: no thread returns to guest code (freezer.ts). */
  frozen = false;

  constructor(id: string, pidNs: PidNamespace, tasksMax: number, limits = NO_LIMITS) {
    this.id = id;
    this.pidNs = pidNs;
    this.tasksMax = tasksMax;
    this.limits = limits;
  }
}
