// All tmpfs together stay within the container's memory.
import { expect, test } from 'vitest';
import { PAGE_SIZE } from '../../lib/addr.ts';
import { setTmpfsGuard, TmpfsSuperBlock, tmpfsBytesInUse } from './super-block.ts';

test('what several file systems hold is bounded, and comes back', () => {
  const limit = 4096 * PAGE_SIZE;
  setTmpfsGuard((bytes) => bytes <= limit);
  const [a, b] = [new TmpfsSuperBlock(), new TmpfsSuperBlock()];
  expect(a.charge(3000)).toBe(true);
  expect(b.charge(3000)).toBe(false);
  expect(b.charge(1000)).toBe(true);
  expect(tmpfsBytesInUse()).toBe(4000 * PAGE_SIZE);
  // It looks again after each MiB only.
  let more = 0;
  while (b.charge(16)) more += 16;
  expect(4000 + more).toBeLessThanOrEqual(4096 + 256);
  a.charge(-3000);
  expect(b.charge(2000)).toBe(true);
  b.charge(-3000 - more);
  expect(tmpfsBytesInUse()).toBe(0);
  setTmpfsGuard(() => true);
});
