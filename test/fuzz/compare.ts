/** Random sequences of file operations (compare/), natively and in a sandbox: compared line by line, and shrunk where they differ. */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, runscTs } from '../lib/sandbox.ts';

export const kinds = ['tmpfs', 'overlay', 'volume', 'root'] as const;
export type Kind = (typeof kinds)[number];

/** Directories that `root` has: one per sequence. Then the sandbox starts anew. */
const TREES = 200;
/** A sequence that says nothing for as long hangs: it ends itself before (SECONDS in compare.c). */
const SILENCE_MS = 60_000;

export function compileComparer(): string {
  const dir = join(root, 'node_modules/.cache/fuzz');
  mkdirSync(dir, { recursive: true });
  const bin = join(dir, `compare-${process.pid}`);
  execFileSync('cc', ['-O1', '-g', '-w', '-static', '-o', bin, join(root, 'test/fuzz/compare/compare.c')]);
  return bin;
}

/** A comparer that takes orders: natively (`platform` null), or in a sandbox. */
class Runner {
  private child: ChildProcessWithoutNullStreams | null = null;
  private text = '';
  private stderr = '';
  private finish: (end: string) => void = () => undefined;
  private left = 0;
  private dir = '';
  private readonly bin: string;
  private readonly kind: Kind;
  private readonly platform: string | null;

  constructor(bin: string, kind: Kind, platform: string | null) {
    this.bin = bin;
    this.kind = kind;
    this.platform = platform;
  }

  private start(): ChildProcessWithoutNullStreams {
    this.dir = mkdtempSync('/var/tmp/compare-');
    chmodSync(this.dir, 0o755);
    this.left = TREES;
    this.stderr = '';
    if (this.kind === 'root') execFileSync(this.bin, ['populate', this.dir, String(TREES)]);
    const { bin, kind, platform, dir } = this;
    if (platform === null) return spawn(bin, [kind === 'root' ? 'rootmount' : kind, dir]);
    const volume = kind === 'volume' ? ['--volume', `${dir}:/vol`] : [];
    const args = ['--platform', platform, 'do', ...volume, '--cwd', '/', '--', bin, kind];
    return spawn(runscTs, [...args, kind === 'volume' ? '/vol' : dir]);
  }

  private listen(child: ChildProcessWithoutNullStreams): ChildProcessWithoutNullStreams {
    child.stdout.on('data', (data: Buffer) => {
      this.text += data.toString('latin1');
      if (/(?:^|\n)END [0-9a-f]+\n$/.test(this.text.slice(-40))) this.finish('');
    });
    child.stderr.on('data', (data: Buffer) => (this.stderr += data.toString('latin1')));
    child.on('close', (code, signal) => this.finish(`GONE ${code ?? signal} ${this.stderr}`));
    child.stdin.on('error', () => undefined);
    return child;
  }

  async run(order: string): Promise<string[]> {
    if (this.left === 0) await this.end();
    const child = (this.child ??= this.listen(this.start()));
    this.left--;
    this.text = '';
    const outcome = await new Promise<string>((resolve) => {
      const silence = setTimeout(() => child.kill('SIGKILL'), SILENCE_MS);
      this.finish = (end) => {
        clearTimeout(silence);
        resolve(end);
      };
      child.stdin.write(`${order}\n`);
    });
    let { text } = this;
    if (outcome.startsWith('GONE')) {
      this.child = null;
      await this.end();
      text += `\n${outcome}`;
    }
    return text.split('\n').filter((l) => l !== '');
  }

  async end(): Promise<void> {
    const child = this.child;
    this.child = null;
    if (child !== null && child.exitCode === null) {
      const closed = new Promise((resolve) => child.on('close', resolve));
      child.stdin.end();
      await closed;
    }
    this.left = 0;
    if (this.dir !== '') rmSync(this.dir, { recursive: true, force: true });
    this.dir = '';
  }
}

export interface Difference {
  readonly kind: Kind;
  readonly platform: string;
  readonly seed: number;
  /** Indices of the operations that are left. */
  readonly operations: readonly number[];
  /** What makes it the same as another one: the operation or the part of the state, and both sides. */
  readonly signature: string;
  readonly native: string;
  readonly guest: string;
  /** The native lines of the operations, and the state before the difference. */
  readonly transcript: readonly string[];
}

