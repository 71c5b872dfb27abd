/** CPU time of control groups (kernel/cgroup/rstat.c): a process's is that of the groups it has been in. */
import type { ResourceUsage, ThreadGroup } from '../thread-group.ts';

/** `used`, its time so far, is its group's; what comes is that of the next one. */
export function settleCpu(p: ThreadGroup, used: ResourceUsage): void {
  const { pastCpu } = p.leader.cset.unified;
  const { settledCpu } = p;
  pastCpu.user += used.utimeNs - settledCpu.user;
  pastCpu.system += used.stimeNs - settledCpu.system;
  settledCpu.user = used.utimeNs;
  settledCpu.system = used.stimeNs;
}
