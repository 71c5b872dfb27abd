/** brk(2) on a MemoryManager (mm/mmap.c). */
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE, pageUp } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import { populate } from './populate.ts';
import { hasSealed } from './seal.ts';
import { hostProt, mayFlags } from './host-map.ts';
import type { MemoryManager } from './memory-manager.ts';
import { Vma } from './vma.ts';
import type { MemoryCaller } from './mmap.ts';

/** brk(2): always the resulting break. Linux: SYSCALL_DEFINE1(brk). */
export function brk(mm: MemoryManager, o: Orders, wanted: number, who: MemoryCaller): number {
  const { startBrk, startData, endData } = mm.layout;
  if (wanted < startBrk || wanted > mm.maxAddr) return mm.brk;
  // "the limit on the size of the data segment (initialized data, uninitialized data, and heap)" - setrlimit(2)
  if (wanted - startBrk + (endData - startData) > who.limits.data) return mm.brk;
  const oldEnd = pageUp(mm.brk);
  const newEnd = pageUp(wanted);
  if (newEnd > oldEnd) {
    if (!growBrk(mm, o, oldEnd, newEnd, who)) return mm.brk;
  } else if (newEnd < oldEnd) {
    if (hasSealed(mm, newEnd, oldEnd)) return mm.brk;
    mm.removeVmas(newEnd, oldEnd);
    o.munmap(newEnd, oldEnd - newEnd);
  }
  mm.brk = wanted;
  return wanted;
}

function growBrk(mm: MemoryManager, o: Orders, oldEnd: number, newEnd: number, who: MemoryCaller): boolean {
  // Linux wants a page of distance to the next mapping (find_vma_intersection(oldbrk, newbrk + PAGE_SIZE)).
  if (!mm.free.has(oldEnd, newEnd + PAGE_SIZE)) return false;
  if (!mm.inBounds(oldEnd, newEnd - oldEnd) || !mm.mayExpand(newEnd - oldEnd, true, who.limits)) return false;
  if (mm.lockFuture !== 0 && !who.canLock && mm.lockedBytes + newEnd - oldEnd > who.limits.memlock)
    return false;
  if (!mm.mayAddVmas(1)) return false;
  o.mmap(oldEnd, newEnd - oldEnd, hostProt(PROT_READ | PROT_WRITE), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  who.change.kind = 'brk';
  who.change.value = mm.brk;
  const flags = mayFlags(false, true, true) | mm.lockFuture;
  mm.addVma(new Vma(oldEnd, newEnd, PROT_READ | PROT_WRITE, flags, null, 0));
  if (mm.lockFuture !== 0) populate(mm, o, oldEnd, newEnd);
  return true;
}
