// Servers, package managers and other large programs (test/programs/services) in a Debian root with all of them: natively
// over a copy-on-write view of the root in namespaces of its own, then in the sandbox, on both platforms.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { platforms, root, run, sandbox } from '../lib/sandbox.ts';
import { servicePackages, services } from '../programs/services.ts';

const cache = '/var/cache/runsc-ts-test/servers';
const makeRoot = join(root, 'test/programs/make-root.sh');
const debian = execFileSync(makeRoot, [cache, servicePackages], { encoding: 'utf8' }).trim();
const env = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C',
  TERM: 'dumb',
};

/** What the sandbox has, too: own proc, sys, pts, loopback, and memory for what is written. */
const NATIVE = `set -e; mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir upper work root
mount -t overlay -o "lowerdir=$0,upperdir=upper,workdir=work" overlay root; cd root
mount -t proc proc proc; mount -t sysfs sysfs sys; mount --rbind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; mount --bind dev/pts/ptmx dev/ptmx
for d in tmp dev/shm; do mount -t tmpfs -o mode=1777 tmpfs $d; done; mount -t tmpfs tmpfs run; ip link set lo up
exec chroot . /bin/bash -c "mkdir -p /tmp/w && cd /tmp/w
$1"`;

for (const c of services) {
  describe(c.name, () => {
    const timeoutMs = c.timeoutMs!;
    let native: { stdout: string; status: number } | null = null;
    for (const platform of platforms) {
      test(platform, { timeout: 7 * timeoutMs }, () => {
        if (native === null) {
          const args = ['--mount', '--pid', '--fork', '--net', 'sh', '-c', NATIVE, debian, c.script];
          const r = run('/usr/bin/unshare', args, { env, timeoutMs: 2 * timeoutMs });
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