const OPERATION = /^(\d+) p\d u\d (.*)$/;

/** The words of two lines that differ, without numbers. */
function signatureOf(native: string, guest: string): string {
  const plain = (s: string): string[] => s.replace(/\{[0-9a-f]+\}/g, '{}').split(' ');
  const [a, b] = [plain(native), plain(guest)];
  const at = a.findIndex((w, i) => w !== b[i]);
  const operation = OPERATION.exec(native);
  const name =
    operation === null
      ? `state ${a[2]?.[0]}`
      : /\w+\(|\w+$/.exec(operation[2]!.replace(/^(s\d+, )*[sm]\d+ = /, ''))?.[0];
  const tail = (words: string[]): string => words.slice(Math.max(at, 0), Math.max(at, 0) + 2).join(' ');
  return `${name} ${tail(a)} / ${tail(b)}`.replace(/\d+/g, 'N');
}

interface First {
  readonly at: number;
  readonly operation: number;
  readonly signature: string;
  readonly native: string;
  readonly guest: string;
}

function firstDifference(native: readonly string[], guest: readonly string[]): First | null {
  let operation = -1;
  for (let at = 0; at < Math.max(native.length, guest.length); at++) {
    const [a, b] = [native[at] ?? '(nothing)', guest[at] ?? '(nothing)'];
    const m = OPERATION.exec(a);
    if (m !== null) operation = Number(m[1]);
    if (a !== b) return { at, operation, signature: signatureOf(a, b), native: a, guest: b };
  }
  return null;
}

export interface ComparisonRun {
  readonly bin: string;
  readonly kind: Kind;
  readonly platform: string;
  readonly seeds: readonly number[];
  readonly count: number;
  /** Whether to look for the operations that it takes. */
  readonly shrink: (signature: string) => boolean;
  readonly onDifference?: (d: Difference) => void;
}

export interface Comparison {
  readonly operations: number;
  readonly differences: readonly Difference[];
  /** Seeds whose native runs differ: they say nothing. */
  readonly unsteady: readonly number[];
}

export async function compare(run: ComparisonRun): Promise<Comparison> {
  const { bin, kind, platform, count } = run;
  const native = new Runner(bin, kind, null);
  const guest = new Runner(bin, kind, platform);
  const differences: Difference[] = [];
  const unsteady: number[] = [];
  let operations = 0;
  try {
    for (const seed of run.seeds) {
      const both = async (kept: readonly number[] | null): Promise<[string[], string[]]> => {
        const order = `${seed} ${count} ${kept === null ? '-' : kept.join(',')}`;
        return Promise.all([native.run(order), guest.run(order)]);
      };
      let [a, b] = await both(null);
      operations += a.filter((l) => OPERATION.test(l)).length;
      let first = firstDifference(a, b);
      if (first === null) continue;
      const again = await native.run(`${seed} ${count} -`);
      if (firstDifference(a, again) !== null) {
        unsteady.push(seed);
        continue;
      }
      let kept = Array.from({ length: first.operation + 1 }, (_, i) => i);
      const { signature } = first;
      if (run.shrink(signature))
        for (let size = Math.ceil(kept.length / 2), fewer = false; ;) {
          for (let from = 0; from < kept.length;) {
            const rest = kept.filter((_, i) => i < from || i >= from + size);
            const [x, y] = await both(rest);
            const f = firstDifference(x, y);
            if (f?.signature === signature) {
              [kept, a, b, first, fewer] = [rest, x, y, f, true];
            } else from += size;
          }
          if (size === 1 && !fewer) break;
          if (size === 1) fewer = false;
          size = Math.max(1, Math.floor(size / 2));
        }
      const transcript = a.slice(0, first.at).filter((l) => run.shrink(signature) && OPERATION.test(l));
      const d = { ...first, kind, platform, seed, operations: kept, signature, transcript };
      differences.push(d);
      run.onDifference?.(d);
    }
  } finally {
    await Promise.all([native.end(), guest.end()]);
  }
  return { operations, differences, unsteady };
}
