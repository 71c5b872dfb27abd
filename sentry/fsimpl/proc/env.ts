/** What /proc and /sys know of the machine, gathered before the kernel is confined and cut to the container's limits. */
import type { Kernel } from '../../kernel/kernel.ts';
import type { ResourceUsage, ThreadGroup } from '../../kernel/thread-group.ts';

export interface HostFacts {
  /** The host's /proc/cpuinfo. */
  readonly cpuInfo: string;
  /** Numbers of the CPUs that guests may use, ascending. */
  readonly cpus: readonly number[];
  /** Memory of the container, or of the host, in bytes. */
  readonly memTotal: number;
  /** Without any limit. */
  readonly machine?: { readonly cpus: number; readonly memory: number };
}

export interface ProcEnv {
  readonly kernel: Kernel;
  readonly host: HostFacts;
  /** Time and faults of a process, its live threads included. */
  readonly processUsage?: (g: ThreadGroup) => ResourceUsage;
  /** Bytes in tmpfs files and shared memory, if somebody counts them. */
  readonly sharedBytes?: () => number;
}
