/** mremap(2) (mm/mremap.c). The host is told with mremap where it moves pages, with mmap where it shows new ones. */
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../abi/mman.ts';
import { PAGE_SIZE, TASK_SIZE, isPageAligned, pageUp } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import { orderMap } from './host-map.ts';
import type { MemoryManager } from './memory-manager.ts';
import { munmap, type MemoryCaller } from './mmap.ts';
import { populate } from './populate.ts';
import { hasSealed } from './seal.ts';
import { restoreCopies } from './small-copies.ts';
import { keepTextWhole, restoreText } from './text/text-vmas.ts';
import { findFree } from './unmapped-area.ts';
import { VM_LOCKED, VM_LOCKED_MASK, VM_SEALED, VM_SPECIAL, Vma } from './vma.ts';

export interface MremapRequest {
  addr: number;
  oldLen: number;
  newLen: number;
  flags: number;
  newAddr: number;
}

/** The new address or −errno. */
export function mremap(mm: MemoryManager, o: Orders, r: MremapRequest, who: MemoryCaller): number {
  const len = pageUp(r.newLen);
  const moves = (r.flags & MREMAP_FIXED) !== 0 && len === pageUp(r.oldLen);
  const v = moves && isPageAligned(r.addr) ? mm.table.find(r.addr) : null;
  if (v === null || v.end >= r.addr + len || checkArguments(r, len, len) !== 0) return remap(mm, o, r, who);
  // remap_move(): several mappings and the gaps between them are moved as they are, one after the other (since Linux 6.17).
  const parts: [number, number][] = [];
  mm.table.forEachIn(r.addr, r.addr + len, (p) => {
    parts.push([Math.max(p.start, r.addr), Math.min(p.end, r.addr + len)]);
  });
  for (const [start, end] of parts) {
    const newAddr = r.newAddr + (start - r.addr);
    const part = { ...r, addr: start, oldLen: end - start, newLen: end - start, newAddr };
    const moved = remap(mm, o, part, who);
    if (moved < 0) return moved;
  }
  return r.newAddr;
}

