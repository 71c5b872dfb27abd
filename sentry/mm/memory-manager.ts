/** MemoryManager: the address space as the guest sees it (include/linux/mm_types.h struct mm_struct). */
import type { AccessMap } from '../usermem/user-memory.ts';

export abstract class MemoryManager implements AccessMap {
  abstract accessible(addr: number, len: number, write: boolean): number;
}
