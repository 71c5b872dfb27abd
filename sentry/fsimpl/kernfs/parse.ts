/** Numbers as the kernel parses them in writable files (lib/kstrtox.c). No regular expressions: the text is a guest's. */
import { EINVAL, ERANGE } from '../../abi/errno.ts';

function digit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  if (c >= 97 && c <= 102) return c - 87;
  if (c >= 65 && c <= 70) return c - 55;
  return 99;
}

/** kstrtoll(text, 0 or base): optional sign, 0x and 0 prefixes in base 0, one trailing newline. NaN if malformed. */
export function parseInteger(text: string, base = 10): number {
  let i = 0;
  let end = text.length;
  if (end > 0 && text.charCodeAt(end - 1) === 10) end--;
  let sign = 1;
  if (text[i] === '-' || text[i] === '+') sign = text[i++] === '-' ? -1 : 1;
  let b = base;
  if (b === 0) {
    b = 10;
    if (text[i] === '0' && end - i > 1) {
      b = text[i + 1] === 'x' || text[i + 1] === 'X' ? 16 : 8;
      i += b === 16 ? 2 : 1;
    }
  }
  if (i >= end) return NaN;
  let value = 0;
  for (; i < end; i++) {
    const d = digit(text.charCodeAt(i));
    if (d >= b) return NaN;
    value = value * b + d;
  }
  return sign * value;
}

/** The text without blanks at both ends (strstrip). */
export function strip(text: string): string {
  let a = 0;
  let b = text.length;
  const blank = (c: number): boolean => c === 32 || (c >= 9 && c <= 13) || c === 0;
  while (a < b && blank(text.charCodeAt(a))) a++;
  while (b > a && blank(text.charCodeAt(b - 1))) b--;
  return text.slice(a, b);
}

/** Integer within [min, max] after stripping: value in `.value`, or −EINVAL / −ERANGE in `.error`. */
export function parseBounded(text: string, min: number, max: number): { value: number; error: number } {
  const value = parseInteger(strip(text), 0);
  if (Number.isNaN(value)) return { value: 0, error: -EINVAL };
  if (value < min || value > max) return { value: 0, error: -ERANGE };
  return { value, error: 0 };
}
