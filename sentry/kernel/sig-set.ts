/** SigSet: sigset_t as a pair of uint32. Signals 1–32 are bits of `lo`, 33–64 of `hi`. */
import { SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU } from '../abi/signal.ts';

export class SigSet {
  lo: number;
  hi: number;

  constructor(lo = 0, hi = 0) {
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
  }

  static of(...signals: number[]): SigSet {
    const s = new SigSet();
    for (const sig of signals) s.add(sig);
    return s;
  }

  has(sig: number): boolean {
    return sig <= 32 ? ((this.lo >>> (sig - 1)) & 1) !== 0 : ((this.hi >>> (sig - 33)) & 1) !== 0;
  }

  add(sig: number): void {
    if (sig <= 32) this.lo = (this.lo | (1 << (sig - 1))) >>> 0;
    else this.hi = (this.hi | (1 << (sig - 33))) >>> 0;
  }

  delete(sig: number): void {
    if (sig <= 32) this.lo = (this.lo & ~(1 << (sig - 1))) >>> 0;
    else this.hi = (this.hi & ~(1 << (sig - 33))) >>> 0;
  }

  set(lo: number, hi: number): void {
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
  }

  copyFrom(o: SigSet): void {
    this.lo = o.lo;
    this.hi = o.hi;
  }

  clone(): SigSet {
    return new SigSet(this.lo, this.hi);
  }

  get isEmpty(): boolean {
    return this.lo === 0 && this.hi === 0;
  }
}

/** Bits of SIGKILL and SIGSTOP in `lo`: they can be neither blocked nor handled. */
export const UNBLOCKABLE_LO = (1 << (SIGKILL - 1)) | (1 << (SIGSTOP - 1));
/** SIG_KERNEL_STOP_MASK (include/linux/signal.h). */
export const STOP_LO =
  (1 << (SIGSTOP - 1)) | (1 << (SIGTSTP - 1)) | (1 << (SIGTTIN - 1)) | (1 << (SIGTTOU - 1));
export const CONT_LO = 1 << (SIGCONT - 1);
