import { expect, test } from 'vitest';
import { IdMap } from './id-map.ts';

const map = new IdMap([
  { containerID: 0, hostID: 1000, size: 1 },
  { containerID: 1, hostID: 100000, size: 65535 },
]);

test('ids are translated both ways', () => {
  expect([0, 1, 65535].map((id) => map.toOutside(id))).toEqual([1000, 100000, 165534]);
  expect([1000, 100000, 165534].map((id) => map.toInside(id))).toEqual([0, 1, 65535]);
});

test('others have no counterpart', () => {
  expect(map.toOutside(65536)).toBe(-1);
  expect([0, 999, 1001, 165535].map((id) => map.toInside(id))).toEqual([65534, 65534, 65534, 65534]);
});

test('the map as it is shown', () => {
  expect(String(map)).toBe('         0       1000          1\n         1     100000      65535\n');
});
