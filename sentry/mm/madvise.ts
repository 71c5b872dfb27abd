/** madvise(2), the mlock family, msync(2) and mincore(2) on a MemoryManager (mm/madvise.c, mm/mlock.c, mm/msync.c). */
import { EACCES, EBUSY, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { ADDRESS_LIMIT, isPageAligned, pageAlign, pageDown, TASK_SIZE } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import type { MemoryManager } from './memory-manager.ts';
import type { MemoryCaller } from './mmap.ts';
import { populate, populateAdvised } from './populate.ts';
import { sealedAgainstDiscard } from './seal.ts';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SPECIAL,
  VM_WIPEONFORK,
  type Vma,
} from './vma.ts';

export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MADV_SEQUENTIAL = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MADV_FREE = 8;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
export const MADV_DONTNEED_LOCKED = 24;
export const MADV_GUARD_INSTALL = 102;
export const MADV_GUARD_REMOVE = 103;

const MS_ASYNC = 1;
const MS_INVALIDATE = 2;
const MS_SYNC = 4;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;

const isAnon = (v: Vma): boolean => v.backing === null;

/** How one advice treats one VMA: 0 or −errno, and whether the host is told. */
interface Advice {
  /** The VMA it cannot be given for ends the call with this. */
  refuse(v: Vma): number;
  /** Advice for the host, −1: none. */
  host: number;
  set?: number;
  /** Of those only that pass. */
  sets?(v: Vma): boolean;
  clear?: number;
}

const ok = (): number => 0;
const notSpecial = (v: Vma): number => ((v.flags & VM_SPECIAL) !== 0 ? -EINVAL : 0);
const notDroppable = (v: Vma): number => ((v.flags & VM_DROPPABLE) !== 0 ? -EINVAL : 0);
const notLocked = (v: Vma): number => ((v.flags & (VM_LOCKED | VM_SPECIAL)) !== 0 ? -EINVAL : 0);
/** check_vma_flags() of those who bring pages in. */
const unlessProt = (bit: number) => (v: Vma) =>
  (v.flags & VM_SPECIAL) !== 0 || (v.prot & bit) === 0 ? -EINVAL : 0;
/** ksm_compatible() */
const mayMerge = (v: Vma): boolean => !v.shared && (v.flags & (VM_SPECIAL | VM_DROPPABLE)) === 0;
const hint: Advice = { refuse: ok, host: -1 };

/**
 * Advice that Linux knows. The host does DONTFORK and WIPEONFORK itself, because fork is a fork of the host process;
 * hints about paging that guests may not give to the host are accepted and have no effect. What is absent is refused as by a
 * kernel without MEMORY_FAILURE and collapsing of huge pages. Guard regions are the host's (Linux 6.13, else EINVAL).
 */
