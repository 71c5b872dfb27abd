// `npm run test:fuzz -- --compare mm,overlay --seeds 1-100 --count 40`: random walks compared with Linux; each kind of difference is printed
// once, shrunk. `all`: every program of walks/, and the file operations of compare/ on every kind of file system.
import { rmSync } from 'node:fs';
import { fileKinds, program, walkNames } from './programs.ts';
import { compareWalks, kindOf, shrink, told, type Difference, type Walk } from './walks.ts';

/** Walks in one sandbox. */
const AT_ONCE = 20;
const MAX_SEEDS = 1_000_000;

/** "7" or "1-100"; else an error for the user. */
export function seedsOf(text: string): number[] | string {
  const m = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text);
  const from = Number(m?.[1]);
  const count = Number(m?.[2] ?? from) - from + 1;
  return count >= 1 && count <= MAX_SEEDS
    ? Array.from({ length: count }, (_, i) => from + i)
    : `--seeds ${text}: must be a number, or a range from a lower to a higher one like 1-100, of at most ${MAX_SEEDS}`;
}

/** "all" or "mm,tmpfs"; else an error for the user. */
export function namesOf(text: string): readonly string[] | string {
  const known = [...walkNames, ...fileKinds];
  const names = text === 'all' ? known : text.split(',');
  const unknown = names.find((name) => !known.includes(name));
  return unknown === undefined ? names : `--compare ${unknown}: must be all, or some of ${known.join()}`;
}

function print(name: string, platform: string, d: Difference): void {
  const { seed, steps, only } = d.walk;
  console.log(`DIFFERENT ${name} on ${platform}: ${seed} ${steps} ${only?.join() ?? ''}: ${kindOf(d)}`);
  for (const line of d.native.slice(Math.max(0, d.line - 30), d.line)) console.log(`    ${line}`);
  console.log(told(d).slice(1));
}

export interface WalksRun {
  readonly names: readonly string[];
  readonly platforms: readonly string[];
  readonly seeds: readonly number[];
  readonly steps: number;
}

/** Whether there was no difference. */
export function runWalks({ names, platforms, seeds, steps }: WalksRun): boolean {
  let same = true;
  for (const name of names) {
    const compiled = program(name);
    for (const platform of platforms) {
      const kinds = new Map<string, number[]>();
      for (let at = 0; at < seeds.length; at += AT_ONCE) {
        const walks: Walk[] = seeds.slice(at, at + AT_ONCE).map((seed) => ({ seed, steps }));
        for (const d of compareWalks(compiled, platform, walks)) {
          const seen = kinds.get(kindOf(d));
          kinds.set(kindOf(d), [...(seen ?? []), d.walk.seed]);
          if (seen === undefined) print(name, platform, shrink(compiled, platform, d));
        }
      }
      const differ = [...kinds.values()].flat().sort((a, b) => a - b);
      const ways = differ.length === 0 ? '' : ` in ${kinds.size} ways: ${differ.join()}`;
      console.log(
        `${name} on ${platform}: ${seeds.length} walks of ${steps} steps, ${differ.length} differ${ways}`,
      );
      same &&= differ.length === 0;
    }
    rmSync(compiled.bin);
  }
  return same;
}
