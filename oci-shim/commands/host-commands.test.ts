// Commands about the machine and about limits: what they write, print and refuse.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import type { GlobalOptions } from '../global-options.ts';
import { print } from '../output.ts';
import { loadBundle } from '../spec/bundle.ts';
import { checkCgroups, checkKernel, checkNode } from './doctor.ts';
import { durationMs, toJson } from './events.ts';
import { features } from './features.ts';
import { install, uninstall } from './install.ts';
import { rootlessSpec, writeSpec } from './spec.ts';
import { fromOptions } from './update.ts';

let dir: string;
let config: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'commands-'));
  config = join(dir, 'daemon.json');
  vi.mocked(print).mockClear();
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

vi.mock('../output.ts', () => ({ print: vi.fn(), printError: vi.fn() }));
vi.mock('../../sentry/host/koffi.ffi.ts', async (original) => {
  const { mkdtempSync, writeFileSync } = await import('node:fs');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const nativeDir = mkdtempSync(join(tmpdir(), 'dist-'));
  writeFileSync(join(nativeDir, 'runsc-ts'), '');
  return { ...(await original<object>()), nativeDir };
});

afterAll(() => rmSync(nativeDir, { recursive: true }));

interface Daemon {
  runtimes?: Record<string, { path: string; runtimeArgs?: string[] }>;
  [key: string]: unknown;
}
const daemon = (): Daemon => JSON.parse(readFileSync(config, 'utf8')) as Daemon;
const printed = (): string =>
  vi
    .mocked(print)
    .mock.calls.map(([s]) => s)
    .join('');

test('install makes a file that is not there, and says what comes next', () => {
  install({ config, runtime: 'runsc-ts', args: [] });
  expect(daemon().runtimes!['runsc-ts']!.path).toMatch(/^\/.*\/runsc-ts$/);
  expect(daemon().runtimes!['runsc-ts']!.runtimeArgs).toBeUndefined();
  expect(printed()).toContain('docker run --rm --runtime runsc-ts');
});

test('install keeps other keys, indentation, mode and a link; no temporary file stays', () => {
  const real = join(dir, 'real.json');
  const other = { 'log-driver': 'json-file', runtimes: { kata: { path: '/k' } } };
  writeFileSync(real, JSON.stringify(other, null, '  '), { mode: 0o600 });
  symlinkSync(real, config);
  install({ config, runtime: 'mine', args: ['--platform', 'ptrace'], default: true });
  expect(daemon()).toMatchObject({ ...other, 'default-runtime': 'mine' });
  expect(daemon().runtimes!['mine']!.runtimeArgs).toEqual(['--platform', 'ptrace']);
  expect(readFileSync(real, 'utf8')).toContain('\n  "log-driver"');
  expect(statSync(real).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir).sort()).toEqual(['daemon.json', 'real.json']);
  uninstall({ config, runtime: 'mine' });
  expect(daemon()).toEqual(other);
});

test('uninstall removes what install made, and says so if there is nothing', () => {
  install({ config, runtime: 'runsc-ts', args: [] });
  uninstall({ config, runtime: 'runsc-ts' });
  expect(daemon()).toEqual({});
  expect(() => uninstall({ config, runtime: 'runsc-ts' })).toThrow(/has no runtime "runsc-ts"/);
});

test.each([
  ['{', /is not JSON, nothing was changed/],
  ['[]', /must hold a JSON object/],
  ['{"runtimes": []}', /"runtimes" must be an object/],
])('a daemon.json of %j is left alone', (text, message) => {
  writeFileSync(config, text);
  expect(() => install({ config, runtime: 'runsc-ts', args: [] })).toThrow(message);
  expect(readFileSync(config, 'utf8')).toBe(text);
});

test.each(['runc', 'a b', ''])('a runtime may not be called %j', (runtime) => {
  expect(() => install({ config, runtime, args: [] })).toThrow(/--runtime/);
});

const globals = { platform: 'systrap', strace: null, debugLog: null, root: dir! } as unknown as GlobalOptions;

test('run accepts what spec writes', () => {
  mkdirSync(join(dir, 'rootfs'));
  writeSpec({ bundle: dir });
  const { config: sandbox } = loadBundle('c1', dir, 'none', globals);
  expect(sandbox.process).toMatchObject({ args: ['sh'], terminal: true, noNewPrivileges: true });
  expect(sandbox.root.readOnly).toBe(true);
  expect(() => writeSpec({ bundle: dir })).toThrow(/config\.json exists\. Remove it first/);
});

test('spec --rootless: the user is root inside, without groups that he has not', () => {
  const spec = rootlessSpec(1000, 1001);
  expect(spec.linux.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }]);
  expect(spec.linux.gidMappings).toEqual([{ containerID: 0, hostID: 1001, size: 1 }]);
  expect(spec.linux.namespaces).toContainEqual({ type: 'user' });
  expect(JSON.stringify(spec.mounts)).not.toContain('gid=');
});

test('features has what engines look for', () => {
  const f = features();
  expect(f.mountOptions).toContain('rbind');
  expect(f.linux.namespaces).toContain('network');
  expect(f.linux.cgroup).toMatchObject({ v1: true, v2: true });
  expect(f.linux.capabilities).toContain('CAP_SYS_ADMIN');
});

test('options of update are what they are in JSON', () => {
  const r = fromOptions({
    memory: '512m',
    memorySwap: '-1',
    cpuQuota: '50000',
    cpusetCpus: '0-1',
    pidsLimit: '7',
  });
  expect(r.memory).toEqual({ limit: 512 << 20, swap: -1 });
  expect(r.cpu).toEqual({ quota: 50000, cpus: '0-1' });
  expect(r.pids).toEqual({ limit: 7 });
});

test.each([
  [{ memory: 'lots' }, /--memory lots/],
  [{ pidsLimit: '1.5' }, /--pids-limit 1\.5/],
  [{ cpuIdle: '2' }, /cpu\.idle 2/],
  [{ l3CacheSchema: 'x' }, /RDT is not supported/],
])('update refuses %j', (options, message) => {
  expect(() => fromOptions(options)).toThrow(message);
});

test('intervals are Go’s durations', () => {
  expect([durationMs('5s'), durationMs('500ms'), durationMs('1m30s'), durationMs('1.5h')]).toEqual([
    5000, 500, 90_000, 5_400_000,
  ]);
  expect(() => durationMs('5')).toThrow(/--interval 5/);
});

test('numbers that mean "no limit" are printed as 64 bits hold them', () => {
  expect(toJson({ a: 2 ** 64, b: 9223372036854771712, c: 5 })).toBe(
    '{"a":18446744073709551615,"b":9223372036854771712,"c":5}',
  );
});

test('doctor judges versions and cgroups', () => {
  expect(checkKernel('5.10.0-1').status).toBe('fail');
  expect(checkKernel('5.15.3').status).toBe('warn');
  expect(checkKernel('6.1.0').status).toBe('ok');
  expect([checkNode('20.9.0').status, checkNode('22.1.0').status, checkNode('23.0.0').status]).toEqual([
    'fail', 'ok', 'fail',
  ]); // prettier-ignore
  expect(checkCgroups(null, true).status).toBe('warn');
  const hierarchy = { mount: '/c', own: '/' };
  const host = {
    version: 1 as const,
    hierarchies: new Map([
      ['memory', hierarchy],
      ['cpu', hierarchy],
    ]),
  };
  expect(checkCgroups(host, true).detail).toContain('without pids');
  host.hierarchies.set('pids', hierarchy);
  expect(checkCgroups(host, true).status).toBe('ok');
  expect(checkCgroups(host, false).status).toBe('warn');
});
