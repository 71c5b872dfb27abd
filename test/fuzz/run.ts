// `npm run test:fuzz -- --seconds N --seed S --platform P`: random system calls for as long as wanted, in runs of five minutes
// with a sandbox and a seed each.
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';
import { compile } from './programs.ts';
import { namesOf, runWalks, seedsOf } from './run-walks.ts';

const RUN_SECONDS = 300;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String((Date.now() % 1e6) + 1) },
    platform: { type: 'string', default: 'systrap,ptrace' },
    compare: { type: 'string' },
    seeds: { type: 'string', default: '1-20' },
    count: { type: 'string', default: '40' },
  },
});

/** What the user has asked for, or its refusal. */
function wanted<T extends object | number>(value: T | string): T {
  if (typeof value !== 'string') return value;
  console.error(value);
  process.exit(2);
}
const positive = (option: string, text: string): number =>
  wanted(
    /^[1-9]\d{0,8}$/.test(text) ? Number(text) : `--${option} ${text}: must be a number from 1 to 999999999`,
  );

const platforms = values.platform.split(',');
if (values.compare !== undefined) {
  const names = wanted(namesOf(values.compare));
  const seeds = wanted(seedsOf(values.seeds));
  process.exit(runWalks({ names, platforms, seeds, steps: positive('count', values.count) }) ? 0 : 1);
}

const bin = compile('fuzz.c');
let failed = false;
for (const platform of platforms) {
  let seed = positive('seed', values.seed);
  for (let left = positive('seconds', values.seconds); left > 0; left -= RUN_SECONDS) {
    const seconds = Math.min(left, RUN_SECONDS);
    const report = await fuzz({ platform, seed, seconds, bin });
    const [first, last] = [report.samples[0], report.samples.at(-1)];
    console.log(
      `${platform} seed ${seed}: ${seconds} s, ${report.workers} workers, sentry ${JSON.stringify(first)} → ${JSON.stringify(last)}`,
    );
    for (const finding of report.findings) console.log(`FOUND ${finding}`);
    failed ||= report.findings.length > 0;
    seed++;
  }
}
rmSync(bin);
process.exit(failed ? 1 : 0);
