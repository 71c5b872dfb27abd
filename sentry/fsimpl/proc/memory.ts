/** Memory of the sandbox as a whole: what guests use of what there is. */
import { residentOf, residentTotal } from '../../mm/residency.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import type { Kernel } from '../../kernel/kernel.ts';

const KIB = 1024;

/** What the host counts; without, every address space once, however many processes share it. */
function usedBytes(kernel: Kernel): number {
  const counted = kernel.figures?.memoryPinned() ?? -1;
  if (counted >= 0) return counted;
  const seen = new Set<MemoryManager>();
  let bytes = 0;
  for (const g of kernel.allGroups()) {
    for (const t of g.tasks) {
      if (t.dead || seen.has(t.mm)) continue;
      seen.add(t.mm);
      bytes += residentTotal(residentOf(t.mm));
    }
  }
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
