import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GlobalOptions } from '../global-options.ts';
import { loadBundle } from './bundle.ts';

const globals: GlobalOptions = {
  platform: 'systrap',
  strace: null,
  debugLog: null,
  root: '/run/x',
  systemdCgroup: false,
};
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bundle-'));
  mkdirSync(join(dir, 'rootfs'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const good = () => ({
  ociVersion: '1.0.2',
  process: { args: ['/bin/true'], cwd: '/', user: { uid: 1, gid: 2 } },
  root: { path: 'rootfs' },
});

function load(spec: unknown) {
  writeFileSync(join(dir, 'config.json'), typeof spec === 'string' ? spec : JSON.stringify(spec));
  return loadBundle('c1', dir, 'none', globals);
}

test('a minimal bundle becomes a configuration', () => {
  const { config, exports } = load(good());
  expect(config.process).toMatchObject({ args: ['/bin/true'], cwd: '/', uid: 1, gid: 2, umask: 0o22 });
  expect(exports).toEqual([{ path: join(dir, 'rootfs'), readOnly: false, exclusive: true }]);
});

test('rlimits at 2^64-1 are unlimited', () => {
  const spec = JSON.stringify(good()).replace(
    '"cwd"',
    '"rlimits":[{"type":"RLIMIT_NOFILE","soft":10,"hard":18446744073709551615}],"cwd"',
  );
  expect(load(spec).config.process.rlimits).toEqual({ 7: { soft: 10, hard: -1 } });
});

const refused: [string, (s: ReturnType<typeof good>) => unknown, RegExp][] = [
  ['no args', (s) => ({ ...s, process: { ...s.process, args: [] } }), /process\.args/],
  [
    'relative cwd',
    (s) => ({ ...s, process: { ...s.process, cwd: 'x' } }),
    /process\.cwd "x": must be an absolute/,
  ],
  ['unknown field', (s) => ({ ...s, vm: { a: 1 } }), /vm .*not supported/],
  [
    'unknown process field',
    (s) => ({ ...s, process: { ...s.process, wat: 1 } }),
    /process\.wat 1: this field/,
  ],
  ['missing root', (s) => ({ ...s, root: { path: 'nope' } }), /root\.path "nope"/],
  [
    'bad capability',
    (s) => ({ ...s, process: { ...s.process, capabilities: { bounding: ['CAP_X'] } } }),
    /CAP_X/,
  ],
  [
    'uid out of range',
    (s) => ({ ...s, process: { ...s.process, user: { uid: -1 } } }),
    /process\.user\.uid -1/,
  ],
  [
    'bad mount type',
    (s) => ({ ...s, mounts: [{ destination: '/x', type: 'nfs' }] }),
    /mounts\[0\]\.type "nfs"/,
  ],
  [
    'bad mount option',
    (s) => ({ ...s, mounts: [{ destination: '/x', type: 'tmpfs', options: ['wat'] }] }),
    /"wat"/,
  ],
  ['NUL byte', (s) => ({ ...s, process: { ...s.process, args: ['a\0b'] } }), /NUL/],
];

test.each(refused)('refused: %s', (_name, change, message) => {
  expect(() => load(change(good()))).toThrow(message);
});

test('malformed JSON names the file', () => {
  expect(() => load('{')).toThrow(/config\.json is not JSON/);
});
