// MemoryManager against a fake host: what the table says and which orders leave for the host.
import { beforeEach, expect, test } from 'vitest';
import { EACCES, EEXIST, EINVAL, ENOMEM } from '../abi/errno.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_MAYMOVE,
} from '../abi/mman.ts';
import type { AddressSpace, Orders } from '../platform/platform.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { EMPTY_LAYOUT } from './image-layout.ts';
import { MemoryManager } from './memory-manager.ts';
import { MADV_DONTFORK, MADV_DONTNEED, madvise, mlock } from './madvise.ts';
import { mmap, munmap, type MemoryCaller, type MmapRequest } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { brk } from './brk.ts';
import { mremap } from './mremap.ts';
import { mapsText } from './maps.ts';
import { handleFault } from './page-fault.ts';
import { VM_GROWSDOWN, VM_LOCKED, VM_MAYWRITE, Vma } from './vma.ts';

const BASE = 0x7f0000000000;
const PAGE = 4096;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;

let mm: MemoryManager;
let log: string[];
const h = (n: number): string => n.toString(16);
const orders: Orders = {
  mmap: (a, l, p) => void log.push(`mmap ${h(a)}+${h(l)} ${p}`),
  munmap: (a, l) => void log.push(`munmap ${h(a)}+${h(l)}`),
  mprotect: (a, l, p) => void log.push(`mprotect ${h(a)}+${h(l)} ${p}`),
  rseq: () => undefined,
  pkeyMprotect: (a, l, p, k) => void log.push(`pkey_mprotect ${h(a)}+${h(l)} ${p} ${k}`),
  mremap: (a, l, n, to) => void log.push(`mremap ${h(a)}+${h(l)} ${h(to)}+${h(n)}`),
  populate: (a, l, w) => void log.push(`populate ${h(a)}+${h(l)} ${w ? 'w' : 'r'}`),
  membarrier: (c) => void log.push(`membarrier ${c}`),
  compareExchange: (a) => void log.push(`swap ${h(a)}`),
  madvise: (a, l, x) => void log.push(`madvise ${h(a)}+${h(l)} ${x}`),
};
const who = (): MemoryCaller => ({
  limits: { addressSpace: Infinity, data: Infinity, mappedData: Infinity, stack: 8 << 20, memlock: 65536 },
  canLock: false,
  change: { kind: 'none', start: 0, value: 0 },
});
const request = (r: Partial<MmapRequest>): MmapRequest => ({
  addr: 0,
  len: PAGE,
  prot: 3,
  flags: ANON,
  file: null,
  offset: 0,
  ...r,
});
const map = (r: Partial<MmapRequest>): number => mmap(mm, orders, request(r), who());
const maps = (): string[] =>
  mapsText(mm, () => '/file')
    .trimEnd()
    .split('\n')
    .map((l) => l.split(' ').slice(0, 2).join(' '));

beforeEach(() => {
  mm = new MemoryManager({ forgetAnswers: () => {} } as AddressSpace, 0x10000, 0x7fff00000000, BASE);
  mm.layout = { ...EMPTY_LAYOUT, startBrk: 0x600000 };
  mm.brk = 0x600000;
  log = [];
});

test('mappings are placed top-down and merge', () => {
  expect(map({})).toBe(BASE - PAGE);
  expect(map({})).toBe(BASE - 2 * PAGE);
  expect(mm.table.size).toBe(1);
  expect(log).toEqual(['mmap 7efffffff000+1000 3', 'mmap 7effffffe000+1000 3']);
});

test('a hint is honoured if free, MAP_FIXED_NOREPLACE refuses what is not', () => {
  expect(map({ addr: 0x20001fff })).toBe(0x20001000);
  expect(map({ addr: 0x20001000 })).toBe(BASE - PAGE);
  expect(map({ addr: 0x20001000, flags: ANON | MAP_FIXED_NOREPLACE })).toBe(-EEXIST);
  expect(map({ addr: 0x20000123, flags: ANON | MAP_FIXED })).toBe(-EINVAL);
  expect(map({ len: 0 })).toBe(-EINVAL);
  expect(map({ flags: MAP_ANONYMOUS })).toBe(-EINVAL);
});

