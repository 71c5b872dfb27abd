import { expect, test } from 'vitest';
import { keyAllows, ProtectionKeys, withRights } from './pkeys.ts';

test('the lowest free key is next, fifteen besides key 0', () => {
  const keys = new ProtectionKeys();
  for (let k = 1; k < 16; k++) expect(keys.alloc()).toBe(k);
  expect(keys.alloc()).toBe(-1);
  keys.free(9);
  keys.free(4);
  expect([keys.has(4), keys.has(5), keys.has(-1), keys.has(16)]).toEqual([false, true, false, false]);
  expect([keys.alloc(), keys.alloc(), keys.alloc()]).toEqual([4, 9, -1]);
});

test('the key of what may only be executed is nobody’s', () => {
  const keys = new ProtectionKeys();
  keys.executeOnly = keys.alloc();
  expect(keys.has(1)).toBe(false);
  const child = new ProtectionKeys();
  child.copyFrom(keys);
  expect([child.executeOnly, child.alloc()]).toEqual([1, 2]);
});

test('rights', () => {
  expect(withRights(0x55555554, 15, 2)).toBe(0x95555554);
  expect(withRights(0xffffffff, 0, 0)).toBe(0xfffffffc);
  expect([keyAllows(0x95555554, 15, false), keyAllows(0x95555554, 15, true)]).toEqual([true, false]);
  expect([keyAllows(0x55555554, 14, false), keyAllows(0x55555554, 14, true)]).toEqual([false, false]);
  expect([keyAllows(0x55555554, 0, false), keyAllows(0x55555554, 0, true)]).toEqual([true, true]);
});
