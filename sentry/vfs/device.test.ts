import { expect, test } from 'vitest';
import { major, makedev, minor } from '../abi/device.ts';

test('device numbers survive the round trip, wide minors too', () => {
  expect(makedev(1, 3)).toBe(0x103);
  for (const [ma, mi] of [
    [0, 0],
    [136, 255],
    [136, 256],
    [4095, 0xfffff],
  ] as const) {
    const dev = makedev(ma, mi);
    expect([major(dev), minor(dev)]).toEqual([ma, mi]);
  }
});
