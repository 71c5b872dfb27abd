import { expect, test } from 'vitest';
import { SeccompProfile, type SeccompCondition, type SeccompOp } from './seccomp-profile.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;

function data(nr: number, index = 0, lo = 0, hi = 0): Uint32Array {
  const d = new Uint32Array(16);
  d[0] = nr;
  d[4 + 2 * index] = lo;
  d[5 + 2 * index] = hi;
  return d;
}

const arg = (
  op: SeccompOp,
  value: [number, number],
  valueTwo: [number, number] = [0, 0],
  index = 0,
): SeccompCondition => ({ index, op, value, valueTwo });

test('calls without a rule have the default action, known by their number alone', () => {
  const p = new SeccompProfile(EPERM, [{ nr: 1, action: ALLOW, args: [] }]);
  expect(p.run(data(1), 2)).toBe(ALLOW);
  expect(p.run(data(2), 2)).toBe(EPERM);
});

test('rules with conditions are not known without the arguments', () => {
  const p = new SeccompProfile(EPERM, [{ nr: 1, action: ALLOW, args: [arg('eq', [5, 0])] }]);
  expect(p.run(data(1, 0, 5), 2)).toBe(null);
  expect(p.run(data(1, 0, 5))).toBe(ALLOW);
  expect(p.run(data(1, 0, 6))).toBe(EPERM);
  expect(p.run(data(1, 0, 5, 1))).toBe(EPERM);
});

test.each<[SeccompOp, [boolean, boolean, boolean]]>([
  ['ne', [true, false, true]],
  ['lt', [true, false, false]],
  ['le', [true, true, false]],
  ['eq', [false, true, false]],
  ['ge', [false, true, true]],
  ['gt', [false, false, true]],
])('%s compares 64 bits without a sign', (op, expected) => {
  const p = new SeccompProfile(EPERM, [{ nr: 1, action: ALLOW, args: [arg(op, [0x80000000, 1])] }]);
  const below = p.run(data(1, 0, 0xffffffff, 0));
  const same = p.run(data(1, 0, 0x80000000, 1));
  const above = p.run(data(1, 0, 0, 0xffffffff));
  expect([below, same, above].map((r) => r === ALLOW)).toEqual(expected);
});

test('masked looks at the bits of the mask only', () => {
  const p = new SeccompProfile(EPERM, [{ nr: 56, action: ALLOW, args: [arg('masked', [0x7e020000, 0])] }]);
  expect(p.run(data(56, 0, 0x11))).toBe(ALLOW);
  expect(p.run(data(56, 0, 0x10000011))).toBe(EPERM);
});

test('all conditions of a rule, any rule of a call', () => {
  const p = new SeccompProfile(EPERM, [
    { nr: 1, action: ALLOW, args: [arg('eq', [1, 0]), arg('eq', [2, 0], [0, 0], 1)] },
    { nr: 1, action: ENOSYS, args: [arg('eq', [3, 0])] },
  ]);
  const both = data(1, 0, 1);
  both[6] = 2;
  expect(p.run(both)).toBe(ALLOW);
  expect(p.run(data(1, 0, 1))).toBe(EPERM);
  expect(p.run(data(1, 0, 3))).toBe(ENOSYS);
});
