import { expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { EINVAL, ENOEXEC } from '../abi/errno.ts';
import { EHDR_SIZE, PHDR_SIZE, parseHeader, parseProgramHeaders, type ElfHeader } from './elf.ts';
import { parseScript } from './script.ts';
import { AT_EXECFN, AT_PAGESZ, buildStack, stringsLimit } from './stack.ts';

const pad = (s: string): string => s.padEnd(256, '\0').slice(0, 256);

test('script lines: interpreter and one optional argument', () => {
  expect(parseScript(pad('#!/bin/sh\nrest'))).toEqual({ interpreter: '/bin/sh', argument: null });
  expect(parseScript(pad('#! /bin/sh  -e  x \t\n'))).toEqual({ interpreter: '/bin/sh', argument: '-e  x' });
  expect(parseScript(pad('#!/bin/sh'))).toEqual({ interpreter: '/bin/sh', argument: null });
  expect(parseScript(pad('#!\n'))).toBe(null);
  expect(parseScript(pad('#!   '))).toEqual({ interpreter: '', argument: null });
  expect(parseScript(pad('#!   \n'))).toBe(null);
  expect(parseScript(pad('echo'))).toBe(null);
  // Cut off in the middle of the name: refused. Cut off in the argument: taken as it is.
  expect(parseScript(`#!${'a'.repeat(254)}`)).toBe(null);
  expect(parseScript(`#!/bin/x ${'a'.repeat(247)}`)!.argument!.length).toBe(246);
});

const node = readFileSync(process.execPath).subarray(0, 65536);

test('the headers of a real program', () => {
  const header = parseHeader(node, node.length) as ElfHeader;
  const ph = node.subarray(header.phoff, header.phoff + header.phnum * PHDR_SIZE);
  const image = parseProgramHeaders(ph, header);
  if (typeof image === 'number') throw new Error(String(image));
  expect(image.segments.length).toBeGreaterThan(1);
  const { offset, size } = image.interp!;
  expect(node.toString('latin1', offset, offset + size)).toBe('/lib64/ld-linux-x86-64.so.2\0');
  expect(image.low).toBeLessThan(image.high);
});

test('foreign, 32-bit, core and cut-off headers are not executable', () => {
  const broken = (change: (b: Buffer) => void): ElfHeader | number => {
    const b = Buffer.from(node.subarray(0, EHDR_SIZE));
    change(b);
    return parseHeader(b, b.length);
  };
  expect(broken((b) => b.writeUInt16LE(4, 16))).toBe(-ENOEXEC);
  expect(broken((b) => b.writeUInt16LE(3, 18))).toBe(-ENOEXEC);
  expect(broken((b) => b.writeUInt16LE(32, 54))).toBe(-ENOEXEC);
  expect(broken((b) => b.writeUInt16LE(0, 56))).toBe(-ENOEXEC);
  expect(broken((b) => b.writeUInt16LE(2000, 56))).toBe(-ENOEXEC);
  expect(parseHeader(node, 63)).toBe(-ENOEXEC);
});

test('segments beyond the address space or larger in the file than in memory are invalid', () => {
  const header: ElfHeader = { dynamic: false, entry: 0, phoff: 64, phnum: 1 };
  const segment = (vaddr: bigint, offset: bigint, filesz: bigint, memsz: bigint): Buffer => {
    const b = Buffer.alloc(PHDR_SIZE);
    b.writeUInt32LE(1, 0);
    b.writeUInt32LE(5, 4);
    [offset, vaddr, 0n, filesz, memsz, 4096n].forEach((v, i) => b.writeBigUInt64LE(v, 8 + i * 8));
    return b;
  };
  expect(parseProgramHeaders(segment(0x400000n, 0n, 10n, 5n), header)).toBe(-EINVAL);
  expect(parseProgramHeaders(segment(0x400010n, 0n, 10n, 10n), header)).toBe(-EINVAL);
  expect(parseProgramHeaders(segment(0xffffffffff600000n, 0n, 0n, 4096n), header)).toBe(-EINVAL);
  expect(parseProgramHeaders(segment(0x400000n, 0n, 0n, 0xffffffffffffffffn), header)).toBe(-EINVAL);
});

test('the stack image holds what a C start-up reads', () => {
  const top = 0x7ffe00000000;
  const s = buildStack({
    top,
    argv: ['a', 'bc'],
    envp: ['X=1'],
    execfn: '/bin/a',
    auxv: [[AT_PAGESZ, 4096]],
  });
  const bytes = Buffer.alloc(top - s.sp);
  s.low.copy(bytes);
  s.high.copy(bytes, s.argStart - s.sp);
  expect(s.low.length).toBeLessThanOrEqual(s.argStart - s.sp);
  const u64 = (addr: number): number => Number(bytes.readBigUInt64LE(addr - s.sp));
  const str = (addr: number): string => {
    const at = addr - s.sp;
    return bytes.toString('latin1', at, bytes.indexOf(0, at));
  };
  expect(s.sp % 16).toBe(0);
  expect(u64(s.sp)).toBe(2);
  expect([str(u64(s.sp + 8)), str(u64(s.sp + 16)), u64(s.sp + 24)]).toEqual(['a', 'bc', 0]);
  expect([str(u64(s.sp + 32)), u64(s.sp + 40)]).toEqual(['X=1', 0]);
  expect([u64(s.sp + 48), u64(s.sp + 56)]).toEqual([AT_PAGESZ, 4096]);
  const execfn = [...Array(5).keys()].map((i) => s.sp + 48 + i * 16).find((a) => u64(a) === AT_EXECFN)!;
  expect(str(u64(execfn + 8))).toBe('/bin/a');
  expect(s.argEnd - s.argStart).toBe(5);
  expect(bytes.toString('latin1', s.envStart - s.sp, s.envEnd - s.sp)).toBe('X=1\0');
});

test('argument limits follow the stack limit', () => {
  expect(stringsLimit(1, 1, 8 << 20)).toBe((2 << 20) - 16);
  expect(stringsLimit(0, 0, Infinity)).toBe((6 << 20) - 8);
  expect(stringsLimit(20000, 0, 0)).toBeLessThan(0);
});
