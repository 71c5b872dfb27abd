/**
 * What a user does with a Swarm of three nodes, told by a runtime: a service with replicas on an overlay network, names,
 * scaling, secrets and configs, a rolling update, the death of a node.
 */
import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import { address, startSwarm, succeed, type Swarm } from './swarm.ts';
import { retry, until } from './until.ts';

/** A web server that tells its version and the container it is in. */
const SERVER = 'echo "$VERSION $(hostname)" > /var/www/index.html; exec httpd -f -p 80 -h /var/www';

/** Creates a service; its image is that of each node, no registry is asked. */
function create(swarm: Swarm, name: string, options: readonly string[], ...command: string[]): void {
  const common = ['--detach', '--quiet', '--no-resolve-image', '--name', name];
  swarm.manager('service', 'create', ...common, ...options, 'busybox', ...command);
}

/** Containers of a service that answer on the overlay network, as a container on node `from` reaches them by name. */
function answers(swarm: Swarm, from: number, name: string): string[] {
  const ask = `for a in $(nslookup -type=a ${name} | sed -n 's/^Address: //p'); do wget -q -O - http://$a/ || exit 1; done`;
  const r = swarm.nodes[from]!.docker(['run', '--rm', '--network', 'overlay', 'busybox', 'sh', '-c', ask]);
  return r.status === 0 ? r.stdout.split('\n').filter(Boolean).sort() : [];
}

/** Ids of the containers of a service on each node. */
const containers = (swarm: Swarm, service: string): string[][] =>
  swarm.nodes.map((node) =>
    node
      .docker(['ps', '--quiet', '--filter', `label=com.docker.swarm.service.name=${service}`])
      .stdout.split('\n')
      .filter(Boolean),
  );

/** Tells the story; `whole` with the slow chapters: update, the death of a node and its return. */
export async function tellSwarm(runtime: string, whole: boolean): Promise<void> {
  const swarm = await startSwarm(runtime, 3);
  try {
    replicas(swarm);
    ports(swarm);
    secrets(swarm);
    if (whole) {
      rollingUpdate(swarm);
      await deathOfNode(swarm);
    }
    swarm.manager('service', 'rm', ...swarm.manager('service', 'ls', '--quiet').split('\n'));
    const left = (): string =>
      swarm.nodes.map((node) => node.docker(['ps', '--all', '--quiet']).stdout).join('');
    until('no container is left', () => left() === '', left);
    until('the network is removed', () => swarm.nodes[0]!.docker(['network', 'rm', 'overlay']).status === 0);
  } finally {
    await swarm.stop();
  }
}

/** Three replicas on three nodes, each of which reaches all by name over VXLAN. */
function replicas(swarm: Swarm): void {
  swarm.manager('network', 'create', '--driver', 'overlay', '--attachable', 'overlay');
  // The kernel's IP_VS, which virtual addresses and the ingress network need, is not everywhere: dnsrr does without it.
  const options = [
    '--network',
    'overlay',
    '--endpoint-mode',
    'dnsrr',
    '--env',
    'VERSION=1',
    '--replicas',
    '3',
  ];
  create(swarm, 'web', options, 'sh', '-c', SERVER);
  swarm.converged('web', 3);
  const expected = containers(swarm, 'web');
  expect(expected.map((ids) => ids.length)).toEqual([1, 1, 1]);
  const lines = expected.flat().map((id) => `1 ${id}`);
  for (const from of [0, 2]) {
    until(`node ${from} reaches all`, () => answers(swarm, from, 'web').join() === lines.sort().join());
    expect(answers(swarm, from, 'tasks.web')).toEqual(lines);
  }
}

/** One task on each node, behind a port of the node. */
function ports(swarm: Swarm): void {
  const port = 'mode=host,target=80,published=8080';
  create(swarm, 'port', ['--mode', 'global', '--publish', port, '--env', 'VERSION=p'], 'sh', '-c', SERVER);
  swarm.converged('port', 3);
  const ids = containers(swarm, 'port');
  const wget = (i: number): string => retry(`busybox wget -q -O - http://${address(i + 1)}:8080/`);
  expect(ids.map((_, i) => shell(swarm.nodes[1]!.enter(['sh', '-c', wget(i)])))).toEqual(
    ids.map(([id]) => `p ${id}`),
  );
  swarm.manager('service', 'rm', 'port');
}

