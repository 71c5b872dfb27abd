/**
 * Typed view of a syscall's six arguments. C's `int` arguments count their low 32 bits only; pointers and sizes are 64
 * bits wide and become numbers, non-canonical ones too large to be mapped.
 */
export class SyscallArgs {
  /** words[2*i] low and words[2*i+1] high half of argument i. */
  words: Uint32Array;

  constructor(words: Uint32Array) {
    this.words = words;
  }

  int(i: number): number {
    return this.words[2 * i]! | 0;
  }

  uint(i: number): number {
    return this.words[2 * i]!;
  }

  /** Pointer or unsigned long. Exact below 2^53; larger values stay ≥ 2^53 and so fail every range check. */
  addr(i: number): number {
    return this.words[2 * i + 1]! * 0x100000000 + this.words[2 * i]!;
  }

  /** size_t: as addr. */
  size(i: number): number {
    return this.words[2 * i + 1]! * 0x100000000 + this.words[2 * i]!;
  }

  /** Signed 64-bit (loff_t, long). Exact within ±2^53. */
  long(i: number): number {
    return (this.words[2 * i + 1]! | 0) * 0x100000000 + this.words[2 * i]!;
  }
}
