/**
 * The x86-64 register file in the order of `struct user_regs_struct` (arch/x86/include/asm/user_64.h), as uint32 pairs:
 * register r is words[2*r] (low) and words[2*r+1] (high).
 */

export const R15 = 0;
export const R14 = 1;
export const R13 = 2;
export const R12 = 3;
export const RBP = 4;
export const RBX = 5;
export const R11 = 6;
export const R10 = 7;
export const R9 = 8;
export const R8 = 9;
export const RAX = 10;
export const RCX = 11;
export const RDX = 12;
export const RSI = 13;
export const RDI = 14;
export const ORIG_RAX = 15;
export const RIP = 16;
export const CS = 17;
export const EFLAGS = 18;
export const RSP = 19;
export const SS = 20;
export const FS_BASE = 21;
export const GS_BASE = 22;
export const DS = 23;
export const ES = 24;
export const FS = 25;
export const GS = 26;

export const NREGS = 27;
/** sizeof(struct user_regs_struct) */
export const USER_REGS_SIZE = NREGS * 8;

/** EFLAGS bits that guest code may set (arch/x86/kernel/signal_64.c FIX_EFLAGS). */
export const FIX_EFLAGS = 0x50dd5;

export class Regs {
  readonly words = new Uint32Array(NREGS * 2);
  readonly bytes = new Uint8Array(this.words.buffer);

  /** Register as a number; exact below 2^53, larger ones lose low bits (non-canonical addresses stay non-canonical). */
  get(r: number): number {
    return this.words[2 * r + 1]! * 0x100000000 + this.words[2 * r]!;
  }

  /** Sets a register from a safe integer; negative ones are sign-extended. */
  set(r: number, value: number): void {
    this.words[2 * r] = value >>> 0;
    this.words[2 * r + 1] = Math.floor(value / 0x100000000) >>> 0;
  }

  copyFrom(other: Regs): void {
    this.words.set(other.words);
  }
}
