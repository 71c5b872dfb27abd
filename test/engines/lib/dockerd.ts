/**
 * A real dockerd with its own network namespace, data root and containerd, with runc and runsc-ts as runtimes. Nothing
 * of the machine's own Docker is touched.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { root } from '../../lib/sandbox.ts';
import { writeRootTar } from './image.ts';
import { makeNetns, type Netns } from './netns.ts';
import { until } from './until.ts';

export const needed = {
  dockerd: 'docker.io',
  containerd: 'containerd',
  runc: 'runc',
  iptables: 'iptables',
  ip: 'iproute2',
  nsenter: 'util-linux',
  '/usr/bin/busybox': 'busybox-static',
};

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DockerdOptions {
  /** Arguments of runsc-ts. */
  readonly runtimeArgs?: readonly string[];
  /** Further runtimes by name. */
  readonly runtimes?: Readonly<
    Record<string, { readonly path: string; readonly runtimeArgs?: readonly string[] }>
  >;
  /** The runtime of what names none, builds and services among it: runc unless told otherwise. */
  readonly defaultRuntime?: string;
  /** What the daemon finds under these names before all else: names of programs and their paths. BuildKit takes `runc`. */
  readonly programs?: Readonly<Record<string, string>>;
  /** A network namespace that outlives the daemon, instead of one of its own. */
  readonly netns?: Netns;
  /** Further settings of daemon.json. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface DockerOptions {
  readonly input?: string;
  readonly timeout?: number;
  /** Further environment of the client. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Dockerd {
  /** Scratch directory of this daemon. */
  readonly dir: string;
  /** Its DOCKER_HOST. */
  readonly host: string;
  docker(args: readonly string[], options?: DockerOptions): Result;
  /** Host pids of the daemon's network namespace enter it by this. */
  enter(command: readonly string[]): string[];
  log(): string;
  /** Makes a runtime the default one, without a restart. */
  useRuntime(name: string): void;
  /** SIGKILL to dockerd and its containerd alone: shims and containers stay. */
  kill(): Promise<void>;
  /** Starts it again over the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const CLIENT = '/usr/bin/docker';
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts a daemon and gives it the image `busybox`. */
export async function startDockerd(options: DockerdOptions = {}): Promise<Dockerd> {
  // Socket paths below it have to stay shorter than 108 bytes.
  const dir = mkdtempSync('/tmp/rts-docker-');
  const netns = options.netns ?? makeNetns(dir.slice('/tmp/'.length));
  const host = `unix://${dir}/docker.sock`;
  const logFile = join(dir, 'log');
  const configFile = join(dir, 'daemon.json');
  const own = { path: join(root, 'dist/runsc-ts'), runtimeArgs: options.runtimeArgs ?? [] };
  const config = {
    runtimes: { 'runsc-ts': own, ...options.runtimes },
    ...options.config,
  };
  const configure = (runtime = options.defaultRuntime ?? 'runc'): void =>
    writeFileSync(configFile, JSON.stringify({ ...config, 'default-runtime': runtime }));
  configure();
  const command = netns.enter([
    'dockerd',
    `--data-root=${dir}/data`,
    `--exec-root=${dir}/exec`,
    `--pidfile=${dir}/pid`,
    `--host=${host}`,
    `--config-file=${configFile}`,
    '--storage-driver=overlay2',
  ]);
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  for (const [name, path] of Object.entries(options.programs ?? {})) symlinkSync(path, join(bin, name));
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
  let child: ChildProcess;
  let ended: Promise<void>;

  const docker: Dockerd['docker'] = (args, { input = '', timeout = 180_000, env: more = {} } = {}) => {
    const settings = { encoding: 'utf8', input, timeout, env: { ...process.env, ...more } } as const;
    const r = spawnSync(CLIENT, ['--host', host, ...args], settings);
    return { status: r.status, stdout: r.stdout, stderr: r.stderr };
  };
  const start = async (): Promise<void> => {
    const log = openSync(logFile, 'a');
    child = spawn(command[0]!, command.slice(1), { env, stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    for (let tries = 0; docker(['version']).status !== 0; tries++) {
      if (tries > 240 || child.exitCode !== null) {
        const text = daemon.log();
        await daemon.stop();
        throw new Error(`dockerd does not start:\n${text.slice(-2000)}`);
      }
      await pause(500);
    }
  };
  const daemon: Dockerd = {
    dir,
    host,
    docker,
    enter: (c) => netns.enter(c),
    log: () => readFileSync(logFile, 'utf8'),
    useRuntime(name) {
      configure(name);
      child.kill('SIGHUP');
      const current = (): string => docker(['info', '--format', '{{.DefaultRuntime}}']).stdout.trim();
      until(`the default runtime is ${name}`, () => current() === name, daemon.log);
    },
    async kill() {
      child.kill('SIGKILL');
      const containerd = join(dir, 'exec/containerd/containerd.pid');
      if (existsSync(containerd)) killIfThere(Number(readFileSync(containerd, 'utf8')));
      await ended;
      // The next dockerd takes a process with an id from these files for alive: a zombie, or the id's next owner.
      for (const file of [join(dir, 'pid'), containerd]) rmSync(file, { force: true });
    },
    restart: start,
    async stop() {
      const ids = docker(['ps', '--all', '--quiet']).stdout.split('\n').filter(Boolean);
      if (ids.length > 0) docker(['rm', '--force', ...ids]);
      child.kill('SIGTERM');
      await Promise.race([ended, pause(20_000)]);
      child.kill('SIGKILL');
      for (const pid of processesOf(dir)) killIfThere(pid);
      for (const mount of mountsBelow(dir)) spawnSync('umount', ['--lazy', mount]);
      if (options.netns === undefined) netns.remove();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await start();
  writeRootTar(join(dir, 'root.tar'));
  const changes = ['--change', 'CMD ["/bin/sh"]', '--change', 'ENV PATH=/bin:/sbin'];
  const imported = docker(['import', ...changes, join(dir, 'root.tar'), 'busybox']);
  if (imported.status !== 0) throw new Error(`docker import: ${imported.stderr}`);
  return daemon;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** Host processes that have a directory in their command lines: of a daemon its containerd, shims and sandboxes. */
export function processesOf(dir: string): number[] {
  const pids: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      if (readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(`${dir}/`)) pids.push(Number(name));
    } catch {
      // It has ended meanwhile.
    }
  }
  return pids;
}

/** Mount points below a directory, innermost first. */
export function mountsBelow(dir: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}
