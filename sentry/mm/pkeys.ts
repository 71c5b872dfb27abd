/**
 * Protection keys (pkeys(7), arch/x86/include/asm/pkeys.h, arch/x86/mm/pkeys.c): mappings carry a key, PKRU says what a thread
 * may do with memory of each. The host's processes have all keys allocated, so numbers are the same there; which of them a guest
 * has is decided here.
 */

import type { MemoryManager } from './memory-manager.ts';
import type { VmaTable } from './vma-table.ts';

/** Keys of a process, 0 among them. */
const KEYS = 16;
const ALL_KEYS = 0xffff;
export const PKEY_DISABLE_ACCESS = 1;
export const PKEY_DISABLE_WRITE = 2;
export const PKEY_ACCESS_MASK = PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE;

/** mm_context_t.pkey_allocation_map and execute_only_pkey */
export class ProtectionKeys {
  private allocated = 1;
  /** The key of what may only be executed; −1: none yet. No call can name it. */
  executeOnly = -1;

  /** mm_pkey_alloc(): the lowest free key, or −1. */
  alloc(): number {
    if (this.allocated === ALL_KEYS) return -1;
    const key = 31 - Math.clz32(~this.allocated & -~this.allocated);
    this.allocated |= 1 << key;
    return key;
  }

  /** mm_pkey_is_allocated() */
  has(key: number): boolean {
    return key >= 0 && key < KEYS && key !== this.executeOnly && (this.allocated & (1 << key)) !== 0;
  }

  /** Mappings keep the number. */
  free(key: number): void {
    this.allocated &= ~(1 << key);
  }

  copyFrom(o: ProtectionKeys): void {
    this.allocated = o.allocated;
    this.executeOnly = o.executeOnly;
  }
}

/** `pkru` with other rights for one key (arch_set_user_pkey_access()). */
export function withRights(pkru: number, key: number, rights: number): number {
  return ((pkru & ~(PKEY_ACCESS_MASK << (2 * key))) | (rights << (2 * key))) >>> 0;
}

/** __pkru_allows_read(), __pkru_allows_write(): "access disable" forbids writing, too. */
export function keyAllows(pkru: number, key: number, write: boolean): boolean {
  return ((pkru >>> (2 * key)) & (write ? PKEY_ACCESS_MASK : PKEY_DISABLE_ACCESS)) === 0;
}

/** execute_only_pkey(): the key of what may only be executed, or −1. */
export function executeOnlyKey(mm: MemoryManager): number {
  const { keys } = mm;
  if (!mm.space.hasKeys) return -1;
  if (keys.executeOnly < 0) keys.executeOnly = keys.alloc();
  if (keys.executeOnly > 0) mm.useKeys();
  return keys.executeOnly;
}

/** Of the `n` mapped bytes from `addr` on those before the first that `pkru` denies. */
export function beforeDenied(t: VmaTable, addr: number, n: number, write: boolean, pkru: number): number {
  for (let at = addr; at < addr + n;) {
    const v = t.find(at)!;
    if (!keyAllows(pkru, v.pkey, write)) return at - addr;
    at = v.end;
  }
  return n;
}
