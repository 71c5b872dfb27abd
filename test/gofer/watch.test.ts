/** What others do to host files that a guest watches with inotify: a program told what to watch, natively and in sandboxes. */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { platforms, runscTs } from '../lib/sandbox.ts';

let top: string;
let program: string;
let trees = 0;

beforeAll(() => {
  top = fs.mkdtempSync(join(tmpdir(), 'gofer-watch-'));
  program = join(top, 'watch');
  execFileSync('cc', ['-O1', '-w', '-static', '-o', program, join(import.meta.dirname, 'watch.c')]);
});

afterAll(() => {
  execFileSync('rm', ['-rf', top]);
});

/** The program, with the directory `v` of the host as its working directory. */
class Watcher {
  readonly v: string;
  readonly at: (name: string) => string;
  private readonly child;
  private output = '';
  private wanted: (() => void) | null = null;

  constructor(command: (v: string) => string[]) {
    this.v = join(top, `tree-${trees++}`);
    this.at = (name) => join(this.v, name);
    fs.mkdirSync(this.v);
    const [file, ...args] = command(this.v) as [string, ...string[]];
    this.child = spawn(file, args, { cwd: this.v, stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout.on('data', (data: Buffer) => {
      this.output += data.toString('latin1');
      if (this.output.endsWith('.\n')) this.wanted?.();
    });
  }

  /** Has the program do `command`; what it prints. */
  async tell(command: string): Promise<string[]> {
    this.output = '';
    const done = new Promise<void>((resolve) => (this.wanted = resolve));
    this.child.stdin.write(`${command}\n`);
    await done;
    return this.output.split('\n').slice(0, -2);
  }

  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.child.on('close', resolve));
    this.child.stdin.end();
    await closed;
  }
}

/** A step: a change that the host makes, or a command for the program. */
type Step = string | ((at: (name: string) => string) => void);

const native = (): string[] => [program];
const sandboxed =
  (platform: string) =>
  (v: string): string[] => [
    runscTs,
    '--platform',
    platform,
    'do',
    '--volume',
    `${v}:/v`,
    '--volume',
    `${program}:/watch`,
    '--cwd',
    '/v',
    '--',
    '/watch',
  ];

/** What the program prints at each step; after a change of the host it says what has come. */
async function story(
  command: (v: string) => string[],
  prepare: Exclude<Step, string>,
  steps: readonly Step[],
): Promise<string[]> {
  const w = new Watcher(command);
  prepare(w.at);
  const out: string[] = [];
  for (const [i, step] of steps.entries()) {
    if (typeof step !== 'string') step(w.at);
    const lines = await w.tell(typeof step === 'string' ? step : 'now');
    out.push(...lines.map((line) => `${i}: ${line}`));
  }
  await w.end();
  return out;
}

const {
  writeFileSync,
  appendFileSync,
  renameSync,
  mkdirSync,
  unlinkSync,
  rmdirSync,
  chmodSync,
  symlinkSync,
  linkSync,
} = fs;