test('a partial munmap splits, mprotect splits and merges again', () => {
  const a = map({ len: 8 * PAGE });
  expect(munmap(mm, orders, a + 2 * PAGE, PAGE)).toBe(0);
  expect(mprotect(mm, orders, a, PAGE, 1, who().limits)).toBe(0);
  expect(maps()).toEqual([
    `${h(a)}-${h(a + PAGE)} r--p`,
    `${h(a + PAGE)}-${h(a + 2 * PAGE)} rw-p`,
    `${h(a + 3 * PAGE)}-${h(a + 8 * PAGE)} rw-p`,
  ]);
  expect(mprotect(mm, orders, a, PAGE, 3, who().limits)).toBe(0);
  expect(mm.table.size).toBe(2);
  log = [];
  expect(mprotect(mm, orders, a, 8 * PAGE, 0, who().limits)).toBe(-ENOMEM);
  expect(log).toEqual([`mprotect ${h(a)}+2000 0`]);
});

test('parts of a file over the whole of it change protections only, unless they could have been written', () => {
  const file = {
    readable: true,
    writable: false,
    path: null,
    inode: { sb: { noExec: false } },
    ref: () => file,
    unref: () => {},
    accessed: () => {},
    mapSource: (_shared: boolean, _prot: number, offset: number) => ({
      hostFd: 7,
      hostOffset: offset,
      privateOnly: false,
    }),
  } as unknown as FileDescription;
  const fixed = (page: number, prot: number, offset: number): void => {
    log = [];
    const flags = MAP_PRIVATE | MAP_FIXED;
    expect(map({ addr: a + page * PAGE, prot, flags, file, offset: offset * PAGE })).toBe(a + page * PAGE);
  };
  const a = map({ len: 6 * PAGE, prot: 1, flags: MAP_PRIVATE, file });
  fixed(1, 5, 1);
  expect(log).toEqual([`mprotect ${h(a + PAGE)}+1000 5`]);
  fixed(2, 3, 2);
  expect(log).toEqual([`mprotect ${h(a + 2 * PAGE)}+1000 3`]);
  // Written meanwhile, perhaps.
  fixed(2, 1, 2);
  expect(log).toEqual([`mmap ${h(a + 2 * PAGE)}+1000 1`]);
  // Another place of the file.
  fixed(3, 1, 4);
  expect(log).toEqual([`mmap ${h(a + 3 * PAGE)}+1000 1`]);
  mprotect(mm, orders, a + 4 * PAGE, PAGE, 3, who().limits);
  mprotect(mm, orders, a + 4 * PAGE, PAGE, 1, who().limits);
  fixed(4, 1, 4);
  expect(log).toEqual([`mmap ${h(a + 4 * PAGE)}+1000 1`]);
  // Beyond the end of what is there.
  log = [];
  expect(
    map({
      addr: a + 5 * PAGE,
      len: 2 * PAGE,
      prot: 1,
      flags: MAP_PRIVATE | MAP_FIXED,
      file,
      offset: 5 * PAGE,
    }),
  ).toBe(a + 5 * PAGE);
  expect(log).toEqual([`mmap ${h(a + 5 * PAGE)}+2000 1`]);
});

test('accessible stops at the first page without the access', () => {
  const a = map({ len: 4 * PAGE });
  mprotect(mm, orders, a + 2 * PAGE, PAGE, 1, who().limits);
  expect(mm.accessible(a + 10, 4 * PAGE, true)).toBe(2 * PAGE - 10);
  expect(mm.accessible(a + 10, 3 * PAGE, false)).toBe(3 * PAGE);
  expect(mm.accessible(a + 4 * PAGE, 1, false)).toBe(0);
});

test('brk maps what the guest owns and nothing above it', () => {
  expect(brk(mm, orders, 0x601000, who())).toBe(0x601000);
  expect(brk(mm, orders, 0x640010, who())).toBe(0x640010);
  expect(log).toEqual(['mmap 600000+1000 3', 'mmap 601000+40000 3']);
  expect(mm.accessible(0x600000, 0x100000, true)).toBe(0x41000);
  expect(brk(mm, orders, 0x601000, who())).toBe(0x601000);
  expect(log[2]).toBe('munmap 601000+40000');
  expect(brk(mm, orders, 0, who())).toBe(0x601000);
});

test('a mapping above the heap stops brk a page before it', () => {
  brk(mm, orders, 0x601000, who());
  log = [];
  expect(map({ addr: 0x610000, flags: ANON | MAP_FIXED })).toBe(0x610000);
  expect(log).toEqual(['mmap 610000+1000 3']);
  expect(brk(mm, orders, 0x60f000, who())).toBe(0x60f000);
  expect(brk(mm, orders, 0x610000, who())).toBe(0x60f000);
});

test('a failed order takes the heap back', () => {
  const w = who();
  brk(mm, orders, 0x601000, w);
  expect(mm.rollback(w.change, ENOMEM)).toBe(0x600000);
  expect(mm.brk).toBe(0x600000);
  expect(mm.table.size).toBe(0);
});

