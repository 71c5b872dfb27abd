/** Runs every case of cases.ts and death-cases.ts on every platform. */
import { beforeAll, describe, expect, test } from 'vitest';
import { cases } from './cases.ts';
import { deathCases } from './death-cases.ts';
import { buildGuests } from './harness.ts';
import { runCase } from './run-case.ts';

beforeAll(buildGuests);

for (const platform of ['systrap', 'ptrace']) {
  describe(`platform ${platform}`, () => {
    test.each(Object.keys({ ...cases, ...deathCases }))('%s', async (name) => {
      expect(await runCase(platform, name)).toMatch(/^ok /m);
    });
  });
}
