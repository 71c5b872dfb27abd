// What guests make and leave is not kept by the sentry: its descriptors after many rounds are those after one.
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { processesOf } from '../lib/processes.ts';
import { platforms, runscTs } from '../lib/sandbox.ts';

const ROUNDS = 8;

/** Shell commands; large files on tmpfs are memfds of the sentry, as are shared memory and segments. */
const CASES: Readonly<Record<string, string>> = {
  'files that are removed': 'head -c 300000 /dev/zero > /tmp/f; rm /tmp/f',
  'a tmpfs that is unmounted':
    'mount -t tmpfs t /tmp/m; mkdir -p /tmp/m/a/b; head -c 300000 /dev/zero > /tmp/m/a/b/f; umount /tmp/m',
  'a tmpfs that is unmounted while a file is open':
    'mount -t tmpfs t /tmp/m; (head -c 300000 /dev/zero; umount -l /tmp/m; echo) > /tmp/m/f',
  'a mount namespace that nobody is in any more':
    'unshare -m sh -c "mount -t tmpfs t /tmp/m; head -c 300000 /dev/zero > /tmp/m/f"',
  'a segment in an IPC namespace that nobody is in any more': 'unshare -i ipcmk -M 100000 >/dev/null',
  'a namespace behind a handle': 'unshare -m sh -c "mount -t tmpfs t /tmp/m; exec 3</proc/self/ns/mnt"',
  pipelines: 'echo x | cat | cat >/dev/null',
};

const script = `mkdir -p /tmp/m
round() {
${Object.values(CASES).join('\n')}
}
round; echo ready; read x
for i in ${Array.from({ length: ROUNDS }, (_, i) => i).join(' ')}; do round; done; echo ready; read x`;

/** What the sentry has open of files, shared memory and pipes. */
function openIn(sentry: number): string[] {
  const dir = `/proc/${sentry}/fd`;
  const kinds = readdirSync(dir).map((fd) => {
    try {
      return readlinkSync(`${dir}/${fd}`).replace(/\d+/g, 'N');
    } catch {
      return 'gone';
    }
  });
  return kinds.filter((k) => /tmpfs|shmem|pipe/.test(k)).sort();
}

test.each(platforms)(`%s: ${Object.keys(CASES).join(', ')}`, async (platform) => {
  const child = spawn(runscTs, ['--platform', platform, 'do', '--', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  const ready = (): Promise<unknown> => new Promise((resolve) => child.stdout.once('data', resolve));
  await ready();
  const sentry = processesOf(child.pid!).find((p) => p.role === 'sentry')!.pid;
  const once = openIn(sentry);
  child.stdin.write('\n');
  await ready();
  await expect.poll(() => openIn(sentry), { timeout: 30_000 }).toEqual(once);
  child.stdin.end('\n');
  expect(await ended).toBe(0);
});