test('the stack grows by access within its reserve and by fault below it', () => {
  const top = 0x7ffe00000000;
  mm.addVma(new Vma(top - 8 * PAGE, top, 3, VM_GROWSDOWN | VM_MAYWRITE, null, 0));
  mm.stackReserve = top - 64 * PAGE;
  expect(mm.accessible(top - 20 * PAGE, 20 * PAGE, true)).toBe(20 * PAGE);
  expect(mm.accessible(top - 65 * PAGE, PAGE, true)).toBe(0);
  expect(handleFault(mm, orders, top - 65 * PAGE, 6, who().limits)).toBe(true);
  expect(log).toEqual([`mmap ${h(top - 65 * PAGE)}+1000 3`]);
  expect(handleFault(mm, orders, top - 5000 * PAGE, 6, who().limits)).toBe(false);
});

test('mremap grows in place, moves when it must, shrinks by unmapping', () => {
  const a = map({ len: 2 * PAGE });
  const r = { addr: a, oldLen: 2 * PAGE, newLen: 4 * PAGE, flags: 0, newAddr: 0 };
  expect(mremap(mm, orders, { ...r, addr: a + 1 }, who())).toBe(-EINVAL);
  // Above `a` is free address space.
  expect(mremap(mm, orders, r, who())).toBe(a);
  expect(mm.table.find(a)!.length).toBe(4 * PAGE);
  map({ addr: a + 4 * PAGE, flags: ANON | MAP_FIXED, prot: 1 });
  const more = { ...r, oldLen: 4 * PAGE, newLen: 8 * PAGE };
  expect(mremap(mm, orders, more, who())).toBe(-ENOMEM);
  const b = mremap(mm, orders, { ...more, flags: MREMAP_MAYMOVE }, who());
  expect(mm.table.find(a)).toBe(null);
  expect(mm.table.find(b)!.length).toBe(8 * PAGE);
  expect(mremap(mm, orders, { ...r, addr: b, oldLen: 8 * PAGE, newLen: PAGE }, who())).toBe(b);
  expect(log.at(-1)).toBe(`munmap ${h(b + PAGE)}+7000`);
});

test('shared anonymous memory is one sealed object, released with its last mapping', () => {
  const a = map({ len: 2 * PAGE, flags: MAP_SHARED | MAP_ANONYMOUS });
  const v = mm.table.find(a)!;
  expect(v.backing!.hostFd).toBeGreaterThan(0);
  const child = mm.fork({} as AddressSpace);
  expect(child.table.find(a)!.backing!.key).toBe(v.backing!.key);
  const backing = v.backing!;
  munmap(mm, orders, a, 2 * PAGE);
  expect(backing.hostFd).toBeGreaterThan(0);
  child.unref();
  expect(backing.hostFd).toBe(-1);
});

test('fork leaves out DONTFORK ranges and locks', () => {
  const a = map({ len: 4 * PAGE });
  expect(madvise(mm, orders, a, PAGE, MADV_DONTFORK)).toBe(0);
  expect(mlock(mm, orders, a + PAGE, PAGE, VM_LOCKED, who())).toBe(0);
  expect(mlock(mm, orders, a, 1 << 20, VM_LOCKED, who())).toBe(-ENOMEM);
  const child = mm.fork({} as AddressSpace);
  expect(child.totalBytes).toBe(3 * PAGE);
  expect(child.lockedBytes).toBe(0);
  expect(madvise(mm, orders, a + PAGE, PAGE, MADV_DONTNEED)).toBe(-EINVAL);
});

test('what is mapped counts against the limits', () => {
  const w = { ...who(), limits: { ...who().limits, addressSpace: 2 * PAGE } };
  expect(mmap(mm, orders, request({ len: 3 * PAGE }), w)).toBe(-ENOMEM);
  expect(mmap(mm, orders, request({ len: 2 * PAGE }), w)).toBeGreaterThan(0);
  expect(mm.dataBytes).toBe(2 * PAGE);
  expect(mprotect(mm, orders, 0x5000, PAGE, 3, w.limits)).toBe(-ENOMEM);
  expect(EACCES).toBe(13);
});

test('what another thread is unmapping is not given out before that has happened', () => {
  const a = map({ len: 2 * PAGE });
  mm.ref();
  const other = { ...orders };
  munmap(mm, other, a, 2 * PAGE);
  expect(map({ len: PAGE })).toBe(a - PAGE);
  expect(map({ len: PAGE, addr: a })).toBe(a - 2 * PAGE);
  expect(mm.free.has(a, a + PAGE)).toBe(false);
  mm.free.settle(other);
  expect(map({ len: 2 * PAGE })).toBe(a);
});
