/** mmap and munmap on a MemoryManager (mm/mmap.c). Decisions only: the host gets orders. */
import {
  EACCES,
  EAGAIN,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
} from '../abi/errno.ts';
import {
  MAP_32BIT,
  MAP_DROPPABLE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_TYPE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { S_IFMT, S_IFSOCK } from '../abi/stat.ts';
import { isPageAligned, PAGE_SIZE, pageDown, pageUp, TASK_SIZE } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { MS_NOEXEC } from '../vfs/mount.ts';
import { FileBacking, SharedMemory, type Backing } from './backing.ts';
import { executeOnlyKey } from './pkeys.ts';
import { PROT_ALL } from './mprotect.ts';
import { populate } from './populate.ts';
import { hasSealed } from './seal.ts';
import { CopyBacking, copyFor } from './small-copies.ts';
import { keepTextWhole, patchedTextFor } from './text/text-vmas.ts';
import { hostProt, mayFlags, orderMap } from './host-map.ts';
import { findFree, findFree32 } from './unmapped-area.ts';
import type { MemoryLimits, MemoryManager, PendingChange } from './memory-manager.ts';
import {
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
  Vma,
} from './vma.ts';

const WRITE_EXEC = PROT_WRITE | PROT_EXEC;
/** File offsets beyond this do not exist (MAX_LFS_FILESIZE). */
const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
const HUGE_PAGE = 2 * 1024 * 1024;

/** Who asks: its limits, and whether CAP_IPC_LOCK lifts RLIMIT_MEMLOCK. */
export interface MemoryCaller {
  readonly limits: MemoryLimits;
  readonly canLock: boolean;
  /** Filled with what a failing order would have to take back. */
  readonly change: PendingChange;
}

export interface MmapRequest {
  addr: number;
  len: number;
  prot: number;
  flags: number;
  /** null with MAP_ANONYMOUS. */
  file: FileDescription | null;
  offset: number;
}

/** mmap(2). The address or −errno. Linux: do_mmap(). */
export function mmap(mm: MemoryManager, o: Orders, r: MmapRequest, who: MemoryCaller): number {
  // Before anything else (ksys_mmap_pgoff()).
  if (r.file !== null && (r.flags & MAP_HUGETLB) !== 0) return -EINVAL;
  if (r.len === 0 || !isPageAligned(r.offset)) return -EINVAL;
  const len = pageUp(r.len);
  if (r.len > TASK_SIZE) return -ENOMEM;
  if (!mm.mayAddVmas(1)) return -ENOMEM;
  const flags = (r.flags & MAP_FIXED_NOREPLACE) !== 0 ? r.flags | MAP_FIXED : r.flags;
  if (
    r.file === null &&
    (flags & MAP_HUGETLB) !== 0 &&
    !HUGE_SHIFTS.includes((flags >>> MAP_HUGE_SHIFT) & 63)
  )
    return -EINVAL;
  const addr = chooseAddress(mm, r.addr, len, flags, r.file === null);
  if (addr < 0) return addr;
  if ((flags & MAP_FIXED) !== 0 && hasSealed(mm, addr, addr + len)) return -EPERM;
  const lock = (flags & MAP_LOCKED) !== 0 ? mm.lockFuture | VM_LOCKED : mm.lockFuture;
  if ((flags & MAP_LOCKED) !== 0 && !who.canLock && who.limits.memlock === 0) return -EPERM;
  if (lock !== 0 && !who.canLock && mm.lockedBytes + len > who.limits.memlock) return -EAGAIN;
  // file_mmap_ok(): regular files and sockets have a largest offset; no other file is mapped beyond it.
  const beyond = r.file !== null && r.offset + len > MAX_OFFSET;
  if (beyond && (r.file!.inode.isRegular || (r.file!.inode.mode & S_IFMT) === S_IFSOCK)) return -EOVERFLOW;
  const vmFlags = r.file === null ? anonFlags(flags) : fileFlags(r.file, r.prot, flags);
  if (vmFlags < 0) return vmFlags;
  if (beyond) return -EOVERFLOW;
  if (mm.mdwe !== 0 && (r.prot & WRITE_EXEC) === WRITE_EXEC) return -EACCES;
  const isData = (r.prot & PROT_WRITE) !== 0 && (vmFlags & (VM_SHARED | VM_GROWSDOWN)) === 0;
  if (!mm.mayExpand(len - mappedBytes(mm, addr, len, flags), isData, who.limits)) return -ENOMEM;
  const shared = (vmFlags & VM_SHARED) !== 0;
  let mayWrite = (vmFlags & VM_MAYWRITE) !== 0;
  const copy =
    r.file === null || shared || r.prot !== PROT_READ || r.offset !== 0
      ? null
      : copyFor(mm, r.file, addr, len);
  let backing = copy ?? makeBacking(r, len, shared, mayWrite);
  if (backing === -EPERM && shared && mayWrite && (r.prot & PROT_WRITE) === 0) {
    // A sealed memfd: read-only it may be mapped, but never become writable.
    mayWrite = false;
    backing = makeBacking(r, len, shared, false);
  }
  if (typeof backing === 'number') return backing;
  const offset = r.file !== null && backing !== null && backing.file !== null ? r.offset : 0;
  // Droppable memory counts towards the limit like all that is locked in future, but is not.
  const locked = (vmFlags & VM_DROPPABLE) !== 0 ? 0 : lock;
  const stack = (flags & MAP_STACK) !== 0 ? VM_NOHUGEPAGE : 0;
  const all = (mayWrite ? vmFlags : vmFlags & ~VM_MAYWRITE) | locked | stack;
  mapVma(mm, o, new Vma(addr, addr + len, r.prot & PROT_ALL, all, backing, offset), who.change);
  r.file?.accessed(r.len);
  if (locked !== 0 || (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE)
    populate(mm, o, addr, addr + len);
  return addr;
}

/** Replaces whatever is there by `v`, on the table and by orders. Also used by SysV shmat and the loader. */
export function mapVma(mm: MemoryManager, o: Orders, v: Vma, change: PendingChange): void {
  mm.cutReserves(o, v.start, v.end);
  keepTextWhole(mm, o, v.start, v.end);
  v.text = mm.loadsItself ? null : patchedTextFor(v);
  if (v.prot === PROT_EXEC) v.pkey = Math.max(0, executeOnlyKey(mm));
  const shown = v.text === null && isShown(mm, v);
  mm.removeVmas(v.start, v.end);
  change.kind = 'map';
  change.start = v.start;
  change.value = v.length;
  if (shown) o.mprotect(v.start, v.length, hostProt(v.prot));
  else if (v.backing instanceof CopyBacking) v.backing.window.show(o, v, v.backing.at);
  else orderMap(o, v);
  mm.addVma(v);
}

/**
 * True if the host shows just that already, apart from the protection: untouched private pages of the same file. The
 * dynamic linker maps a library as a whole and then its parts over it; changing the protection is much cheaper than
 * mapping a file.
 */
function isShown(mm: MemoryManager, v: Vma): boolean {
  const { backing } = v;
  if (v.shared || !(backing instanceof FileBacking)) return false;
  let at = v.start;
  mm.table.forEachIn(v.start, v.end, (old) => {
    const same =
      old.start <= at &&
      old.flags === v.flags &&
      old.pkey === v.pkey &&
      old.asMapped &&
      old.text === null &&
      (old.prot & PROT_WRITE) === 0 &&
      old.backing !== null &&
      backing.mergesWith(old.backing) &&
      old.offset - old.start === v.offset - v.start;
    if (same) at = old.end;
  });
  return at >= v.end;
}

function chooseAddress(mm: MemoryManager, hint: number, len: number, flags: number, anon: boolean): number {
  if ((flags & MAP_FIXED) !== 0) {
    const huge = anon && (flags & MAP_HUGETLB) !== 0;
    if (hint > TASK_SIZE - len) return -ENOMEM;
    if (!isPageAligned(hint) || (huge && Math.floor(hint / HUGE_PAGE) * HUGE_PAGE !== hint)) return -EINVAL;
    if (hint < mm.minAddr) return -EPERM;
    if (!mm.inBounds(hint, len)) return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) !== 0 && !mm.table.isFree(hint, hint + len)) return -EEXIST;
    return hint;
  }
  const wanted = hint >= TASK_SIZE ? 0 : pageDown(hint);
  const align = anon && len >= HUGE_PAGE && len % HUGE_PAGE === 0 ? HUGE_PAGE : PAGE_SIZE;
  const at = (flags & MAP_32BIT) !== 0 ? findFree32(mm, wanted, len) : findFree(mm, wanted, len, align);
  return at < 0 ? -ENOMEM : at;
}

