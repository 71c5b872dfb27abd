// Many commands at once, and any process of theirs killed at any moment: nothing hangs, nothing is left, no status is wrong.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine, spec } from '../lib/oci.ts';
import { childrenOf, processesOf, survivors, type HostProcess } from '../lib/processes.ts';
import { platforms } from '../lib/sandbox.ts';

const FULL = process.env['RUNSC_TS_FULL'] !== undefined;
const AT_ONCE = FULL ? 50 : 10;
const ROUNDS = FULL ? 20 : 1;
const KILLS = FULL ? 120 : 14;
/** The end of a process, and of a test, on a machine that has other things to do. */
const END_MS = 60_000;
const timeout = FULL ? 3_600_000 : 300_000;
const CGROUPS = '/sys/fs/cgroup';
/** In the names of groups, of which the machine has those of others. */
const TAG = `storm${process.pid}`;

describe.each(platforms)('on %s', (platform) => {
  let engine: Engine;
  beforeEach(() => {
    engine = new Engine(platform);
  });
  afterEach(() => engine.close());

  /** States, groups and mounts that are still there. */
  function leftovers(): string[] {
    const groups = existsSync(CGROUPS) ? readdirSync(CGROUPS, { withFileTypes: true }) : [];
    const own = groups
      .filter((d) => d.isDirectory())
      .flatMap((d) => [d.name, ...readdirSync(join(CGROUPS, d.name))])
      .filter((name) => name.includes(TAG));
    const mounts = readFileSync('/proc/self/mountinfo', 'latin1')
      .split('\n')
      .filter((l) => l.includes(engine.dir));
    return [...readdirSync(join(engine.dir, 'state')), ...own, ...mounts];
  }

  test(`${AT_ONCE} containers at once: create, start, exec, kill, delete`, { timeout }, async () => {
    const bundle = engine.bundle('b', spec(['sh', '-c', 'trap "exit 9" TERM; while :; do sleep 0.1; done']));
    const life = async (i: number): Promise<void> => {
      const id = `${TAG}c${i}`;
      const pidFile = join(engine.dir, id);
      expect(await engine.outcome('create', '--bundle', bundle, '--pid-file', pidFile, id)).toBe('0');
      expect(await engine.outcome('start', id)).toBe('0');
      expect(await engine.outcome('exec', id, 'sh', '-c', `exit ${20 + i}`)).toBe(`${20 + i}`);
      const stub = processesOf(Number(readFileSync(pidFile, 'utf8')));
      expect(await engine.outcome('kill', id, 'TERM')).toBe('0');
      expect(await survivors(stub, END_MS)).toEqual([]);
      expect(await engine.outcome('delete', id)).toBe('0');
    };
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => life(i)));
      expect(leftovers()).toEqual([]);
    }
  });

  test(
    `${KILLS} kills of a process of the sandbox or of the command, at random moments`,
    { timeout },
    async () => {
      const bundle = engine.bundle('b', spec(['sleep', '1000']));
      for (let i = 0; i < KILLS; i++) {
        const id = `${TAG}k${i}`;
        const role = (['cli', 'launcher', 'sentry', 'gofer', 'init', 'exec'] as const)[i % 6]!;
        const seen = new Map<number, HostProcess>();
        const note = (pid: number) => {
          for (const p of processesOf(pid)) seen.set(p.pid, p);
        };
        if (role === 'cli') {
          const cli = engine.spawn(['run', '--detach', '--bundle', bundle, id]);
          const ended = new Promise((resolve) => cli.on('exit', resolve));
          const deadline = Date.now() + Math.random() * 1500;
          while (Date.now() < deadline) {
            for (const child of childrenOf(cli.pid!)) note(child);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          cli.kill('SIGKILL');
          await ended;
        } else {
          engine.detached('run', '--detach', '--bundle', bundle, id);
          const { pid } = engine.state(id);
          note(pid);
          if (role === 'exec') {
            const exec = engine.spawn(['exec', id, 'sleep', '1000']);
            const ended = new Promise((resolve) =>
              exec.on('exit', (code, signal) => resolve(code ?? signal)),
            );
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000));
            process.kill(pid, 'SIGKILL');
            // 255: it had not been started yet.
            expect([137, 255]).toContain(await ended);
          } else process.kill([...seen.values()].find((p) => p.role === role)!.pid, 'SIGKILL');
        }
        engine.ok('delete', '--force', id);
        expect(await survivors([...seen.values()], END_MS), `${role} was killed`).toEqual([]);
      }
      expect(leftovers()).toEqual([]);
    },
  );
});
