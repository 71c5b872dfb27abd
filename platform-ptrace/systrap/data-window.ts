/**
 * The data area of a slot: what the kernel gives to its guest thread is put there, and the stub copies it to its place before the
 * guest goes on. Bytes for the handler's own use lie at the bottom, copies from the top down.
 */
import { COPYOUT_SIZE, COPYOUTS_MAX, DATA_SIZE, SLOT_COPYOUTS, SLOT_DATA } from '../stub-layout.ts';
import type { SharedMemory } from './shared-memory.ts';

export class DataWindow {
  private readonly memory: SharedMemory;
  private readonly base: number;
  /** Copies that the stub is to make. */
  copyOuts = 0;
  private low = 0;
  private high = DATA_SIZE;

  /** `base`: word index of the slot. */
  constructor(memory: SharedMemory, base: number) {
    this.memory = memory;
    this.base = base;
  }

  clear(): void {
    this.copyOuts = 0;
    this.low = 0;
    this.high = DATA_SIZE;
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
