/** mprotect(2) and pkey_mprotect(2) on a MemoryManager (mm/mprotect.c). */
import { EACCES, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { ADDRESS_LIMIT, isPageAligned, pageAlign } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import { executeOnlyKey } from './pkeys.ts';
import { restoreCopies } from './small-copies.ts';
import { restoreText } from './text/text-vmas.ts';
import { hostProt } from './host-map.ts';
import type { MemoryLimits, MemoryManager } from './memory-manager.ts';
import { VM_GROWSDOWN, VM_MAYEXEC, VM_MAYWRITE, VM_SEALED, VM_SPECIAL, Vma } from './vma.ts';

export const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;

/**
 * mprotect(2), and with `key` ≥ 0 pkey_mprotect(2). Linux: do_mprotect_pkey(): goes VMA by VMA, so that what precedes a hole or a
 * refusal is changed.
 */
export function mprotect(
  mm: MemoryManager,
  o: Orders,
  addr: number,
  length: number,
  protBits: number,
  limits: MemoryLimits,
  key = -1,
): number {
  const grows = protBits & (PROT_GROWSDOWN | PROT_GROWSUP);
  const prot = protBits & ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  if (!isPageAligned(addr)) return -EINVAL;
  if (length === 0) return 0;
  const end = addr + pageAlign(length);
  if (end === addr || end >= ADDRESS_LIMIT) return -ENOMEM;
  // PROT_SEM (8) is accepted and means nothing on x86.
  if ((prot & ~(PROT_ALL | 8)) !== 0) return -EINVAL;
  if (key !== -1 && !(mm.space.hasKeys && mm.keys.has(key))) return -EINVAL;
  let start = addr;
  const first = mm.table.at(mm.table.indexAt(addr));
  if (first === undefined) return -ENOMEM;
  if (grows === PROT_GROWSDOWN) {
    if (first.start >= end) return -ENOMEM;
    if ((first.flags & VM_GROWSDOWN) === 0) return -EINVAL;
    start = first.start;
  } else if (first.start > start) return -ENOMEM;
  else if (grows === PROT_GROWSUP) return -EINVAL;

  const [stop, error] = protectable(mm, start, end, prot & PROT_ALL, limits);
  if (stop > start) {
    mm.cutReserves(o, start, stop);
    if ((prot & PROT_WRITE) !== 0) {
      restoreText(mm, o, start, stop);
      restoreCopies(mm, o, start, stop);
    }
    const executeOnly = key === -1 && prot === PROT_EXEC ? executeOnlyKey(mm) : -1;
    if (key > 0) mm.useKeys();
    let rekeyed = false;
    mm.changeVmas(start, stop, (v) => {
      const old = v.pkey;
      v.pkey = keyAfter(mm, v, key, prot, executeOnly);
      v.prot = prot & PROT_ALL;
      v.asMapped = false;
      rekeyed ||= v.pkey !== old;
    });
    // The host keeps the keys.
    o.mprotect(start, stop - start, hostProt(prot & PROT_ALL));
    if (rekeyed) {
      mm.table.forEachIn(start, stop, (v) => {
        const at = Math.max(v.start, start);
        o.pkeyMprotect(at, Math.min(v.end, stop) - at, hostProt(v.prot), v.pkey);
      });
    }
  }
  return error;
}

/** __arch_override_mprotect_pkey(): the key of `v` when it gets `prot`, which it does not have yet. */
function keyAfter(mm: MemoryManager, v: Vma, key: number, prot: number, executeOnly: number): number {
  if (key !== -1) return key;
  if (prot === PROT_EXEC) return executeOnly > 0 ? executeOnly : v.pkey;
  return v.prot === PROT_EXEC && v.pkey === mm.keys.executeOnly ? 0 : v.pkey;
}

/** How far from `start` the change may go, and the error it then ends with. */
function protectable(
  mm: MemoryManager,
  start: number,
  end: number,
  prot: number,
  limits: MemoryLimits,
): [number, number] {
  let newData = 0;
  let at = start;
  for (let i = mm.table.indexAt(start); at < end; i++) {
    const v = mm.table.at(i);
    if (v === undefined || v.start > at) return [at, -ENOMEM];
    if ((v.flags & VM_SEALED) !== 0) return [at, -EPERM];
    if ((prot & PROT_WRITE) !== 0 && (v.flags & VM_MAYWRITE) === 0) return [at, -EACCES];
    if ((prot & PROT_EXEC) !== 0 && (v.flags & VM_MAYEXEC) === 0) return [at, -EACCES];
    // map_deny_write_exec()
    if (
      mm.mdwe !== 0 &&
      (prot & PROT_EXEC) !== 0 &&
      ((prot & PROT_WRITE) !== 0 || (v.prot & PROT_EXEC) === 0)
    )
      return [at, -EACCES];
    if ((v.flags & VM_SPECIAL) !== 0) {
      if ((prot & PROT_WRITE) !== 0) return [at, -EACCES];
      if (v.prot !== prot && (v.start < start || v.end > end)) return [at, -EINVAL];
    }
    if ((prot & PROT_WRITE) !== 0 && (v.prot & PROT_WRITE) === 0 && !v.shared) {
      newData += Math.min(v.end, end) - at;
      if (mm.dataBytes + newData > limits.mappedData) return [at, -ENOMEM];
    }
    // A split at either edge adds a VMA.
    if (!mm.mayAddVmas(2) && (v.start < start || v.end > end)) return [at, -ENOMEM];
    at = v.end;
  }
  return [end, 0];
}