const ADVICE: ReadonlyMap<number, Advice> = new Map<number, Advice>([
  [MADV_NORMAL, { ...hint, clear: VM_SEQ_READ | VM_RAND_READ }],
  [MADV_RANDOM, { ...hint, set: VM_RAND_READ, clear: VM_SEQ_READ }],
  [MADV_SEQUENTIAL, { ...hint, set: VM_SEQ_READ, clear: VM_RAND_READ }],
  [MADV_WILLNEED, hint],
  [MADV_MERGEABLE, { refuse: ok, host: -1, set: VM_MERGEABLE, sets: mayMerge }],
  [MADV_UNMERGEABLE, { refuse: ok, host: -1, clear: VM_MERGEABLE }],
  [MADV_DONTNEED, { refuse: notLocked, host: MADV_DONTNEED }],
  [MADV_DONTNEED_LOCKED, { refuse: notSpecial, host: MADV_DONTNEED }],
  [MADV_FREE, { refuse: (v) => (isAnon(v) && !v.shared ? notLocked(v) : -EINVAL), host: MADV_FREE }],
  [MADV_REMOVE, { refuse: refuseRemove, host: -1 }],
  [MADV_DONTFORK, { refuse: ok, host: MADV_DONTFORK, set: VM_DONTCOPY }],
  [MADV_DOFORK, { refuse: notSpecial, host: MADV_DOFORK, clear: VM_DONTCOPY }],
  [MADV_HUGEPAGE, { refuse: ok, host: MADV_HUGEPAGE, set: VM_HUGEPAGE, clear: VM_NOHUGEPAGE }],
  [MADV_NOHUGEPAGE, { refuse: ok, host: MADV_NOHUGEPAGE, set: VM_NOHUGEPAGE, clear: VM_HUGEPAGE }],
  [MADV_DONTDUMP, { refuse: ok, host: -1, set: VM_DONTDUMP }],
  [MADV_DODUMP, { refuse: (v) => notSpecial(v) || notDroppable(v), host: -1, clear: VM_DONTDUMP }],
  [MADV_WIPEONFORK, { refuse: (v) => (isAnon(v) ? 0 : -EINVAL), host: MADV_WIPEONFORK, set: VM_WIPEONFORK }],
  [MADV_KEEPONFORK, { refuse: notDroppable, host: MADV_KEEPONFORK, clear: VM_WIPEONFORK }],
  [MADV_GUARD_INSTALL, { refuse: notLocked, host: MADV_GUARD_INSTALL }],
  [MADV_GUARD_REMOVE, { refuse: notSpecial, host: MADV_GUARD_REMOVE }],
  [MADV_COLD, { refuse: notLocked, host: -1 }],
  [MADV_PAGEOUT, { refuse: notLocked, host: -1 }],
  [MADV_POPULATE_READ, { refuse: unlessProt(PROT_READ), host: -1 }],
  [MADV_POPULATE_WRITE, { refuse: unlessProt(PROT_WRITE), host: -1 }],
]);

/** is_discard() */
const DISCARDS: readonly number[] = [
  MADV_FREE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_WIPEONFORK,
  MADV_GUARD_INSTALL,
];

function refuseRemove(v: Vma): number {
  if ((v.flags & VM_LOCKED) !== 0 || v.backing === null) return -EINVAL;
  // vma_is_shared_maywrite(): what mprotect could make writable.
  return v.shared && (v.flags & VM_MAYWRITE) !== 0 ? 0 : -EACCES;
}

/**
 * madvise(2). "ENOMEM: Addresses in the specified range are not currently mapped": the mapped parts are advised all the
 * same, as in Linux.
 */
export function madvise(mm: MemoryManager, o: Orders, addr: number, length: number, advice: number): number {
  const a = ADVICE.get(advice);
  if (a === undefined) return -EINVAL;
  const end = addr + pageAlign(length);
  if (!isPageAligned(addr) || (length > 0 && end === addr) || end >= ADDRESS_LIMIT) return -EINVAL;
  if (end === addr) return 0;
  let hole = false;
  let at = addr;
  const populates = advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE;
  const changes = a.set !== undefined || a.clear !== undefined;
  mm.resident = null;
  while (at < end) {
    const v = mm.table.at(mm.table.indexAt(at));
    if (v === undefined || v.start >= end) return -ENOMEM;
    // madvise_populate() ends at a hole, the others go on.
    if (v.start > at && populates) return -ENOMEM;
    if (v.start > at) hole = true;
    const from = Math.max(at, v.start);
    const to = Math.min(end, v.end);
    const refused = sealedAgainstDiscard(v) && DISCARDS.includes(advice) ? -EPERM : a.refuse(v);
    if (refused !== 0) return refused;
    if (advice === MADV_REMOVE) {
      const r = v.backing!.punchHole(v.offset + (from - v.start), to - from);
      if (r < 0) return r;
    }
    if (populates) {
      populateAdvised(o, from, to, advice === MADV_POPULATE_WRITE);
    }
    if (advice === MADV_GUARD_INSTALL) mm.guards.add(from, to);
    if (advice === MADV_GUARD_REMOVE) mm.guards.remove(from, to);
    if (a.host >= 0) o.madvise(from, to - from, a.host);
    if (changes && a.sets?.(v) !== false)
      mm.changeVmas(from, to, (c) => (c.flags = (c.flags & ~(a.clear ?? 0)) | (a.set ?? 0)));
    at = to;
  }
  return hole ? -ENOMEM : 0;
}

