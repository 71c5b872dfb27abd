/**
 * Pods, as a kubelet has them made by containerd's CRI plugin. Each story is told by the handlers runc and runsc-ts of the same
 * containerd, and has to be the same story. `npm test` tells a few of them, `npm run test:full` all.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../lib/oci.ts';
import { childrenOf, isAlive, processesOf, survivors } from '../lib/processes.ts';
import { Containerd, needed } from './lib/containerd.ts';
import { CriClient } from './lib/cri.ts';
import { missing } from './lib/programs.ts';
import { inPod, ofPods } from './lib/pod-stories.ts';
import { eventually, Node, type Pod } from './lib/pod.ts';

const lacking = missing({ ...needed, python3: 'python3', '/usr/bin/flock': 'util-linux' });
if (lacking.length > 0) console.log(`SKIPPED: tests of CRI need ${lacking.join(', ')}`);

const SAMPLE = [
  'containers share the network and the host name, and have their own root and processes',
  'a volume of two containers: sockets, locks, pipes, mappings, semaphores',
  'exit codes and reasons',
  'ExecSync: output, status, time',
  'out of memory',
  'stopping and removing a pod with running containers',
];

function chosen<T>(stories: Readonly<Record<string, T>>): [string, T][] {
  const all = Object.entries(stories);
  return process.env['RUNSC_TS_FULL'] === undefined ? all.filter(([name]) => SAMPLE.includes(name)) : all;
}

let daemon: Containerd;
let cri: CriClient;
/** The node as it is with runc, and with runsc-ts. */
let nodes: [Node, Node];

describe.skipIf(lacking.length > 0)('CRI', () => {
  let shared: Pod[] = [];

  beforeAll(async () => {
    daemon = await Containerd.start();
    cri = new CriClient(daemon.socket);
    nodes = [new Node(daemon, cri, 'runc'), new Node(daemon, cri, 'runsc-ts')];
    await nodes[0].ready();
    shared = [];
    for (const n of nodes) shared.push(await n.pod());
  });
  afterAll(async () => {
    cri?.close();
    await daemon?.stop();
  });

  test.each(chosen(inPod))('%s', async (_name, story) => {
    const told: unknown[][] = [];
    for (const p of shared) {
      try {
        told.push(await story(p));
      } finally {
        await p.removeContainers();
      }
    }
    expect(told[1]).toEqual(told[0]);
  });

  test.each(chosen(ofPods))('%s', async (_name, story) => {
    const told: unknown[][] = [];
    for (const n of nodes) told.push(await story(n));
    expect(told[1]).toEqual(told[0]);
  });

  test('a pod has one sentry, a container a file server and control groups', async () => {
    const p = shared[1]!;
    const containers = [await p.run('sleep 1000'), await p.run('sleep 1000')];
    const sandbox = processesOf(await p.pid());
    expect(sandbox.filter((q) => q.role === 'sentry')).toHaveLength(1);
    const parent = (p.config['linux'] as { cgroup_parent: string }).cgroup_parent;
    for (const c of containers) {
      const stub = await c.pid();
      expect(childrenOf(stub)).toHaveLength(1);
      expect(readFileSync(`/proc/${stub}/cgroup`, 'utf8')).toContain(`:memory:${parent}/${c.id}\n`);
      // Its guests, which are children of the sentry, are accounted there, too.
      const members = readFileSync(`/sys/fs/cgroup/memory${parent}/${c.id}/cgroup.procs`, 'utf8').split('\n');
      const guests = sandbox.filter((q) => q.role === 'sentry').flatMap((q) => childrenOf(q.pid));
      expect(guests.filter((pid) => members.includes(String(pid))).length).toBeGreaterThan(0);
    }
    await p.removeContainers();
  });

  test('privileges are those of the sandbox’s kernel', async () => {
    const pod = await nodes[1].pod(
      {},
      { security_context: { namespace_options: { pid: 'CONTAINER' }, privileged: true } },
    );
    const script =
      'mkdir /t; mount -t tmpfs t /t && grep -c " /t " /proc/mounts; hostname new && hostname; cat /dev/vda 2>/dev/null | head -c 1 | wc -c';
    const told = await pod.output(script, { security: { privileged: true } });
    expect(told).toEqual([0, { stdout: ['F 1', 'F new', 'F 0'], stderr: [] }]);
  });

  test('kill -9 of a container’s stub or file server ends that container alone', async () => {
    const p = shared[1]!;
    const other = await p.run('sleep 1000');
    for (const victim of ['stub', 'file server']) {
      const c = await p.run('sleep 1000');
      const stub = await c.pid();
      process.kill(victim === 'stub' ? stub : childrenOf(stub)[0]!, 'SIGKILL');
      expect([134, 137]).toContain((await c.ended()).exit_code);
      expect(await other.sh('echo here')).toEqual([0, 'here\n', '']);
    }
    await p.removeContainers();
  });

  test('kill -9 of the sentry: the pod is not ready, its containers have ended, nothing is left', async () => {
    const p = await nodes[1].pod();
    const containers = [await p.run('sleep 1000'), await p.run('sleep 1000')];
    const all = processesOf(await p.pid());
    for (const c of containers) all.push(...processesOf(await c.pid()));
    process.kill(all.find((q) => q.role === 'sentry')!.pid, 'SIGKILL');
    await eventually(async () => (await p.status()).state === 'SANDBOX_NOTREADY');
    for (const c of containers) expect((await c.ended()).exit_code).toBe(137);
    expect(await survivors(all, 60_000)).toEqual([]);
    await p.stop();
    await p.remove();
    const parent = (p.config['linux'] as { cgroup_parent: string }).cgroup_parent;
    expect(
      readdirSync(`/sys/fs/cgroup/memory${parent}`, { withFileTypes: true }).filter((e) => e.isDirectory()),
    ).toEqual([]);
  });

  test('nothing is left of the pods', async () => {
    const all = await Promise.all(shared.map(async (p) => processesOf(await p.pid())));
    for (const n of nodes) await n.removePods();
    await until(() => daemon.shims().length === 0, 60_000);
    expect(all.flat().filter(isAlive)).toEqual([]);
    for (const p of shared) expect(existsSync(`/run/containerd/runc/k8s.io/${p.id}`)).toBe(false);
    expect(readdirSync(`${daemon.dir}/addresses/pods`).filter((name) => name.startsWith('10.'))).toEqual([]);
  });
});
