import { expect, test } from 'vitest';
import { SIGINFO_SIZE } from '../abi/signal.ts';
import { SigInfo } from './sig-info.ts';

test('infos share a buffer and no byte of it', () => {
  const infos = Array.from({ length: 100 }, (_, i) => new SigInfo(1 + (i % 64), -6));
  for (const [i, info] of infos.entries()) info.bytes.fill(i + 1, 12);
  for (const [i, info] of infos.entries()) {
    expect(info.bytes.length).toBe(SIGINFO_SIZE);
    expect([info.signo, info.errno, info.code]).toEqual([1 + (i % 64), 0, -6]);
    expect(info.bytes.subarray(12).every((b) => b === i + 1)).toBe(true);
  }
  expect(new SigInfo(1, 0).bytes.subarray(12).every((b) => b === 0)).toBe(true);
});
