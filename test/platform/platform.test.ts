/** Runs every case of cases.ts on every platform. */
import { describe, expect, test } from 'vitest';
import { cases } from './cases.ts';
import { runCase } from './run-case.ts';

for (const platform of ['systrap']) {
  describe(`platform ${platform}`, () => {
    test.each(Object.keys(cases))('%s', async (name) => {
      expect(await runCase(platform, name)).toMatch(/^ok /m);
    });
  });
}
