/** What the host is told of a mapping (mmap(2), madvise(2)). */
import { MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_READ } from '../abi/mman.ts';
import type { Orders } from '../platform/platform.ts';
import {
  VM_DONTCOPY,
  VM_HUGEPAGE,
  VM_MAYEXEC,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_SHARED,
  VM_WIPEONFORK,
  type Vma,
} from './vma.ts';

/**
 * Protection given to the host: x86 cannot forbid reading what is writable or executable, but the host would refuse the
 * kernel's own copies and turn PROT_EXEC alone into a protection key.
 */
export function hostProt(prot: number): number {
  return prot === 0 ? 0 : prot | PROT_READ;
}

/** Host mapping of a reserve: anonymous memory that costs nothing until touched. */
export function mapReserve(o: Orders, start: number, end: number, prot: number): void {
  o.mmap(start, end - start, hostProt(prot), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/** VM_MAY* bits of a mapping: shared ones of files not open for writing never become writable. */
export function mayFlags(shared: boolean, fileWritable: boolean, mayExec: boolean): number {
  const write = !shared || fileWritable ? VM_MAYWRITE : 0;
  return (shared ? VM_SHARED : 0) | write | (mayExec ? VM_MAYEXEC : 0);
}

/** What the host does by itself, it has to be told of each new mapping. */
const HOST_ADVICE: readonly (readonly [number, number])[] = [
  [VM_DONTCOPY, 10], // MADV_DONTFORK
  [VM_HUGEPAGE, 14], // MADV_HUGEPAGE
  [VM_NOHUGEPAGE, 15], // MADV_NOHUGEPAGE
  [VM_WIPEONFORK, 18], // MADV_WIPEONFORK: pages of MAP_DROPPABLE are kept, but not by children
];
const ADVISED = VM_DONTCOPY | VM_HUGEPAGE | VM_NOHUGEPAGE | VM_WIPEONFORK;

/** The orders that show `v` on the host. */
export function orderMap(o: Orders, v: Vma): void {
  orderMapping(o, v);
  orderKey(o, v);
  if ((v.flags & ADVISED) === 0) return;
  for (const [flag, advice] of HOST_ADVICE) if ((v.flags & flag) !== 0) o.madvise(v.start, v.length, advice);
}

/** What has just been mapped has key 0. */
export function orderKey(o: Orders, v: Vma): void {
  if (v.pkey !== 0) o.pkeyMprotect(v.start, v.length, hostProt(v.prot), v.pkey);
}

function orderMapping(o: Orders, v: Vma): void {
  if (v.backing === null) {
    const noReserve = (v.flags & VM_NORESERVE) !== 0 ? MAP_NORESERVE : 0;
    o.mmap(v.start, v.length, hostProt(v.prot), MAP_PRIVATE | MAP_ANONYMOUS | noReserve, -1, 0);
  } else {
    const sharing = v.shared ? MAP_SHARED : MAP_PRIVATE;
    const hostOffset = v.offset + v.backing.hostDelta;
    const { text } = v;
    if (text === null) o.mmap(v.start, v.length, hostProt(v.prot), sharing, v.backing.hostFd, hostOffset);
    else o.mmap(v.start, v.length, hostProt(v.prot), MAP_PRIVATE, text.hostFd, hostOffset - text.offset);
  }
}
