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

/** Letters, digits and the underscore: what VWERASE takes as a word. */
export function isWord(c: number): boolean {
  return isUpper(c) || isLower(c) || (c >= 48 && c <= 57) || c === 95;
}
