/**
 * systemd as a container's init (Podman's --systemd=always) in a Debian root, told under runc and under runsc-ts: it comes up,
 * starts and stops services, makes transient ones, keeps a journal and ends when it is asked to.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runscTs } from '../lib/sandbox.ts';
import { needed, Podman } from '../engines/lib/podman.ts';
import { missing } from '../engines/lib/programs.ts';
import { until } from '../engines/lib/until.ts';
import { debianRoot } from '../programs/in-debian-root.ts';

const lacking = missing({ ...needed, runc: 'runc', debootstrap: 'debootstrap' });
if (lacking.length > 0) console.log(`SKIPPED: systemd under Podman needs ${lacking.join(', ')}`);

const PACKAGES = 'systemd systemd-sysv dbus procps';
const RUNTIMES = ['runc', runscTs];
// runc cannot raise limits where its caller cannot.
const OPTIONS = [
  '--network',
  'none',
  '--systemd=always',
  '--ulimit',
  'nofile=1024:1024',
  '--ulimit',
  'nproc=1024:1024',
];

const UNIT = `[Service]
ExecStart=/bin/sh -c 'echo begun; exec sleep infinity'
ExecStop=/bin/echo ended
TasksMax=20
`;

/** What is done in the container, and shown. */
const STEPS: readonly (readonly string[])[] = [
  ['systemctl', 'is-active', 'dbus', 'systemd-journald', 'multi-user.target'],
  ['sh', '-c', `printf %s "$0" > /run/systemd/system/one.service && systemctl daemon-reload`, UNIT],
  ['systemctl', 'start', 'one'],
  ['systemctl', 'show', '-p', 'ActiveState,SubState,Result,TasksMax', 'one'],
  ['systemctl', 'stop', 'one'],
  ['systemctl', 'show', '-p', 'ActiveState,SubState,Result', 'one'],
  ['sh', '-c', 'journalctl --sync; journalctl -u one -o cat --no-pager | grep -E "^(begun|ended)"'],
  ['systemd-run', '--wait', '--pipe', '-q', 'sh', '-c', 'echo out; exit 3'],
  ['systemd-run', '-q', '--unit', 'two', '-p', 'Restart=on-failure', 'sleep', '1000'],
  ['systemctl', 'kill', '-s', 'TERM', 'two'],
  ['systemctl', 'start', 'no-such-unit'],
  ['cat', '/run/systemd/container'],
];

let podman: Podman;

function story(runtime: string): string[] {
  const lines: string[] = [];
  const id = podman.under(runtime, 'run', '-d', ...OPTIONS, 'systemd', '/sbin/init').stdout.trim();
  const inside = (args: readonly string[]) => podman.under(runtime, 'exec', id, ...args);
  until('systemd is up', () => /running|degraded/.test(inside(['systemctl', 'is-system-running']).stdout));
  for (const step of STEPS) {
    const r = inside(step);
    lines.push(`${step.slice(0, 3).join(' ')}: ${r.status} ${r.stdout}`);
  }
  lines.push(`stop: ${podman.under(runtime, 'stop', '-t', '60', id).status}`);
  lines.push(podman.run('inspect', '-f', '{{.State.ExitCode}} {{.State.Status}}', id).stdout);
  return lines;
}

describe.skipIf(lacking.length > 0)('systemd', () => {
  beforeAll(() => {
    podman = new Podman();
    const archive = join(podman.dir, 'systemd.tar');
    execFileSync('tar', [
      '-C',
      debianRoot('/var/cache/runsc-ts-test/systemd', PACKAGES),
      '-cf',
      archive,
      '.',
    ]);
    expect(podman.run('import', archive, 'systemd').status).toBe(0);
  }, 600_000);

  afterAll(() => podman?.remove(), 60_000);

  test('comes up, runs services and ends as under runc', { timeout: 600_000 }, () => {
    const [runc, ours] = RUNTIMES.map(story);
    expect(ours).toEqual(runc);
    expect(runc!.at(-1)).toBe('0 exited\n');
  });
});
