/**
 * Programs that make random walks: each line of their input is a walk (walks/walk.h), which they write a trace of. They are run natively,
 * in namespaces of their own, or in a sandbox.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root, run, sandbox, type Outcome } from '../lib/sandbox.ts';

export const NATIVE = 'native';
/** Of all walks of one run; a walk that hangs ends by its own alarm. */
const TIMEOUT_MS = 300_000;
const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

/** Compiles a program of this directory. */
export function compile(source: string): string {
  const dir = join(root, 'node_modules/.cache/fuzz');
  mkdirSync(dir, { recursive: true });
  const bin = join(dir, `${basename(source, '.c')}-${process.pid}`);
  const flags = ['-O1', '-g', '-w', '-static', '-pthread'];
  execFileSync('cc', [...flags, '-o', bin, join(import.meta.dirname, source)], { stdio: 'inherit' });
  return bin;
}

/** Runs a compiled program with `orders`, natively or on a platform. */
type Runner = (bin: string, where: string, orders: readonly string[]) => Outcome;

const runWalks: Runner = (bin, where, orders) => {
  const options = { input: orders.join(''), env, timeoutMs: TIMEOUT_MS };
  if (where !== NATIVE) {
    const script = `mkdir -m 777 /dev/shm/walk && cd /dev/shm/walk && exec ${bin}`;
    return sandbox(where, ['/bin/sh', '-c', script], { ...options, cwd: '/' });
  }
  const cwd = mkdtempSync('/dev/shm/walk-');
  chmodSync(cwd, 0o777);
  // Namespaces of its own: nothing of the host is seen or hit.
  const command = ['--pid', '--ipc', '--uts', '--mount', '--fork', '--kill-child', '--mount-proc', bin];
  const outcome = run('unshare', command, { ...options, cwd });
  rmSync(cwd, { recursive: true });
  return outcome;
};

const runFiles =
  (kind: string): Runner =>
  (bin, where, orders) => {
    const dir = mkdtempSync('/var/tmp/compare-');
    chmodSync(dir, 0o755);
    const options = { input: orders.join(''), env, timeoutMs: TIMEOUT_MS };
    try {
      if (kind === 'root') execFileSync(bin, ['populate', dir, String(orders.length)]);
      if (where === NATIVE) return run(bin, [kind === 'root' ? 'plainroot' : kind, dir], options);
      const volume = kind === 'volume' ? ['--volume', `${dir}:/vol`] : [];
      const flags = [...volume, '--cwd', '/'];
      return sandbox(where, [bin, kind, kind === 'volume' ? '/vol' : dir], { ...options, flags });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

/** Where the operations of compare/compare.c are made. */
export const fileKinds: readonly string[] = ['tmpfs', 'overlay', 'volume', 'root'];
export const walkNames: readonly string[] = readdirSync(join(import.meta.dirname, 'walks'))
  .filter((f) => f.endsWith('.c'))
  .map((f) => basename(f, '.c'))
  .sort();

export interface Program {
  readonly name: string;
  readonly bin: string;
  readonly run: Runner;
}

/** One of fileKinds or walkNames, compiled. */
export function program(name: string): Program {
  return fileKinds.includes(name)
    ? { name, bin: compile('compare/compare.c'), run: runFiles(name) }
    : { name, bin: compile(`walks/${name}.c`), run: runWalks };
}
