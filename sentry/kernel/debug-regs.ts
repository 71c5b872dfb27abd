/**
 * Debug registers of a thread as ptrace(2) shows them (arch/x86/kernel/ptrace.c). The platform sets the processor's, where it can:
 * otherwise addresses and controls are kept while nothing is enabled, and enabling a breakpoint finds no slot free (ENOSPC).
 */
import { EINVAL, EIO } from '../abi/errno.ts';
import { TRAP_TRACE } from '../abi/signal.ts';
import { TASK_SIZE } from '../lib/addr.ts';
import type { Context } from '../platform/platform.ts';

const BREAKPOINTS = 4;
const DR6 = 6;
const DR7 = 7;
/** Bits that read as one; the kernel keeps the register inverted there. */
const DR6_RESERVED = 0xffff0ff0;
const DR_STEP = 0x4000;
const RW_EXECUTE = 0;
const RW_IO = 2;
/** Bytes watched, by the LEN field. */
const SIZES: readonly number[] = [1, 2, 8, 4];

interface Breakpoint {
  readonly addr: number;
  readonly size: number;
  /** The bits of DR7 that say how it is enabled, 0: not at all; and its RW and LEN fields. */
  readonly enabled: number;
  readonly kind: number;
}

const NEW: Breakpoint = { addr: 0, size: 1, enabled: 0, kind: 0 };

export class DebugRegs {
  private breakpoints: (Breakpoint | null)[] = [null, null, null, null];
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

  /** 0 or −errno. `lo` and `hi` are uint32; `ctx` is the thread's. */
  set(n: number, lo: number, hi: number, ctx: Context): number {
    if (n < BREAKPOINTS) return this.setAddress(n, hi * 0x1_0000_0000 + lo, ctx);
    if (n === DR7) return this.setControl(lo, hi, ctx);
    if (n !== DR6) return -EIO;
    this.dr6Lo = lo;
    this.dr6Hi = hi;
    return 0;
  }

  private setAddress(n: number, addr: number, ctx: Context): number {
    const old = this.breakpoints[n] ?? NEW;
    if (addr + old.size > TASK_SIZE || addr % old.size !== 0) return -EINVAL;
    const changed = [...this.breakpoints];
    changed[n] = { ...old, addr };
    return this.load(changed, ctx);
  }

  /** ptrace_write_dr7() */
  private setControl(lo: number, hi: number, ctx: Context): number {
    const changed: (Breakpoint | null)[] = [];
    for (let n = 0; n < BREAKPOINTS; n++) {
      const old = this.breakpoints[n]!;
      const enabled = (lo >>> (2 * n)) & 3;
      changed.push(old);
      if (old === null && enabled === 0) continue;
      const kind = (lo >>> (16 + 4 * n)) & 15;
      const rw = kind & 3;
      if (rw === RW_IO || (rw === RW_EXECUTE && kind !== rw)) return -EINVAL;
      const bp = { addr: old?.addr ?? 0, size: SIZES[kind >>> 2]!, enabled, kind };
      if (bp.addr % bp.size !== 0 || bp.addr + bp.size > TASK_SIZE) return -EINVAL;
      changed[n] = bp;
    }
    const r = this.load(changed, ctx);
    if (r < 0) return r;
    this.dr7Lo = lo;
    this.dr7Hi = hi;
    return 0;
  }

  /** Takes `changed` over if the platform does. */
  private load(changed: (Breakpoint | null)[], ctx: Context): number {
    if (changed.some(isEnabled) || this.breakpoints.some(isEnabled)) {
      const r = ctx.setBreakpoints(addressesOf(changed), controlOf(changed));
      if (r < 0) {
        ctx.setBreakpoints(addressesOf(this.breakpoints), controlOf(this.breakpoints));
        return r;
      }
    }
    this.breakpoints = changed;
    return 0;
  }

  /** A debug exception of `code` (TRAP_*) has come: DR6 says why. */
  trapped(code: number, ctx: Context): void {
    const why = (code === TRAP_TRACE ? DR_STEP : 0) + ctx.breakpointsHit();
    this.dr6Lo = (DR6_RESERVED ^ why) >>> 0;
    this.dr6Hi = 0;
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

const isEnabled = (b: Breakpoint | null): boolean => b !== null && b.enabled !== 0;
const addressesOf = (list: readonly (Breakpoint | null)[]): number[] => list.map((b) => b?.addr ?? 0);

/** DR7 with what is enabled. */
function controlOf(list: readonly (Breakpoint | null)[]): number {
  let control = 0;
  list.forEach((b, n) => {
    if (isEnabled(b)) control += b!.enabled * 2 ** (2 * n) + b!.kind * 2 ** (16 + 4 * n);
  });
  return control;
}
