// The patcher on code made by hand, and its invariants on the dynamic loader of the machine.
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Decoder } from './decoder.ts';
import type { ReadFile } from './elf-file.ts';
import { type ElfText, readElfText } from './elf-text.ts';
import { patchText, rankSites } from './patch.ts';
import { findSites } from './sites.ts';

const ENTRY = 0x7fff00000010;
const PAGE = 4096;

const MOV_39 = [0xb8, 39, 0, 0, 0];
const SYSCALL = [0x0f, 0x05];
const CMP = [0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
const RET = [0xc3];
const XOR_EAX = [0x31, 0xc0];
const NOP9 = [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];

/** One page with a function per argument, at multiples of 64. */
function code(...functions: number[][]): { pages: Buffer; text: ElfText } {
  const pages = Buffer.alloc(PAGE);
  const bounds: number[] = [];
  functions.forEach((f, i) => {
    pages.set(f, 64 * i);
    const next = i + 1 < functions.length ? 64 * (i + 1) : 64 * i + f.length;
    bounds.push(64 * i, 64 * i + f.length, next);
  });
  const size = 64 * functions.length;
  return { pages, text: { offset: 0, length: PAGE, code: size, functions: Uint32Array.from(bounds) } };
}

function sitesIn(f: number[]): ReturnType<typeof findSites> {
  const { pages, text } = code(f);
  return findSites(new Decoder(pages), pages.subarray(0, text.code), text, () => true);
}

test('the instruction before a syscall makes way', () => {
  expect(sitesIn([...MOV_39, ...SYSCALL, ...RET])).toEqual([{ at: 0, length: 5, sysno: 39, cave: -1 }]);
  expect(sitesIn([0x90, ...MOV_39, ...SYSCALL, ...CMP, ...RET])).toEqual([
    { at: 1, length: 5, sysno: 39, cave: -1 },
  ]);
});

test('a short one needs padding within reach', () => {
  const wanted = [{ at: 0, length: 2, sysno: -1, cave: 11 }];
  expect(sitesIn([...XOR_EAX, ...SYSCALL, ...CMP, ...RET, ...NOP9])).toEqual(wanted);
  expect(sitesIn([...XOR_EAX, ...SYSCALL, ...CMP, ...RET])).toEqual([]);
  // INT3, as Go's linker pads
  expect(sitesIn([...XOR_EAX, ...SYSCALL, ...CMP, ...RET, ...new Array<number>(6).fill(0xcc)])).toEqual(
    wanted,
  );
  // Padding that code falls into, or that a branch leads to, is code.
  expect(sitesIn([...XOR_EAX, ...SYSCALL, ...CMP, 0x90, ...NOP9, ...RET])).toEqual([]);
  expect(sitesIn([...XOR_EAX, ...SYSCALL, ...CMP, 0x74, 0x01, ...RET, ...NOP9, ...RET])).toEqual([]);
});

test('bytes that only look like a syscall are left alone', () => {
  // mov $0x050f39b8, %eax; mov 0x50f(%rax), %eax
  expect(sitesIn([0xb8, 0x39, 0x0f, 0x05, 0, 0x8b, 0x80, 0x0f, 0x05, 0, 0, ...RET])).toEqual([]);
  // The bytes of `mov $39, %eax; syscall` inside a movabs.
  expect(sitesIn([0x48, 0xb9, ...MOV_39, ...SYSCALL, 0, ...RET])).toEqual([]);
});

test('sites that need the flags, the place or a branch are left alone', () => {
  // jc behind the call
  expect(sitesIn([...MOV_39, ...SYSCALL, 0x72, 0x00, ...RET])).toEqual([]);
  // lea 0(%rip), %rsi
  expect(sitesIn([0x48, 0x8d, 0x35, 0, 0, 0, 0, ...SYSCALL, ...CMP, ...RET])).toEqual([]);
  // call; jmp
  expect(sitesIn([0xe8, 0, 0, 0, 0, ...SYSCALL, ...CMP, ...RET])).toEqual([]);
  expect(sitesIn([0xe9, 0, 0, 0, 0, ...SYSCALL, ...CMP, ...RET])).toEqual([]);
});

test('of calls with a number before them only those that are wanted', () => {
  const { pages, text } = code([...MOV_39, ...SYSCALL, ...RET], [0xb8, 1, 0, 0, 0, ...SYSCALL, ...RET]);
  const sites = findSites(new Decoder(pages), pages.subarray(0, text.code), text, (nr) => nr === 1);
  expect(sites.map((s) => s.sysno)).toEqual([1]);
});

test('code that does not decode is left alone', () => {
  expect(sitesIn([0x06, ...MOV_39, ...SYSCALL, ...RET])).toEqual([]);
});

test('a thunk repeats the instruction, gives the return address and goes on to the platform', () => {
  const { pages, text } = code([...MOV_39, ...SYSCALL, ...RET]);
  const before = Buffer.from(pages);
  const sites = findSites(new Decoder(pages), pages.subarray(0, text.code), text, () => true);
  const patch = patchText(pages, text, sites, ENTRY)!;
  const [thunk] = patch.thunks;
  expect([...pages.subarray(0, 5)]).toEqual([0xe9, ...le32(thunk!.start - 5)]);
  expect([...pages.subarray(5, 8)]).toEqual([...SYSCALL, ...RET]);
  expect([...pages.subarray(thunk!.start, thunk!.end)]).toEqual([
    ...MOV_39,
    ...[0x48, 0x8d, 0x0d, ...le32(7 - (thunk!.own + 7))],
    ...[0xe9, ...le32(patch.common - thunk!.end)],
  ]);
  expect(pages.readBigUInt64LE(patch.common + 2)).toBe(BigInt(ENTRY));
  for (const { at, bytes } of patch.undo) pages.set(bytes, at);
  expect(pages.subarray(0, text.code)).toEqual(before.subarray(0, text.code));
});

test('calls to be skipped, and a full page', () => {
  const { pages, text } = code([...MOV_39, ...SYSCALL, ...RET]);
  const sites = findSites(new Decoder(pages), pages.subarray(0, text.code), text, () => true);
  expect(rankSites(sites, (nr) => nr === 39)).toEqual([]);
  expect(patchText(pages, text, [], ENTRY)).toBeNull();
  expect(patchText(pages, { ...text, code: PAGE - 20 }, sites, ENTRY)).toBeNull();
});

const LOADER = '/lib64/ld-linux-x86-64.so.2';

function reader(file: Buffer): ReadFile {
  return (at, len) => (at < 0 || at + len > file.length ? null : Buffer.from(file.subarray(at, at + len)));
}

function loader(places: number[] | null): { text: ElfText; pages: Buffer } {
  const file = readFileSync(LOADER);
  const text = readElfText(reader(file), places)!;
  const pages = Buffer.alloc(text.length);
  file.copy(pages, 0, text.offset, text.offset + text.length);
  return { text, pages };
}

test.skipIf(!existsSync(LOADER))('every patched instruction of a real file can be put back', () => {
  const { text, pages } = loader(null);
  const before = Buffer.from(pages);
  const sites = findSites(new Decoder(pages), pages.subarray(0, text.code), text, () => true);
  const patch = patchText(pages, text, sites, ENTRY)!;
  expect(patch.thunks.length).toBeGreaterThan(5);
  for (const t of patch.thunks)
    expect(pages.subarray(t.syscall, t.syscall + 2)).toEqual(Buffer.from(SYSCALL));
  expect(pages).not.toEqual(before);
  for (const { at, bytes } of patch.undo) pages.set(bytes, at);
  expect(pages.subarray(0, text.code)).toEqual(before.subarray(0, text.code));
});

test.skipIf(!existsSync(LOADER))(
  'functions that are asked for are patched first and stay where they are',
  () => {
    const { text, pages } = loader(null);
    const all = findSites(new Decoder(pages), pages.subarray(0, text.code), text, () => true);
    const last = all.at(-1)!;
    const some = loader([text.offset + last.at + last.length]);
    const first = findSites(new Decoder(pages), pages.subarray(0, text.code), some.text, () => true);
    expect(first).toContainEqual(last);
    expect(first.length).toBeLessThan(all.length);
    const small = patchText(some.pages, text, first, ENTRY)!;
    const known = new Set(first.map((s) => s.at));
    const rest = all.filter((s) => !known.has(s.at));
    const large = patchText(pages, text, [...first, ...rest], ENTRY)!;
    expect(large.thunks.slice(0, small.thunks.length)).toEqual(small.thunks);
    for (const { start, end } of small.thunks)
      expect(pages.subarray(start, end)).toEqual(some.pages.subarray(start, end));
  },
);

test('headers that lie are refused', () => {
  const file = existsSync(LOADER) ? readFileSync(LOADER) : Buffer.alloc(4096);
  for (let i = 0; i < 60; i++) {
    const broken = Buffer.from(file.subarray(0, 0x32000));
    for (let k = 0; k < 4; k++) broken[(i * 7919 + k * 104729) % 1024] = (i * 31 + k) & 0xff;
    const text = readElfText(reader(broken), i % 2 === 0 ? null : [0x5000]);
    if (text === null) continue;
    expect(text.code).toBeLessThanOrEqual(text.length);
    for (const bound of text.functions) expect(bound).toBeLessThanOrEqual(text.code);
  }
});

function le32(n: number): number[] {
  return [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, (n >> 24) & 0xff];
}
