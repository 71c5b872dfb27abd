/** mseal(2): mappings that can neither be unmapped, moved, replaced nor protected otherwise (mm/mseal.c). */
import { EINVAL, ENOMEM } from '../abi/errno.ts';
import { PROT_WRITE } from '../abi/mman.ts';
import { ADDRESS_LIMIT, isPageAligned, pageAlign } from '../lib/addr.ts';
import type { MemoryManager } from './memory-manager.ts';
import { VM_SEALED, type Vma } from './vma.ts';

/** True if a mapping of [start, end) is sealed (can_modify_mm). */
export function hasSealed(mm: MemoryManager, start: number, end: number): boolean {
  if (!mm.hasSeals) return false;
  let sealed = false;
  mm.table.forEachIn(start, end, (v) => (sealed ||= (v.flags & VM_SEALED) !== 0));
  return sealed;
}

/** can_madvise_modify(): what throws contents away needs the right to write them. */
export function sealedAgainstDiscard(v: Vma): boolean {
  return (v.flags & VM_SEALED) !== 0 && !v.shared && (v.prot & PROT_WRITE) === 0;
}

/** mseal(2). */
export function mseal(mm: MemoryManager, start: number, length: number): number {
  const end = start + pageAlign(length);
  if (!isPageAligned(start) || (length > 0 && end === start) || end >= ADDRESS_LIMIT) return -EINVAL;
  if (end === start) return 0;
  if (mm.table.firstHole(start, end) < end || !mm.mayAddVmas(2)) return -ENOMEM;
  mm.hasSeals = true;
  mm.changeVmas(start, end, (v) => (v.flags |= VM_SEALED));
  return 0;
}
