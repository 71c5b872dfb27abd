// Real programs over the host's own root: the same output and status as natively, on both platforms. The complete list in
// a Debian root of its own: test/full/programs.test.ts.
import { mkdtempSync, rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { platforms, run, sandbox } from '../lib/sandbox.ts';
import { cases } from './cases.ts';

const env = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C',
  TERM: 'dumb',
};

function has(program: string): boolean {
  return run('/bin/sh', ['-c', `command -v ${program}`], { env }).status === 0;
}

for (const c of cases.filter((c) => c.slow !== true)) {
  const missing = c.needs.filter((n) => !has(n));
  if (missing.length > 0) console.warn(`skipped "${c.name}": ${missing.join(', ')} not installed`);
  describe.skipIf(missing.length > 0)(c.name, () => {
    const timeoutMs = c.timeoutMs ?? 60_000;
    let native: { stdout: string; status: number } | null = null;
    for (const platform of platforms.filter((p) => (c.platform ?? p) === p)) {
      test(platform, { timeout: 3 * timeoutMs }, () => {
        if (native === null) {
          const dir = mkdtempSync('/dev/shm/program-');
          const r = run('/bin/bash', ['-c', c.script], { cwd: dir, env, timeoutMs });
          rmSync(dir, { recursive: true, force: true });
          native = { stdout: r.stdout, status: r.status };
          expect(native.status, `native: ${r.stderr.slice(-2000)}`).toBe(0);
          expect(native.stdout.length).toBeGreaterThan(0);
        }
        const script = `mkdir -p /tmp/w && cd /tmp/w\n${c.script}`;
        const r = sandbox(platform, ['/bin/bash', '-c', script], { cwd: '/', env, timeoutMs: 3 * timeoutMs });
        expect({ stdout: r.stdout, status: r.status }, r.stderr.slice(-3000)).toEqual(native);
      });
    }
  });
}
