// Starting from snapshots of the heap, and without.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  GOFER_V8_ARGS,
  SENTRY_V8_ARGS,
  SNAPSHOT_V8_ARGS,
} from '../../platform-ptrace/confine/launcher-protocol.ts';
import { processesOf } from '../lib/processes.ts';
import { platforms, root, run, runscTs } from '../lib/sandbox.ts';

/** Options of the Node processes of a sandbox whose program has printed something. */
async function nodeArguments(program: string): Promise<string[]> {
  const child = spawn(program, ['do', '--', '/bin/sh', '-c', 'echo up; sleep 100'], { cwd: '/' });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const all = processesOf(child.pid!).map((p) => readFileSync(`/proc/${p.pid}/cmdline`, 'latin1'));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  return all.filter((line) => line.startsWith('node\0'));
}

test('sentry and gofer start from snapshots that fit this Node and this CPU', async () => {
  const args = await nodeArguments(runscTs);
  expect(args.length).toBe(2);
  for (const line of args) {
    expect(line).toMatch(/\0--snapshot-blob\0\/proc\/self\/fd\/\d\/(sentry|gofer)-[0-9a-f]{16}\.blob\0/);
    for (const arg of SNAPSHOT_V8_ARGS) expect(line).toContain(`\0${arg}\0`);
  }
});

test.each([
  ['cli', []],
  ['sentry', SENTRY_V8_ARGS],
  ['gofer', GOFER_V8_ARGS],
])('V8 takes the code cache of the %s, with functions that no load calls', (name, v8Args) => {
  const file = join(root, 'dist', name);
  const script = `const { readFileSync } = require('fs'); const { Script } = require('vm');
const script = (cachedData) => new Script(readFileSync('${file}.js', 'latin1'), { filename: '${file}.js', cachedData });
const cache = readFileSync('${file}.cache');
console.log(script(cache).cachedDataRejected, cache.length > 1.2 * script().createCachedData().length);`;
  const r = run(process.execPath, [...v8Args, '-e', script], { cwd: '/' });
  expect([r.stdout, r.stderr]).toEqual(['false true\n', '']);
});

test.each(platforms)('%s: without fitting snapshots they load their modules', async (platform) => {
  const dir = mkdtempSync(join(tmpdir(), 'dist-'));
  const copy = join(dir, 'dist');
  try {
    cpSync(join(root, 'dist'), copy, { recursive: true });
    for (const blob of readdirSync(copy).filter((f) => f.endsWith('.blob'))) rmSync(join(copy, blob));
    const program = join(copy, 'runsc-ts');
    for (const line of await nodeArguments(program)) expect(line).not.toContain('--snapshot-blob');
    const r = run(program, ['--platform', platform, 'do', '--', '/bin/echo', 'hello'], { cwd: '/' });
    expect([r.status, r.stdout, r.stderr]).toEqual([0, 'hello\n', '']);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
