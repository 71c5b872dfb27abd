/**
 * Guest addresses are plain numbers (47 bits fit a safe integer). Bit operators truncate to 32 bits, so all
 * arithmetic on addresses and file offsets goes through + and − and these functions.
 */

export const PAGE_SIZE = 4096;
/** First address past user space (arch/x86/include/asm/page_64_types.h TASK_SIZE_MAX). */
export const TASK_SIZE = 0x7ffffffff000;
/** What an address or length of 64 bits is below; the highest ones are rounded to it. */
export const ADDRESS_LIMIT = 2 ** 64;

export function pageDown(a: number): number {
  return Math.floor(a / PAGE_SIZE) * PAGE_SIZE;
}

export function pageUp(a: number): number {
  return Math.ceil(a / PAGE_SIZE) * PAGE_SIZE;
}

/** PAGE_ALIGN(len + offset) of a length of 64 bits, which wraps; one that was rounded to ADDRESS_LIMIT is taken for −1. */
export function pageAlign(len: number, offset = 0): number {
  if (len === ADDRESS_LIMIT) return pageUp(Math.max(0, offset - 1));
  const up = pageDown(len) + pageUp(pageOffset(len) + offset);
  return up >= ADDRESS_LIMIT ? up - ADDRESS_LIMIT : up;
}

export function pageOffset(a: number): number {
  return a - pageDown(a);
}

export function isPageAligned(a: number): boolean {
  return pageDown(a) === a;
}

/** Low 32 bits of a non-negative safe integer. */
export function lo32(a: number): number {
  return a >>> 0;
}

/** High 32 bits (sign-extended to a uint32) of a safe integer. */
export function hi32(a: number): number {
  return Math.floor(a / 0x100000000) >>> 0;
}

/** Number from two uint32 halves. Exact only below 2^53: check `hi` first where a guest chose it. */
export function fromLoHi(lo: number, hi: number): number {
  return hi * 0x100000000 + lo;
}

/** Two halves of an address: the kernel's half of the address space is negative, as sign extension makes it, and its top exact. */
export function signedFromLoHi(lo: number, hi: number): number {
  return (hi | 0) * 0x100000000 + (lo >>> 0);
}
