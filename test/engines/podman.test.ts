/** Podman with its default settings: containers, exec, pods, manifests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Outcome } from '../lib/sandbox.ts';
import { needed, Podman } from './lib/podman.ts';
import { missing } from './lib/programs.ts';
import { retry, until } from './lib/until.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: Podman tests need ${lacking.join(', ')}`);

/** Options of `podman run`, a script, and what it prints under runc. */
const forms: [options: string[], script: string, output: string][] = [
  [['--tmpfs', '/t'], 'stat -c %a /t', '1777\n'],
  [['--mount', 'type=tmpfs,dst=/t,tmpfs-mode=1700'], 'stat -c %a /t', '1700\n'],
  [['--mount', 'type=image,src=busybox,dst=/i'], 'cat /i/etc/plain; touch /i/x', 'not a program\n'],
  [['--secret', 's,uid=5,mode=440'], 'cat /run/secrets/s; stat -c " %u %a" /run/secrets/s', 'hidden 5 440\n'],
  [['--secret', 's,type=env,target=S'], 'echo $S', 'hidden\n'],
  [['--uidmap', '0:100000:5000'], 'tr -s " " < /proc/self/uid_map; stat -c %u /etc', ' 0 100000 5000\n0\n'],
  [['--systemd', 'always'], 'echo $container; grep -c " /run/lock " /proc/mounts', 'podman\n1\n'],
  [['--user', 'user', '--group-add', '33', '--cap-add', 'net_raw'], 'id -G; grep CapAmb /proc/self/status', '1000 33 2000\nCapAmb:\t0000000000002000\n'], // prettier-ignore
];

let engine: Podman;
const podman = (...args: string[]): Outcome => engine.run(...args);

