/**
 * A real dockerd with its own network namespace, data root and containerd, with runc and runsc-ts as runtimes. Nothing
 * of the machine's own Docker is touched.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../lib/sandbox.ts';
import { writeRootTar } from './image.ts';
import { makeNetns } from './netns.ts';

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

export interface Dockerd {
  /** Scratch directory of this daemon. */
  readonly dir: string;
  docker(args: readonly string[], options?: { input?: string; timeout?: number }): Result;
  /** Host pids of the daemon's network namespace enter it by this. */
  enter(command: readonly string[]): string[];
  log(): string;
  stop(): Promise<void>;
}

const CLIENT = '/usr/bin/docker';
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function startDockerd(runtimeArgs: readonly string[] = []): Promise<Dockerd> {
  // Socket paths below it have to stay shorter than 108 bytes.
  const dir = mkdtempSync('/tmp/rts-docker-');
  const netns = makeNetns(dir.slice('/tmp/'.length));
  const socket = `unix://${dir}/docker.sock`;
  const logFile = join(dir, 'log');
  const log = openSync(logFile, 'a');
  const configFile = join(dir, 'daemon.json');
  const runtime = { path: join(root, 'dist/runsc-ts'), runtimeArgs };
  writeFileSync(configFile, JSON.stringify({ runtimes: { 'runsc-ts': runtime } }));
  const command = netns.enter([
    'dockerd',
    `--data-root=${dir}/data`,
    `--exec-root=${dir}/exec`,
    `--pidfile=${dir}/pid`,
    `--host=${socket}`,
    `--config-file=${configFile}`,
    '--storage-driver=overlay2',
  ]);
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));

  const docker: Dockerd['docker'] = (args, options = {}) => {
    const r = spawnSync(CLIENT, ['--host', socket, ...args], {
      encoding: 'utf8',
      input: options.input ?? '',
      timeout: options.timeout ?? 180_000,
    });
    return { status: r.status, stdout: r.stdout, stderr: r.stderr };
  };
  const daemon: Dockerd = {
    dir,
    docker,
    enter: (c) => netns.enter(c),
    log: () => readFileSync(logFile, 'utf8'),
    async stop() {
      const ids = docker(['ps', '--all', '--quiet']).stdout.split('\n').filter(Boolean);
      if (ids.length > 0) docker(['rm', '--force', ...ids]);
      child.kill('SIGTERM');
      await Promise.race([ended, pause(20_000)]);
      child.kill('SIGKILL');
      for (const mount of mountsBelow(dir)) spawnSync('umount', ['--lazy', mount]);
      netns.remove();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  for (let tries = 0; docker(['version']).status !== 0; tries++) {
    if (tries > 240 || child.exitCode !== null) {
      const text = daemon.log();
      await daemon.stop();
      throw new Error(`dockerd does not start:\n${text.slice(-2000)}`);
    }
    await pause(500);
  }
  writeRootTar(join(dir, 'root.tar'));
  const imported = docker([
    'import',
    '--change',
    'CMD ["/bin/sh"]',
    '--change',
    'ENV PATH=/bin:/sbin',
    join(dir, 'root.tar'),
    'busybox',
  ]);
  if (imported.status !== 0) throw new Error(`docker import: ${imported.stderr}`);
  return daemon;
}

/** Mount points below a directory, innermost first. */
export function mountsBelow(dir: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}
