/**
 * Random walks (walks/*.c) natively and in the sandbox, compared line by line. A difference is shrunk to the steps that it takes:
 * what a step does depends on the seed and its index only, so steps can be left out.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, sandbox, type Outcome } from '../lib/sandbox.ts';

const walksDir = join(import.meta.dirname, 'walks');
/** In a sandbox, several hundred walks; a walk that hangs ends by its own alarm after 20 s. */
const TIMEOUT_MS = 300_000;

export const walkPrograms = (): string[] =>
  readdirSync(walksDir)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .sort();

export function compileWalk(name: string): string {
  const dir = join(root, 'node_modules/.cache/walks');
  mkdirSync(dir, { recursive: true });
  const bin = join(dir, `${name}-${process.pid}`);
  const source = join(walksDir, `${name}.c`);
  execFileSync('cc', ['-O1', '-g', '-w', '-static', '-pthread', '-o', bin, source], { stdio: 'inherit' });
  return bin;
}

export interface Walk {
  readonly seed: number;
  readonly steps: number;
  /** The steps to make, all without. */
  readonly only?: readonly number[];
}

export interface Difference {
  readonly walk: Walk;
  /** All lines up to the first that is not the same, of both. */
  readonly native: readonly string[];
  readonly guest: readonly string[];
  readonly line: number;
}

const NATIVE = 'native';

/** Output of each walk. What has not been reached is empty. */
function outputs(bin: string, where: string, walks: readonly Walk[]): string[][] {
  const input = walks
    .map((w) => `${w.seed} ${w.steps}${w.only === undefined ? '' : ` ${w.only.join()}`}\n`)
    .join('');
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
  let outcome: Outcome;
  if (where === NATIVE) {
    const cwd = mkdtempSync('/dev/shm/walk-');
    chmodSync(cwd, 0o777);
    // Namespaces of its own: nothing of the host is seen or hit.
    const command = ['--pid', '--ipc', '--uts', '--mount', '--fork', '--kill-child', '--mount-proc', bin];
    outcome = run('unshare', command, { input, cwd, env, timeoutMs: TIMEOUT_MS });
    rmSync(cwd, { recursive: true });
  } else {
    const script = `mkdir -m 777 /dev/shm/walk && cd /dev/shm/walk && exec ${bin}`;
    outcome = sandbox(where, ['/bin/sh', '-c', script], { input, env, cwd: '/', timeoutMs: TIMEOUT_MS });
  }
  const result: string[][] = [];
  for (const line of outcome.stdout.split('\n')) {
    if (line.startsWith('walk ')) result.push([]);
    else if (line !== '') result.at(-1)?.push(line);
  }
  while (result.length < walks.length) result.push([]);
  if (outcome.stderr !== '' || outcome.timedOut)
    result.at(-1)!.push(`runner: ${outcome.timedOut ? 'timed out ' : ''}${outcome.stderr.slice(0, 2000)}`);
  return result;
}

function differences(
  walks: readonly Walk[],
  natively: string[][],
  inside: string[][],
): (Difference | null)[] {
  return walks.map((walk, i) => {
    const native = natively[i]!;
    const guest = inside[i]!;
    for (let line = 0; line < Math.max(native.length, guest.length); line++)
      if (native[line] !== guest[line]) return { walk, native, guest, line };
    return null;
  });
}

export function compareWalks(bin: string, platform: string, walks: readonly Walk[]): Difference[] {
  const native = outputs(bin, NATIVE, walks);
  const found = differences(walks, native, outputs(bin, platform, walks)).filter((d) => d !== null);
  if (found.length === 0) return found;
  // What varies natively says nothing; what happens once only is told as such.
  const again = found.map((d) => d.walk);
  const native2 = outputs(bin, NATIVE, again);
  const second = differences(again, native2, outputs(bin, platform, again));
  const stable = new Set(
    differences(
      again,
      found.map((d) => [...d.native]),
      native2,
    ).flatMap((d, i) => (d === null ? [i] : [])),
  );
  return second.flatMap((d, i) => {
    if (!stable.has(i)) console.log(`VARIES natively: seed ${again[i]!.seed}`);
    else if (d === null) console.log(`ONCE: seed ${again[i]!.seed}: ${told(found[i]!)}`);
    return d !== null && stable.has(i) ? [d] : [];
  });
}

const stepOf = (d: Difference): number => {
  const lines = d.native.length > d.line ? d.native : d.guest;
  for (let i = Math.min(d.line, lines.length - 1); i >= 0; i--) {
    const m = /^(\d+): /.exec(lines[i]!);
    if (m !== null) return Number(m[1]);
  }
  return -1;
};

/** Both lines. */
export const told = (d: Difference): string =>
  `\n    native: ${d.native[d.line] ?? 'nothing'}\n    here:   ${d.guest[d.line] ?? 'nothing'}`;

/** What differences of one cause have in common, roughly. */
export function kindOf(d: Difference): string {
  const step = stepOf(d);
  const op = d.native.find((l) => l.startsWith(`${step}: `)) ?? '';
  const bare = (s: string | undefined): string =>
    (s ?? 'nothing')
      .replace(/^\d+: /, '')
      .replace(/\d+/g, 'N')
      .slice(0, 160);
  return `${/^\d+: ([a-z_0-9 ]*)/.exec(op)?.[1] ?? ''}|${bare(d.native[d.line])}|${bare(d.guest[d.line])}`;
}

/** The same difference with as few steps as leave it. */
export function shrink(bin: string, platform: string, difference: Difference): Difference {
  let best = difference;
  const last = stepOf(best);
  let steps = best.walk.only ?? Array.from({ length: last < 0 ? best.walk.steps : last + 1 }, (_, i) => i);
  for (let chunk = Math.ceil(steps.length / 2); ; chunk = Math.ceil(chunk / 2)) {
    for (let shrunk = true; shrunk && steps.length > 1;) {
      shrunk = false;
      const walks: Walk[] = [];
      for (let at = 0; at < steps.length; at += chunk) {
        const only = [...steps.slice(0, at), ...steps.slice(at + chunk)];
        if (only.length > 0 && (last < 0 || only.includes(last))) walks.push({ ...best.walk, only });
      }
      const found = differences(walks, outputs(bin, NATIVE, walks), outputs(bin, platform, walks));
      for (const d of found) {
        if (d === null || (last >= 0 && stepOf(d) !== last)) continue;
        best = d;
        steps = d.walk.only!;
        shrunk = true;
        break;
      }
    }
    if (chunk <= 1) return best;
  }
}
