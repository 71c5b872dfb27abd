/** Bundles, and runsc-ts driven as an engine drives it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxRoot, coreMounts, usualNamespaces } from './bundle-parts.ts';
import { run, runscTs, type Outcome } from './sandbox.ts';

const APPLETS = [
  'sh', 'cat', 'echo', 'sleep', 'true', 'tty', 'stty', 'id', 'ps', 'kill', 'hostname', 'touch', 'ls', 'env', 'pwd', 'mkdir',
  'nc', 'ip', 'head', 'ping', 'nproc',
]; // prettier-ignore

export interface Spec {
  [field: string]: unknown;
  process: Record<string, unknown>;
}

/** config.json as `runc spec` writes it in the main, with an own network. */
export function spec(args: readonly string[]): Spec {
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args,
      env: ['PATH=/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: Object.fromEntries(
        ['bounding', 'effective', 'permitted'].map((s) => [s, ['CAP_KILL', 'CAP_NET_BIND_SERVICE']]),
      ),
    },
    root: { path: 'rootfs' },
    hostname: 'box',
    mounts: [...coreMounts],
    linux: { namespaces: [...usualNamespaces] },
  };
}

/** A state directory, bundles, and the commands of an engine on them. */
export class Engine {
  readonly dir = mkdtempSync(join(tmpdir(), 'oci-test-'));
  private readonly platform: string;

  constructor(platform: string) {
    this.platform = platform;
  }

  /** Directory of a new bundle with busybox as its root. */
  bundle(name: string, config: Spec): string {
    const dir = join(this.dir, name);
    busyboxRoot(join(dir, 'rootfs'), APPLETS);
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
    return dir;
  }

  private args(args: readonly string[], log = this.logFile): string[] {
    return ['--platform', this.platform, '--root', join(this.dir, 'state'), '--log', log].concat(
      '--log-format=json',
      args,
    );
  }

  private get logFile(): string {
    return join(this.dir, 'log.json');
  }

  call(...args: string[]): Outcome {
    return run(runscTs, this.args(args));
  }

  /** As `call`, which has to succeed: what it printed. */
  ok(...args: string[]): string {
    const r = this.call(...args);
    if (r.status !== 0) throw new Error(`${args.join(' ')}: ${r.status}: ${r.stderr}`);
    return r.stdout;
  }

  /** A command after which processes live on, with /dev/null as their streams. */
  detached(...args: string[]): void {
    const r = spawnSync(runscTs, this.args(args), { stdio: 'ignore', timeout: 180_000 });
    if (r.status !== 0) throw new Error(`${args.join(' ')}: ${r.status}: ${this.lastError()}`);
  }

  /** In the background, with pipes. `stdin`: a descriptor instead of a pipe that closes when the command has ended. */
  spawn(args: readonly string[], stdin: number | 'pipe' = 'pipe'): ChildProcess {
    return spawn(runscTs, this.args(args), { stdio: [stdin, 'pipe', 'pipe'] });
  }

  /** Exit status of a command that runs beside others, with /dev/null as its streams. */
  status(...args: string[]): Promise<number | null> {
    const child = spawn(runscTs, this.args(args), { stdio: 'ignore' });
    return new Promise((resolve) => child.on('exit', (code) => resolve(code)));
  }

  private beside = 0;

  /** As `status`, with the command's own log behind a status that is not 0. */
  outcome(...args: string[]): Promise<string> {
    const log = join(this.dir, `log-${this.beside++}.json`);
    const child = spawn(runscTs, this.args(args, log), { stdio: 'ignore' });
    return new Promise((resolve) =>
      child.on('exit', (code, signal) => {
        const why = existsSync(log) ? readFileSync(log, 'utf8').trim() : '';
        resolve(code === 0 || why === '' ? `${code ?? signal}` : `${code ?? signal}: ${why}`);
      }),
    );
  }

  state(id: string): { status: string; pid: number } {
    return JSON.parse(this.ok('state', id)) as { status: string; pid: number };
  }

  /** Last message of level "error" in the log. */
  lastError(): string {
    return this.lastMessage('error');
  }

  lastWarning(): string {
    return this.lastMessage('warning');
  }

  private lastMessage(level: string): string {
    const lines = readFileSync(this.logFile, 'utf8').trim().split('\n');
    const entries = lines
      .filter(Boolean)
      .map((l) => JSON.parse(l) as { level: string; msg: string; time: string });
    return entries.filter((e) => e.level === level && !Number.isNaN(Date.parse(e.time))).at(-1)?.msg ?? '';
  }

  close(): void {
    for (const id of this.ok('list', '-q').split('\n').filter(Boolean)) this.ok('delete', '--force', id);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Polls until `f` gives something. */
export async function until<T>(f: () => T | null | undefined | false, ms = 20_000): Promise<T> {
  for (let waited = 0; ; waited += 20) {
    const r = f();
    if (r) return r;
    if (waited > ms) throw new Error(`never came true: ${f.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