/** Bytes of [addr, addr+len) that a MAP_FIXED mapping replaces: they do not count against the limits. */
function mappedBytes(mm: MemoryManager, addr: number, len: number, flags: number): number {
  if ((flags & MAP_FIXED) === 0) return 0;
  let bytes = 0;
  const end = addr + len;
  mm.table.forEachIn(addr, end, (v) => {
    bytes += Math.min(v.end, end) - Math.max(v.start, addr);
  });
  return bytes;
}

const MAP_HUGE_SHIFT = 26;
/** The default size, 2 MiB and 1 GiB. */
export const HUGE_SHIFTS: readonly number[] = [0, 21, 30];

function anonFlags(flags: number): number {
  const type = flags & MAP_TYPE;
  if (type === MAP_DROPPABLE) {
    if ((flags & (MAP_LOCKED | MAP_GROWSDOWN | MAP_HUGETLB)) !== 0) return -EINVAL;
    return mayFlags(false, true, true) | VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
  }
  // No huge page pool: what Linux answers when the pool is empty. They are a file's.
  const isHuge = (flags & MAP_HUGETLB) !== 0;
  if (isHuge && (type === MAP_SHARED || type === MAP_PRIVATE || type === MAP_SHARED_VALIDATE)) return -ENOMEM;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE) return -EINVAL;
  const shared = type === MAP_SHARED;
  if (shared && (flags & MAP_GROWSDOWN) !== 0) return -EINVAL;
  const noReserve = (flags & MAP_NORESERVE) !== 0 ? VM_NORESERVE : 0;
  const grows = (flags & MAP_GROWSDOWN) !== 0 ? VM_GROWSDOWN : 0;
  return mayFlags(shared, true, true) | noReserve | grows;
}

