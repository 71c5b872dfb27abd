/**
 * One wall-clock case in a process of its own: `wall.ts SAMPLES COMMAND…` prints the median seconds of running COMMAND to its end,
 * measured with benny.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import b from 'benny';

const [samples, ...command] = process.argv.slice(2);
const scratch = process.env['BENCH_SCRATCH'];

function once(): void {
  if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  const r = spawnSync(command[0]!, command.slice(1), {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 300_000,
  });
  if (r.status !== 0) {
    console.error(`${command.join(' ')}: status ${r.status ?? r.signal}: ${r.stderr.toString().slice(-500)}`);
    process.exit(1);
  }
}

const options = { minSamples: Number(samples), maxTime: 0.001, initCount: 1 };
await b.suite(
  'wall',
  b.add('case', once, options),
  b.configure({ minDisplayPrecision: 3 }),
  b.complete((summary) => {
    console.log(summary.results[0]!.details.median);
  }),
);
