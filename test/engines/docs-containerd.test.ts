/** What docs/engines.md says of containerd and Kubernetes, done as it is written. A kubelet's part is played by calls of CRI. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf } from '../lib/docs.ts';
import { root, run, runscTs, type Outcome } from '../lib/sandbox.ts';
import { Containerd, needed } from './lib/containerd.ts';
import { CriClient } from './lib/cri.ts';
import { missing } from './lib/programs.ts';
import { eventually, Node } from './lib/pod.ts';

const lacking = missing(needed);
if (lacking.length > 0)
  console.log(`SKIPPED: the containerd part of docs/engines.md needs ${lacking.join(', ')}`);

const KERNEL = '6.12.0-runsc-ts';
const DOCUMENT = 'docs/engines.md';

let daemon: Containerd;
let cri: CriClient;

/** A block of commands, at this containerd. */
function shell(script: string, namespace: string): Outcome {
  const env = { ...process.env, CONTAINERD_ADDRESS: daemon.socket, CONTAINERD_NAMESPACE: namespace };
  const program = `set -e\nsudo() { "$@"; }\n${script}`;
  return run('/bin/bash', ['-c', program], { cwd: root, env: env as Record<string, string> });
}

/** Value of a key in a manifest; JSON is YAML. */
function valueOf(manifest: string, key: string): string {
  const found = new RegExp(`^[ -]*${key}: (.*)$`, 'm').exec(manifest);
  if (found === null) throw new Error(`no ${key} in ${manifest}`);
  return found[1]!;
}

describe.skipIf(lacking.length > 0)('containerd and Kubernetes in docs/engines.md', () => {
  beforeAll(async () => {
    const [handlers] = blocksOf(DOCUMENT, 'Kubernetes', 'toml');
    daemon = await Containerd.start(handlers.replace('/opt/runsc-ts/dist/runsc-ts', runscTs));
    cri = new CriClient(daemon.socket);
  });
  afterAll(async () => {
    cri?.close();
    await daemon?.stop();
  });

  test('ctr', () => {
    for (const script of blocksOf(DOCUMENT, 'containerd', 'sh')) {
      expect(shell(script, daemon.name)).toMatchObject({ status: 0, stdout: `${KERNEL}\n`, stderr: '' });
    }
  });

  test('the manifests, and the kernels of the containers', async () => {
    const [runtimeClass, podManifest] = blocksOf(DOCUMENT, 'Kubernetes', 'yaml')[0].split('---\n') as [
      string,
      string,
    ];
    expect(valueOf(podManifest, 'runtimeClassName')).toBe(valueOf(runtimeClass, 'name'));
    const node = new Node(daemon, cri, valueOf(runtimeClass, 'handler'));
    await node.ready();
    const pod = await node.pod();
    const [, ...specs] = podManifest.split(/^ {4}- /m);
    const containers = [];
    for (const spec of specs) {
      const c = await pod.create(JSON.parse(valueOf(spec, 'command')) as string[], {
        fields: { image: { image: valueOf(spec, 'image') } },
      });
      await c.start();
      containers.push(c);
    }
    const client = containers.at(-1)!;
    await eventually(() => Promise.resolve(client.log()['stdout']!.length === 2));
    expect(client.log()['stdout']).toEqual(['F page', `F ${KERNEL}`]);
    // With the pod's own one.
    const kernels = `${KERNEL}\n`.repeat(containers.length + 1);
    for (const script of blocksOf(DOCUMENT, 'Kubernetes', 'sh')) {
      expect(shell(script, '')).toMatchObject({ status: 0, stdout: kernels });
    }
    await node.removePods();
  });
});
