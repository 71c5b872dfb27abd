/** Where new mappings go (mm/mmap.c get_unmapped_area). */
import { PAGE_SIZE, pageUp } from '../lib/addr.ts';
import type { MemoryManager } from './memory-manager.ts';
import { STACK_GUARD_GAP } from './vma-table.ts';
import { VM_GROWSDOWN } from './vma.ts';

/** get_unmapped_area(): a free range for `len` bytes, near `hint` if that is free, or −1. */
export function findFree(mm: MemoryManager, hint: number, len: number, align: number): number {
  if (hint !== 0) {
    const at = Math.max(pageUp(hint), mm.minAddr);
    if (mm.inBounds(at, len) && hintIsFree(mm, at, at + len)) return at;
  }
  let at = mm.free.below(len, mm.mmapBase, align);
  if (at < 0 && align > PAGE_SIZE) at = mm.free.below(len, mm.mmapBase, PAGE_SIZE);
  return at >= 0 ? at : mm.free.above(len, mm.mmapBase, stackFloor(mm));
}

/** MAP_32BIT: bottom-up in the second GiB (arch/x86/kernel/sys_x86_64.c find_start_end). */
export function findFree32(mm: MemoryManager, hint: number, len: number): number {
  const at = pageUp(hint);
  if (hint !== 0 && mm.inBounds(at, len) && at + len <= 0x80000000 && hintIsFree(mm, at, at + len)) return at;
  return mm.free.above(len, 0x40000000, 0x80000000);
}

function hintIsFree(mm: MemoryManager, start: number, end: number): boolean {
  if (mm.free.unmappingIn(start, end) !== null) return false;
  const v = mm.table.at(mm.table.indexAt(start));
  if (v === undefined) return true;
  const gap = (v.flags & VM_GROWSDOWN) !== 0 ? STACK_GUARD_GAP : 0;
  return v.start - gap >= end;
}

function stackFloor(mm: MemoryManager): number {
  return mm.stackReserve !== 0 ? mm.stackReserve - STACK_GUARD_GAP : mm.maxAddr;
}
