/**
 * Several dockerds on one machine as the nodes of a Swarm: each has a network namespace, a data root and a containerd of its
 * own; a bridge in one more namespace joins them.
 */
import { startDockerd, type Dockerd, type Result } from './dockerd.ts';
import { makeNetns, run, type Netns } from './netns.ts';
import { until } from './until.ts';

export interface Swarm {
  /** The first is the manager. */
  readonly nodes: readonly Dockerd[];
  /** `docker` of the manager; fails if the command does. */
  manager(...args: string[]): string;
  /** Waits until each task of a service that shall run does so, and there are `count`. */
  converged(service: string, count: number): void;
  stop(): Promise<void>;
}

export function succeed(r: Result, what: string): string {
  if (r.status !== 0) throw new Error(`${what}: status ${r.status}: ${r.stderr}`);
  return r.stdout.trim();
}

/** Starts `size` daemons that run everything under `runtime`, and makes a Swarm of them. */
export async function startSwarm(runtime: string, size: number): Promise<Swarm> {
  const prefix = `rts-swarm-${process.pid}`;
  const namespaces: Netns[] = [];
  const nodes: Dockerd[] = [];
  const stop = async (): Promise<void> => {
    for (const node of nodes) await node.stop();
    for (const netns of namespaces) netns.remove();
  };
  const manager = (...args: string[]): string => succeed(nodes[0]!.docker(args), `docker ${args.join(' ')}`);
  try {
    const lan = makeNetns(`${prefix}-lan`);
    namespaces.push(lan);
    run(...lan.enter(['ip', 'link', 'add', 'lan', 'type', 'bridge']));
    run(...lan.enter(['ip', 'link', 'set', 'lan', 'up']));
    for (let i = 1; i <= size; i++) {
      const netns = makeNetns(`${prefix}-${i}`);
      namespaces.push(netns);
      const end = ['type', 'veth', 'peer', 'name', 'lan0', 'netns', netns.name];
      run(...lan.enter(['ip', 'link', 'add', `node${i}`, ...end]));
      run(...lan.enter(['ip', 'link', 'set', `node${i}`, 'master', 'lan', 'up']));
      run(...netns.enter(['ip', 'address', 'add', `${address(i)}/24`, 'dev', 'lan0']));
      run(...netns.enter(['ip', 'link', 'set', 'lan0', 'up']));
      nodes.push(await startDockerd({ defaultRuntime: runtime, netns }));
    }
    manager('swarm', 'init', '--advertise-addr', address(1));
    // Dead workers are noticed after three missed beats.
    manager('swarm', 'update', '--dispatcher-heartbeat', '2s');
    const token = manager('swarm', 'join-token', '--quiet', 'worker');
    for (const node of nodes.slice(1)) {
      succeed(node.docker(['swarm', 'join', '--token', token, `${address(1)}:2377`]), 'docker swarm join');
    }
    const ready = (): number =>
      manager('node', 'ls', '--format', '{{.Status}}')
        .split('\n')
        .filter((s) => s === 'Ready').length;
    until(`${size} nodes are ready`, () => ready() === size);
  } catch (e) {
    await stop();
    throw e;
  }
  return {
    nodes,
    manager,
    converged(service, count) {
      const tasks = (): string[] => runningTasks(manager, service).map((task) => task.state);
      until(
        `${service} has ${count} running tasks`,
        () => tasks().length === count && tasks().every((state) => state.startsWith('Running')),
        () =>
          `${manager('service', 'ps', '--no-trunc', service)}\n${nodes.map((n) => n.log().slice(-1500)).join('\n')}`,
      );
    },
    stop,
  };
}

/** Address of the node with a number from 1. */
export const address = (node: number): string => `10.77.0.${node}`;

export interface ServiceTask {
  readonly id: string;
  /** Name of the node it was given to. */
  readonly node: string;
  readonly state: string;
}

/** The tasks of a service that Swarm wants to run, whatever they do at the moment. */
function runningTasks(manager: Swarm['manager'], service: string): ServiceTask[] {
  const format = '{{.ID}}\t{{.Node}}\t{{.CurrentState}}';
  return manager(
    'service',
    'ps',
    '--filter',
    'desired-state=running',
    '--no-trunc',
    '--format',
    format,
    service,
  )
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t'))
    .map(([id, node, state]) => ({ id: id!, node: node!, state: state! }));
}
