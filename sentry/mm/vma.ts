/** Vma: a range of the address space with one protection and one backing (include/linux/mm_types.h vm_area_struct). */
import { PROT_WRITE } from '../abi/mman.ts';
import type { Backing } from './backing.ts';
import type { MemPolicy } from './mempolicy.ts';
import type { TextImage } from './text/text-image.ts';

// Linux's VM_* flags that matter here (include/linux/mm.h), numbered for ourselves; protection is `prot`.
export const VM_SHARED = 0x1;
/** mprotect may add PROT_WRITE: private mappings, and shared ones of files opened for writing. */
export const VM_MAYWRITE = 0x2;
export const VM_GROWSDOWN = 0x4;
export const VM_LOCKED = 0x8;
export const VM_DONTCOPY = 0x10;
export const VM_WIPEONFORK = 0x20;
export const VM_NORESERVE = 0x40;
export const VM_DONTDUMP = 0x80;
export const VM_HUGEPAGE = 0x100;
export const VM_NOHUGEPAGE = 0x200;
/** [vvar] and [vdso]: mapped by the platform. */
export const VM_SPECIAL = 0x400;
/** mprotect may add PROT_EXEC: not for files of noexec mounts. */
export const VM_MAYEXEC = 0x800;
/** mseal(2) */
export const VM_SEALED = 0x1000;
/** Locked, but its pages come when they are touched: MLOCK_ONFAULT. */
export const VM_LOCKONFAULT = 0x2000;
/** MAP_DROPPABLE: pages that may vanish, and do in children. */
export const VM_DROPPABLE = 0x4000;
/** MADV_MERGEABLE: remembered, nothing is merged. */
export const VM_MERGEABLE = 0x8000;
/** MADV_SEQUENTIAL and MADV_RANDOM: remembered; the host reads ahead as it likes. */
export const VM_SEQ_READ = 0x10000;
export const VM_RAND_READ = 0x20000;
/** What munlock(2) clears. */
export const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT;

/** PR_SET_MDWE: nothing becomes executable that was not from its start, or may be written. */
export const PR_MDWE_REFUSE_EXEC_GAIN = 1;
export const PR_MDWE_NO_INHERIT = 2;

export class Vma {
  start: number;
  end: number;
  prot: number;
  flags: number;
  /** null: private anonymous memory. Owned: one reference per VMA. */
  backing: Backing | null;
  /** Byte offset in the backing of `start`. */
  offset: number;
  /** [vdso], [anon:NAME]…; null for the rest. */
  name: string | null;
  /** The host shows a patched copy of the file's text here. */
  text: TextImage | null = null;
  /** mbind(2); null: the task's. */
  policy: MemPolicy | null = null;
  /** The text here cannot be patched: not to be looked at again. */
  unfit = false;
  /** Its protection key. */
  pkey = 0;
  /** No mprotect has touched it: a private mapping still shows what the file holds. */
  asMapped = true;

  constructor(
    start: number,
    end: number,
    prot: number,
    flags: number,
    backing: Backing | null,
    offset: number,
    name: string | null = null,
  ) {
    this.start = start;
    this.end = end;
    this.prot = prot;
    this.flags = flags;
    this.backing = backing;
    this.offset = offset;
    this.name = name;
  }

  get length(): number {
    return this.end - this.start;
  }

  get shared(): boolean {
    return (this.flags & VM_SHARED) !== 0;
  }

  /** Private and writable: what RLIMIT_DATA counts (is_data_mapping). */
  get isData(): boolean {
    return (this.prot & PROT_WRITE) !== 0 && (this.flags & (VM_SHARED | VM_GROWSDOWN)) === 0;
  }

  /** Copy of [start, end) of this one, with its own reference of the backing. */
  slice(start: number, end: number): Vma {
    this.backing?.ref();
    const offset = this.backing === null ? 0 : this.offset + (start - this.start);
    const v = new Vma(start, end, this.prot, this.flags, this.backing, offset, this.name);
    v.text = this.text;
    v.policy = this.policy;
    v.asMapped = this.asMapped;
    v.pkey = this.pkey;
    return v;
  }

  /** True if `next`, which begins at our end, differs in nothing but its place (can_vma_merge_after). */
  mergesWith(next: Vma): boolean {
    if (this.prot !== next.prot || this.flags !== next.flags || this.name !== next.name) return false;
    if (this.text !== next.text || this.policy !== next.policy || this.pkey !== next.pkey) return false;
    if (this.backing === null) return next.backing === null;
    if (next.backing === null || !this.backing.mergesWith(next.backing)) return false;
    return this.offset + this.length === next.offset;
  }
}