/** Secrets and configs are files of the container, limits are its own. */
function secrets(swarm: Swarm): void {
  succeed(swarm.nodes[0]!.docker(['secret', 'create', 'pass', '-'], { input: 's3cret\n' }), 'docker secret');
  succeed(swarm.nodes[0]!.docker(['config', 'create', 'conf', '-'], { input: 'setting\n' }), 'docker config');
  const files = [
    ...['--secret', 'source=pass,target=password,mode=0400,uid=1000'],
    ...['--config', 'source=conf,target=/etc/app.conf', '--user', '1000', '--limit-memory', '128m'],
  ];
  const show =
    'cat /run/secrets/password /etc/app.conf; stat -c "%a %u" /run/secrets/password; echo x > /etc/app.conf; echo $?';
  create(swarm, 'vault', files, 'sh', '-c', `{ ${show}; } 2>/dev/null; exec sleep 1000`);
  swarm.converged('vault', 1);
  const logs = (): string => swarm.manager('service', 'logs', '--raw', 'vault');
  until('the container has shown its files', () => logs().split('\n').length === 4, logs);
  expect(logs().split('\n')).toEqual(['s3cret', 'setting', '400 1000', '1']);
}

/** One replica after the other is replaced by one of the new version. */
function rollingUpdate(swarm: Swarm): void {
  const before = containers(swarm, 'web').flat();
  const options = ['--env-add', 'VERSION=2', '--update-parallelism', '1', '--update-order', 'stop-first'];
  swarm.manager(
    'service',
    'update',
    '--detach',
    '--no-resolve-image',
    '--update-monitor',
    '1s',
    ...options,
    'web',
  );
  const state = (): string =>
    swarm.manager('service', 'inspect', '--format', '{{with .UpdateStatus}}{{.State}}{{end}}', 'web');
  until(
    'the update is complete',
    () => state() === 'completed',
    () => swarm.manager('service', 'ps', 'web'),
  );
  swarm.converged('web', 3);
  const after = containers(swarm, 'web').flat();
  expect(after.filter((id) => before.includes(id))).toEqual([]);
  const lines = after.map((id) => `2 ${id}`).sort();
  until('all of the new version answer', () => answers(swarm, 0, 'web').join() === lines.join());
}

/** kill -9 of a worker's daemon and of its containers: its tasks go to the others; it comes back and takes new ones. */
async function deathOfNode(swarm: Swarm): Promise<void> {
  const victim = swarm.nodes[2]!;
  const ids = victim.docker(['ps', '--quiet']).stdout.split('\n').filter(Boolean);
  const pids = victim
    .docker(['inspect', '--format', '{{.State.Pid}}', ...ids])
    .stdout.split('\n')
    .filter(Boolean);
  await victim.kill();
  for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
  const statuses = (): string =>
    swarm.manager('node', 'ls', '--format', '{{.Status}}').split('\n').sort().join();
  until('the manager sees that the node is down', () => statuses() === 'Down,Ready,Ready', statuses);
  const living = (): string[] => containers({ ...swarm, nodes: swarm.nodes.slice(0, 2) }, 'web').flat();
  until(
    'the others have its tasks',
    () => living().length === 3,
    () => swarm.manager('service', 'ps', '--no-trunc', 'web'),
  );
  const lines = (): string =>
    living()
      .map((id) => `2 ${id}`)
      .sort()
      .join();
  until('all answer again', () => answers(swarm, 0, 'web').join() === lines());
  await victim.restart();
  until('the node is back', () => statuses() === 'Ready,Ready,Ready', statuses);
  swarm.manager('service', 'scale', '--detach', 'web=6');
  swarm.converged('web', 6);
  until('the node that came back has its share', () => containers(swarm, 'web')[2]!.length >= 2);
}

function shell([command, ...args]: readonly string[]): string {
  return spawnSync(command!, args, { encoding: 'utf8' }).stdout.trim();
}
