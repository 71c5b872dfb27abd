// Every program of test/guest runs on the host first; each line it prints is a case that the sandbox has to repeat, on
// both platforms. GUEST=name,name restricts the run.
import { mkdtempSync, rmSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileGuests, guestPrograms, isFor, unfitHost } from '../lib/guest-programs.ts';
import { platforms, run, sandbox, type Outcome } from '../lib/sandbox.ts';

const only = process.env['GUEST']?.split(',');
const programs = guestPrograms().filter((p) => only === undefined || only.includes(p));
const env = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C',
};

/** Both runs get an empty working directory on tmpfs, of the same name. */
function inScratch(f: (dir: string) => Outcome): Outcome {
  const dir = mkdtempSync('/dev/shm/guest-');
  try {
    return f(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const linesOf = (text: string): string[] => text.split('\n').filter((l) => l !== '');

/** What a run on the host itself says is wrong. */
function failures(r: Outcome): string[] {
  return r.timedOut ? ['timed out'] : linesOf(r.stdout).filter((l) => l.endsWith(' FAIL'));
}

/** Index of the first line that is not the same, −1 without one. */
function firstDifference(a: string[], b: string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i;
  return -1;
}

const bins = await compileGuests(programs.filter((p) => unfitHost(p) === null));

for (const name of programs) {
  const unfit = unfitHost(name);
  if (unfit !== null) {
    test.skip(`${name}: ${unfit}`);
    continue;
  }
  const bin = bins.get(name)!;
  const natively = (): Outcome => inScratch((cwd) => run(bin, [], { cwd, env }));
  let native = natively();
  if (failures(native).length > 0) {
    console.log(`FLAKY ${name} natively: ${failures(native).join('; ')}`);
    native = natively();
  }
  const lines = linesOf(native.stdout);

  describe(name, () => {
    test('native run is sane', () => {
      expect(failures(native)).toEqual([]);
      expect(lines.length).toBeGreaterThan(0);
    });

    for (const platform of platforms.filter((p) => isFor(name, p))) {
      describe(platform, () => {
        let outcome: Outcome;
        let guest: string[];
        beforeAll(() => {
          const inSandbox = (): void => {
            const script = `mkdir -p /tmp/guest && cd /tmp/guest && exec ${bin}`;
            outcome = sandbox(platform, ['/bin/sh', '-c', script], { env, cwd: '/' });
            guest = linesOf(outcome.stdout);
          };
          inSandbox();
          // Repeated once, as flaky tests are (vitest.config.ts): what a race on a busy machine broke, but not in silence.
          const at = firstDifference(lines, guest);
          if (at < 0 && outcome.status === native.status) return;
          const first = `line ${at + 1}: ${guest[at]} for ${lines[at]}, status ${outcome.status}`;
          inSandbox();
          if (firstDifference(lines, guest) < 0 && outcome.status === native.status)
            console.log(`FLAKY ${name} on ${platform}: ${first}`);
        });
        lines.forEach((line, i) => {
          test(`${i + 1} ${line}`, () => {
            expect(guest[i], outcome.stderr.slice(-2000)).toBe(line);
          });
        });
        test('exit status', () => {
          expect({ status: outcome.status, lines: guest.length }, outcome.stderr.slice(-2000)).toEqual({
            status: native.status,
            lines: lines.length,
          });
        });
      });
    }
  });
}
