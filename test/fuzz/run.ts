// `npm run test:fuzz -- --seconds N --seed S --platform P`: random system calls for as long as wanted, in runs of five minutes
// with a sandbox and a seed each.
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compileFuzzer, fuzz } from './fuzz.ts';
import { runCompare } from './run-compare.ts';

const RUN_SECONDS = 300;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    platform: { type: 'string', default: 'systrap,ptrace' },
    compare: { type: 'string' },
    seeds: { type: 'string', default: '1-20' },
    count: { type: 'string', default: '100' },
  },
});

if (values.compare !== undefined) {
  const { compare, platform: platforms, seeds, count } = values;
  process.exit((await runCompare({ kinds: compare, platforms, seeds, count: Number(count) })) ? 0 : 1);
}

const bin = compileFuzzer();
let failed = false;
for (const platform of values.platform.split(',')) {
  let seed = Number(values.seed);
  for (let left = Number(values.seconds); left > 0; left -= RUN_SECONDS) {
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
