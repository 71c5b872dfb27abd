/** Random system calls for some seconds: the sentry answers, says nothing, and holds nothing more afterwards. */
import { rmSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { platforms } from '../lib/sandbox.ts';
import { fuzz } from './fuzz.ts';
import { compile } from './programs.ts';

const SECONDS = Number(process.env['RUNSC_TS_FUZZ_SECONDS'] ?? 15);
const seed = Number(process.env['RUNSC_TS_FUZZ_SEED'] ?? 1);

const bin = compile('fuzz.c');
afterAll(() => rmSync(bin));

test.each(platforms)(`random calls on %s, seed ${seed}`, async (platform) => {
  const report = await fuzz({ platform, seed, seconds: SECONDS, bin });
  expect(report.findings.join('\n')).toBe('');
  expect(report.workers).toBeGreaterThan(0);
});
