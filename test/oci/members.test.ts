// Several containers in one sandbox, as CRI and Podman pods are: annotations name the first one, the others join it.
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine, spec, until, type Spec } from '../lib/oci.ts';
import { childrenOf, processesOf, survivors } from '../lib/processes.ts';
import { platforms } from '../lib/sandbox.ts';

const GROUPINGS = [
  ['io.kubernetes.cri.container-type', 'io.kubernetes.cri.sandbox-id'],
  ['io.kubernetes.cri-o.ContainerType', 'io.kubernetes.cri-o.SandboxID'],
] as const;

describe.each(platforms)('on %s', (platform) => {
  let engine: Engine;
  beforeEach(() => {
    engine = new Engine(platform);
  });
  afterEach(() => engine.close());

  function startPod(): number {
    const config = spec(['sh', '-c', 'while :; do sleep 1; done']);
    config['annotations'] = { [GROUPINGS[0][0]]: 'sandbox', [GROUPINGS[0][1]]: 'pod' };
    engine.detached('run', '--detach', '--bundle', engine.bundle('pod', config), 'pod');
    return engine.state('pod').pid;
  }

  /** Configuration of a container of the pod, with network and uts shared as engines do. */
  function member(pod: number, args: readonly string[], shared: readonly string[] = [], grouping = 0): Spec {
    const config = spec(args);
    const [type, id] = GROUPINGS[grouping]!;
    config['annotations'] = { [type]: 'container', [id]: 'pod' };
    const path = (ns: string) => `/proc/${pod}/ns/${ns}`;
    config['linux'] = {
      namespaces: [
        { type: 'mount' },
        { type: 'network', path: path('net') },
        { type: 'uts', path: path('uts') },
        { type: 'ipc', path: path('ipc') },
        shared.includes('pid') ? { type: 'pid', path: path('pid') } : { type: 'pid' },
      ],
    };
    return config;
  }

  function runMember(id: string, config: Spec): string {
    const bundle = engine.bundle(id, config);
    engine.detached('run', '--detach', '--bundle', bundle, id);
    return join(bundle, 'rootfs/tmp');
  }

  test('members share the network and the host name, and have their own root, processes and exit status', async () => {
    const pod = startPod();
    const server = 'hostname > /tmp/name; ps > /tmp/ps; echo served | nc -l -p 8080; exit 11';
    const a = runMember('a', member(pod, ['sh', '-c', server]));
    const client =
      'until nc 127.0.0.1 8080 </dev/null > /tmp/out 2>/dev/null && [ -s /tmp/out ]; do sleep 0.1; done; exit 12';
    const wait = new Promise<string>((resolve) => {
      const cli = engine.spawn(['wait', 'pod']);
      cli.stdout!.on('data', (d: Buffer) => resolve(d.toString()));
    });
    const b = runMember('b', member(pod, ['sh', '-c', client], [], 1));
    await until(() => existsSync(join(b, 'out')) && readFileSync(join(b, 'out'), 'utf8') === 'served\n');
    expect(readFileSync(join(a, 'name'), 'utf8')).toBe('box\n');
    // Of the pod's processes only its own.
    expect(readFileSync(join(a, 'ps'), 'utf8')).not.toContain('while');
    await until(() => engine.state('a').status === 'stopped' && engine.state('b').status === 'stopped');
    expect(engine.state('pod').status).toBe('running');
    // One sentry for all: a member's stub has a gofer and nothing else.
    runMember('c', member(pod, ['sleep', '1000']));
    expect(childrenOf(engine.state('c').pid)).toHaveLength(1);
    expect(engine.call('exec', 'c', 'sh', '-c', 'echo in $$; exit 3')).toMatchObject({ status: 3 });
    const all = [...processesOf(pod), ...processesOf(engine.state('c').pid)];
    engine.ok('kill', 'pod', '9');
    expect(await survivors(all, 5000)).toEqual([]);
    expect(engine.state('c').status).toBe('stopped');
    expect(JSON.parse(await wait)).toEqual({ id: 'pod', exitStatus: 137 });
  });

  test('the exit status of a member is its stub’s, and its end leaves the others alone', () => {
    const pod = startPod();
    const bundle = engine.bundle('m', member(pod, ['sh', '-c', 'echo from member; exit 21']));
    expect(engine.call('run', '--bundle', bundle, 'm')).toMatchObject({
      status: 21,
      stdout: 'from member\n',
    });
    const missing = engine.bundle('n', member(pod, ['nosuch']));
    expect(engine.call('create', '--bundle', missing, 'n').stderr).toContain(
      'executable file not found in $PATH',
    );
    expect(engine.ok('list', '-q')).toBe('pod\n');
    expect(engine.ok('exec', 'pod', 'echo', 'here')).toBe('here\n');
  });

  test('a shared pid namespace; kill --all ends what the first process left', async () => {
    const pod = startPod();
    const script = 'ps > /tmp/ps; sleep 54321 & while :; do sleep 1; done';
    const tmp = runMember('m', member(pod, ['sh', '-c', script], ['pid']));
    await until(
      () => existsSync(join(tmp, 'ps')) && readFileSync(join(tmp, 'ps'), 'utf8').includes('/tmp/ps'),
    );
    expect(readFileSync(join(tmp, 'ps'), 'utf8')).toMatch(/ 1 .*while/);
    await until(() => engine.ok('exec', 'pod', 'ps').includes('sleep 54321'));
    engine.ok('kill', '--all', 'm', '9');
    await until(() => engine.state('m').status === 'stopped');
    expect(engine.ok('exec', 'pod', 'ps')).not.toContain('sleep 54321');
    expect(engine.state('pod').status).toBe('running');
  });

  test('processors and memory are those of each container', () => {
    const pod = startPod();
    const script =
      'nproc; cat /sys/devices/system/cpu/online; ls /sys/devices/system/cpu; cat /proc/stat /proc/cpuinfo /proc/meminfo /sys/devices/system/node/node0/meminfo';
    const seen = (text: string): string[] =>
      text.match(/^(cpu)?\d+\b|^processor.*|^0-\d+$|MemTotal: *\d+ kB/gm)!.map((l) => l.replace(/\s+/g, ' '));
    const config = member(pod, ['sh', '-c', script]);
    config['mounts'] = [
      ...(config['mounts'] as unknown[]),
      { destination: '/sys', type: 'sysfs', source: 'sysfs' },
    ];
    const linux = config['linux'] as Record<string, unknown>;
    linux['resources'] = { cpu: { quota: 50_000, period: 100_000 }, memory: { limit: 64 << 20 } };
    const memory = ['MemTotal: 65536 kB', 'MemTotal: 65536 kB'];
    const own = engine.call('run', '--bundle', engine.bundle('m', config), 'm');
    expect(seen(own.stdout)).toEqual(['1', '0', 'cpu0', 'cpu0', 'processor : 0', ...memory]);
    const all = engine.ok('exec', 'pod', 'sh', '-c', 'nproc; cat /proc/stat');
    const machine = availableParallelism();
    expect(seen(all)).toEqual([String(machine), ...Array.from({ length: machine }, (_, i) => `cpu${i}`)]);
  });

  test('the death of a member’s stub or gofer ends the member alone', async () => {
    const pod = startPod();
    for (const role of ['launcher', 'gofer'] as const) {
      runMember(role, member(pod, ['sleep', '1000']));
      const { pid } = engine.state(role);
      process.kill(role === 'launcher' ? pid : childrenOf(pid)[0]!, 'SIGKILL');
      await until(() => engine.state(role).status === 'stopped');
      expect(engine.ok('exec', 'pod', 'echo', 'here')).toBe('here\n');
    }
  });
});
