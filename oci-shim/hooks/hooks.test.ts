import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { printError } from '../output.ts';
import type { OciState } from '../state/container-state.ts';
import type { Hook, HookKind } from './hooks-config.ts';
import { runHooks } from './run-hooks.ts';

vi.mock('../output.ts', () => ({ print: vi.fn(), printError: vi.fn() }));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hooks-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const state: OciState = {
  ociVersion: '1.0.2',
  id: 'c1',
  status: 'created',
  pid: 42,
  bundle: '/b',
  annotations: { a: 'b' },
};

const sh = (script: string, more: Partial<Hook> = {}): Hook => ({
  path: '/bin/sh',
  args: ['sh', '-c', script],
  env: [],
  timeout: 0,
  ...more,
});

const run = (kind: HookKind, ...hooks: Hook[]): void => runHooks(kind, hooks, state, { bundle: dir });

test('a hook gets the state, its own argv[0] and environment, and starts in the bundle', () => {
  const script = 'cat > state; echo $0 $1 > args; /usr/bin/env > env; pwd > cwd';
  run('createRuntime', {
    path: '/bin/sh',
    args: ['other name', '-c', script, 'zero', 'one'],
    env: ['A=1', 'B=x=y'],
    timeout: 0,
  });
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  expect(JSON.parse(read('state'))).toEqual(state);
  expect(read('args')).toBe('zero one\n');
  expect(
    read('env')
      .split('\n')
      .filter((l) => /^[AB]=|^HOME|^PATH/.test(l)),
  ).toEqual(['A=1', 'B=x=y']);
  expect(read('cwd')).toBe(`${dir}\n`);
});

test('the streams of a hook can be opened', () => {
  run('prestart', sh('read state < /dev/stdin; echo "$state" > state; echo lost > /dev/stderr'));
  expect(JSON.parse(readFileSync(join(dir, 'state'), 'utf8'))).toEqual(state);
  const failing = sh('echo out >> /dev/stdout; echo err >> /dev/stderr; exit 2');
  expect(() => run('prestart', failing)).toThrow('exit status 2, stdout: out\n, stderr: err\n');
});

test('a hook without `env` has the environment of the runtime', () => {
  vi.stubEnv('OF_THE_RUNTIME', 'x y');
  run('prestart', sh('echo "$OF_THE_RUNTIME" > env', { env: null }));
  expect(readFileSync(join(dir, 'env'), 'utf8')).toBe('x y\n');
  vi.unstubAllEnvs();
});

test('argv[0] is not the path', () => {
  const link = join(dir, 'argv0');
  writeFileSync(link, '');
  run('prestart', {
    path: '/bin/sh',
    args: ['called-so', '-c', `/usr/bin/tr '\\0' ' ' < /proc/$$/cmdline > ${link}`],
    env: [],
    timeout: 0,
  });
  expect(readFileSync(link, 'utf8')).toMatch(/^called-so -c/);
});

test('hooks run in their order, and none after one that failed', () => {
  const hooks = [sh('echo 1 >> order'), sh('echo 2 >> order; echo why >&2; exit 3'), sh('echo 3 >> order')];
  expect(() => run('prestart', ...hooks)).toThrow(
    'error running prestart hook #1: error running hook: exit status 3, stdout: , stderr: why\n',
  );
  expect(readFileSync(join(dir, 'order'), 'utf8')).toBe('1\n2\n');
});

test.each<HookKind>(['poststart', 'poststop'])('what fails in %s is a warning', (kind) => {
  const stderr = vi.mocked(printError).mockClear();
  run(kind, sh('exit 1'), sh('echo went on > after'));
  const said = stderr.mock.calls.map((c) => String(c[0])).join('');
  expect(said).toMatch(new RegExp(`warning: error running ${kind} hook #0: .*exit status 1`));
  expect(existsSync(join(dir, 'after'))).toBe(true);
});

test('a hook that takes too long is killed', () => {
  expect(() =>
    run('createRuntime', sh('exec sleep 100', { timeout: 1, env: ['PATH=/bin:/usr/bin'] })),
  ).toThrow('hook ran past specified timeout of 1.0s');
});

test.each<[string, Partial<Hook>, RegExp]>([
  ['missing', { path: '/no/such' }, /fork\/exec \/no\/such: no such file or directory/],
  ['not executable', { path: '/etc/passwd' }, /fork\/exec \/etc\/passwd: permission denied/],
  ['killed', { args: ['sh', '-c', 'kill -9 $$'] }, /signal: SIGKILL/],
])('%s', (_name, change, message) => {
  expect(() => run('createRuntime', sh('true', change))).toThrow(message);
});
