import { expect, test } from 'vitest';
import { GuardRanges } from './guards.ts';

test('ranges are added, cut, moved and found in order', () => {
  const g = new GuardRanges();
  expect(g.any).toBe(false);
  g.add(40, 50);
  g.add(10, 30);
  g.add(20, 35);
  expect(g.within(0, 100)).toEqual([
    { start: 10, end: 20 },
    { start: 20, end: 35 },
    { start: 40, end: 50 },
  ]);
  g.remove(15, 45);
  expect(g.within(0, 100)).toEqual([
    { start: 10, end: 15 },
    { start: 45, end: 50 },
  ]);
  expect(g.within(12, 46)).toEqual([
    { start: 12, end: 15 },
    { start: 45, end: 46 },
  ]);
  expect(g.within(15, 45)).toEqual([]);
  const copy = new GuardRanges();
  copy.copyFrom(g);
  g.move(12, 20, 100);
  expect(g.within(60, 200)).toEqual([{ start: 100, end: 103 }]);
  expect(copy.within(60, 200)).toEqual([]);
  g.remove(0, 1000);
  expect(g.any).toBe(false);
});
