import { expect, test } from 'vitest';
import { KEY_USR_ALL, KEYRING, Key, KeyTable, keyType } from './key.ts';
import { link } from './keyring.ts';

const OWNER = { uid: 1000, gid: 1000, perm: KEY_USR_ALL };
const USER = keyType('user')!;

function make(table: KeyTable, type = USER, name = 'k'): Key {
  const key = Key.create(table, type, name, OWNER);
  if (typeof key === 'number') throw new Error(`key: ${key}`);
  return key;
}

test('an expired key leaves its keyring gc_delay seconds later, and its owner pays for it no longer', () => {
  const table = new KeyTable();
  const ring = make(table, KEYRING, 'ring').ref();
  const before = { ...table.user(1000) };
  const [soon, later, never] = ['soon', 'later', 'never'].map((name) => {
    const k = make(table, USER, name);
    expect(link(ring, k)).toBe(0);
    return k;
  });
  soon!.expiry = 1000;
  later!.expiry = 2000;
  table.collect(1299);
  expect([...ring.links!]).toEqual([soon, later, never]);
  table.collect(1300);
  expect([...ring.links!]).toEqual([later, never]);
  expect(table.bySerial.has(soon!.serial)).toBe(false);
  table.gcDelay = 1;
  table.collect(2000);
  expect([...ring.links!]).toEqual([later, never]);
  table.collect(2001);
  expect([...ring.links!]).toEqual([never]);
  expect(ring.unlink(never!)).toBe(true);
  expect(table.user(1000)).toEqual(before);
});
