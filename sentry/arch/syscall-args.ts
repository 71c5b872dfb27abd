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

  /**
   * Pointer or unsigned long. Exact below 2^53; larger values become ones just below that, so that they fail every range check
   * but keep their place in a page: misaligned ones are misaligned.
   */
  addr(i: number): number {
    const hi = this.words[2 * i + 1]!;
    return (hi < 0x200000 ? hi : 0x1fffff) * 0x100000000 + this.words[2 * i]!;
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
