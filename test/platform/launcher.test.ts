import { beforeAll, describe, expect, test } from 'vitest';
import { EXIT_CANNOT_START, EXIT_SANDBOX_GONE } from '../../platform-ptrace/confine/launcher-protocol.ts';
import { bundleFixture, launch } from '../lib/launch.ts';

beforeAll(() => {
  bundleFixture('sentry');
  bundleFixture('gofer');
});

const isRoot = process.getuid?.() === 0;

describe.each([
  { who: 'the caller', ids: undefined },
  ...(isRoot ? [{ who: 'an ordinary user', ids: 1000 }] : []),
])('launcher started by $who', ({ ids }) => {
  const options = ids === undefined ? {} : { ids };

  test('exits with the exit code of the container', async () => {
    expect(await launch({ exit: 3 << 8 }, options).ended).toBe(3);
    expect(await launch({ exit: 0 }, options).ended).toBe(0);
  });

  test('ends by the signal that ended the container', async () => {
    expect(await launch({ exit: 15 }, options).ended).toBe('SIGTERM');
    expect(await launch({ exit: 9 }, options).ended).toBe('SIGKILL');
    expect(await launch({ exit: 11 }, options).ended).toBe('SIGSEGV');
  });

  test('says in one line that the sentry ended by itself', async () => {
    const launched = launch({ crash: 3 }, options);
    expect(await launched.ended).toBe(EXIT_SANDBOX_GONE);
    expect(launched.stderr).toContain(
      'runsc-ts: the sentry ended unexpectedly (exit status 3), the sandbox is gone\n',
    );
  });

  test('forwards signals', async () => {
    const launched = launch({ dieOfSignals: true }, options);
    launched.child.stdout!.on(
      'data',
      () => launched.stdout === 'started\n' && launched.child.kill('SIGTERM'),
    );
    expect(await launched.ended).toBe('SIGTERM');
    expect(launched.stdout).toBe('started\nsignal 15\n');
  });

  test('the gofer sees its exports and its own procfs', async () => {
    const launched = launch({}, options);
    launched.child.stderr!.on('data', () => launched.child.kill('SIGKILL'));
    await launched.ended;
    expect(launched.stderr).toBe('gofer root: 0 proc; 0: true\n');
  });
});

test('an export that does not exist is named', async () => {
  const launched = launch({}, { exports: [{ path: '/does/not/exist', readOnly: true }] });
  expect(await launched.ended).toBe(EXIT_CANNOT_START);
  expect(launched.stderr).toBe('runsc-ts: cannot export /does/not/exist: No such file or directory\n');
});

describe.concurrent('a sentry that does not answer', () => {
  test('is ended', async ({ expect }) => {
    const launched = launch({ crash: 'hang' });
    expect(await launched.ended).toBe(EXIT_SANDBOX_GONE);
    expect(launched.stderr).toContain(
      'runsc-ts: the sentry does not answer any more, the sandbox is ended\n',
    );
  });

  test('is given longer if it only lacks CPU time', async ({ expect }) => {
    const launched = launch({ crash: 'starve' });
    expect(await launched.ended).toBe(0);
    expect(launched.stderr).not.toContain('does not answer');
  });
});

test('what the sentry must not do kills it', async () => {
  const launched = launch({ platform: 'systrap', crash: 'forbidden' });
  expect(await launched.ended).toBe(EXIT_SANDBOX_GONE);
  expect(launched.stderr).toContain(
    'runsc-ts: the sentry ended unexpectedly (killed by signal 31), the sandbox is gone\n',
  );
  expect(launched.stderr).not.toContain('allow-list');
});

test('what the sentry must not do is named if wanted', async () => {
  const launched = launch({ platform: 'systrap', report: true, crash: 'forbidden' });
  expect(await launched.ended).toBe(EXIT_SANDBOX_GONE);
  expect(launched.stderr).toContain("runsc-ts: system call 300 is not in this process's allow-list\n");
});
