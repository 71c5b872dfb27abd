/** Memory of the sandbox as a whole: what guests use of what there is. */
import { residentAnon, residentSum } from '../../mm/residency.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Task } from '../../kernel/task.ts';

const KIB = 1024;

/**
 * A count is used again for so many times as it took: every cc1 asks three times how much memory there is. What is touched
 * meanwhile is seen by the next one.
 */
const REUSE = 20;

interface Count {
  readonly bytes: number;
  readonly validUntil: number;
}
const counts = new WeakMap<Kernel, Count>();

/** Anonymous memory of every address space once, however many processes share it. */
function countAnonymous(kernel: Kernel): number {
  const alive: Task[] = [];
  for (const g of kernel.allGroups()) for (const t of g.tasks) if (!t.dead) alive.push(t);
  return residentSum(alive, residentAnon);
}

/** What the host counts, else what its page tables hold. */
function usedBytes(kernel: Kernel): number {
  const counted = kernel.figures?.memoryPinned() ?? -1;
  if (counted >= 0) return counted;
  const begun = kernel.clock.monotonicNs();
  const last = counts.get(kernel);
  if (last !== undefined && begun < last.validUntil) return last.bytes;
  const bytes = countAnonymous(kernel);
  const now = kernel.clock.monotonicNs();
  counts.set(kernel, { bytes, validUntil: now + REUSE * (now - begun) });
  return bytes;
}

export interface MemoryFigures {
  readonly totalKb: number;
  readonly freeKb: number;
  readonly anonKb: number;
  readonly sharedKb: number;
}

/** `total`: of the container that asks. */
export function memoryFigures(kernel: Kernel, total = kernel.memTotal): MemoryFigures {
  const totalKb = Math.floor(total / KIB);
  const anonKb = Math.min(totalKb, Math.floor(usedBytes(kernel) / KIB));
  const sharedKb = Math.min(totalKb - anonKb, Math.floor(kernel.sharedBytes() / KIB));
  return { totalKb, freeKb: totalKb - anonKb - sharedKb, anonKb, sharedKb };
}
