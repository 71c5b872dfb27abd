/**
 * CPU time of guest processes: that of the host processes which are their address spaces (CPU clocks of other processes,
 * kernel/time/posix-cpu-timers.c). What the kernel here works for a guest is not in it.
 */
import { clockSec, lastNsec } from '../host/sys.ffi.ts';
import type { AddressSpace } from '../platform/platform.ts';
import type { Task } from './task.ts';
import { ResourceUsage, type ThreadGroup } from './thread-group.ts';

const CPUCLOCK_VIRT = 1;
const CPUCLOCK_SCHED = 2;

/** Reading of a host process's CPU clock in ns, 0 if the process is gone. */
function hostCpuNs(pid: number, type: number): number {
  const sec = clockSec((~pid << 3) | type);
  return sec < 0 ? 0 : sec * 1e9 + lastNsec();
}

function addSpace(u: ResourceUsage, space: AddressSpace): void {
  if (space.dead || space.pid === 0) return;
  const total = hostCpuNs(space.pid, CPUCLOCK_SCHED);
  const user = Math.min(hostCpuNs(space.pid, CPUCLOCK_VIRT), total);
  u.utimeNs += user;
  u.stimeNs += total - user;
}

/** The task is the last user of its address space and leaves it: its time becomes the process's. */
export function chargeSpace(t: Task): void {
  if (t.mm.userCount === 1) addSpace(t.group.usage, t.mm.space);
}

/** The same for all threads of a process at once. */
export function chargeGroupSpace(g: ThreadGroup, space: AddressSpace): void {
  addSpace(g.usage, space);
}

/** RUSAGE_SELF: ended threads and address spaces, live threads, and the address space as it is now. */
export function processUsage(g: ThreadGroup): ResourceUsage {
  const u = new ResourceUsage();
  u.add(g.usage);
  let first: Task | null = null;
  for (const t of g.tasks) {
    u.add(t.usage);
    first ??= t;
  }
  // A vfork child runs in its parent's space: the time there is the parent's.
  if (first !== null && first.mm.userCount <= g.tasks.size) addSpace(u, first.mm.space);
  return u;
}

/** CLOCK_PROCESS_CPUTIME_ID */
export function processCpuNs(g: ThreadGroup): number {
  const u = processUsage(g);
  return u.utimeNs + u.stimeNs;
}
