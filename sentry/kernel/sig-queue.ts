/**
 * SigQueue: pending signals of a thread or of a process (include/linux/signal_types.h struct sigpending). A standard
 * signal is pending once; real-time ones queue in order. kernel/signal.c: collect_signal, next_signal.
 */
import { SIGBUS, SIGFPE, SIGILL, SIGRTMIN, SIGSEGV, SIGSYS, SIGTRAP } from '../abi/signal.ts';
import type { SigInfo } from './sig-info.ts';
import { sigInfoUser } from './sig-info.ts';
import { SigSet } from './sig-set.ts';

/** Signals delivered before all others (SYNCHRONOUS_MASK). */
const SYNCHRONOUS_LO =
  (1 << (SIGSEGV - 1)) |
  (1 << (SIGBUS - 1)) |
  (1 << (SIGILL - 1)) |
  (1 << (SIGTRAP - 1)) |
  (1 << (SIGFPE - 1)) |
  (1 << (SIGSYS - 1));

/** Position of the lowest set bit of a non-zero int32. */
function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

export class SigQueue {
  readonly bits = new SigSet();
  private infos: SigInfo[] = [];

  has(sig: number): boolean {
    return this.bits.has(sig);
  }

  /** Takes a signal in; `info` null if it has lost its details to RLIMIT_SIGPENDING. */
  push(sig: number, info: SigInfo | null): void {
    this.bits.add(sig);
    if (info !== null) this.infos.push(info);
  }

  /** Lowest pending signal outside the mask, synchronous ones first; 0 if none. */
  next(maskLo: number, maskHi: number): number {
    const lo = this.bits.lo & ~maskLo;
    if (lo !== 0) return lowestBit((lo & SYNCHRONOUS_LO) !== 0 ? lo & SYNCHRONOUS_LO : lo) + 1;
    const hi = this.bits.hi & ~maskHi;
    return hi !== 0 ? lowestBit(hi) + 33 : 0;
  }

  /** Takes the oldest entry of pending signal `sig` out. A signal without details comes as SI_USER of pid 0, as in Linux. */
  take(sig: number): SigInfo {
    let found: SigInfo | null = null;
    let more = false;
    for (let i = 0; i < this.infos.length; i++) {
      if (this.infos[i]!.signo !== sig) continue;
      if (found === null) {
        found = this.infos[i]!;
        this.infos.splice(i--, 1);
        if (sig < SIGRTMIN) break;
      } else {
        more = true;
        break;
      }
    }
    if (!more) this.bits.delete(sig);
    return found ?? sigInfoUser(sig, 0, 0, 0);
  }

  /** Drops signals of the set [lo, hi]; `freed` hears of every entry. */
  flush(lo: number, hi: number, freed: (info: SigInfo) => void): void {
    if ((this.bits.lo & lo) === 0 && (this.bits.hi & hi) === 0) return;
    this.bits.set(this.bits.lo & ~lo, this.bits.hi & ~hi);
    const kept: SigInfo[] = [];
    for (const s of this.infos) {
      if (this.bits.has(s.signo)) kept.push(s);
      else freed(s);
    }
    this.infos = kept;
  }

  /** Up to `count` queued entries from number `from` on (PTRACE_PEEKSIGINFO). */
  list(from: number, count: number): readonly SigInfo[] {
    return this.infos.slice(from, from + count);
  }

  /** Number of queued entries. */
  get length(): number {
    return this.infos.length;
  }
}
