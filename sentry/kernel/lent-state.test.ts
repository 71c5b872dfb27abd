import { beforeEach, expect, test } from 'vitest';
import { SIGKILL, SIGSTOP, SIGUSR1, SIGUSR2 } from '../abi/signal.ts';
import { TmpfsSuperBlock } from '../fsimpl/tmpfs/super-block.ts';
import { lendState } from './lent-state.ts';
import { SeccompFilter } from './seccomp.ts';
import { sigInfoUser } from './sig-info.ts';
import { SigSet } from './sig-set.ts';
import { sendGroupSignal } from './signal-send.ts';
import { testGuest, type TestGuest } from './testing/guest.ts';

let g: TestGuest;
beforeEach(() => {
  g = testGuest([], new TmpfsSuperBlock());
});

test('what the thread has made of it counts, without SIGKILL and SIGSTOP', () => {
  lendState(g.init);
  const forged = SigSet.of(SIGKILL, SIGSTOP, SIGUSR1, 40);
  Object.assign(g.ctx.holds!, { maskLo: forged.lo, maskHi: forged.hi, robustList: 0x1000 });
  expect(g.init.sigMask).toEqual(SigSet.of(SIGUSR1, 40));
  expect(g.init.robustList).toBe(0x1000);
  expect(g.ctx.holds).toBeNull();
});

test('a look takes it back for good', () => {
  lendState(g.init);
  expect(g.init.sigMask.isEmpty).toBe(true);
  g.ctx.lent.maskLo = SigSet.of(SIGUSR1).lo;
  expect(g.init.sigMask.isEmpty).toBe(true);
});

test('a signal finds the mask in the kernel, where it stays while one is pending', () => {
  lendState(g.init);
  g.ctx.holds!.maskLo = SigSet.of(SIGUSR1).lo;
  sendGroupSignal(g.init.group, sigInfoUser(SIGUSR1, 0, 0, 0));
  expect(g.ctx.holds).toBeNull();
  expect(g.init.group.pending.has(SIGUSR1)).toBe(true);
  expect(g.init.work).toBe(false);
  lendState(g.init);
  expect(g.init.lent).toBe(false);
});

test('nothing is lent to a thread with a filter that may refuse the calls', () => {
  g.init.seccomp = new SeccompFilter(null, null);
  lendState(g.init);
  expect(g.ctx.holds).toBeNull();
});

test('what the kernel sets later is not what was lent', () => {
  lendState(g.init);
  g.kernel.setSigMask(g.init, SigSet.of(SIGUSR2).lo, 0);
  g.init.robustList = 0x2000;
  lendState(g.init);
  expect(g.ctx.holds).toEqual({ maskLo: SigSet.of(SIGUSR2).lo, maskHi: 0, robustList: 0x2000 });
});
