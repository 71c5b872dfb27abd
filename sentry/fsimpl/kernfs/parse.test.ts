import { expect, test } from 'vitest';
import { parseBounded, parseInteger, strip } from './parse.ts';
import { EINVAL, ERANGE } from '../../abi/errno.ts';

test('integers parse as kstrtoll does', () => {
  expect(parseInteger('12\n')).toBe(12);
  expect(parseInteger('-12')).toBe(-12);
  expect(parseInteger('0x1f', 0)).toBe(31);
  expect(parseInteger('017', 0)).toBe(15);
  expect(parseInteger('0', 0)).toBe(0);
  for (const bad of ['', '-', '12 ', '1a', '0x', '12\n\n']) expect(parseInteger(bad, 0)).toBeNaN();
});

test('bounds are ERANGE, malformed text EINVAL', () => {
  expect(parseBounded(' 5 \n', 0, 9)).toEqual({ value: 5, error: 0 });
  expect(parseBounded('10', 0, 9).error).toBe(-ERANGE);
  expect(parseBounded('x', 0, 9).error).toBe(-EINVAL);
  expect(strip('\t a b \n')).toBe('a b');
});
