/**
 * Random walks natively and in the sandbox, compared line by line. A difference is shrunk to the steps that it takes: what a step does
 * depends on the seed and its index only, so steps can be left out.
 */
import { NATIVE, type Program } from './programs.ts';

export interface Walk {
  readonly seed: number;
  readonly steps: number;
  /** The steps to make, all without. */
  readonly only?: readonly number[];
}

export interface Difference {
  readonly walk: Walk;
  /** All lines of both. */
  readonly native: readonly string[];
  readonly guest: readonly string[];
  /** The first that is not the same. */
  readonly line: number;
}

/** Output of each walk. What has not been reached is empty. */
function outputs(program: Program, where: string, walks: readonly Walk[]): string[][] {
  const orders = walks.map((w) => `${w.seed} ${w.steps}${w.only === undefined ? '' : ` ${w.only.join()}`}\n`);
  const outcome = program.run(program.bin, where, orders);
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
  natively: readonly (readonly string[])[],
  inside: readonly (readonly string[])[],
): (Difference | null)[] {
  return walks.map((walk, i) => {
    const native = natively[i]!;
    const guest = inside[i]!;
    for (let line = 0; line < Math.max(native.length, guest.length, 1); line++)
      if (native[line] === undefined || native[line] !== guest[line]) return { walk, native, guest, line };
    return null;
  });
}

function compareOnce(program: Program, platform: string, walks: readonly Walk[]): (Difference | null)[] {
  return differences(walks, outputs(program, NATIVE, walks), outputs(program, platform, walks));
}

export function compareWalks(program: Program, platform: string, walks: readonly Walk[]): Difference[] {
  const found = compareOnce(program, platform, walks).filter((d) => d !== null);
  if (found.length === 0) return found;
  // What varies natively says nothing; what happens once only is told as such.
  const again = found.map((d) => d.walk);
  const native = outputs(program, NATIVE, again);
  const varies = differences(
    again,
    found.map((d) => d.native),
    native,
  );
  return differences(again, native, outputs(program, platform, again)).filter((d, i) => {
    const { seed } = again[i]!;
    if (varies[i] !== null) console.log(`VARIES natively: seed ${seed}: ${told(varies[i]!)}`);
    else if (d === null) console.log(`ONCE: seed ${seed}: ${told(found[i]!)}`);
    return d !== null && varies[i] === null;
  }) as Difference[];
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

/** What differences of one cause have in common, roughly: the operation, and the first words that are not the same. */
export function kindOf(d: Difference): string {
  const op = d.native.slice(0, d.line + 1).findLast((l) => l.startsWith(`${stepOf(d)}: `)) ?? '';
  const name = /\w+\(|^\d+: (?:p\d u\d )?[\w ]*/.exec(op.replace(/(s\d+, )*[sm]\d+ = /, ''))?.[0] ?? '';
  const words = (line: string | undefined): string[] => (line ?? 'nothing').replace(/^\d+: /, '').split(' ');
  const [native, guest] = [words(d.native[d.line]), words(d.guest[d.line])];
  const at = Math.max(
    native.findIndex((w, i) => w !== guest[i]),
    0,
  );
  const tail = (list: string[]): string => list.slice(at, at + 3).join(' ');
  return `${name} ${tail(native)} / ${tail(guest)}`.replace(/\{[0-9a-f]+\}|\d+/g, 'N');
}

/** The same difference with as few steps as leave it. */
export function shrink(program: Program, platform: string, difference: Difference): Difference {
  let best = difference;
  const kind = kindOf(best);
  const last = stepOf(best);
  let steps = best.walk.only ?? Array.from({ length: last < 0 ? best.walk.steps : last + 1 }, (_, i) => i);
  for (let chunk = Math.ceil(steps.length / 2); ; chunk = Math.ceil(chunk / 2)) {
    for (let shrunk = true; shrunk && steps.length > 1;) {
      shrunk = false;
      const walks: Walk[] = [];
      for (let at = 0; at < steps.length; at += chunk) {
        const only = [...steps.slice(0, at), ...steps.slice(at + chunk)];
        if (only.length > 0) walks.push({ ...best.walk, only });
      }
      const same = compareOnce(program, platform, walks).find(
        (d) => d !== null && (stepOf(d) === last || kindOf(d) === kind),
      );
      if (same == null) continue;
      best = same;
      steps = same.walk.only!;
      shrunk = true;
    }
    if (chunk <= 1) return best;
  }
}
