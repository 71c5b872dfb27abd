/** Bringing pages in before they are touched (mm/gup.c __mm_populate): MAP_POPULATE, mlock(2), MADV_POPULATE_*. */
import { ENOMEM } from '../abi/errno.ts';
import { PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import type { MemoryManager, PendingChange } from './memory-manager.ts';
import { VM_LOCKONFAULT, VM_SPECIAL, type Vma } from './vma.ts';

/** Per order: while one is carried out, nobody can change the address space on the host. */
const CHUNK = 64 * 1024 * 1024;
/** Per call: a thread that obeys orders for seconds would be taken for one that does not answer. The rest stays as it is. */
const MAX_BYTES = 1024 * 1024 * 1024;

/** Orders that bring [start, end) in; 0 < `left` ≤ MAX_BYTES is what the call may still ask for. Returns what is left. */
function orderChunks(
  o: Orders,
  start: number,
  end: number,
  how: { readonly write: boolean; readonly mayFail: boolean },
  left: number,
): number {
  for (let at = start; at < end && left > 0;) {
    const len = Math.min(end - at, CHUNK, left);
    o.populate(at, len, how.write, how.mayFail);
    at += len;
    left -= len;
  }
  return left;
}

/** For MADV_POPULATE_READ and _WRITE: what the host says is the call's result. */
export function populateAdvised(o: Orders, start: number, end: number, write: boolean): void {
  orderChunks(o, start, end, { write, mayFail: false }, MAX_BYTES);
}

/** Whether pages of [from, to) of `v` lie beyond the end of the file: touching them is SIGBUS. */
function beyondFile(v: Vma, from: number, to: number): boolean {
  const file = v.backing?.file ?? null;
  if (file === null) return false;
  file.inode.refresh();
  return file.inode.isRegular && v.offset + (to - v.start) >= file.inode.size + PAGE_SIZE && to > from;
}

/**
 * populate_vma_page_range() for all of [start, end): private writable memory is written, the rest read. Returns what mlock(2)
 * says of it: 0, or −ENOMEM when some of it cannot be brought in. What is locked on fault waits for the fault. `change`: the
 * call cares for what the host says of it.
 */
export function populate(
  mm: MemoryManager,
  o: Orders,
  start: number,
  end: number,
  change: PendingChange | null = null,
): number {
  // Where the guest has put guards only the host knows.
  const mayFail = change === null || !mm.guards.any;
  if (!mayFail) change.kind = 'lock';
  let left = MAX_BYTES;
  let error = 0;
  mm.resident = null;
  mm.table.forEachIn(start, end, (v) => {
    if ((v.flags & (VM_SPECIAL | VM_LOCKONFAULT)) !== 0 || error !== 0) return;
    const from = Math.max(start, v.start);
    const to = Math.min(end, v.end);
    if (v.prot === 0 || beyondFile(v, from, to)) error = -ENOMEM;
    const write = !v.shared && (v.prot & PROT_WRITE) !== 0;
    if (v.prot !== 0) left = orderChunks(o, from, to, { write, mayFail }, left);
  });
  return error;
}
