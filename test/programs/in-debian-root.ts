/**
 * Programs in a Debian root that make-root.sh made: natively over a copy-on-write view of the root in namespaces of its own,
 * then in the sandbox over the same root, on both platforms. Output and exit status have to agree.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Outcome, platforms, root, run, sandbox } from '../lib/sandbox.ts';
import type { ProgramCase } from './cases.ts';

const env = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C',
  TERM: 'dumb',
};

const inScratch = (script: string): string => `mkdir -p /tmp/w && cd /tmp/w\n${script}`;

/** What the sandbox has, too: own proc, sys, pts, loopback, and memory for what is written. $0: root, $1: script. */
const NATIVE = `set -e; mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir upper work root
mount -t overlay -o "lowerdir=$0,upperdir=upper,workdir=work" overlay root; cd root
mount -t proc proc proc; mount -t sysfs sysfs sys; mount --rbind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; mount --bind dev/pts/ptmx dev/ptmx
for d in tmp dev/shm; do mount -t tmpfs -o mode=1777 tmpfs $d; done; mount -t tmpfs tmpfs run; ip link set lo up
exec chroot . /bin/bash -c "$1"`;

/** Makes the root, or finds it made: its directory. Without arguments the one of cases.ts. */
export function debianRoot(...args: readonly string[]): string {
  return execFileSync(join(root, 'test/programs/make-root.sh'), args, { encoding: 'utf8' }).trim();
}

const printed = (r: Outcome): object => ({ stdout: r.stdout, status: r.status });

export function describePrograms(debian: string, cases: readonly ProgramCase[]): void {
  for (const c of cases) {
    describe(c.name, () => {
      const timeoutMs = c.timeoutMs ?? 60_000;
      let native: Outcome | null = null;
      for (const platform of platforms) {
        test(platform, { timeout: 7 * timeoutMs }, () => {
          if (native === null) {
            const args = [
              '--mount',
              '--pid',
              '--fork',
              '--net',
              'sh',
              '-c',
              NATIVE,
              debian,
              inScratch(c.script),
            ];
            native = run('/usr/bin/unshare', args, { env, timeoutMs: 2 * timeoutMs });
            expect(native.status, `native: ${native.stderr.slice(-2000)}`).toBe(0);
            expect(native.stdout.length).toBeGreaterThan(0);
          }
          const r = sandbox(platform, ['/bin/bash', '-c', inScratch(c.script)], {
            cwd: '/',
            env,
            timeoutMs: 4 * timeoutMs,
            flags: ['--root', debian],
          });
          expect(printed(r), r.stderr.slice(-3000)).toEqual(printed(native));
        });
      }
    });
  }
}
