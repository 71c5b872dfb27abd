/** Runs the hostile guests of cases.ts on every platform. */
import { beforeAll, describe, expect, test } from 'vitest';
import { buildGuests } from '../platform/harness.ts';
import { runCase } from '../platform/run-case.ts';
import { hostileCases } from './cases.ts';

beforeAll(buildGuests);

for (const platform of ['systrap']) {
  describe(`hostile guests under ${platform}`, () => {
    test.each(Object.keys(hostileCases))('%s', async (name) => {
      expect(await runCase(platform, name)).toMatch(/^ok /m);
    });
  });
}
