/**
 * A real containerd with its own root, state and network namespace, CNI plugins of Debian, and runc and runsc-ts as handlers
 * of CRI. Nothing of the machine's own containerd is touched.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf } from '../../lib/processes.ts';
import { run, runscTs, type Outcome } from '../../lib/sandbox.ts';
import { mountsBelow } from './dockerd.ts';
import { writeImageArchive } from './image.ts';
import { makeNetns, type Netns } from './netns.ts';

export const needed = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  '/usr/lib/cni/bridge': 'containernetworking-plugins',
  ip: 'iproute2',
  nsenter: 'util-linux',
  '/usr/bin/busybox': 'busybox-static',
};

export const IMAGE = 'docker.io/library/busybox:latest';

const CRI_NAMESPACE = 'k8s.io';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** `oom_score_adj`: a test machine may lack the capability to lower it. */
const configuration = (dir: string, handlers: string): string => `
version = 2
root = "${dir}/root"
state = "${dir}/state"
[grpc]
  address = "${dir}/sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${dir}/cni"
${handlers}`;

const HANDLERS = `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc-ts]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc-ts.options]
  BinaryName = "${runscTs}"
`;

/** A bridge in the daemon's network namespace, and addresses behind it. */
const network = (dir: string): object => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'pods0',
      isGateway: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.0.0/16' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: join(dir, 'addresses'),
      },
    },
  ],
});

export class Containerd {
  /** Scratch directory of this daemon. */
  readonly dir: string;
  /** Name of its own among network namespaces and cgroups. */
  readonly name: string;
  private readonly netns: Netns;
  private child: ChildProcess | null = null;

  private constructor(handlers: string) {
    // Socket paths below it have to stay shorter than 108 bytes.
    this.dir = mkdtempSync('/tmp/rts-ctd-');
    this.name = this.dir.slice('/tmp/'.length);
    this.netns = makeNetns(this.name);
    mkdirSync(join(this.dir, 'cni'));
    mkdirSync(join(this.dir, 'logs'));
    writeFileSync(join(this.dir, 'config.toml'), configuration(this.dir, handlers));
    writeFileSync(join(this.dir, 'cni/pods.conflist'), JSON.stringify(network(this.dir)));
  }

  /** `handlers`: runtimes of the CRI plugin, as in its config.toml. */
  static async start(handlers = HANDLERS): Promise<Containerd> {
    const daemon = new Containerd(handlers);
    try {
      await daemon.up();
      const archive = join(daemon.dir, 'image.tar');
      writeImageArchive(archive, IMAGE);
      for (const namespace of [daemon.name, CRI_NAMESPACE]) {
        const r = daemon.ctr(['images', 'import', '--snapshotter', 'overlayfs', archive], { namespace });
        if (r.status !== 0) throw new Error(`ctr images import: ${r.stderr}`);
      }
    } catch (e) {
      await daemon.stop();
      throw e;
    }
    return daemon;
  }

  get socket(): string {
    return join(this.dir, 'sock');
  }

  /** Starts the daemon, maybe again: shims and containers live on without it. */
  async up(): Promise<void> {
    const logFile = join(this.dir, 'log');
    const log = openSync(logFile, 'a');
    const command = this.netns.enter(['containerd', '--config', join(this.dir, 'config.toml')]);
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.child = child;
    for (let tries = 0; this.ctr(['version']).status !== 0; tries++) {
      if (tries > 100 || child.exitCode !== null) {
        throw new Error(`containerd does not start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
      }
      await pause(100);
    }
  }

  /** Ends the daemon alone. */
  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { child } = this;
    if (child === null) return;
    this.child = null;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await Promise.race([ended, pause(20_000)]);
    child.kill('SIGKILL');
  }

  /**
   * The daemon's namespace for this is as good as its own: runc and runsc-ts have their state in a directory of that name,
   * which is the machine's.
   */
  ctr(
    args: readonly string[],
    options: { input?: string; timeoutMs?: number; namespace?: string } = {},
  ): Outcome {
    const { namespace = this.name, ...rest } = options;
    const own = ['--address', this.socket, '--namespace', namespace];
    return run('ctr', [...own, ...args], { timeoutMs: 60_000, ...rest });
  }

  /** Command line that runs a command where the daemon's network is. */
  enter(command: readonly string[]): string[] {
    return this.netns.enter(command);
  }

  log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8');
  }

  /** Host pids of shims of this daemon: each has the containers of a pod below it. */
  shims(): number[] {
    const text = run('ps', ['-ww', '-eo', 'pid,args']).stdout;
    const lines = text.split('\n').filter((l) => l.includes('containerd-shim') && l.includes(this.socket));
    return lines.map((line) => Number.parseInt(line, 10));
  }

  async stop(): Promise<void> {
    await this.down();
    for (const shim of this.shims()) {
      for (const pid of [...descendantsOf(shim), shim]) spawnSync('kill', ['-KILL', String(pid)]);
    }
    for (const mount of mountsBelow(this.dir)) spawnSync('umount', ['--lazy', mount]);
    this.netns.remove();
    spawnSync('find', ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*/${this.name}*`, '-delete']);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const descendantsOf = (pid: number): number[] => childrenOf(pid).flatMap((c) => [...descendantsOf(c), c]);
