// Go's table of functions: one made by hand, tables that lie, and a real program's.
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Decoder } from './decoder.ts';
import type { ReadFile } from './elf-file.ts';
import { readElfText } from './elf-text.ts';
import { FUNCTION_WORDS } from './functions.ts';
import { goFunctions } from './go-functions.ts';
import { findSites } from './sites.ts';

const BASE = 0x400000;
const SIZE = 0x3000;
const STRINGS = 0x180;
const SECTION = 0x200;
const MODULE = 0x300;
const RELOCATIONS = 0x500;
/** Link address of the file's first byte, but for the text. */
const TABLE = 0x500000;

/** A file whose header names .gopclntab, .go.module and .rela, for functions at `begins`; the last of them is the end. */
function goFile(begins: number[], change: (file: Buffer) => void = () => {}): [ReadFile, Buffer] {
  const file = Buffer.alloc(0x600);
  file.writeBigUInt64LE(64n, 40); // e_shoff
  file.writeUInt16LE(64, 58);
  const names = ['.gopclntab', '.shstrtab', '.go.module', '.rela'];
  file.writeUInt16LE(names.length, 60);
  file.writeUInt16LE(1, 62); // e_shstrndx
  const strings = `\0${names.join('\0')}\0`;
  file.write(strings, STRINGS);
  [SECTION, STRINGS, MODULE, RELOCATIONS].forEach((offset, i) => {
    const at = 64 * (i + 1);
    file.writeUInt32LE(strings.indexOf(names[i]!), at);
    file.writeBigUInt64LE(BigInt(TABLE + offset), at + 16); // sh_addr, sh_offset, sh_size
    file.writeBigUInt64LE(BigInt(offset), at + 24);
    file.writeBigUInt64LE(offset === RELOCATIONS ? 72n : 0x100n, at + 32);
  });
  file.writeBigUInt64LE(BigInt(TABLE + SECTION), MODULE);
  file.writeBigUInt64LE(BigInt(BASE + 0x1000), MODULE + 176);
  file.writeUInt32LE(0xfffffff1, SECTION);
  file.set([0, 0, 1, 8], SECTION + 4);
  file.writeBigUInt64LE(BigInt(begins.length - 1), SECTION + 8);
  file.writeBigUInt64LE(BigInt(BASE + 0x1000), SECTION + 24);
  file.writeBigUInt64LE(0x60n, SECTION + 64);
  begins.forEach((b, i) => file.writeUInt32LE(b, SECTION + 0x60 + 8 * i));
  change(file);
  return [reader(file), file.subarray(0, 64)];
}

/** The words at these offsets are relocated: 0 in the file. */
function relocate(file: Buffer, ...words: number[]): void {
  words.forEach((at, i) => {
    file.writeBigUInt64LE(BigInt(TABLE + at), RELOCATIONS + 24 * i);
    file.writeBigUInt64LE(8n, RELOCATIONS + 24 * i + 8);
    file.copy(file, RELOCATIONS + 24 * i + 16, at, at + 8);
    file.writeBigUInt64LE(0n, at);
  });
}

function reader(file: Buffer): ReadFile {
  return (at, len) => (at < 0 || at + len > file.length ? null : Buffer.from(file.subarray(at, at + len)));
}

const functionsOf = ([read, header]: [ReadFile, Buffer], wanted: number[] | null = null): number[] | null => {
  const found = goFunctions({ read, header, base: BASE, size: SIZE }, wanted);
  return found === null ? null : [...found];
};

test('functions end where the next one begins', () => {
  expect(functionsOf(goFile([0, 0x40, 0x100]))).toEqual([0x1000, 0x1040, 0x1040, 0x1040, 0x1100, 0x1100]);
});

test('only those with a place that is asked for', () => {
  const file = goFile([0, 0x40, 0x100, 0x180]);
  expect(functionsOf(file, [0x1044, 0x10ff])).toEqual([0x1040, 0x1100, 0x1100]);
  expect(functionsOf(file, [0x0fff])).toEqual([]);
});

test('since Go 1.26 the module says where the text begins', () => {
  const file = goFile([0, 0x40], (f) => f.writeBigUInt64LE(0n, SECTION + 24));
  expect(functionsOf(file)).toEqual([0x1000, 0x1040, 0x1040]);
});

test('position-independent programs have it in a relocation', () => {
  const wanted = [0x1000, 0x1040, 0x1040];
  expect(functionsOf(goFile([0, 0x40], (f) => relocate(f, SECTION + 24)))).toEqual(wanted);
  const ofModule = goFile([0, 0x40], (f) => {
    f.writeBigUInt64LE(0n, SECTION + 24);
    relocate(f, MODULE, MODULE + 176);
  });
  expect(functionsOf(ofModule)).toEqual(wanted);
});

test('tables that lie', () => {
  expect(functionsOf(goFile([0, 0x40], (f) => f.writeUInt32LE(0xfffffffb, SECTION)))).toBeNull();
  const otherModule = goFile([0, 0x40], (f) => {
    f.writeBigUInt64LE(0n, SECTION + 24);
    f.writeBigUInt64LE(0n, MODULE);
  });
  expect(functionsOf(otherModule)).toBeNull();
  expect(functionsOf(goFile([0, 0x40], (f) => f.writeBigUInt64LE(2n ** 61n, SECTION + 8)))).toBeNull();
  expect(functionsOf(goFile([0, 0x40], (f) => f.writeBigUInt64LE(2n ** 63n, SECTION + 64)))).toBeNull();
  // Backwards, and beyond the text.
  expect(functionsOf(goFile([0, 0x100, 0x40, 0x9000, 0x9010]))).toEqual([0x1000, 0x1100, 0x1100]);
});

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path));

test.skipIf(RUNC === undefined)('the calls of a real program', () => {
  const file = readFileSync(RUNC!);
  const text = readElfText(reader(file), null)!;
  const code = file.subarray(text.offset, text.offset + text.code);
  const sites = findSites(new Decoder(code), code, text, () => true);
  // Syscall6 of package syscall (or its runtime's), through which nearly all calls go, has no number of its own.
  expect(text.functions.length / FUNCTION_WORDS).toBeGreaterThan(5000);
  expect(sites.some((s) => s.sysno < 0)).toBe(true);
  const futex = sites.find((s) => s.sysno === 202)!;
  const found = readElfText(reader(file), [text.offset + futex.at])!.functions;
  const containing = found.filter(
    (begin, i) => i % FUNCTION_WORDS === 0 && begin <= futex.at && futex.at < found[i + 1]!,
  );
  expect(containing.length).toBe(1);
});
