import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Decoder } from './decoder.ts';
import { readElfText } from './elf-text.ts';
import { mergeFunctions, placesOutside } from './functions.ts';
import { findSites } from './sites.ts';

const functions = (...words: number[]): Uint32Array => Uint32Array.from(words);

test('two tables in one: of the second what lies outside the first', () => {
  const a = functions(0, 8, 8, 32, 40, 48);
  expect([...mergeFunctions(a, functions(8, 16, 16, 36, 44, 44, 48, 50, 50))]).toEqual([
    ...[0, 8, 8, 8, 16, 16],
    ...[32, 40, 48, 40, 44, 44],
    ...[48, 50, 50],
  ]);
  expect([...mergeFunctions(a, functions(0, 60, 60))]).toEqual([
    ...[0, 8, 8, 8, 32, 32],
    ...[32, 40, 48, 40, 60, 60],
  ]);
  expect([...mergeFunctions(a, functions())]).toEqual([...a]);
  expect([...mergeFunctions(functions(), a)]).toEqual([0, 8, 8, 32, 40, 40]);
});

test('places outside', () => {
  expect(placesOutside(functions(0, 8, 8, 32, 40, 48), [0, 7, 8, 31, 39, 40])).toEqual([8, 31, 40]);
});

// Debian's package musl.
const MUSL = '/usr/lib/x86_64-linux-musl/libc.so';

test.skipIf(!existsSync(MUSL))('a C library without unwind tables', () => {
  const file = readFileSync(MUSL);
  const text = readElfText(
    (at, len) => (at + len > file.length ? null : Buffer.from(file.subarray(at, at + len))),
    null,
  )!;
  const code = file.subarray(text.offset, text.offset + text.code);
  const sites = findSites(new Decoder(code), code, text, () => true);
  expect(sites.length).toBeGreaterThan(200);
  // mov %r11, 8(%rsp) of __syscall_cp_asm, through which calls go that end when their thread is cancelled.
  expect(sites.some((s) => code.toString('hex', s.at, s.at + s.length) === '4c895c2408')).toBe(true);
});
