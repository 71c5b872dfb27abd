// Property test: a GapArray behaves as an array that is spliced.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GapArray } from './gap-array.ts';

const op = fc.record({
  insert: fc.boolean(),
  at: fc.nat(200),
  count: fc.integer({ min: 0, max: 40 }),
});

test('equals an array after any sequence of changes', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
      const list = new GapArray<number>();
      const model: number[] = [];
      let next = 0;
      for (const o of ops) {
        const at = o.at % (model.length + 1);
        if (o.insert) {
          for (let i = 0; i < o.count; i++) {
            list.insert(at + i, next);
            model.splice(at + i, 0, next++);
          }
        } else {
          const count = Math.min(o.count, model.length - at);
          expect(list.remove(at, count)).toEqual(model.splice(at, count));
        }
        expect(list.length).toBe(model.length);
        expect(model.every((item, i) => list.at(i) === item)).toBe(true);
        expect([list.at(-1), list.at(model.length)]).toEqual([undefined, undefined]);
      }
      expect(list.toArray()).toEqual(model);
    }),
    { numRuns: 200 },
  );
});

test('changes in the middle of a long list do not move all of it', () => {
  const list = new GapArray<number>();
  for (let i = 0; i < 100_000; i++) list.insert(i, i);
  // Quadratic, this would be 5 × 10⁹ moves.
  let inOrder = true;
  for (let i = 0; i < 100_000; i++) inOrder &&= list.remove(0, 1)[0] === i;
  expect(inOrder).toBe(true);
  expect(list.length).toBe(0);
});
