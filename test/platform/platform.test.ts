/** Runs every case of cases.ts on every platform, each in a process of its own whose zygote it is the parent of. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { cases } from './cases.ts';

const root = `${import.meta.dirname}/../..`;
const run = promisify(execFile);

for (const platform of ['systrap']) {
  describe(`platform ${platform}`, () => {
    test.each(Object.keys(cases))('%s', async (name) => {
      const args = [process.execPath, '--import', 'tsx', `${root}/test/platform/run.ts`, platform, name];
      const { stdout } = await run(`${root}/dist/zygote-run`, args, { cwd: root, timeout: 120_000 }).catch(
        (e: { stdout?: string }) => ({ stdout: String(e.stdout ?? e) }),
      );
      expect(stdout).toMatch(/^ok /m);
    });
  });
}
