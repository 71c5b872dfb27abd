// A few random walks of each program (walks/*.c), natively and on both platforms: `tsx test/fuzz/walk-run.ts` runs others.
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { platforms } from '../lib/sandbox.ts';
import { compareWalks, compileWalk, told, walkPrograms, type Walk } from './walks.ts';

const STEPS = 25;
const SEEDS = [1, 2, 3, 4];
/** Where Linux itself may take either way: two members of a process group that end at once. */
const RACES: Record<string, number> = { procs: 4 };

test.each(walkPrograms())('%s', (name) => {
  const bin = compileWalk(name);
  const walks: Walk[] = SEEDS.filter((seed) => seed !== RACES[name]).map((seed) => ({ seed, steps: STEPS }));
  for (const platform of platforms) {
    const found = compareWalks(bin, platform, walks);
    expect(found.map((d) => `${platform}, seed ${d.walk.seed}: ${told(d)}`)).toEqual([]);
  }
  rmSync(bin);
});
