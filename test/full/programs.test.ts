// The complete list of real programs in a Debian root of its own (test/programs/make-root.sh makes and caches it): natively
// in a chroot with namespaces of its own, then in the sandbox over the same root, on both platforms.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { platforms, root, run, sandbox } from '../lib/sandbox.ts';
import { cases } from '../programs/cases.ts';

const debian = execFileSync(join(root, 'test/programs/make-root.sh'), { encoding: 'utf8' }).trim();
const env = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C',
  TERM: 'dumb',
};

/** A mount, PID and network namespace with proc, dev, a loopback and a tmpfs on /tmp, as the sandbox has them. */
const NATIVE = `mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs -o mode=1777 tmpfs "$0/tmp" &&
ip link set lo up && exec chroot "$0" /bin/bash -c "mkdir -p /tmp/w && cd /tmp/w
$1"`;

for (const c of cases) {
  describe(c.name, () => {
    const timeoutMs = c.timeoutMs ?? 60_000;
    let native: { stdout: string; status: number } | null = null;
    for (const platform of platforms) {
      test(platform, { timeout: 5 * timeoutMs }, () => {
        if (native === null) {
          const args = ['--mount', '--pid', '--fork', '--net', 'sh', '-c', NATIVE, debian, c.script];
          const r = run('/usr/bin/unshare', args, { env, timeoutMs });
          native = { stdout: r.stdout, status: r.status };
          expect(native.status, `native: ${r.stderr.slice(-2000)}`).toBe(0);
          expect(native.stdout.length).toBeGreaterThan(0);
        }
        const r = sandbox(platform, ['/bin/bash', '-c', `mkdir -p /tmp/w && cd /tmp/w\n${c.script}`], {
          cwd: '/',
          env,
          timeoutMs: 4 * timeoutMs,
          flags: ['--root', debian],
        });
        expect({ stdout: r.stdout, status: r.status }, r.stderr.slice(-3000)).toEqual(native);
      });
    }
  });
}
