// `npx tsx test/fuzz/walk-run.ts --walk mm --seed 1 --count 200 --steps 40 --platform systrap`: random walks compared with Linux; each kind of
// difference is printed once, shrunk.
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compareWalks, compileWalk, kindOf, shrink, told, walkPrograms, type Walk } from './walks.ts';

/** Walks in one sandbox. */
const AT_ONCE = 20;

const { values } = parseArgs({
  options: {
    walk: { type: 'string', default: walkPrograms().join() },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    steps: { type: 'string', default: '40' },
    platform: { type: 'string', default: 'systrap,ptrace' },
    'no-shrink': { type: 'boolean', default: false },
  },
});

let failed = false;
for (const name of values.walk.split(',')) {
  const bin = compileWalk(name);
  for (const platform of values.platform.split(',')) {
    const first = Number(values.seed);
    const count = Number(values.count);
    const kinds = new Map<string, number>();
    for (let at = first; at < first + count; at += AT_ONCE) {
      const walks: Walk[] = Array.from({ length: Math.min(AT_ONCE, first + count - at) }, (_, i) => ({
        seed: at + i,
        steps: Number(values.steps),
      }));
      for (const d of compareWalks(bin, platform, walks)) {
        const kind = kindOf(d);
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        if (kinds.get(kind)! > 1) continue;
        const small = values['no-shrink'] ? d : shrink(bin, platform, d);
        console.log(
          `DIFFERENT ${name} on ${platform}: ${small.walk.seed} ${small.walk.steps} ${small.walk.only?.join() ?? ''}`,
        );
        for (const line of small.native.slice(Math.max(0, small.line - 30), small.line))
          console.log(`    ${line}`);
        console.log(told(small).slice(1));
      }
    }
    const sum = [...kinds.values()].reduce((a, b) => a + b, 0);
    console.log(
      `${name} on ${platform}: ${count} walks of ${values.steps} steps, ${sum} differ in ${kinds.size} ways`,
    );
    failed ||= sum > 0;
  }
  rmSync(bin);
}
process.exit(failed ? 1 : 0);