const stories: Record<string, { prepare: Exclude<Step, string>; steps: Step[] }> = {
  'names in a directory': {
    prepare: (at) => mkdirSync(at('d')),
    steps: [
      'add d',
      (at) => writeFileSync(at('d/f'), 'text'),
      (at) => writeFileSync(at('d/empty'), ''),
      (at) => appendFileSync(at('d/f'), 'more'),
      (at) => fs.truncateSync(at('d/f'), 2),
      (at) => chmodSync(at('d/f'), 0o600),
      (at) => fs.utimesSync(at('d/f'), 1, 2),
      (at) => renameSync(at('d/f'), at('d/g')),
      (at) => renameSync(at('d/g'), at('outside')),
      (at) => renameSync(at('outside'), at('d/g')),
      (at) => renameSync(at('d/g'), at('d/empty')),
      (at) => linkSync(at('d/empty'), at('d/link')),
      (at) => symlinkSync('empty', at('d/symlink')),
      (at) => mkdirSync(at('d/sub')),
      (at) => chmodSync(at('d/sub'), 0o700),
      (at) => writeFileSync(at('d/sub/below'), ''),
      (at) => unlinkSync(at('d/sub/below')),
      (at) => renameSync(at('d/sub'), at('d/sub2')),
      (at) => rmdirSync(at('d/sub2')),
      (at) => fs.readdirSync(at('d')),
      (at) => fs.readFileSync(at('d/empty')),
      (at) => unlinkSync(at('d/symlink')),
      (at) => unlinkSync(at('d/link')),
      (at) => unlinkSync(at('d/empty')),
      (at) => chmodSync(at('d'), 0o700),
      'rm 1',
      'now',
      (at) => writeFileSync(at('d/unseen'), ''),
      'add d',
      (at) => unlinkSync(at('d/unseen')),
      (at) => renameSync(at('d'), at('e')),
      (at) => writeFileSync(at('e/still'), ''),
    ],
  },
  'directories that go': {
    prepare: (at) => ['a', 'a/b', 'c', 'd', 'e', 'f'].forEach((d) => mkdirSync(at(d))),
    steps: [
      ...['a', 'a/b', 'c', 'd', 'e', 'f', '.'].map((d) => `add ${d}`),
      'sh ls -R >/dev/null; stat a/b c d >/dev/null',
      (at) => writeFileSync(at('c/x'), ''),
      'sh cat c/x',
      (at) => execFileSync('rm', ['-r', at('c')]),
      (at) => rmdirSync(at('a/b')),
      (at) => rmdirSync(at('a')),
      (at) => renameSync(at('d'), at('e')),
      'sh mv f g',
      'now',
      (at) => rmdirSync(at('g')),
      (at) => mkdirSync(at('c')),
      'add c',
      (at) => rmdirSync(at('c')),
    ],
  },
  'single files': {
    prepare: (at) => {
      for (const f of ['a', 'b', 'c', 'd']) writeFileSync(at(f), 'text');
      symlinkSync('b', at('link'));
    },
    steps: [
      'add a',
      'add link',
      'add c',
      'add d',
      (at) => appendFileSync(at('a'), 'more'),
      (at) => chmodSync(at('b'), 0o600),
      (at) => linkSync(at('a'), at('a2')),
      (at) => appendFileSync(at('a2'), 'through the other link'),
      (at) => unlinkSync(at('a2')),
      (at) => renameSync(at('a'), at('moved')),
      (at) => appendFileSync(at('moved'), 'x'),
      (at) => unlinkSync(at('moved')),
      (at) => renameSync(at('c'), at('b')),
      'open d',
      (at) => unlinkSync(at('d')),
      'close',
      'now',
    ],
  },
  'a config map': {
    prepare: (at) => {
      mkdirSync(at('..1'));
      writeFileSync(at('..1/key'), 'one');
      symlinkSync('..1', at('..data'));
      symlinkSync('..data/key', at('key'));
    },
    steps: [
      'add .',
      'add key',
      'add ..data',
      'sh cat key; echo',
      (at) => {
        mkdirSync(at('..2'));
        writeFileSync(at('..2/key'), 'two');
        symlinkSync('..2', at('..data_tmp'));
        renameSync(at('..data_tmp'), at('..data'));
        execFileSync('rm', ['-r', at('..1')]);
      },
      'sh cat key; echo',
      'add key',
      (at) => appendFileSync(at('..2/key'), '+'),
    ],
  },
  'changes of the sandbox are told once, in their place': {
    prepare: (at) => mkdirSync(at('d')),
    steps: [
      'add d',
      'sh echo text >d/f; echo more >>d/f; chmod 600 d/f; chown 1:1 d/f; touch d/f; mv d/f d/g; ln d/g d/h; rm d/h',
      'now',
      'sh mkdir d/s; ln -s x d/l; mkfifo d/p; mv d/s outside; mv outside d/t; rmdir d/t; rm d/l d/p; truncate -s 1 d/g',
      'now',
      'add d/g',
      'sh echo x >>d/g; chmod 700 d/g; cp d/g d/k; cat d/k >d/g; mv d/k d/g; : >d/z; dd if=d/g of=d/z 2>/dev/null',
      'now',
      (at) => writeFileSync(at('d/theirs'), 'x'),
      'sh rm d/theirs; : >d/ours',
      'now',
      (at) => unlinkSync(at('d/ours')),
      'sh : >d/ours; rm d/ours; cp -p d/g d/copy; rm -r d/copy',
      (at) => writeFileSync(at('d/ours'), 'x'),
    ],
  },
  'more than can be kept': {
    prepare: (at) => mkdirSync(at('d')),
    steps: [
      'add d',
      (at) => {
        // fs.inotify.max_queued_events is 16384 by default.
        for (let i = 0; i < 6000; i++) {
          writeFileSync(at('d/n'), '');
          unlinkSync(at('d/n'));
        }
      },
    ],
  },
};

describe.each(platforms)('%s', (platform) => {
  test.each(Object.keys(stories))('as natively: %s', async (name) => {
    const { prepare, steps } = stories[name]!;
    const expected = await story(native, prepare, steps);
    expect(await story(sandboxed(platform), prepare, steps)).toEqual(expected);
  });

  test('who waits is woken', async () => {
    const w = new Watcher(sandboxed(platform));
    expect(await w.tell('add .')).toEqual(['add .: watched']);
    for (let i = 0; i < 20; i++) {
      const woken = w.tell(`until n${i}`);
      mkdirSync(w.at(`n${i}`));
      expect(await woken).toEqual([`1 create isdir n${i}`]);
    }
    await w.end();
  });
});