describe.skipIf(lacking.length > 0)('podman', () => {
  beforeAll(() => {
    engine = new Podman();
  }, 300_000);
  afterAll(() => engine?.remove(), 300_000);

  test('output and exit status', () => {
    const r = podman('run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7');
    expect([r.status, r.stdout, r.stderr]).toEqual([7, 'out\n', 'err\n']);
  });

  test('a program that is not there', () => {
    const r = podman('run', '--rm', 'busybox', 'nosuch');
    expect(r.status).toBe(127);
    expect(r.stderr).toContain('executable file not found in $PATH');
    expect(podman('run', '--rm', 'busybox', '/etc/plain').status).toBe(126);
  });

  test('the network that Podman makes', () => {
    const r = podman(
      'run',
      '--rm',
      'busybox',
      'sh',
      '-c',
      'ip -o -4 addr show eth0 | grep -c " 10[.]88[.]"; ls /sys/class/net',
    );
    expect([r.status, r.stdout]).toEqual([0, '1\neth0\nlo\n']);
  });

  test('options of run', () => {
    writeFileSync(join(engine.dir, 'secret'), 'hidden');
    podman('secret', 'create', 's', join(engine.dir, 'secret'));
    for (const [options, script, output] of forms) {
      const r = podman('run', '--rm', '--network', 'none', ...options, 'busybox', 'sh', '-c', script);
      expect(r.stdout, `${options.join(' ')}: ${r.stderr}`).toBe(output);
    }
  });

  test('exec, cp, stop, remove', () => {
    const mounts = ['--volume', 'n:/n', '--tmpfs', '/t'];
    expect(podman('run', '--detach', '--name', 'a', ...mounts, 'busybox', 'sleep', '1000').status).toBe(0);
    const r = podman('exec', 'a', 'sh', '-c', 'echo inside; exit 3');
    expect([r.status, r.stdout]).toEqual([3, 'inside\n']);
    expect(podman('exec', 'a', 'nosuch').status).toBe(127);
    const into = join(engine.dir, 'into');
    writeFileSync(into, 'from the host');
    expect(podman('cp', into, 'a:/n/x').status).toBe(0);
    expect(podman('exec', 'a', 'cat', '/n/x').stdout).toBe('from the host');
    // It lives in the sandbox: nothing is lost without a word.
    expect(podman('cp', into, 'a:/t/x').stderr).toContain('read-only file system');
    expect(podman('stop', '--time', '1', 'a').status).toBe(0);
    expect(podman('inspect', '--format', '{{.State.ExitCode}}', 'a').stdout).toBe('137\n');
    expect(podman('rm', 'a').status).toBe(0);
  });

  test('health checks, figures, processes', () => {
    const health = ['--health-cmd', 'test -e /tmp/ok', '--health-interval', 'disable'];
    expect(podman('run', '--detach', '--name', 'h', '--memory', '256m', ...health, 'busybox', 'sleep', '1000').status).toBe(0); // prettier-ignore
    expect(podman('healthcheck', 'run', 'h').status).toBe(1);
    expect(podman('exec', 'h', 'touch', '/tmp/ok').status).toBe(0);
    expect(podman('healthcheck', 'run', 'h')).toMatchObject({ status: 0 });
    const usage = podman('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}', 'h').stdout;
    expect(usage).toMatch(/^h [\d.]+[kM]B \/ 268\.4MB\n$/);
    expect(podman('top', 'h', 'pid', 'args').stdout).toMatch(/^1 +sleep 1000 *$/m);
    const inside = podman('top', 'h', '-eo', 'pid,args').stdout.split('\n').slice(1, 2);
    expect(inside[0]).toMatch(/^ +1 sleep 1000$/);
    expect(podman('rm', '--force', '--time', '0', 'h').status).toBe(0);
  });

  test('a pod with one PID namespace; generate kube and play it', () => {
    podman('pod', 'create', '--name', 'shared', '--share', 'pid,net,uts,ipc');
    const add = (...args: string[]): Outcome => podman('run', '--pod', 'shared', ...args);
    expect(add('--detach', '--name', 's1', 'busybox', 'sleep', '4321').status).toBe(0);
    const seen = add('busybox', 'sh', '-c', 'ps -o args | grep -c "^sleep 4321"');
    expect([seen.status, seen.stdout]).toEqual([0, '1\n']);
    expect(podman('pod', 'rm', '--force', '--time', '0', 'shared').status).toBe(0);
    expect(podman('run', '--detach', '--name', 'g', 'busybox', 'sleep', '4321').status).toBe(0);
    const file = join(engine.dir, 'generated.yaml');
    expect(podman('generate', 'kube', '--filename', file, 'g').status).toBe(0);
    expect(podman('rm', '--force', '--time', '0', 'g').status).toBe(0);
    expect(podman('kube', 'play', file).status).toBe(0);
    expect(podman('exec', 'g-pod-g', 'ps', '-o', 'args').stdout).toContain('sleep 4321');
    expect(podman('kube', 'down', file).status).toBe(0);
  });

  test('a pod: one sandbox, shared network and names, processes apart', () => {
    podman('pod', 'create', '--name', 'pod');
    expect(
      podman(
        'run',
        '--detach',
        '--pod',
        'pod',
        '--name',
        'm',
        'busybox',
        'httpd',
        '-f',
        '-p',
        '80',
        '-h',
        '/etc',
      ).status,
    ).toBe(0);
    const r = podman(
      'run',
      '--pod',
      'pod',
      'busybox',
      'sh',
      '-c',
      `${retry('wget -q -O - http://127.0.0.1/plain')}; hostname; ps -o comm | grep -c httpd`,
    );
    expect([r.status, r.stdout]).toEqual([1, 'not a program\npod\n0\n']);
    expect(podman('pod', 'rm', '--force', '--time', '0', 'pod').status).toBe(0);
  });

  test('nothing is left', () => {
    expect(podman('ps', '--all', '--quiet').stdout).not.toContain('web');
    until(
      'no process of a sandbox is left',
      () => engine.leftOver() === '',
      () => engine.leftOver(),
    );
  });
});
