// Limits of containers as engines set, change and read them: update, events, and the host's groups around a container.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readCgroupHost } from '../../oci-shim/cgroup/host.ts';
import { directoryIn } from '../../oci-shim/cgroup/path.ts';
import { Engine, spec, until } from '../lib/oci.ts';
import { platforms, runscTs } from '../lib/sandbox.ts';

const host = readCgroupHost();
const usable =
  process.getuid!() === 0 &&
  host?.version === 1 &&
  ['memory', 'pids', 'cpu', 'freezer'].every((c) => host.hierarchies.has(c));
if (!usable) console.warn('no cgroups of version 1 to use here: limits of containers are NOT tested');

const engine = new Engine(platforms[0]!);
const engines = [engine];
afterAll(() => engines.forEach((e) => e.close()));

let count = 0;
function container(script: string, resources: object): { id: string; bundle: string; path: string } {
  const id = `limited-${process.pid}-${count++}`;
  const path = `/runsc-ts-${id}`;
  const config = spec(['sh', '-c', script]);
  (config.mounts as object[]).push({ destination: '/sys/fs/cgroup', type: 'cgroup', options: ['ro'] });
  config.linux = { ...(config.linux as object), cgroupsPath: path, resources };
  return { id, path, bundle: engine.bundle(id, config) };
}

const groupDir = (controller: string, path: string): string =>
  directoryIn(host!, host!.hierarchies.get(controller)!, path);
const value = (controller: string, path: string, file: string): string =>
  readFileSync(join(groupDir(controller, path), file), 'utf8').trim();

const IDLE = 'while :; do sleep 1; done';
/** A shell's variable that doubles until somebody stops it. */
const HOG = 'a=aaaaaaaaaaaaaaaa; while :; do a=$a$a; done';