/** LEGACY_MAP_MASK and MAP_SHARED_VALIDATE: what every file can do; MAP_SYNC and unknown flags none here. */
const LEGACY_MAP_MASK = 0x7c07f9f3;

function fileFlags(file: FileDescription, prot: number, flags: number): number {
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  if (type === MAP_SHARED_VALIDATE && (flags & ~LEGACY_MAP_MASK) !== 0) return -EOPNOTSUPP;
  const shared = type !== MAP_PRIVATE;
  if (shared && (prot & PROT_WRITE) !== 0 && !file.writable) return -EACCES;
  if (shared && file.inode.isAppendOnly && file.writable) return -EACCES;
  if (!file.readable) return -EACCES;
  const noExec = file.inode.sb.noExec || (file.path !== null && (file.path.mount.flags & MS_NOEXEC) !== 0);
  if (noExec && (prot & PROT_EXEC) !== 0) return -EPERM;
  if ((flags & MAP_GROWSDOWN) !== 0) return -EINVAL;
  return mayFlags(shared, file.writable, !noExec) | ((flags & MAP_NORESERVE) !== 0 ? VM_NORESERVE : 0);
}

function makeBacking(
  r: MmapRequest,
  len: number,
  shared: boolean,
  mayWrite: boolean,
): Backing | null | number {
  if (r.file === null) return shared ? SharedMemory.create(len, '/dev/zero (deleted)') : null;
  // A later mprotect may add PROT_WRITE, so the fd has to allow it now.
  const prot = shared && mayWrite ? r.prot | PROT_WRITE : r.prot;
  const source = r.file.mapSource(shared, prot, r.offset, len);
  if (typeof source === 'number') return source;
  if (shared && source.privateOnly) return -ENODEV;
  if (source.hostFd >= 0) return new FileBacking(r.file, source, r.offset);
  return shared ? SharedMemory.create(len, '/dev/zero (deleted)') : null;
}

/** special_mapping_split(): what the kernel itself has mapped (vDSO) cannot be divided. */
function cutsSpecial(mm: MemoryManager, start: number, end: number): boolean {
  const first = mm.table.find(start);
  const last = mm.table.find(end - 1);
  const special = (v: Vma | null): boolean => v !== null && (v.flags & VM_SPECIAL) !== 0;
  return (special(first) && first!.start < start) || (special(last) && last!.end > end);
}

/** munmap(2). Linux: do_vmi_munmap(). */
export function munmap(mm: MemoryManager, o: Orders, addr: number, length: number): number {
  if (!isPageAligned(addr) || addr > TASK_SIZE || length > TASK_SIZE - addr) return -EINVAL;
  const end = addr + pageUp(length);
  if (end === addr) return -EINVAL;
  if (mm.table.isFree(addr, end)) return 0;
  if (hasSealed(mm, addr, end)) return -EPERM;
  if (cutsSpecial(mm, addr, end)) return -EINVAL;
  if (mm.table.splitsBy(addr, end) > 0 && !mm.mayAddVmas(1)) return -ENOMEM;
  // What the table has not is the platform's or a reserve: orders name mapped ranges only.
  const start = Math.max(addr, mm.minAddr);
  const stop = Math.min(end, mm.maxAddr);
  if (stop <= start) return 0;
  mm.cutReserves(o, start, stop);
  keepTextWhole(mm, o, start, stop);
  mm.removeVmas(start, stop);
  o.munmap(start, stop - start);
  mm.unmapping(o, start, stop);
  return 0;
}
