/** Idle containers on one machine at once: 100 in the full run, a few otherwise. Tells what they take of its memory. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parentOf, processesOf, survivors } from '../lib/processes.ts';
import { run } from '../lib/sandbox.ts';
import { needed, startDockerd, type Dockerd } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: the test of many containers needs ${lacking.join(', ')}`);

const COUNT = process.env['RUNSC_TS_FULL'] === undefined ? 8 : 100;
/** So many `docker run` at a time. */
const AT_ONCE = 10;
const DEADLINE_MS = 3_600_000;

/** Proportional set size of a process in KiB. */
function pss(pid: number): number {
  return Number(/^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))![1]);
}

const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
const mibEach = (kib: number): string => `${(kib / COUNT / 1024).toFixed(1)} MiB`;

describe.skipIf(lacking.length > 0)(`${COUNT} idle containers at once`, () => {
  let daemon: Dockerd;
  beforeAll(async () => {
    daemon = await startDockerd({ defaultRuntime: 'runsc-ts' });
  }, 300_000);
  afterAll(async () => {
    await daemon?.stop();
  }, DEADLINE_MS);

  test(
    'all run and answer; none leaves anything',
    async () => {
      const names = Array.from({ length: COUNT }, (_, i) => `idle${i}`);
      for (let i = 0; i < COUNT; i += AT_ONCE) {
        const start = (name: string): string =>
          `docker --host ${daemon.host} run --detach --network none --name ${name} busybox sleep 100000`;
        const script = [...names.slice(i, i + AT_ONCE).map(start), 'wait'].join(' & ');
        run('sh', ['-c', script], { timeoutMs: DEADLINE_MS });
      }
      const running = daemon.docker(['ps', '--format', '{{.Names}}']).stdout.trim().split('\n').sort();
      expect(running).toEqual([...names].sort());
      for (const name of [names[0]!, names.at(-1)!]) {
        expect(daemon.docker(['exec', name, 'uname', '-r']).stdout).toBe('6.12.0-runsc-ts\n');
      }

      const pids = daemon.docker(['inspect', '--format', '{{.State.Pid}}', ...names]).stdout.trim().split('\n').map(Number); // prettier-ignore
      const sandboxes = pids.flatMap(processesOf);
      const shims = pids.map(parentOf);
      console.log(
        `${COUNT} idle containers, Pss of each: ${mibEach(sum(sandboxes.map((p) => pss(p.pid))))}, ` +
          `its shim ${mibEach(sum(shims.map(pss)))}`,
      );
      expect(new Set(shims).size).toBe(COUNT);

      expect(daemon.docker(['rm', '--force', ...names], { timeout: DEADLINE_MS }).status).toBe(0);
      expect(await survivors(sandboxes, 240_000)).toEqual([]);
      expect(daemon.docker(['ps', '--all', '--quiet']).stdout).toBe('');
    },
    DEADLINE_MS,
  );
});
