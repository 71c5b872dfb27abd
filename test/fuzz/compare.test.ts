/** Random sequences of file operations do the same natively and in the sandbox, over each kind of file system. */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { platforms } from '../lib/sandbox.ts';
import { compare, compileComparer, type Kind } from './compare.ts';

/** Seeds without a known difference: npm run test:fuzz -- --compare all has the others. */
const seeds: Record<Kind, readonly number[]> = {
  tmpfs: [1, 2, 3, 4],
  overlay: [3, 4],
  volume: [1, 2, 3],
  root: [],
};

const bin = compileComparer();
afterAll(() => rmSync(bin));

describe.skipIf(process.getuid!() !== 0)('file operations', () => {
  for (const platform of platforms)
    for (const kind of Object.keys(seeds) as Kind[])
      test.skipIf(seeds[kind].length === 0)(`${kind} on ${platform}`, async () => {
        const result = await compare({
          bin,
          kind,
          platform,
          seeds: seeds[kind],
          count: 60,
          shrink: () => true,
        });
        const told = result.differences.map((d) => [d.seed, ...d.transcript, d.native, d.guest].join('\n'));
        expect(told).toEqual([]);
        expect(result.operations).toBeGreaterThan(100);
      });
});