describe.runIf(usable)('limits of a container', () => {
  test('--ignore-cgroups makes no groups; the number of processes is limited all the same', () => {
    const { id, bundle, path } = container(IDLE, { memory: { limit: 64 << 20 }, pids: { limit: 4 } });
    engine.detached('--ignore-cgroups', 'run', '--detach', '--bundle', bundle, id);
    for (const name of host!.hierarchies.keys()) expect(existsSync(groupDir(name, path)), name).toBe(false);
    const own = readFileSync('/proc/self/cgroup', 'utf8').split('\n').sort();
    expect(
      readFileSync(`/proc/${engine.state(id).pid}/cgroup`, 'utf8')
        .split('\n')
        .sort(),
    ).toEqual(own);
    const forks = 'for i in 1 2 3 4 5; do sleep 5 & done';
    expect(engine.call('exec', id, 'sh', '-c', forks).stderr).toMatch(/fork/);
    engine.ok('delete', '--force', id);
  });

  test('too little memory to start with', () => {
    const { id, bundle } = container('true', { memory: { limit: 8192 } });
    const r = engine.call('create', '--bundle', bundle, id);
    expect([r.status, r.stderr]).toEqual([1, expect.stringContaining('container init was OOM-killed')]);
  });

  test('update changes the host’s groups, what the guest sees, and the number of processes', () => {
    const { id, bundle, path } = container(IDLE, { memory: { limit: 64 << 20 }, pids: { limit: 300 } });
    engine.detached('run', '--detach', '--bundle', bundle, id);
    engine.ok('update', '--memory', '96m', '--cpu-quota', '50000', '--pids-limit', '12', id);
    expect(value('memory', path, 'memory.limit_in_bytes')).toBe(String(96 << 20));
    expect(value('cpu', path, 'cpu.cfs_quota_us')).toBe('50000');
    const seen = 'cd /sys/fs/cgroup; cat memory.max cpu.max pids.max; cat /proc/meminfo';
    const shown = engine.ok('exec', id, 'sh', '-c', seen);
    expect(shown).toMatch(new RegExp(`^${96 << 20}\n50000 100000\n12\nMemTotal: +${96 << 10} kB`));
    const forks = engine.call(
      'exec',
      id,
      'sh',
      '-c',
      'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done',
    );
    expect(forks.stderr).toMatch(/fork/);
    engine.ok('update', '--cpu-quota', '-1', '--cpuset-cpus', '0', id);
    expect(value('cpuset', path, 'cpuset.cpus')).toBe('0');
    expect(engine.ok('exec', id, 'nproc')).toBe('1\n');
    // As engines send it: what is 0 stays.
    const r = spawn(runscTs, ['--root', join(engine.dir, 'state'), 'update', '--resources', '-', id]);
    r.stdin.end('{"memory":{"limit":0,"swap":0},"cpu":{"quota":70000,"period":100000}}');
    return until(() => r.exitCode === 0).then(() => {
      expect(value('cpu', path, 'cpu.cfs_quota_us')).toBe('70000');
      expect(value('memory', path, 'memory.limit_in_bytes')).toBe(String(96 << 20));
      engine.ok('delete', '--force', id);
      for (const name of host!.hierarchies.keys()) {
        for (const end of ['', '.sentry']) expect(existsSync(groupDir(name, path) + end)).toBe(false);
      }
    });
  });

  test('events: figures, an out-of-memory kill, and the end', async () => {
    const { id, bundle, path } = container(IDLE, { memory: { limit: 64 << 20 } });
    engine.detached('run', '--detach', '--bundle', bundle, id);
    const stats = JSON.parse(engine.ok('events', '--stats', id)) as {
      type: string;
      id: string;
      data: { memory: { usage: { limit: number; usage: number } }; pids: { current: number } };
    };
    expect(stats).toMatchObject({ type: 'stats', id, data: { memory: { usage: { limit: 64 << 20 } } } });
    // Node would need more than this: the sandbox's own processes are not in there.
    expect(stats.data.memory.usage.usage).toBeLessThan(32 << 20);
    const watcher = engine.spawn(['events', '--interval', '100ms', id]);
    let seen = '';
    watcher.stdout!.on('data', (d: Buffer) => (seen += d.toString()));
    await until(() => seen.includes('"stats"'));
    // What containerd's shim does: an eventfd on memory.oom_control of the group that the container's process is in.
    const { pid } = engine.state(id);
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(`:memory:${path}\n`);
    const listener = spawn('python3', ['-c', LISTENER, groupDir('memory', path)]);
    let heard = '';
    listener.stdout.on('data', (d: Buffer) => (heard += d.toString()));
    await until(() => heard.includes('listening'));
    expect(engine.call('exec', id, 'sh', '-c', HOG).status).toBe(137);
    await until(() => seen.includes(`{"type":"oom","id":"${id}"}`) && heard.includes('oom'));
    expect(engine.state(id).status).toBe('running');
    engine.ok('delete', '--force', id);
    await until(() => watcher.exitCode === 0);
    listener.kill('SIGKILL');
  });

  test('processes that are executed later count as the container’s', async () => {
    const { id, bundle, path } = container(IDLE, {});
    engine.detached('run', '--detach', '--bundle', bundle, id);
    const pidFile = join(engine.dir, 'exec.pid');
    engine.detached('exec', '--detach', '--pid-file', pidFile, id, 'sleep', '100');
    const pid = readFileSync(pidFile, 'utf8');
    // The freezer's group at the path has the init stub only.
    const groups = (): (string | undefined)[] =>
      readFileSync(`/proc/${pid}/cgroup`, 'utf8')
        .trim()
        .replace(`:freezer:${path}.sentry`, `:freezer:${path}`)
        .split('\n')
        .map((line) => line.split(':')[2]);
    // That of the unified hierarchy is entered last: the process does not wait for it.
    await until(() => groups().every((group) => group === path));
    engine.ok('delete', '--force', id);
  });

  test.each(platforms)(
    '%s: a further container of a sandbox has its own limit and figures',
    async (platform) => {
      const pod = new Engine(platform);
      engines.push(pod);
      const kind = (type: string): object => ({
        'io.kubernetes.cri.container-type': type,
        'io.kubernetes.cri.sandbox-id': 'pod',
      });
      const start = (id: string, type: string, script: string, resources: object): string => {
        const path = `/runsc-ts-pod-${process.pid}-${platform}-${id}`;
        const config = spec(['sh', '-c', script]);
        config['annotations'] = kind(type);
        config['linux'] = { ...(config['linux'] as object), cgroupsPath: path, resources };
        pod.detached('run', '--detach', '--bundle', pod.bundle(id, config), id);
        return path;
      };
      const root = start('pod', 'sandbox', IDLE, {});
      const app = start('app', 'container', IDLE, { memory: { limit: 64 << 20 }, cpu: { cpus: '0' } });
      // Its share of the machine, not the first container's.
      const shown = pod.ok('exec', 'app', 'sh', '-c', 'nproc; head -n 1 /proc/meminfo');
      expect(shown).toMatch(new RegExp(`^1\nMemTotal: +${64 << 10} kB\n$`));
      expect(pod.ok('exec', 'pod', 'nproc')).toBe(`${availableParallelism()}\n`);
      const names = (path: string): string[] =>
        value('memory', path, 'cgroup.procs')
          .split('\n')
          .map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
      expect(names(app)).toContain('guest');
      expect(names(app)).not.toContain('node');
      expect(pod.call('exec', 'app', 'sh', '-c', HOG).status).toBe(137);
      expect(value('memory', app, 'memory.oom_control')).toContain('oom_kill 1');
      expect(value('memory', root, 'memory.oom_control')).toContain('oom_kill 0');
      expect([pod.state('pod').status, pod.state('app').status]).toEqual(['running', 'running']);
      pod.ok('delete', '--force', 'app');
      expect(existsSync(groupDir('memory', app))).toBe(false);
      expect(pod.ok('exec', 'pod', 'echo', 'lives')).toBe('lives\n');
      pod.ok('delete', '--force', 'pod');
      for (const path of [root, app]) expect(existsSync(groupDir('pids', `${path}.sentry`))).toBe(false);
    },
  );

  test('a create that is refused leaves no group', () => {
    const { id, bundle, path } = container(IDLE, { memory: { limit: 64 << 20 }, cpu: { cpus: '4000-4001' } });
    const r = engine.call('create', '--bundle', bundle, id);
    expect(r.status).toBe(1);
    expect(r.stderr).toMatch(/linux\.resources\.cpu\.cpus: cannot write "4000-4001"/);
    for (const name of host!.hierarchies.keys()) expect(existsSync(groupDir(name, path))).toBe(false);
  });

  test('update and events of a container that is not there, or has stopped', async () => {
    expect(engine.call('update', '--memory', '1g', 'nobody').stderr).toContain('container does not exist');
    expect(engine.call('events', 'nobody').stderr).toContain('container does not exist');
    const { id, bundle } = container('true', {});
    engine.detached('run', '--detach', '--bundle', bundle, id);
    await until(() => engine.state(id).status === 'stopped');
    expect(engine.call('update', '--memory', '1g', id).status).toBe(1);
    expect(engine.call('events', id).stderr).toContain('is not running');
    engine.ok('delete', id);
  });
});

const LISTENER = `
import os, sys
event = os.eventfd(0)
control = os.open(sys.argv[1] + '/memory.oom_control', os.O_RDONLY)
with open(sys.argv[1] + '/cgroup.event_control', 'w') as f: f.write(f'{event} {control}')
print('listening', flush=True)
os.eventfd_read(event)
print('oom', flush=True)
`;
