/** Page faults of the guest, and the growth of stacks by them (arch/x86/mm/fault.c, mm/mmap.c expand_stack). */
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_WRITE } from '../abi/mman.ts';
import { pageDown } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import { hostProt, orderKey } from './host-map.ts';
import type { MemoryLimits, MemoryManager } from './memory-manager.ts';
import { STACK_GUARD_GAP } from './vma-table.ts';
import { VM_GROWSDOWN, type Vma } from './vma.ts';

// Page fault error code (arch/x86/include/asm/trap_pf.h).
const PF_WRITE = 2;
const PF_INSTR = 16;
const MAX_FAULT_REPEATS = 16;

/**
 * A page fault of the guest (`errorCode` is the CPU's): true if it may simply go on, because the access is allowed by
 * now or a growing mapping was extended by an order on `o`; false: SIGSEGV. Linux: do_user_addr_fault(), expand_stack().
 */
export function handleFault(
  mm: MemoryManager,
  o: Orders,
  addr: number,
  errorCode: number,
  limits: MemoryLimits,
): boolean {
  // Table and host may differ for a moment while another thread's orders are on their way, not for ever.
  const last = mm.lastFault;
  last.repeats = addr === last.addr ? last.repeats + 1 : 0;
  last.addr = addr;
  if (last.repeats > MAX_FAULT_REPEATS) return false;
  const v = mm.table.find(addr) ?? mm.growStack(addr) ?? growByOrder(mm, o, addr, limits);
  if (v === null) return false;
  if ((errorCode & PF_INSTR) !== 0) return (v.prot & PROT_EXEC) !== 0;
  return (errorCode & PF_WRITE) !== 0 ? (v.prot & PROT_WRITE) !== 0 : v.prot !== 0;
}

/** Extends the growing VMA above `addr` down to it, with an order; null if there is none or a limit forbids. */
function growByOrder(mm: MemoryManager, o: Orders, addr: number, limits: MemoryLimits): Vma | null {
  const i = mm.table.indexAt(addr);
  const v = mm.table.at(i);
  if (v === undefined || (v.flags & VM_GROWSDOWN) === 0) return null;
  const start = pageDown(addr);
  const below = mm.table.at(i - 1);
  if (v.end - start > limits.stack || start < mm.minAddr) return null;
  if (below !== undefined && below.prot !== 0 && start - below.end < STACK_GUARD_GAP) return null;
  if (mm.totalBytes + (v.start - start) > limits.addressSpace) return null;
  if (mm.stackReserve !== 0 && mm.stackReserve > start) {
    // The host has that part already, and the guest has used it.
    if (mm.stackReserve < v.start) mm.extendDown(v, mm.stackReserve);
    mm.stackReserve = 0;
  }
  o.mmap(start, v.start - start, hostProt(v.prot), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mm.extendDown(v, start);
  orderKey(o, v);
  return v;
}
