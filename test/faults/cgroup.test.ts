// Limits that the host's control groups enforce: guests that want more end, the sandbox lives on, nothing is left behind.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readCgroupHost } from '../../oci-shim/cgroup/host.ts';
import { directoryIn } from '../../oci-shim/cgroup/path.ts';
import { platforms, run, runscTs, sandbox } from '../lib/sandbox.ts';

const host = readCgroupHost();
/** Version 1 with the controllers below, ours to use. */
const usable =
  process.getuid!() === 0 &&
  host?.version === 1 &&
  ['memory', 'pids', 'cpu'].every((c) => host.hierarchies.has(c));
if (!usable) console.warn('no cgroups of version 1 to use here: limits by the host are NOT tested');

const dir = mkdtempSync(join(tmpdir(), 'runsc-ts-limits-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const groupDir = (controller: string, path: string): string =>
  directoryIn(host!, host!.hierarchies.get(controller)!, path);

/** Groups of sandboxes of ours anywhere in the hierarchies. */
function groupsNamed(prefix: string): string[] {
  const found: string[] = [];
  for (const h of host!.hierarchies.values()) {
    const own = join(h.mount, h.own);
    for (const name of readdirSync(own)) if (name.startsWith(prefix)) found.push(join(own, name));
  }
  return found;
}

function writeConfig(cgroupsPath: string, resources: object): void {
  const script = 'echo up; read x; exit 4';
  const config = {
    ociVersion: '1.0.2',
    process: { args: ['/bin/sh', '-c', script], cwd: '/', env: ['PATH=/usr/bin:/bin'] },
    root: { path: '/', readonly: true },
    mounts: [{ destination: '/proc', type: 'proc' }],
    linux: { cgroupsPath, resources },
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
}

const HOG = `python3 -c '
blocks = []
while True: blocks.append(bytearray(8 << 20))'`;

describe.runIf(usable)('limits', () => {
  test.each(platforms)('%s: a memory hog is killed at the limit, its parent goes on', (platform) => {
    const script = `${HOG}; echo hog $?; python3 -c 'print(len(bytearray(20 << 20)))'; exit 5`;
    const r = sandbox(platform, ['/bin/bash', '-c', script], {
      flags: ['--memory', '100m'],
      cwd: '/',
      timeoutMs: 240_000,
    });
    expect(r.stdout).toBe('hog 137\n20971520\n');
    expect(r.status).toBe(5);
    expect(groupsNamed('do-')).toEqual([]);
  });

  test('files in memory are bounded all together, and make room when they are removed', () => {
    const script = `
      mount -t tmpfs none /mnt
      for f in /tmp/a /dev/shm/a /mnt/a; do head -c 100000000 /dev/zero > $f; done 2>/dev/null
      echo $(( $(cat /tmp/a /dev/shm/a /mnt/a | wc -c) <= 64 << 20 ))
      rm /dev/shm/a
      head -c 10000000 /dev/zero > /mnt/b && echo room`;
    const r = sandbox('systrap', ['/bin/bash', '-c', script], { flags: ['--memory', '64m'], cwd: '/' });
    expect(r.stdout).toBe('1\nroom\n');
  });

  test.each(platforms)('%s: shared memory counts, and the reason is said', (platform) => {
    const script = `python3 -c '
import mmap
m = mmap.mmap(-1, 200 << 20)
for o in range(0, len(m), 4096): m[o] = 1'; echo $?`;
    const r = sandbox(platform, ['/bin/bash', '-c', script], {
      flags: ['--memory', '64m'],
      cwd: '/',
      timeoutMs: 120_000,
    });
    expect(r.stdout).toBe('137\n');
    expect(r.stderr).toContain('(python3): killed, the container is out of memory');
  });

  test('the smallest limit that docker accepts is enough for a shell', () => {
    const r = sandbox('systrap', ['/bin/sh', '-c', 'ls / > /dev/null && echo yes'], {
      flags: ['--memory', '6m'],
      cwd: '/',
    });
    expect(r).toMatchObject({ stdout: 'yes\n', status: 0 });
  });

  test('the guest sees its share of the machine', () => {
    const script =
      'nproc; grep MemTotal /proc/meminfo; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max';
    const r = sandbox('systrap', ['/bin/sh', '-c', script], {
      flags: ['--memory', '64m', '--cpus', '0.5', '--pids-limit', '99'],
      cwd: '/',
    });
    expect(r.stdout).toBe('1\nMemTotal:          65536 kB\n67108864\n50000 100000\n99\n');
  });

  test('a bundle’s resources are in force at cgroupsPath, for the guests; sentry and gofer are beside it', async () => {
    const path = `/runsc-ts-test-${process.pid}/c1`;
    writeConfig(path, {
      devices: [{ allow: false, access: 'rwm' }],
      memory: { limit: 50593792, reservation: 33554432 },
      cpu: { shares: 1024, quota: 20000, period: 50000, cpus: '0', mems: '0' },
      pids: { limit: 1000 },
    });
    const states = ['--root', join(dir, 'state')];
    const child = spawn(runscTs, [...states, 'run', '--bundle', dir, 'c1'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const value = (controller: string, file: string) =>
      readFileSync(join(groupDir(controller, path), file), 'utf8').trim();
    expect(value('memory', 'memory.limit_in_bytes')).toBe('50593792');
    expect(value('memory', 'memory.soft_limit_in_bytes')).toBe('33554432');
    expect(value('cpu', 'cpu.cfs_quota_us')).toBe('20000');
    expect(value('cpu', 'cpu.cfs_period_us')).toBe('50000');
    expect(value('cpu', 'cpu.shares')).toBe('1024');
    expect(value('cpuset', 'cpuset.cpus')).toBe('0');
    expect(value('pids', 'pids.max')).toBe('1000');
    const commands = (controller: string, suffix = ''): string[] =>
      readFileSync(`${groupDir(controller, path)}${suffix}/cgroup.procs`, 'utf8')
        .trim()
        .split('\n')
        .map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
    // The sandbox’s init and who makes network namespaces beside the two programs.
    expect(commands('memory', '.sentry').sort()).toEqual(['launcher', 'launcher', 'node', 'node']);
    expect(commands('memory')).not.toContain('node');
    expect(commands('memory')).toContain('guest');
    expect(commands('cpu').filter((c) => c === 'node')).toHaveLength(2);
    // Engines find the figures by the groups of the process that they know.
    const { pid } = JSON.parse(run(runscTs, [...states, 'state', 'c1']).stdout) as { pid: number };
    const own = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n').filter(Boolean);
    for (const line of own) expect(line.endsWith(`:${path}`), line).toBe(true);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end('\n');
    expect(await ended).toBe(4);
    for (const name of host!.hierarchies.keys()) {
      expect(existsSync(groupDir(name, path))).toBe(false);
      expect(existsSync(`${groupDir(name, path)}.sentry`)).toBe(false);
      execFileSync('rmdir', [groupDir(name, path).slice(0, -'/c1'.length)]);
    }
  });

  test('an ordinary user’s sandbox runs without the limits, and says so', () => {
    const call = `'${runscTs}' do --memory 64m --cpus 1 -- /bin/sh -c 'nproc; echo ran'`;
    const r = run('setpriv', ['--reuid', '12345', '--regid', '12345', '--clear-groups', 'sh', '-c', call], {
      cwd: '/',
    });
    if (/user namespace|cannot create namespaces/.test(r.stderr)) return; // not allowed to have sandboxes here
    expect(r.stderr).toBe('runsc-ts: warning: limits are not in force: this user may not make cgroups\n');
    expect(r.stdout).toBe('1\nran\n');
  });

  test('groups are removed when the launcher is killed', async () => {
    const child = spawn(runscTs, ['do', '--memory', '64m', '--', 'sh', '-c', 'echo up; sleep 100'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(groupsNamed(`do-${child.pid}`).length).toBeGreaterThan(5);
    child.kill('SIGKILL');
    const deadline = Date.now() + 20_000;
    while (groupsNamed(`do-${child.pid}`).length > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(groupsNamed(`do-${child.pid}`)).toEqual([]);
  });

  test('a limit without a controller for it is refused, and leaves nothing', () => {
    writeConfig('', { hugepageLimits: [{ pageSize: '3MB', limit: 4096 }] });
    const r = run(runscTs, ['run', '--bundle', dir, 'refused-by-test']);
    expect(r.stderr).toMatch(/linux\.resources\.hugepageLimits/);
    expect(r.status).toBe(1);
    expect(groupsNamed('refused-by-test')).toEqual([]);
  });

  test.each([
    ['--memory', '1k'],
    ['--memory', 'lots'],
    ['--memory-swap', '1g'],
    ['--cpus', '0'],
    ['--cpuset-cpus', 'x'],
  ])('%s %s is refused', (flag, value) => {
    const r = sandbox('systrap', ['/bin/true'], { flags: [flag, value] });
    expect(r.stderr).toContain(flag);
    expect(r.status).toBe(1);
  });
});
