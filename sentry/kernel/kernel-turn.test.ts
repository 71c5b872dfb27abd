/** The kernel's loop: who gets a turn, and when. */
import { expect, test } from 'vitest';
import { parseTmpfsOptions } from '../fsimpl/tmpfs/options.ts';
import { TmpfsSuperBlock } from '../fsimpl/tmpfs/super-block.ts';
import type { SyscallRow } from './syscall-table.ts';
import type { Task } from './task.ts';
import { testGuest } from './testing/guest.ts';

/** Pieces that the long call consists of. */
const PIECES = 5;
let pieces = 0;

/** A call that does a piece of its work and lets others go first. */
const long: SyscallRow = {
  nr: 0,
  name: 'long',
  fn: (t: Task) => {
    if (++pieces === PIECES) return PIECES;
    return t.yieldCall(pieces, pieces);
  },
  args: [],
  support: 'full',
};

test('a call in pieces does one of them per turn, and the loop does not sleep meanwhile', () => {
  const options = parseTmpfsOptions('');
  if (typeof options === 'number') throw new Error('tmpfs');
  const { platform, kernel, ctx } = testGuest([long], new TmpfsSuperBlock(options));
  pieces = 0;
  const seen: { pieces: number; timeoutNs: number }[] = [];
  platform.poll = (timeoutNs: number) => {
    seen.push({ pieces, timeoutNs });
    return false;
  };
  expect(ctx.syscall(0)).not.toBe(PIECES);
  for (let i = 1; i < PIECES; i++) kernel.turn(-1, -1);
  kernel.turn(-1, -1);
  expect(seen.map((s) => s.pieces)).toEqual([2, 3, 4, 5, 5]);
  expect(seen.map((s) => s.timeoutNs)).toEqual([0, 0, 0, -1, -1]);
});