/**
 * mlock2(2) and, with `lock` 0, munlock(2); `lock`: VM_LOCKED, with VM_LOCKONFAULT if so wished. The host may swap guests
 * out as it likes: what a lock does is bring the pages in, and count.
 */
export function mlock(
  mm: MemoryManager,
  o: Orders,
  addr: number,
  length: number,
  lock: number,
  who: MemoryCaller,
): number {
  const start = pageDown(addr);
  const len = pageAlign(length, addr - start);
  if (lock !== 0 && !who.canLock && who.limits.memlock === 0) return -EPERM;
  const end = start + len;
  if (lock !== 0 && !who.canLock) {
    let already = 0;
    mm.table.forEachIn(start, end, (v) => {
      if ((v.flags & VM_LOCKED) !== 0) already += Math.min(v.end, end) - Math.max(v.start, start);
    });
    if (mm.lockedBytes + len - already > who.limits.memlock) return -ENOMEM;
  }
  if (end >= ADDRESS_LIMIT) return -EINVAL;
  if (len === 0) return 0;
  const stop = mm.table.firstHole(start, end);
  if (stop > start) mm.changeVmas(start, stop, (v) => setLock(v, lock));
  if (stop < end) return -ENOMEM;
  return lock === 0 ? 0 : populate(mm, o, start, end, who.change);
}

/** mlock_fixup() */
function setLock(v: Vma, lock: number): void {
  if ((v.flags & (VM_SPECIAL | VM_DROPPABLE)) === 0) v.flags = (v.flags & ~VM_LOCKED_MASK) | lock;
}

/** mlockall(2). */
export function mlockall(mm: MemoryManager, o: Orders, flags: number, who: MemoryCaller): number {
  if (flags === 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0 || flags === MCL_ONFAULT)
    return -EINVAL;
  if (!who.canLock && who.limits.memlock === 0) return -EPERM;
  const current = (flags & MCL_CURRENT) !== 0;
  if (current && !who.canLock && mm.totalBytes > who.limits.memlock) return -ENOMEM;
  const lock = (flags & MCL_ONFAULT) !== 0 ? VM_LOCKED_MASK : VM_LOCKED;
  mm.lockFuture = (flags & MCL_FUTURE) !== 0 ? lock : 0;
  if (!current) return 0;
  mm.changeVmas(0, TASK_SIZE, (v) => setLock(v, lock));
  // Errors of what cannot be brought in are nobody's concern here.
  populate(mm, o, 0, TASK_SIZE);
  return 0;
}

export function munlockall(mm: MemoryManager): void {
  mm.lockFuture = 0;
  mm.changeVmas(0, TASK_SIZE, (v) => setLock(v, 0));
}

/** msync(2): MS_SYNC writes shared file mappings back through their file. */
export function msync(mm: MemoryManager, addr: number, length: number, flags: number): number {
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0 || !isPageAligned(addr)) return -EINVAL;
  if ((flags & MS_ASYNC) !== 0 && (flags & MS_SYNC) !== 0) return -EINVAL;
  const end = addr + pageAlign(length);
  if (end >= ADDRESS_LIMIT) return -ENOMEM;
  if (end === addr) return 0;
  // Errors of what is mapped come before those of holes.
  let error = 0;
  mm.table.forEachIn(addr, end, (v) => {
    if ((flags & MS_INVALIDATE) !== 0 && (v.flags & VM_LOCKED) !== 0) error = error || -EBUSY;
    const file = v.backing?.file ?? null;
    if ((flags & MS_SYNC) !== 0 && v.shared && file !== null) error = error || file.fsync(true);
  });
  return error !== 0 || mm.table.firstHole(addr, end) === end ? error : -ENOMEM;
}
