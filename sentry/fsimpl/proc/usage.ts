/** CPU time and faults of processes and of the sandbox as a whole. */
import type { ResourceUsage, ThreadGroup } from '../../kernel/thread-group.ts';
import type { ProcEnv } from './env.ts';

export interface Usage {
  utimeNs: number;
  stimeNs: number;
  minFaults: number;
  majFaults: number;
}

function add(sum: Usage, u: ResourceUsage): void {
  sum.utimeNs += u.utimeNs;
  sum.stimeNs += u.stimeNs;
  sum.minFaults += u.minFaults;
  sum.majFaults += u.majFaults;
}

/** A process with its live and ended threads, without children. */
export function usageOf(env: ProcEnv, g: ThreadGroup): Usage {
  const sum: Usage = { utimeNs: 0, stimeNs: 0, minFaults: 0, majFaults: 0 };
  if (env.processUsage !== undefined) {
    add(sum, env.processUsage(g));
  } else {
    add(sum, g.usage);
    for (const t of g.tasks) add(sum, t.usage);
  }
  return sum;
}

/** All processes, and those that were waited for. */
export function sandboxUsage(env: ProcEnv): Usage {
  const sum: Usage = { utimeNs: 0, stimeNs: 0, minFaults: 0, majFaults: 0 };
  for (const g of env.kernel.pidNs.groups()) {
    const u = usageOf(env, g);
    sum.utimeNs += u.utimeNs;
    sum.stimeNs += u.stimeNs;
    add(sum, g.childrenUsage);
  }
  return sum;
}
