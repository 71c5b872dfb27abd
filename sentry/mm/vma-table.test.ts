// Property test: a VmaTable behaves as an array with one cell per page.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Backing } from './backing.ts';
import { VM_GROWSDOWN, Vma } from './vma.ts';
import { VmaTable } from './vma-table.ts';

const PAGE = 4096;
const PAGES = 40;

type Op = { kind: 'map' | 'unmap' | 'protect'; at: number; len: number; prot: number };
const op: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom('map', 'unmap', 'protect'),
  at: fc.integer({ min: 0, max: PAGES - 1 }),
  len: fc.integer({ min: 1, max: 12 }),
  prot: fc.integer({ min: 0, max: 3 }),
});

function apply(t: VmaTable, model: (number | null)[], o: Op): void {
  const end = Math.min(o.at + o.len, PAGES);
  if (o.kind === 'protect') {
    t.modify(o.at * PAGE, end * PAGE, (v) => (v.prot = o.prot));
    for (let p = o.at; p < end; p++) if (model[p] !== null) model[p] = o.prot;
    return;
  }
  t.remove(o.at * PAGE, end * PAGE);
  if (o.kind === 'map') t.insert(new Vma(o.at * PAGE, end * PAGE, o.prot, 0, null, 0));
  model.fill(o.kind === 'map' ? o.prot : null, o.at, end);
}

function check(t: VmaTable, model: (number | null)[]): void {
  for (let p = 0; p < PAGES; p++) expect(t.find(p * PAGE)?.prot ?? null).toBe(model[p]);
  for (let i = 1; i < t.size; i++) {
    const a = t.at(i - 1)!;
    const b = t.at(i)!;
    expect(a.end).toBeLessThanOrEqual(b.start);
    expect(a.end === b.start && a.prot === b.prot).toBe(false);
  }
  for (let len = 1; len <= PAGES; len += 3) {
    const free = (p: number): boolean => model.slice(p, p + len).every((c) => c === null);
    const places = [...Array(PAGES - len + 1).keys()].filter(free);
    expect(t.gapBelow(len * PAGE, 0, PAGES * PAGE, PAGE)).toBe((places.at(-1) ?? -1 / PAGE) * PAGE);
    expect(t.gapAbove(len * PAGE, 0, PAGES * PAGE)).toBe((places[0] ?? -1 / PAGE) * PAGE);
  }
  const hole = model.indexOf(null);
  expect(t.firstHole(0, PAGES * PAGE)).toBe((hole < 0 ? PAGES : hole) * PAGE);
}

test('equals the naive model after any sequence of changes', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 30 }), (ops) => {
      const t = new VmaTable();
      const model: (number | null)[] = Array(PAGES).fill(null) as null[];
      for (const o of ops) {
        apply(t, model, o);
        check(t, model);
      }
    }),
    { numRuns: 150 },
  );
});

/** A shared object that only counts. */
class TestBacking extends Backing {
  released = false;
  readonly key = this;
  readonly hostFd = -1;
  readonly hostDelta = 0;
  readonly file = null;
  readonly label = '';
  readonly inMemory = true;

  protected override release(): void {
    this.released = true;
  }

  override markCached(): void {}

  override punchHole(): number {
    return 0;
  }
}

test('every VMA has one reference of its backing, and offsets follow addresses', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(op, fc.nat(2)), { maxLength: 40 }), (ops) => {
      const table = new VmaTable();
      const backings = Array.from({ length: 3 }, () => new TestBacking());
      const live = VmaTable.live;
      for (const [o, which] of ops) {
        const end = Math.min(o.at + o.len, PAGES);
        if (o.kind === 'protect') table.modify(o.at * PAGE, end * PAGE, (v) => (v.prot = o.prot));
        else for (const v of table.remove(o.at * PAGE, end * PAGE)) v.backing?.unref();
        if (o.kind === 'map') {
          const b = backings[which]!;
          b.ref();
          // The same page of an object is always at the same address: neighbours can merge.
          table.insert(new Vma(o.at * PAGE, end * PAGE, o.prot, 0, b, o.at * PAGE));
        }
        const all = Array.from({ length: table.size }, (_, i) => table.at(i)!);
        for (const v of all) expect(v.offset).toBe(v.start);
        for (const b of backings) {
          expect(b.refCount).toBe(1 + all.filter((v) => v.backing === b).length);
          expect(b.released).toBe(false);
        }
        expect(VmaTable.live).toBe(live + table.size);
      }
      for (const v of table.clear()) v.backing?.unref();
      expect(VmaTable.live).toBe(live);
      for (const b of backings) {
        b.unref();
        expect(b.released).toBe(true);
      }
    }),
    { numRuns: 150 },
  );
});

test('a search from above finds the same with what earlier ones left behind', () => {
  const many = 160;
  const change = fc.record({ at: fc.nat(many - 1), len: fc.integer({ min: 1, max: 6 }), map: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.integer({ min: 2, max: 9 }), (changes, period) => {
      const t = new VmaTable();
      const used = (p: number): boolean => t.find(p * PAGE) !== null;
      for (let p = 0; p < many; p += period)
        t.insert(new Vma(p * PAGE, (p + 1) * PAGE, 1, p % 7 === 0 ? VM_GROWSDOWN : 0, null, 0));
      for (const { at, len, map } of changes) {
        const end = Math.min(at + len, many);
        t.remove(at * PAGE, end * PAGE);
        if (map) t.insert(new Vma(at * PAGE, end * PAGE, 1, 0, null, 0));
        const fresh = (): VmaTable => {
          const copy = new VmaTable();
          for (let i = 0; i < t.size; i++) {
            const v = t.at(i)!;
            copy.insert(new Vma(v.start, v.end, v.prot, v.flags, null, 0));
          }
          return copy;
        };
        for (const high of [many, many - 5, at + 1])
          for (const n of [1, 3, 2, 8, 5])
            expect(t.gapBelow(n * PAGE, 0, high * PAGE, PAGE)).toBe(
              fresh().gapBelow(n * PAGE, 0, high * PAGE, PAGE),
            );
        const top = t.gapBelow(PAGE, 0, many * PAGE, PAGE);
        if (top >= 0) expect(used(top / PAGE)).toBe(false);
      }
    }),
    { numRuns: 60 },
  );
});

test('an empty or inverted range changes nothing', () => {
  const t = new VmaTable();
  for (let p = 0; p < 4; p++) t.insert(new Vma(p * 2 * PAGE, (p * 2 + 1) * PAGE, 1, 0, null, 0));
  expect(t.remove(6 * PAGE, 2 * PAGE)).toEqual([]);
  expect(t.remove(2 * PAGE, 2 * PAGE)).toEqual([]);
  t.modify(6 * PAGE, PAGE, (v) => (v.prot = 7));
  expect(Array.from({ length: 5 }, (_, i) => t.at(i)?.start)).toEqual([
    0,
    2 * PAGE,
    4 * PAGE,
    6 * PAGE,
    undefined,
  ]);
});
