/** Runs the hostile guests of cases.ts on every platform. */
import { beforeAll, describe, expect, test } from 'vitest';
import { buildGuests } from '../platform/harness.ts';
import { runCase } from '../platform/run-case.ts';
import { hostileCases } from './cases.ts';

beforeAll(buildGuests);

/**
 * What these guests try from the stub's instruction is, on ptrace, a system call of the guest like any other: it reaches
 * the sentry, and the host's kernel never sees it. Their expectations are about the filter, or about calls without a trap.
 */
const ABOUT_THE_FILTER = [
  'group 1: every unlisted call from the stub dies of SIGSYS',
  'group 2: calls of patched text under a scribbler',
  'group 2: forged calls of patched text',
  'group 2: jumps into the middle of the entry for patched text',
  'group 2: the entry for patched text rewritten',
  'group 3: rogue clones and mappings get EPERM',
  'group 5: all threads leave by themselves',
  'group 6: a thread that blocks everything and spins is killed',
  'group 7: the area is unmapped',
];

for (const platform of ['systrap', 'ptrace']) {
  const names = Object.keys(hostileCases).filter(
    (n) => platform === 'systrap' || !ABOUT_THE_FILTER.includes(n),
  );
  describe(`hostile guests under ${platform}`, () => {
    test.each(names)('%s', async (name) => {
      expect(await runCase(platform, name)).toMatch(/^ok /m);
    });
  });
}
