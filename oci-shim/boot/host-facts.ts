/** What the sentry reads of the host before the host's file system is taken away. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import type { HostFacts } from '../../sentry/fsimpl/proc/env.ts';
import { cpusWithin, memoryWithin } from '../../sentry/kernel/container.ts';
import { PROTECTIONS, setProtection } from '../../sentry/vfs/protected.ts';
import type { SandboxConfig } from '../sandbox-config.ts';

/** The machine, cut to the container's share. */
export function hostFacts({ limits }: SandboxConfig): HostFacts {
  const cpuInfo = readFileSync('/proc/cpuinfo', 'latin1');
  // The group's cpuset is in force already; an update may make it larger.
  const allowed = availableParallelism();
  const all =
    limits.cpus > 0 ? cpuInfo.split('\n').filter((l) => l.startsWith('processor\t')).length : allowed;
  return {
    cpuInfo,
    machine: { cpus: all, memory: totalmem(), highestCpu: highestCpu() },
    cpus: Array.from({ length: cpusWithin(limits, allowed) }, (_, i) => i),
    memTotal: memoryWithin(limits, totalmem()),
  };
}

/** Number of the last CPU that is online; Infinity if the host does not say. */
function highestCpu(): number {
  const path = '/sys/devices/system/cpu/online';
  const last = existsSync(path) ? /(\d+)\s*$/.exec(readFileSync(path, 'latin1')) : null;
  return last === null ? Infinity : Number(last[1]);
}

/** fs.protected_* are the machine's: a container has what the host has. */
export function takeProtections(): void {
  for (const of of PROTECTIONS) {
    const path = `/proc/sys/fs/protected_${of}`;
    if (existsSync(path)) setProtection(of, Number.parseInt(readFileSync(path, 'latin1'), 10) || 0);
  }
}
