/**
 * The areas of a slot through which data goes. In with a call: what its arguments point to, as the copy plan has the stub fetch it. Out
 * before the guest goes on: the stub copies what is here to its place. Bytes for the handler's own use lie at the bottom, copies from
 * the top down.
 */
import {
  COPYOUT_SIZE,
  COPYOUTS_MAX,
  DATA_SIZE,
  GUEST_MAX,
  PREFETCH_SIZE,
  SLOT_COPYOUTS,
  SLOT_DATA,
  SLOT_PREFETCH,
  SLOT_PREFETCH_LEN,
} from '../stub-layout.ts';
import type { SharedMemory } from './shared-memory.ts';

export class DataWindow {
  private readonly memory: SharedMemory;
  private readonly base: number;
  /** Copies that the stub is to make. */
  copyOuts = 0;
  private low = 0;
  private high = DATA_SIZE;
  /** How many zeros lie at `zerosAt`. */
  private zeros = 0;
  private zerosAt = 0;

  /** `base`: word index of the slot. */
  constructor(memory: SharedMemory, base: number) {
    this.memory = memory;
    this.base = base;
  }

  /**
   * Bytes at `addr` that came with the call whose arguments `args` are; `planned`: of which of them, by bit. How many were there, 0 if
   * it has to be read.
   */
  prefetched(
    planned: number,
    args: Uint32Array,
    addr: number,
    dst: Uint8Array,
    off: number,
    len: number,
  ): number {
    const { memory, base } = this;
    let start = 0;
    for (let i = 0; i < 6; i++) {
      const n = memory.loadRelaxed(base + SLOT_PREFETCH_LEN / 4 + i);
      if (n < 0 || start + n > PREFETCH_SIZE) return 0; // forged
      const skip = addr - (args[2 * i + 1]! * 0x100000000 + args[2 * i]!);
      if ((planned & (1 << i)) !== 0 && skip >= 0 && skip < n) {
        const count = Math.min(len, n - skip);
        // The stub can read its own pages, which are none of the guest's.
        if (addr + count > GUEST_MAX) return 0;
        memory.copyOut(base, SLOT_PREFETCH + start + skip, dst, off, count);
        return count;
      }
      start += (n + 7) & ~7;
    }
    return 0;
  }

  /** Nothing of what has gone through stays behind. */
  wipe(): void {
    const { memory, base } = this;
    memory.zero(base + SLOT_PREFETCH / 4, PREFETCH_SIZE / 4);
    memory.zero(base + SLOT_DATA / 4, DATA_SIZE / 4);
  }

  clear(): void {
    this.copyOuts = 0;
    this.low = 0;
    this.high = DATA_SIZE;
    this.zeros = 0;
  }

  /** `len` bytes that lie at `dataOff` go to `addr`. False if there is no room. */
  copyOutData(addr: number, dataOff: number, len: number): boolean {
    if (dataOff < 0 || len < 0 || dataOff + len > this.high || !this.queue(addr, dataOff, len)) return false;
    if (dataOff + len > this.low) this.low = dataOff + len;
    return true;
  }

  copyOut(addr: number, src: Uint8Array, off: number, len: number): boolean {
    const at = this.high - ((len + 7) & ~7);
    if (len < 0 || len > DATA_SIZE || at < this.low || !this.queue(addr, at, len)) return false;
    this.high = at;
    this.memory.copyIn(this.base, SLOT_DATA + at, src, off, len);
    return true;
  }

  zeroOut(addr: number, len: number): boolean {
    if (len > this.zeros) {
      const at = this.high - ((len + 7) & ~7);
      if (len > DATA_SIZE || at < this.low) return false;
      this.memory.zero(this.base + (SLOT_DATA + at) / 4, (this.high - at) / 4);
      this.high = at;
      this.zerosAt = at;
      this.zeros = len;
    }
    return this.queue(addr, this.zerosAt, len);
  }

  private queue(addr: number, dataOff: number, len: number): boolean {
    if (this.copyOuts === COPYOUTS_MAX) return false;
    const { memory } = this;
    const at = this.base + (SLOT_COPYOUTS + this.copyOuts * COPYOUT_SIZE) / 4;
    memory.storeNumber(at, addr);
    memory.storeRelaxed(at + 2, dataOff);
    memory.storeRelaxed(at + 3, len);
    this.copyOuts++;
    return true;
  }
}
