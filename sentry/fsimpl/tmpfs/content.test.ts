import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { ENOSPC } from '../../abi/errno.ts';
import { SEEK_DATA, SEEK_HOLE } from '../../abi/fcntl.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../abi/falloc.ts';
import { ALLOCATE_SLICE, FileContent, SMALL_MAX } from './content.ts';

const made: FileContent[] = [];

function content(limit = Infinity): FileContent & { used(): number } {
  let used = 0;
  const c = new FileContent({
    charge(pages) {
      if (pages > 0 && used + pages > limit) return false;
      used += pages;
      return true;
    },
  });
  made.push(c);
  return Object.assign(c, { used: () => used });
}

afterEach(() => {
  for (const c of made.splice(0)) c.release();
});

/** A file as an array of bytes that grows with zeros. */
class Model {
  bytes = new Uint8Array(0);

  resize(size: number): void {
    const next = new Uint8Array(size);
    next.set(this.bytes.subarray(0, size));
    this.bytes = next;
  }

  write(data: Uint8Array, pos: number): void {
    if (pos + data.length > this.bytes.length) this.resize(pos + data.length);
    this.bytes.set(data, pos);
  }
}

type Op = (c: FileContent, m: Model) => void;

// Positions on both sides of page borders and of the border between buffer and memfd.
const pos = fc.oneof(
  fc.nat(20_000),
  fc.constantFrom(0, 4095, 4096, 4097, SMALL_MAX - 1, SMALL_MAX, SMALL_MAX + 5000),
);
const data = fc
  .tuple(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 255 }))
  .map(([n, v]) => new Uint8Array(n).fill(v));

const op: fc.Arbitrary<Op> = fc.oneof(
  fc.tuple(pos, data).map(([p, d]) => (c: FileContent, m: Model) => {
    expect(c.write(d, 0, d.length, p)).toBe(d.length);
    m.write(d, p);
  }),
  pos.map((size) => (c: FileContent, m: Model) => {
    expect(c.truncate(size)).toBe(0);
    m.resize(size);
  }),
  fc.tuple(pos, fc.integer({ min: 1, max: 10_000 })).map(([p, n]) => (c: FileContent, m: Model) => {
    expect(c.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, p, n, 0)).toBe(n);
    m.bytes.fill(0, p, p + n);
  }),
  fc
    .tuple(pos, fc.integer({ min: 1, max: 10_000 }), fc.boolean())
    .map(([p, n, keep]) => (c: FileContent, m: Model) => {
      expect(c.allocate(keep ? FALLOC_FL_KEEP_SIZE : 0, p, n, 0)).toBe(n);
      if (!keep && p + n > m.bytes.length) m.resize(p + n);
    }),
  fc.constant((c: FileContent) => void expect(c.toMemfd()).toBeGreaterThanOrEqual(0)),
);

function readAll(c: FileContent): Uint8Array {
  const buf = new Uint8Array(c.size + 10).fill(0xee);
  expect(c.read(buf, 0, buf.length, 0)).toBe(c.size);
  return buf.subarray(0, c.size);
}

describe('contents of a tmpfs file', () => {
  test('a large range is allocated and freed slice by slice, the size changes at the end', () => {
    const c = content();
    const len = 2 * ALLOCATE_SLICE + 4096;
    expect(c.allocate(0, 0, len, 0)).toBe(ALLOCATE_SLICE);
    expect([c.size, c.pages]).toEqual([0, ALLOCATE_SLICE / 4096]);
    expect(c.allocate(0, 0, len, ALLOCATE_SLICE)).toBe(2 * ALLOCATE_SLICE);
    expect(c.allocate(0, 0, len, 2 * ALLOCATE_SLICE)).toBe(len);
    expect([c.size, c.pages]).toEqual([len, len / 4096]);
    const punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    for (let done = 0; done < len;) done = c.allocate(punch, 0, len, done);
    expect([c.size, c.pages]).toEqual([len, 0]);
    c.release();
  });

  test('are what a plain array of bytes would be', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 15 }), (ops) => {
        const c = content();
        const m = new Model();
        for (const o of ops) {
          o(c, m);
          expect(c.size).toBe(m.bytes.length);
          expect(Buffer.compare(readAll(c), m.bytes)).toBe(0);
        }
        c.recount();
        expect(c.used()).toBe(c.pages);
        c.release();
        expect(c.used()).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  test('a view shows what a read gives, or is refused', () => {
    const range = fc.tuple(pos, fc.integer({ min: 1, max: 70_000 }));
    fc.assert(
      fc.property(fc.array(op, { maxLength: 10 }), range, (ops, [at, len]) => {
        const c = content();
        const m = new Model();
        for (const o of ops) o(c, m);
        const view = c.view(at, len);
        if (view === null) return;
        const shown = Buffer.from(view.bytes.subarray(view.off, view.off + view.length));
        expect(shown.equals(m.bytes.subarray(at, at + len))).toBe(true);
      }),
      { numRuns: 100 },
    );
    const c = content();
    c.write(Buffer.from('hello'), 0, 5, 0);
    expect(c.view(1, 100)).toMatchObject({ off: 1, length: 4 });
    expect(c.view(5, 1)).toBeNull();
    c.toMemfd();
    expect(c.view(0, 5)).toBeNull();
  });

  test('whatever SEEK_HOLE calls a hole is zeros', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 10 }), (ops) => {
        const c = content();
        const m = new Model();
        for (const o of ops) o(c, m);
        let at = 0;
        while (at < c.size) {
          const data = c.seekHole(at, SEEK_DATA);
          const end = data < 0 ? c.size : data;
          expect(m.bytes.subarray(at, end).every((b) => b === 0)).toBe(true);
          if (data < 0) break;
          at = c.seekHole(data, SEEK_HOLE);
          expect(at).toBeGreaterThan(data);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a full file system takes what fits', () => {
    const c = content(3);
    expect(c.write(Buffer.alloc(20_000, 1), 0, 20_000, 0)).toBe(3 * 4096);
    expect(c.write(Buffer.alloc(10), 0, 10, 3 * 4096)).toBe(-ENOSPC);
    expect(c.write(Buffer.alloc(10), 0, 10, 100)).toBe(10);
    expect(c.truncate(4096)).toBe(0);
    expect(c.write(Buffer.alloc(10), 0, 10, 3 * 4096)).toBe(10);
  });
});

test('bytes are shown for being written over where they are allocated, nowhere else', () => {
  const c = content();
  c.write(Buffer.alloc(8192, 'a'), 0, 8192, 4096);
  c.viewAllocated(5000, 4096)!.bytes.fill(98, 5000, 9096);
  const all = Buffer.alloc(12288);
  c.read(all, 0, 12288, 0);
  expect(all.indexOf('b')).toBe(5000);
  expect(all.lastIndexOf('b')).toBe(9095);
  expect(c.viewAllocated(4095, 10)).toBe(null); // a hole
  expect(c.viewAllocated(12287, 2)).toBe(null); // beyond the end
  c.toMemfd();
  expect(c.viewAllocated(4096, 10)).toBe(null);
});
