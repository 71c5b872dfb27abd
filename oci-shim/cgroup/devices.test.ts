import { expect, test } from 'vitest';
import {
  ACC_MKNOD,
  ACC_READ,
  ACC_WRITE,
  type DeviceList,
  listAllows,
} from '../../sentry/kernel/device-list.ts';
import { Field } from '../spec/field.ts';
import { deviceList } from './devices.ts';

const deny = { allow: false, access: 'rwm' };
const fuse = { type: 'c', major: 10, minor: 229 };

const list = (rules: readonly object[], given: readonly string[] = []): DeviceList =>
  deviceList(Field.root({ devices: rules }), given);

/** `rwm`, less what is not allowed. */
function access(l: DeviceList, major: number, minor: number, block = false): string {
  const all = { r: ACC_READ, w: ACC_WRITE, m: ACC_MKNOD };
  return Object.entries(all)
    .map(([letter, bit]) => (listAllows(l, block, major, minor, bit) ? letter : '-'))
    .join('');
}

test('without rules there are the default devices, and any node can be made', () => {
  for (const l of [list([]), list([deny]), deviceList(null)]) {
    expect([access(l, 1, 3), access(l, 136, 7), access(l, 10, 229), access(l, 8, 0, true)]).toEqual([
      'rwm',
      'rwm',
      '--m',
      '--m',
    ]);
  }
});

test('a rule for all forgets the earlier ones', () => {
  const l = list([
    { allow: true, access: 'rwm' },
    { ...fuse, allow: false, access: 'w' },
  ]);
  expect([access(l, 10, 229), access(l, 8, 0, true)]).toEqual(['r-m', 'rwm']);
  // Reading and writing at once is not allowed where one of them is not.
  expect(listAllows(l, false, 10, 229, ACC_READ | ACC_WRITE)).toBe(false);
  expect(access(list([{ ...fuse, allow: true, access: 'rw' }, deny]), 10, 229)).toBe('--m');
  expect(access(list([{ allow: true, type: 'a', major: 7, access: 'r' }]), 10, 229)).toBe('rwm');
});

test('rules for one device add up, and take away', () => {
  const both = list([deny, { ...fuse, allow: true, access: 'r' }, { ...fuse, allow: true, access: 'w' }]);
  expect(access(both, 10, 229)).toBe('rwm');
  expect(listAllows(both, false, 10, 229, ACC_READ | ACC_WRITE)).toBe(true);
  const less = list([
    { ...fuse, allow: true, access: 'rw' },
    { ...fuse, allow: false, access: 'w' },
  ]);
  expect(access(less, 10, 229)).toBe('r-m');
});

test('what would not be done without a word is refused, as by runc', () => {
  const wide = { allow: true, type: 'c', major: 10, access: 'r' };
  expect(() => list([wide, { ...fuse, allow: false, access: 'r' }])).toThrow(
    'requested rule [c 10:229 r] not supported by devices cgroupv1 (cannot punch hole in existing wildcard rule [c 10:* r])',
  );
  expect(() => list([{ allow: true }])).toThrow('device access field cannot be empty');
});

test('a default device that is given anew has no rule of runc’s', () => {
  expect(access(list([deny], ['/dev/null']), 1, 3)).toBe('--m');
});
