// Property test: a VmaTable behaves as an array with one cell per page.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Vma } from './vma.ts';
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
