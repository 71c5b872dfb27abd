/**
 * The signal mask and robust list of a guest thread while they are lent to it: in its slot, where the stub answers calls about
 * them (stub-lent.c). What comes back is the guest's word, of values that are its own.
 */
import { MASK_LENT, MASK_SECOND, SLOT_MASK, SLOT_MASK_HIGH, SLOT_ROBUST_LIST } from '../stub-layout.ts';
import type { SharedMemory } from './shared-memory.ts';

export class LentWords {
  private readonly memory: SharedMemory;
  private readonly base: number;
  maskLo = 0;
  maskHi = 0;
  robustList = 0;

  /** `base`: word index of the slot. */
  constructor(memory: SharedMemory, base: number) {
    this.memory = memory;
    this.base = base;
  }

  lend(maskLo: number, maskHi: number, robustList: number): void {
    const { memory, base } = this;
    this.maskLo = maskLo;
    this.maskHi = maskHi;
    this.robustList = robustList;
    memory.storeRelaxed(base + SLOT_MASK_HIGH / 4, maskHi);
    memory.storeNumber(base + SLOT_ROBUST_LIST / 4, robustList);
    memory.store(base + SLOT_MASK / 4, maskLo | MASK_LENT);
  }

  reclaim(): void {
    const { memory, base } = this;
    const lo = memory.exchange(base + SLOT_MASK / 4, 0);
    this.maskLo = lo & ~(MASK_LENT | MASK_SECOND);
    this.maskHi = memory.loadRelaxed(base + SLOT_MASK_HIGH / 4 + ((lo & MASK_SECOND) === 0 ? 0 : 1));
    this.robustList = memory.loadNumber(base + SLOT_ROBUST_LIST / 4);
  }
}
