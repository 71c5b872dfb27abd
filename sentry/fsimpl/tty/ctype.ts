/** Letters as the kernel has them: ISO 8859-1, whatever the program's locale (lib/ctype.c). */

const MULTIPLIED = 0xd7;
const DIVIDED = 0xf7;
const CASE = 32;

const isUpper = (c: number): boolean => (c >= 65 && c <= 90) || (c >= 0xc0 && c <= 0xde && c !== MULTIPLIED);

const isLower = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 0xdf && c !== DIVIDED);

export function toLower(c: number): number {
  return isUpper(c) ? c + CASE : c;
}

export function toUpper(c: number): number {
  return isLower(c) ? c - CASE : c;
}