function remap(mm: MemoryManager, o: Orders, r: MremapRequest, who: MemoryCaller): number {
  let oldLen = pageUp(r.oldLen);
  const newLen = pageUp(r.newLen);
  const bad = checkArguments(r, oldLen, newLen);
  if (bad !== 0) return bad;
  const v = mm.table.find(r.addr);
  if (v === null) return -EFAULT;
  if ((v.flags & VM_SEALED) !== 0 || hasSealed(mm, r.addr, r.addr + oldLen)) return -EPERM;
  const fixed = (r.flags & MREMAP_FIXED) !== 0;
  if ((r.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0 && newLen <= oldLen && oldLen > 0) {
    const cut = newLen < oldLen ? munmap(mm, o, r.addr + newLen, oldLen - newLen) : 0;
    return cut < 0 ? cut : r.addr;
  }
  // "old_size is zero, and old_address does not refer to a shareable mapping" - mremap(2)
  if (oldLen === 0 && !v.shared) return -EINVAL;
  if ((v.flags & VM_SPECIAL) !== 0 && newLen !== oldLen) return -EFAULT;
  if (Math.min(oldLen, newLen) > v.end - r.addr) return -EFAULT;
  const added = (r.flags & MREMAP_DONTUNMAP) !== 0 ? newLen : Math.max(0, newLen - oldLen);
  const refused = checkLimits(mm, v, added, who);
  if (refused !== 0) return refused;

  if (!fixed && (r.flags & MREMAP_DONTUNMAP) === 0 && oldLen > 0 && r.addr + oldLen === v.end) {
    const end = r.addr + newLen;
    if (mm.inBounds(v.end, end - v.end) && mm.free.has(v.end, end)) {
      growInPlace(mm, o, v, r.addr, oldLen, newLen, who);
      if ((v.flags & VM_LOCKED) !== 0) populate(mm, o, r.addr + oldLen, end);
      return r.addr;
    }
  }
  if ((r.flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  if (!mm.mayAddVmas(3)) return -ENOMEM;
  const to = fixed
    ? r.newAddr
    : findFree(mm, (r.flags & MREMAP_DONTUNMAP) !== 0 ? r.newAddr : 0, newLen, PAGE_SIZE);
  if (to < 0 || !mm.inBounds(to, newLen)) return -ENOMEM;
  if (fixed && hasSealed(mm, to, to + newLen)) return -EPERM;
  if (newLen < oldLen) {
    // What is cut off may belong to other mappings.
    const cut = munmap(mm, o, r.addr + newLen, oldLen - newLen);
    if (cut < 0) return cut;
    oldLen = newLen;
  }
  move(mm, o, { ...r, oldLen, newLen, newAddr: to }, who);
  if ((v.flags & VM_LOCKED) !== 0 && newLen > oldLen) populate(mm, o, to + oldLen, to + newLen);
  return to;
}

function checkArguments(r: MremapRequest, oldLen: number, newLen: number): number {
  const { flags } = r;
  if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 && (flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && oldLen !== newLen) return -EINVAL;
  if (!isPageAligned(r.addr) || newLen === 0) return -EINVAL;
  if (newLen > TASK_SIZE) return -EINVAL;
  // Without MREMAP_FIXED a hint, but it has to be one.
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0) return 0;
  if (!isPageAligned(r.newAddr) || r.newAddr > TASK_SIZE - newLen) return -EINVAL;
  // "The range must not overlap": old and new.
  return r.addr + oldLen > r.newAddr && r.newAddr + newLen > r.addr ? -EINVAL : 0;
}

function checkLimits(mm: MemoryManager, v: Vma, added: number, who: MemoryCaller): number {
  if (added === 0) return 0;
  if ((v.flags & VM_LOCKED) !== 0 && !who.canLock && mm.lockedBytes + added > who.limits.memlock)
    return -EAGAIN;
  return mm.mayExpand(added, v.isData, who.limits) ? 0 : -ENOMEM;
}

function growInPlace(
  mm: MemoryManager,
  o: Orders,
  v: Vma,
  addr: number,
  oldLen: number,
  newLen: number,
  who: MemoryCaller,
): void {
  mm.cutReserves(o, v.end, addr + newLen);
  restoreText(mm, o, addr, v.end);
  restoreCopies(mm, o, addr, v.end);
  o.mremap(addr, oldLen, newLen, addr);
  who.change.kind = 'map';
  who.change.start = v.end;
  who.change.value = newLen - oldLen;
  const more = v.slice(v.start, v.end);
  more.start = addr + oldLen;
  more.end = addr + newLen;
  if (more.backing !== null) more.offset = v.offset + (more.start - v.start);
  mm.addVma(more);
}

/** move_vma(): [addr, addr+oldLen) goes to newAddr with newLen; with DONTUNMAP empty memory stays behind. */
function move(mm: MemoryManager, o: Orders, r: MremapRequest, who: MemoryCaller): void {
  const { addr, oldLen, newLen, newAddr } = r;
  mm.cutReserves(o, newAddr, newAddr + newLen);
  keepTextWhole(mm, o, newAddr, newAddr + newLen);
  restoreText(mm, o, addr, addr + oldLen);
  restoreCopies(mm, o, addr, addr + oldLen);
  mm.removeVmas(newAddr, newAddr + newLen);
  who.change.kind = 'map';
  who.change.start = newAddr;
  who.change.value = newLen;
  const old = mm.table.find(addr)!;
  const moved = old.slice(addr, addr + Math.max(oldLen, PAGE_SIZE));
  moved.start = newAddr;
  moved.end = newAddr + newLen;
  if (oldLen === 0) {
    orderMap(o, moved);
    mm.addVma(moved);
    return;
  }
  mm.cutReserves(o, addr, addr + oldLen);
  mm.guards.move(addr, addr + oldLen, newAddr);
  o.mremap(addr, oldLen, newLen, newAddr);
  if ((r.flags & MREMAP_DONTUNMAP) !== 0) {
    const left = old.slice(addr, addr + oldLen);
    orderMap(o, left);
    left.backing?.unref();
    mm.changeVmas(addr, addr + oldLen, (v) => (v.flags &= ~VM_LOCKED_MASK));
  } else {
    mm.removeVmas(addr, addr + oldLen);
    mm.unmapping(o, addr, addr + oldLen);
  }
  mm.addVma(moved);
}
