// CPython's own test modules over the host's root, natively and in the sandbox: what fails in the sandbox has to fail
// natively, too. Both run in a network with nothing but a loopback.
import { afterAll, describe, expect, test } from 'vitest';
import { platforms, run, sandbox, type Outcome } from '../lib/sandbox.ts';
import { pythonIgnored, pythonModules } from './python-modules.ts';

/** Modules with a failure that native has not. */
const MODULES_MAX = 3;
const TIMEOUT_MS = 900_000;
const env = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
};
const NATIVE = 'mount -t tmpfs -o mode=1777 tmpfs /tmp; ip link set lo up; exec sh -c "$0"';

const python = ['/usr/bin/python3', 'python3'].find(
  (p) => run(p, ['-c', 'import test.test_os, test.test_asyncio'], { env }).status === 0,
);
if (python === undefined) console.log('SKIPPED: CPython’s tests need libpython3.11-testsuite');

/** `FAIL: name` and `ERROR: name` lines of unittest, and whether the module came to its end. */
function failures(r: Outcome): Set<string> {
  const text = r.stdout + r.stderr;
  const lines = text.split('\n').filter((l) => l.startsWith('FAIL: ') || l.startsWith('ERROR: '));
  if (!/^== Tests result: /m.test(text)) lines.push(`no result, status ${r.status}: ${text.slice(-500)}`);
  return new Set(lines);
}

describe.skipIf(python === undefined).each(platforms)('CPython on %s', (platform) => {
  const worse: string[] = [];

  test.each(pythonModules)('%s', { timeout: 3 * TIMEOUT_MS }, (module) => {
    const command = `mkdir -p /tmp/w && cd /tmp/w && exec ${python} -m test -v -i '${pythonIgnored}' ${module}`;
    const guest = failures(
      sandbox(platform, ['sh', '-c', command], { env, cwd: '/', timeoutMs: TIMEOUT_MS }),
    );
    if (guest.size === 0) return;
    const args = ['--mount', '--pid', '--fork', '--net', '--mount-proc', 'sh', '-c', NATIVE, command];
    const native = failures(run('/usr/bin/unshare', args, { env, cwd: '/', timeoutMs: TIMEOUT_MS }));
    const more = [...guest].filter(
      (l) => !native.has(l) && ![...native].some((n) => n.startsWith('no result')),
    );
    if (more.length > 0) {
      worse.push(module);
      console.log(`${module} on ${platform}:\n${more.join('\n')}`);
    }
    expect(worse.length, worse.join(' ')).toBeLessThanOrEqual(MODULES_MAX);
  });

  afterAll(() =>
    console.log(`CPython on ${platform}: modules worse than natively: ${worse.join(' ') || 'none'}`),
  );
});
