// Copies of small files: which mappings get one, what the host is told, and what ends it.
import { beforeEach, expect, test } from 'vitest';
import { MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE } from '../abi/mman.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { pread } from '../host/sys.ffi.ts';
import { FileContent } from '../fsimpl/tmpfs/content.ts';
import type { AddressSpace, Orders } from '../platform/platform.ts';
import type { FileDescription, MapSource } from '../vfs/file-description.ts';
import type { Inode } from '../vfs/inode.ts';
import { EMPTY_LAYOUT } from './image-layout.ts';
import { MemoryManager } from './memory-manager.ts';
import { mmap, munmap, type MmapRequest } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { mremap } from './mremap.ts';
import { CopyBacking, onCopyLost, replaceLost, WINDOW_SIZE, WINDOW_START } from './small-copies.ts';

const PAGE = 4096;
const space = { forgetAnswers: () => {} } as AddressSpace;
const limits = {
  addressSpace: Infinity,
  data: Infinity,
  mappedData: Infinity,
  stack: 8 << 20,
  memlock: 65536,
};
const who = { limits, canLock: false, change: { kind: 'none' as const, start: 0, value: 0 } };

let mm: MemoryManager;
let log: string[];
let lost: number;
const h = (n: number): string => n.toString(16);
const orders = {
  mmap: (a, l, p, f, fd, off) => void log.push(`mmap ${h(a)}+${h(l)} ${p} ${f} ${fd >= 0 ? off : 'none'}`),
  munmap: (a, l) => void log.push(`munmap ${h(a)}+${h(l)}`),
  mprotect: (a, l, p) => void log.push(`mprotect ${h(a)}+${h(l)} ${p}`),
  mremap: (a, l, n, to) => void log.push(`mremap ${h(a)}+${h(l)} ${h(to)}+${h(n)}`),
} as Partial<Orders> as Orders;

interface TestFile {
  readonly content: FileContent;
  readonly file: FileDescription;
  refs: number;
}

function fileOf(text: string): TestFile {
  const content = new FileContent({ charge: () => true });
  content.write(Buffer.from(text), 0, text.length, 0);
  const f: TestFile = {
    content,
    refs: 0,
    file: {
      readable: true,
      writable: true,
      path: null,
      inode: { sb: { noExec: false }, isRegular: true } as unknown as Inode,
      ref: () => (f.refs++, f.file),
      unref: () => void f.refs--,
      accessed: () => {},
      smallContent: () => (content.mayBeCopied ? content : null),
      mapSource: (shared: boolean): MapSource => {
        if (shared) content.loseCopies();
        return { hostFd: content.toMemfd(), hostOffset: 0, privateOnly: false, inMemory: true };
      },
    } as Partial<FileDescription> as FileDescription,
  };
  return f;
}

const map = (f: TestFile, r: Partial<MmapRequest> = {}): number => {
  log = [];
  const request = { addr: 0, len: PAGE, prot: 1, flags: MAP_PRIVATE, offset: 0, ...r, file: f.file };
  return mmap(mm, orders, request, who);
};
const copyAt = (addr: number): CopyBacking | null => {
  const backing = mm.table.find(addr)?.backing;
  return backing instanceof CopyBacking ? backing : null;
};
const buffer = new HostBuffer(PAGE);
const shown = (c: CopyBacking): string => {
  expect(pread(c.hostFd, buffer.addr, PAGE, c.hostDelta)).toBe(PAGE);
  return buffer.bytes.toString('latin1').replace(/\0+$/, '');
};

beforeEach(() => {
  mm = new MemoryManager(space, 0x10000, 0x7fff00000000, 0x7f0000000000);
  mm.layout = { ...EMPTY_LAYOUT, startBrk: 0x600000 };
  lost = 0;
  onCopyLost(() => void lost++);
  for (let i = 0; i < 4; i++) expect(copyAt(map(fileOf('early')))).toBe(null);
});

test('the fifth small file is moved from the window, the next needs one order only', () => {
  const a = map(fileOf('abc'));
  expect(shown(copyAt(a)!)).toBe('abc');
  expect(log).toEqual([
    `mmap ${h(WINDOW_START)}+${h(WINDOW_SIZE)} 1 ${MAP_PRIVATE} 0`,
    `mremap ${h(WINDOW_START)}+1000 ${h(a)}+1000`,
  ]);
  const b = map(fileOf('d'.repeat(PAGE + 1)), { len: 2 * PAGE });
  expect(log).toEqual([`mremap ${h(WINDOW_START + PAGE)}+2000 ${h(b)}+2000`]);
});

