/**
 * Debug registers of a thread as ptrace(2) shows them (arch/x86/kernel/ptrace.c). The processor's are the host's: addresses and
 * controls are kept while nothing is enabled, and enabling a breakpoint finds no slot free (ENOSPC).
 */
import { EINVAL, EIO, ENOSPC } from '../abi/errno.ts';
import { TASK_SIZE } from '../lib/addr.ts';

const BREAKPOINTS = 4;
const DR6 = 6;
const DR7 = 7;
/** Bits that read as one; the kernel keeps the register inverted there. */
const DR6_RESERVED = 0xffff0ff0;
const RW_EXECUTE = 0;
const RW_IO = 2;
/** Bytes watched, by the LEN field. */
const SIZES: readonly number[] = [1, 2, 8, 4];

interface Breakpoint {
  readonly addr: number;
  readonly size: number;
}

export class DebugRegs {
  private readonly breakpoints: (Breakpoint | null)[] = [null, null, null, null];
  private dr6Lo = DR6_RESERVED;
  private dr6Hi = 0;
  private dr7Lo = 0;
  private dr7Hi = 0;

  /** Fills `words` with register `n`, low word first. */
  get(n: number, words: Uint32Array): void {
    words[0] = words[1] = 0;
    if (n < BREAKPOINTS) {
      const addr = this.breakpoints[n]?.addr ?? 0;
      words[0] = addr;
      words[1] = addr / 0x1_0000_0000;
    } else if (n === DR6) {
      words[0] = this.dr6Lo;
      words[1] = this.dr6Hi;
    } else if (n === DR7) {
      words[0] = this.dr7Lo;
      words[1] = this.dr7Hi;
    }
  }

  /** 0 or −errno. `lo` and `hi` are uint32. */
  set(n: number, lo: number, hi: number): number {
    if (n < BREAKPOINTS) return this.setAddress(n, hi * 0x1_0000_0000 + lo);
    if (n === DR7) return this.setControl(lo, hi);
    if (n !== DR6) return -EIO;
    this.dr6Lo = lo;
    this.dr6Hi = hi;
    return 0;
  }

  private setAddress(n: number, addr: number): number {
    const size = this.breakpoints[n]?.size ?? 1;
    if (addr + size > TASK_SIZE || addr % size !== 0) return -EINVAL;
    this.breakpoints[n] = { addr, size };
    return 0;
  }

  /** ptrace_write_dr7() */
  private setControl(lo: number, hi: number): number {
    const changed: (Breakpoint | null)[] = [];
    for (let n = 0; n < BREAKPOINTS; n++) {
      const old = this.breakpoints[n]!;
      const enabled = ((lo >>> (2 * n)) & 3) !== 0;
      changed.push(old);
      if (old === null && !enabled) continue;
      const rw = (lo >>> (16 + 4 * n)) & 3;
      const len = (lo >>> (18 + 4 * n)) & 3;
      if (rw === RW_IO || (rw === RW_EXECUTE && len !== 0)) return -EINVAL;
      const bp = { addr: old?.addr ?? 0, size: SIZES[len]! };
      if (bp.addr % bp.size !== 0 || bp.addr + bp.size > TASK_SIZE) return -EINVAL;
      if (enabled) return -ENOSPC;
      changed[n] = bp;
    }
    for (let n = 0; n < BREAKPOINTS; n++) this.breakpoints[n] = changed[n]!;
    this.dr7Lo = lo;
    this.dr7Hi = hi;
    return 0;
  }

  /** Of a thread that this one makes: the control register comes along (copy_thread() clears the breakpoints). */
  inherit(): DebugRegs {
    const r = new DebugRegs();
    r.dr6Lo = this.dr6Lo;
    r.dr6Hi = this.dr6Hi;
    r.dr7Lo = this.dr7Lo;
    r.dr7Hi = this.dr7Hi;
    return r;
  }
}
