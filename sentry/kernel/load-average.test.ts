import { expect, test } from 'vitest';
import { LoadAverage } from './load-average.ts';

const MINUTE = 60e9;

test('loads approach what runs and decay when nothing does, the short one first', () => {
  const load = new LoadAverage(0);
  expect(load.text).toBe('0.00 0.00 0.00');
  let now = 0;
  while (now < MINUTE) load.advance(2, (now += 5e9));
  // 2·(1 − 1/e), 2·(1 − e^(−1/5)), 2·(1 − e^(−1/15))
  expect(load.text).toBe('1.27 0.37 0.13');
  load.advance(2, (now += 30 * MINUTE));
  expect(load.text).toBe('2.00 2.00 1.77');
  load.advance(0, (now += 5 * MINUTE));
  expect(load.text).toBe('0.01 0.72 1.27');
  load.advance(0, now + 1000 * MINUTE);
  expect(load.text).toBe('0.00 0.00 0.00');
});

test('nothing happens between two samples', () => {
  const load = new LoadAverage(0);
  load.note(null as never, 4.9e9);
  expect(load.text).toBe('0.00 0.00 0.00');
});

test('sysinfo’s scale', () => {
  const load = new LoadAverage(0);
  load.advance(1, 60 * MINUTE);
  expect(load.scaled(0, 16)).toBe(65536);
});
