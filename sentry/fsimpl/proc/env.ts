/** What /proc and /sys know of the machine, gathered before the kernel is confined and cut to the container's limits. */
import type { Kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';

export interface HostFacts {
  /** The host's /proc/cpuinfo. */
  readonly cpuInfo: string;
  /** Numbers of the CPUs that guests may use, ascending. */
  readonly cpus: readonly number[];
  /** Memory of the container, or of the host, in bytes. */
  readonly memTotal: number;
  /** Without any limit. */
  readonly machine?: { readonly cpus: number; readonly memory: number; readonly highestCpu: number };
}

export interface ProcEnv {
  readonly kernel: Kernel;
  readonly host: HostFacts;
}

/** CPUs that a task is told of: those of its container. */
export function cpusShown(env: ProcEnv, t: Task | null): readonly number[] {
  const box = t?.group?.container ?? null;
  return box === null ? env.host.cpus : Array.from({ length: env.kernel.cpusOf(box) }, (_, i) => i);
}