test('only whole small files, private and for reading, in address spaces of one thread', () => {
  const no = (f: TestFile, r: Partial<MmapRequest> = {}): void => expect(copyAt(map(f, r))).toBe(null);
  no(fileOf('x'), { flags: MAP_SHARED });
  no(fileOf('x'), { prot: 3 });
  no(fileOf('x'), { prot: 5 });
  no(fileOf('x'), { len: 2 * PAGE });
  no(fileOf('x'.repeat(5000)));
  no(fileOf('x'.repeat(5000)), { offset: PAGE });
  no(fileOf('x'.repeat(17 * 1024)), { len: 5 * PAGE });
  const sparse = fileOf('x');
  sparse.content.truncate(5000);
  no(sparse, { len: 2 * PAGE });
  mm.ref();
  no(fileOf('x'));
  mm.unref();
  expect(copyAt(map(fileOf('x')))).not.toBe(null);
  no(fileOf('x'), { addr: WINDOW_START, flags: MAP_PRIVATE | MAP_FIXED });
});

test('what changes in the file changes in its copies', () => {
  const f = fileOf('abcdef');
  const c = copyAt(map(f))!;
  f.content.write(Buffer.from('XY'), 0, 2, 1);
  expect(shown(c)).toBe('aXYdef');
  f.content.truncate(2);
  expect(shown(c)).toBe('aX');
  f.content.allocate(3, 0, 1, 0);
  expect(shown(c)).toBe('\0X');
  expect(f.content.viewAllocated(0, 1)).toBe(null);
  f.content.write(Buffer.alloc(200 * 1024, 'z'), 0, 200 * 1024, 0);
  expect(f.content.hostFd).toBeGreaterThanOrEqual(0);
  expect(shown(c)).toBe('z'.repeat(PAGE));
  expect(lost).toBe(0);
});

test('a file that loses a page, or is mapped shared, is shown itself', () => {
  for (const lose of [
    (f: TestFile) => f.content.truncate(0),
    (f: TestFile) => f.file.mapSource(true, 3, 0, PAGE),
  ]) {
    lost = 0;
    const f = fileOf('abc');
    const at = map(f);
    lose(f);
    expect(lost).toBe(1);
    log = [];
    replaceLost(mm, orders);
    expect(log).toEqual([`mmap ${h(at)}+1000 1 ${MAP_PRIVATE} 0`]);
    expect(copyAt(at)).toBe(null);
    expect(f.refs).toBe(1);
  }
});

test('a mapping of which a part becomes writable or larger is one of the file', () => {
  const f = fileOf('x'.repeat(3 * PAGE));
  const at = map(f, { len: 3 * PAGE });
  log = [];
  expect(mprotect(mm, orders, at + PAGE, PAGE, 3, limits)).toBe(0);
  expect(log).toEqual([`mmap ${h(at)}+3000 1 ${MAP_PRIVATE} 0`, `mprotect ${h(at + PAGE)}+1000 3`]);
  expect(copyAt(at)).toBe(null);
  const g = map(fileOf('y'));
  log = [];
  const to = mremap(
    mm,
    orders,
    { addr: g, oldLen: PAGE, newLen: 2 * PAGE, flags: MREMAP_MAYMOVE, newAddr: 0 },
    who,
  );
  expect(log[0]).toBe(`mmap ${h(g)}+1000 1 ${MAP_PRIVATE} 0`);
  expect(copyAt(to)).toBe(null);
});

test('after a fork neither side puts anything into the pool that both see', () => {
  const f = fileOf('abc');
  const at = map(f);
  const old = copyAt(at)!.hostFd;
  const child = mm.fork(space);
  const c = copyAt(map(fileOf('new')))!;
  expect(log.length).toBe(2);
  expect(c.hostFd).not.toBe(old);
  expect((child.table.find(at)!.backing as CopyBacking).hostFd).toBe(old);
  f.content.write(Buffer.from('X'), 0, 1, 0);
  expect(shown(copyAt(at)!)).toBe('Xbc');
  munmap(mm, orders, at, PAGE);
  expect(shown(child.table.find(at)!.backing as CopyBacking)).toBe('Xbc');
  child.unref();
  expect(f.refs).toBe(0);
  expect(f.content.mayBeCopied).toBe(true);
});

test('a pool that is used up, and a window that somebody maps over', () => {
  for (let i = 0; i < WINDOW_SIZE / PAGE; i++) expect(copyAt(map(fileOf('x')))!.at).toBe(i * PAGE);
  expect(copyAt(map(fileOf('x')))!.at).toBe(0);
  const old = copyAt(map(fileOf('x')))!.hostFd;
  mmap(
    mm,
    orders,
    { addr: WINDOW_START, len: PAGE, prot: 3, flags: MAP_PRIVATE | MAP_FIXED | 0x20, file: null, offset: 0 },
    who,
  );
  expect(copyAt(map(fileOf('x')))).toBe(null);
  munmap(mm, orders, WINDOW_START, PAGE);
  expect(copyAt(map(fileOf('x')))!.hostFd).not.toBe(old);
});

test('what is unmapped is wiped', () => {
  const at = map(fileOf('abc'));
  const copy = copyAt(at)!;
  munmap(mm, orders, at, PAGE);
  expect(shown(copy)).toBe('');
});

test('sixteen copies of a file are enough', () => {
  const f = fileOf('abc');
  for (let i = 0; i < 16; i++) expect(copyAt(map(f))).not.toBe(null);
  expect(copyAt(map(f))).toBe(null);
});
