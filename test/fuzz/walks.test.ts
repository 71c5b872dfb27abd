/** Some random walks of each program natively and on both platforms: `npm run test:fuzz -- --compare all` makes others. */
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { platforms } from '../lib/sandbox.ts';
import { program, walkNames } from './programs.ts';
import { compareWalks, told } from './walks.ts';

const STEPS = 25;
/** Of file operations. */
const FILE_STEPS = 60;
const SEEDS = [1, 2, 3, 4];
/** Where Linux itself may take either way (two members of a process group that end at once), or a difference is known. */
const OTHER_SEEDS: Record<string, readonly number[]> = { procs: [1, 2, 3], calls: [1, 2, 4, 5] };
/** Seeds without a known difference. */
const FILE_SEEDS: Record<string, readonly number[]> = {
  tmpfs: [1, 2, 3, 4],
  overlay: [3, 4],
  volume: [1, 2, 3],
};

function compare(name: string, seeds: readonly number[], steps: number): void {
  const compiled = program(name);
  for (const platform of platforms) {
    const found = compareWalks(
      compiled,
      platform,
      seeds.map((seed) => ({ seed, steps })),
    );
    expect(found.map((d) => `${platform}, seed ${d.walk.seed}: ${told(d)}`)).toEqual([]);
  }
  rmSync(compiled.bin);
}

const asRoot = test.skipIf(process.getuid!() !== 0);
asRoot.each(walkNames)('%s', (name) => compare(name, OTHER_SEEDS[name] ?? SEEDS, STEPS));
asRoot.each(Object.keys(FILE_SEEDS))('files of %s', (name) => compare(name, FILE_SEEDS[name]!, FILE_STEPS));
