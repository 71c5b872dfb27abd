/** What docs/engines.md says of Podman, done as it is written, with an image made here under the names of the real ones. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf } from '../lib/docs.ts';
import { root, type Outcome } from '../lib/sandbox.ts';
import { needed, Podman } from './lib/podman.ts';
import { missing } from './lib/programs.ts';
import { until } from './lib/until.ts';

const lacking = missing(needed);
if (lacking.length > 0)
  console.log(`SKIPPED: the Podman part of docs/engines.md needs ${lacking.join(', ')}`);

const KERNEL = '6.12.0-runsc-ts';
const DOCUMENT = 'docs/engines.md';

describe.skipIf(lacking.length > 0)('Podman in docs/engines.md', () => {
  let engine: Podman;
  beforeAll(() => {
    engine = new Podman();
    for (const name of ['debian', 'busybox']) engine.run('tag', 'busybox', `docker.io/library/${name}`);
  }, 300_000);
  afterAll(() => engine?.remove(), 300_000);

  /** A block of commands, in a directory with what a reader has there. */
  function shell(script: string): Outcome {
    const program = `set -e\npodman() { command podman ${engine.options.join(' ')} "$@"; }\n${script}`;
    return engine.enter(['/bin/bash', '-c', program], join(engine.dir, 'cwd'));
  }

  test('run, and a Deployment', () => {
    mkdirSync(join(engine.dir, 'cwd'));
    symlinkSync(join(root, 'dist'), join(engine.dir, 'cwd/dist'));
    const [manifest, ...noMore] = blocksOf(DOCUMENT, 'Podman', 'yaml');
    expect(noMore).toEqual([]);
    writeFileSync(join(engine.dir, 'cwd/deployment.yaml'), manifest);
    const [first, second, ...others] = blocksOf(DOCUMENT, 'Podman', 'sh').map(shell);
    expect(others).toEqual([]);
    expect(first).toMatchObject({ status: 0, stdout: expect.stringContaining(` ${KERNEL} `) as string });
    expect(second).toMatchObject({ status: 0, stdout: expect.stringContaining(`\npage\n${KERNEL}\n`) as string }); // prettier-ignore
    expect(engine.run('ps', '--all', '--quiet').stdout).toBe('');
    until(
      'no process of a sandbox is left',
      () => engine.leftOver() === '',
      () => engine.leftOver(),
    );
  });
});
