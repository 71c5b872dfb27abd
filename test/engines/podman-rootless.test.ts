/** Podman as an ordinary user with subordinate ids, without any flag that says so. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../lib/oci.ts';
import { type Outcome, run, runscTs } from '../lib/sandbox.ts';
import { mountsBelow } from './lib/dockerd.ts';
import { writeRootTar } from './lib/image.ts';
import { missing } from './lib/programs.ts';

const lacking = missing({
  podman: 'podman',
  conmon: 'conmon',
  slirp4netns: 'slirp4netns',
  newuidmap: 'uidmap',
  catatonit: 'catatonit',
  '/usr/bin/busybox': 'busybox-static',
});
if (lacking.length > 0) console.log(`SKIPPED: rootless Podman tests need ${lacking.join(', ')}`);

const NAME = 'rts-rootless';
const UID = 61_236;

let dir = '';
let holder: ChildProcess;

/** Files of /etc that know the user, and a /dev/net/tun for everybody, in a mount namespace of their own. */
function hold(): ChildProcess {
  const etc = (file: string, line: string): string => {
    const copy = join(dir, file);
    writeFileSync(copy, `${existsSync(`/etc/${file}`) ? readFileSync(`/etc/${file}`, 'utf8') : ''}${line}\n`);
    return `mount --bind ${copy} /etc/${file}`;
  };
  const script = [
    'touch /etc/subuid /etc/subgid',
    etc('passwd', `${NAME}:x:${UID}:${UID}::${dir}/home:/bin/sh`),
    etc('group', `${NAME}:x:${UID}:`),
    etc('subuid', `${NAME}:1000000:65536`),
    etc('subgid', `${NAME}:1000000:65536`),
    'mkdir -p /dev/net',
    'mount -t tmpfs none /dev/net',
    'mknod -m 666 /dev/net/tun c 10 200',
    `touch ${dir}/ready`,
    'exec sleep 100000',
  ];
  return spawn('unshare', ['--mount', 'sh', '-ec', script.join('\n')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function asUser(...command: string[]): Outcome {
  const ids = ['--reuid', String(UID), '--regid', String(UID), '--clear-groups'];
  const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', `HOME=${dir}/home`, `XDG_RUNTIME_DIR=${dir}/xdg`]; // prettier-ignore
  const enter = ['--mount', '--target', String(holder.pid), 'setpriv', ...ids];
  return run('nsenter', [...enter, ...env, `--chdir=${dir}/home`, ...command], { timeoutMs: 120_000 });
}

const podman = (...args: string[]): Outcome =>
  asUser('podman', '--storage-driver', 'vfs', '--runtime', runscTs, ...args);

/** Without what Podman says about the machine it is on. */
const ran = (...args: string[]): [number, string] => {
  const r = podman('run', ...args);
  if (r.status > 100) console.log(r.stderr);
  return [r.status, r.stdout];
};

describe.skipIf(lacking.length > 0 || process.getuid!() !== 0)('rootless podman', () => {
  beforeAll(async () => {
    dir = mkdtempSync('/tmp/rts-rootless-');
    run('chmod', ['755', dir]);
    for (const d of ['home', 'xdg']) {
      mkdirSync(join(dir, d));
      run('chown', [`${UID}:${UID}`, join(dir, d)]);
    }
    writeRootTar(join(dir, 'root.tar'));
    holder = hold();
    await until(() => existsSync(join(dir, 'ready')));
    const changes = ['-c', 'CMD ["/bin/sh"]', '-c', 'ENV PATH=/bin:/sbin'];
    const r = podman('import', ...changes, join(dir, 'root.tar'), 'busybox');
    if (r.status !== 0) throw new Error(`podman import: ${r.stderr}`);
  }, 120_000);

  afterAll(() => {
    if (dir === '') return;
    podman('pod', 'rm', '--all', '--force', '--time', '0');
    podman('rm', '--all', '--force', '--time', '0');
    podman('system', 'migrate'); // ends the process that holds Podman's namespaces
    for (const mount of mountsBelow(dir)) run('umount', ['--lazy', mount]);
    holder.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }, 120_000);

  test('output, exit status, ids', () => {
    const script = 'id -u; tr -s " " < /proc/self/uid_map; touch /made; stat -c %u /made; exit 3';
    const expected = `0\n 0 ${UID} 1\n 1 1000000 65536\n0\n`;
    expect(ran('--rm', '--network', 'none', 'busybox', 'sh', '-c', script)).toEqual([3, expected]);
    expect(ran('--rm', '--network', 'none', '--user', '5:6', 'busybox', 'id', '-u')).toEqual([0, '5\n']);
  });

  test('the network that slirp4netns makes', () => {
    expect(ran('--rm', 'busybox', 'sh', '-c', 'ls /sys/class/net; ip -o -4 addr show tap0 | grep -c 10.0.2.100')).toEqual([0, 'lo\ntap0\n1\n']); // prettier-ignore
  });

  test('limits that a user cannot set are warnings', () => {
    expect(ran('--rm', '--network', 'none', '--memory', '64m', '--pids-limit', '50', 'busybox', 'echo', 'runs')).toEqual([0, 'runs\n']); // prettier-ignore
  });

  test('exec, stop, remove', () => {
    expect(podman('run', '--detach', '--network', 'none', '--name', 'a', 'busybox', 'sleep', '1000').status).toBe(0); // prettier-ignore
    expect(podman('exec', 'a', 'sh', '-c', 'echo inside; exit 4')).toMatchObject({ status: 4, stdout: 'inside\n' }); // prettier-ignore
    expect(podman('stop', '--time', '0', 'a').status).toBe(0);
    expect(podman('inspect', '--format', '{{.State.ExitCode}}', 'a').stdout).toBe('137\n');
    expect(podman('rm', 'a').status).toBe(0);
  });

  test('a pod', () => {
    expect(podman('pod', 'create', '--name', 'pod').status).toBe(0);
    expect(podman('run', '--detach', '--pod', 'pod', 'busybox', 'httpd', '-f', '-p', '8080', '-h', '/etc').status).toBe(0); // prettier-ignore
    const script = 'until wget -q -O - http://127.0.0.1:8080/plain; do sleep 0.1; done';
    expect(ran('--pod', 'pod', 'busybox', 'sh', '-c', script)).toEqual([0, 'not a program\n']);
    expect(podman('pod', 'rm', '--force', '--time', '0', 'pod').status).toBe(0);
  });
});
