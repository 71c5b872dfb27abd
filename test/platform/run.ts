/** Runs one platform test case: `run.ts PLATFORM CASE`, in a process started by dist/zygote-run. */
import { PtracePlatform } from '../../platform-ptrace/ptrace/platform.ts';
import { SystrapPlatform } from '../../platform-ptrace/systrap/systrap.ts';
import { parseZygote } from '../../platform-ptrace/zygote.ts';
import type { Platform } from '../../sentry/platform/platform.ts';
import { cases, copyPlan } from './cases.ts';
import { deathCases } from './death-cases.ts';
import { Harness } from './harness.ts';
import { hostileCases } from '../hostile/cases.ts';

function makePlatform(name: string): Platform {
  const zygote = parseZygote(process.env['RUNSC_TS_ZYGOTE']);
  if (zygote === null) throw new Error('not started by zygote-run');
  if (name === 'systrap')
    return new SystrapPlatform({
      zygote,
      copyPlan,
      sentrySpin: Number(process.env['SP'] ?? 2000),
      stubSpin: Number(process.env['GP'] ?? 2000),
    });
  if (name === 'ptrace') return new PtracePlatform(zygote);
  throw new Error(`no platform ${name}`);
}

const [name, testCase] = process.argv.slice(2);
const platform = makePlatform(name!);
try {
  const run = cases[testCase!] ?? deathCases[testCase!] ?? hostileCases[testCase!];
  if (run === undefined) throw new Error(`no case ${testCase}`);
  run(new Harness(platform));
  console.log('ok', JSON.stringify(platform.stats()));
} catch (e) {
  console.log('failed', e instanceof Error ? e.stack : e, JSON.stringify(platform.stats()));
  process.exitCode = 1;
} finally {
  platform.shutdown();
}
