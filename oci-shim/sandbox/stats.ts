/** What the kernel knows of a container's consumption; what the host accounts is in its cgroup. */
import { processUsage } from '../../sentry/kernel/cpu-time.ts';
import type { SandboxContainer } from './container.ts';

export interface ContainerStats {
  processes: number;
  threads: number;
  /** Of living processes, and of their children that ended. */
  userNs: number;
  systemNs: number;
}

export function containerStats(c: SandboxContainer): ContainerStats {
  const s: ContainerStats = { processes: 0, threads: 0, userNs: 0, systemNs: 0 };
  for (const g of c.groups()) {
    const u = processUsage(g);
    s.processes++;
    s.threads += g.tasks.size;
    s.userNs += u.utimeNs + g.childrenUsage.utimeNs;
    s.systemNs += u.stimeNs + g.childrenUsage.stimeNs;
  }
  return s;
}
