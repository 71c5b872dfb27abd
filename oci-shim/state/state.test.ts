import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ociState, statusOf, type ContainerState } from './container-state.ts';
import { isAlive, startTimeOf } from './host-process.ts';
import { FileLock } from './lock.ts';
import { checkId, NoSuchContainer, StateDir } from './state-dir.ts';

let root: string;
let states: StateDir;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'state-'));
  states = new StateDir(root);
});
afterEach(() => rmSync(root, { recursive: true }));

const self = { pid: process.pid, startTime: startTimeOf(process.pid) };

function state(id: string, changes: Partial<ContainerState> = {}): ContainerState {
  return {
    version: 1,
    ociVersion: '1.0.2',
    id,
    bundle: '/b',
    rootfs: '/b/rootfs',
    annotations: {},
    created: '2026-01-01T00:00:00Z',
    owner: 'root',
    sandbox: id,
    stub: self,
    phase: 'created',
    paused: false,
    execs: [],
    hooks: null,
    process: {},
    cgroup: null,
    cgroupsPath: '',
    systemdCgroup: false,
    ...changes,
  };
}

test.each(['a', 'A_1+2.x-y'])('id %s is allowed', (id) => expect(() => checkId(id)).not.toThrow());
test.each(['', '.', '..', 'a/b', 'a b', '../x', 'ä', 'x'.repeat(250)])('id "%s" is refused', (id) =>
  expect(() => checkId(id)).toThrow('invalid container ID format'),
);

test('a container is found, listed and removed', () => {
  expect(() => states.load('c1')).toThrow(NoSuchContainer);
  const c = states.create('c1');
  c.save(state('c1', { annotations: { a: 'b' } }));
  c.release();
  expect(states.load('c1').annotations).toEqual({ a: 'b' });
  expect(states.list().map((s) => s.id)).toEqual(['c1']);
  expect(readdirSync(states.pathOf('c1')).sort()).toEqual(['lock', 'state.json']);
  states.withLock('c1', (l) => l.remove());
  expect(existsSync(states.pathOf('c1'))).toBe(false);
  expect(() => states.lock('c1')).toThrow('container does not exist');
});

test('an id can be given once only', () => {
  const c = states.create('c1');
  c.save(state('c1'));
  c.release();
  expect(() => states.create('c1')).toThrow('container with given ID already exists: c1');
});

test('what a killed create leaves is taken over', () => {
  states.create('empty').release();
  states.create('empty').release();
  const c = states.create('c1');
  c.save(state('c1', { phase: 'creating', stub: { pid: self.pid, startTime: '1' } }));
  c.release();
  expect(() => states.create('c1').release()).not.toThrow();
});

test('statuses follow phase and stub', () => {
  expect(statusOf(state('c'))).toBe('created');
  expect(statusOf(state('c', { phase: 'running' }))).toBe('running');
  expect(statusOf(state('c', { phase: 'running', paused: true }))).toBe('paused');
  expect(statusOf(state('c', { stub: { pid: 0, startTime: '' }, phase: 'creating' }))).toBe('creating');
  const stopped = state('c', { phase: 'running', stub: { pid: process.pid, startTime: '1' } });
  expect(statusOf(stopped)).toBe('stopped');
  expect(ociState(stopped)).toEqual({ ociVersion: '1.0.2', id: 'c', status: 'stopped', bundle: '/b' });
});

test('a zombie is not alive', async () => {
  // sh starts a child, becomes a program that never waits, and the child ends.
  const child = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const pid = Number(await new Promise<string>((r) => child.stdout.on('data', (d: Buffer) => r(String(d)))));
  const zombie = { pid, startTime: startTimeOf(pid) };
  while (isAlive(zombie)) await new Promise((r) => setTimeout(r, 5));
  expect(startTimeOf(pid)).toBe(zombie.startTime);
  child.kill('SIGKILL');
});

test('a lock is exclusive between processes and ends with its holder', () => {
  states.create('c1').release();
  const path = join(states.pathOf('c1'), 'lock');
  const held = FileLock.take(path)!;
  const tryFlock = () => spawnSync('flock', ['-n', path, 'true']).status;
  expect(tryFlock()).toBe(1);
  expect(() => FileLock.take(path, 20)).toThrow('another command has been working');
  held.release();
  expect(tryFlock()).toBe(0);
});

test('a container of another runtime in the same directory is left alone', () => {
  const ours = states.create('ours');
  ours.save(state('ours'));
  ours.release();
  mkdirSync(join(root, 'theirs'));
  writeFileSync(join(root, 'theirs/state.json'), '{"id":"theirs","init_process_pid":1}');
  expect(states.list().map((s) => s.id)).toEqual(['ours']);
  expect(() => states.load('theirs')).toThrow('is of another runtime');
  expect(() => states.create('theirs')).toThrow('is of another runtime');
});

test('a damaged state is named, and hides no other container', () => {
  const ours = states.create('ours');
  ours.save(state('ours'));
  ours.release();
  mkdirSync(join(root, 'broken'));
  writeFileSync(join(root, 'broken/state.json'), '{"id":');
  expect(states.list().map((s) => s.id)).toEqual(['ours']);
  expect(() => states.load('broken')).toThrow('broken/state.json is damaged');
});

test('a state directory that cannot be made is named', () => {
  writeFileSync(join(root, 'file'), '');
  const dir = join(root, 'file/states');
  expect(() => new StateDir(dir).create('c1')).toThrow(
    `cannot make the state directory ${dir} (ENOTDIR): name another one, --root DIR`,
  );
});
