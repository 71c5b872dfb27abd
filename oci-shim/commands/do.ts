/** `runsc-ts do`: one command in a sandbox over the host's root, a directory or an image. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { Command } from 'commander';
import { TASKS_MAX_DEFAULT } from '../../sentry/kernel/tasks-max.ts';
import { CAP_LAST_CAP } from '../../sentry/auth/capability.ts';
import { MS_NODEV, MS_NOSUID, MS_RDONLY } from '../../sentry/vfs/mount.ts';
import {
  asksForLimits,
  CPU_PERIOD,
  limitsOf,
  noResources,
  parseSize,
  type Resources,
} from '../cgroup/resources.ts';
import type { OwnGroups } from '../cgroup/sandbox-groups.ts';
import type { GlobalOptions } from '../global-options.ts';
import type { UnpackedImage } from '../image/image.ts';
import { resolveUser } from '../image/user.ts';
import { launch, type Export } from '../launch.ts';
import type { MountConfig, ProcessConfig, SandboxConfig } from '../sandbox-config.ts';
import { ownLimits } from '../spec/own-limits.ts';
import { standardMounts } from '../standard-mounts.ts';
import { warn } from '../lifecycle/log.ts';
import { UserError } from '../user-error.ts';
import { printError } from '../output.ts';

/** docker's least limit. */
const MEMORY_MIN = 6 * 1024 * 1024;

interface DoOptions {
  root?: string;
  image?: string;
  cwd?: string;
  env: string[];
  volume: string[];
  forceOverlay: string;
  memoryOverlay?: boolean;
  network: string;
  memory?: string;
  memorySwap?: string;
  cpus?: string;
  cpusetCpus?: string;
  pidsLimit: string;
  hostname?: string;
}

const collect = (value: string, all: string[]): string[] => [...all, value];

export function doCommand(globals: () => GlobalOptions): Command {
  return new Command('do')
    .description('run one command in a sandbox over the host’s files; writes stay in memory')
    .usage('[options] -- COMMAND [ARG...]')
    .option('--root <dir>', 'use DIR as the root file system (default: the host’s /)')
    .option('--image <file>', 'use an image as the root: a "docker save" or OCI layout archive')
    .option('--cwd <dir>', 'working directory in the sandbox (default: the current one if it exists there)')
    .option('--env <name=value>', 'set an environment variable; repeatable', collect, [])
    .option(
      '--volume <src:dst[:ro]>',
      'make the host’s SRC visible as DST, written through; repeatable',
      collect,
      [],
    )
    .option('--memory-overlay', 'keep writes to the root in memory (the default)')
    .option('--force-overlay <bool>', '"false": write through to the root instead of to memory', 'true')
    .option('--network <mode>', '"none": own loopback only; "host": sockets of the host’s network', 'none')
    .option('--memory <size>', 'most memory of all its processes: 512m, 2g')
    .option('--memory-swap <size>', 'memory and swap together; -1 for no limit on swap')
    .option('--cpus <n>', 'CPU time per time: 0.5, 2')
    .option('--cpuset-cpus <list>', 'CPUs to run on: 0-2,4')
    .option('--pids-limit <n>', 'most processes and threads at a time', String(TASKS_MAX_DEFAULT))
    .option('--hostname <name>', 'host name in the sandbox')
    .argument('[command...]', 'program and its arguments (default with --image: the image’s)')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action((args: string[], options: DoOptions) => runDo(args, options, globals()));
}

const HELP = `
Examples:
  runsc-ts do -- uname -a
  runsc-ts do --volume "$PWD:/src" --cwd /src -- make -j2
  runsc-ts do --memory 512m --cpus 1 --pids-limit 100 -- make test
  runsc-ts --strace=openat,execve do -- ls /

The exit status is the command's; 126 and 127 as in a shell, 125 if the sandbox itself failed.`;

async function runDo(args: string[], options: DoOptions, globals: GlobalOptions): Promise<void> {
  if (options.forceOverlay !== 'true' && options.forceOverlay !== 'false') {
    throw new UserError(`--force-overlay=${options.forceOverlay}: must be "true" or "false"`);
  }
  if (options.network !== 'none' && options.network !== 'host') {
    throw new UserError(`--network ${options.network}: must be "none" or "host"`);
  }
  if (options.memoryOverlay === true && options.forceOverlay === 'false') {
    throw new UserError('--memory-overlay and --force-overlay=false exclude each other');
  }
  const writeThrough = options.forceOverlay === 'false';
  if (options.image !== undefined && options.root !== undefined) {
    throw new UserError('--image and --root exclude each other');
  }
  if (options.image !== undefined && writeThrough) {
    throw new UserError('--image and --force-overlay=false exclude each other: images stay as they are');
  }
  if (args.length === 0 && options.image === undefined) throw new UserError('do: no command given');
  const image = options.image === undefined ? null : await unpack(options.image);
  for (const note of image?.notes ?? []) printError(`runsc-ts: ${note}\n`);
  const roots = image?.layers ?? [rootDir(options)];
  const exports: Export[] = roots.map((path) => ({
    path,
    readOnly: !writeThrough,
    exclusive: !writeThrough,
  }));
  const resources = doResources(options);
  const layers = exports.map((_, i) => i);
  const mounts = [...standardMounts(), ...options.volume.map((v) => volume(v, exports))];
  const config: SandboxConfig = {
    id: `do-${process.pid}`,
    platform: globals.platform,
    patching: globals.systrapPatching,
    hostname: options.hostname ?? 'runsc-ts',
    domainname: '(none)',
    process: image === null ? processConfig(args, options) : imageProcess(args, options, image),
    root: { layers, overlay: writeThrough ? 'none' : 'memory', readOnly: false },
    mounts,
    maskedPaths: [],
    readonlyPaths: [],
    sysctl: {},
    linux: null,
    initUnkillable: false,
    pidsLimit: integerOption('--pids-limit', options.pidsLimit, 1, 32768),
    limits: limitsOf(resources),
    network: options.network,
    managed: false,
    preservedFds: 0,
    strace: globals.strace,
    report: null,
    debugLog: globals.debugLog !== null,
    exclusiveExports: exports.map((e) => e.exclusive),
  };
  launch(config, exports, globals, globals.ignoreCgroups ? null : await groupsOf(config.id, resources));
}

/** The limits that docker users know by these names. */
function doResources(o: DoOptions): Resources {
  const r = noResources();
  if (o.memory !== undefined) r.memory.limit = sizeOption('--memory', o.memory);
  if (o.memorySwap !== undefined) {
    r.memory.swap = o.memorySwap === '-1' ? -1 : sizeOption('--memory-swap', o.memorySwap);
    if (r.memory.limit === undefined) throw new UserError('--memory-swap: needs --memory, too');
    if (r.memory.swap >= 0 && r.memory.swap < r.memory.limit) {
      throw new UserError(`--memory-swap ${o.memorySwap}: must not be below --memory ${o.memory}`);
    }
  }
  if (o.cpus !== undefined) {
    const n = Number(o.cpus);
    if (!/^\d+(\.\d+)?$/.test(o.cpus) || n < 0.01) {
      throw new UserError(`--cpus ${o.cpus}: must be a number of at least 0.01`);
    }
    r.cpu.period = CPU_PERIOD;
    r.cpu.quota = Math.round(n * CPU_PERIOD);
  }
  if (o.cpusetCpus !== undefined) {
    if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(o.cpusetCpus)) {
      throw new UserError(`--cpuset-cpus ${o.cpusetCpus}: must be a list as 0-2,4`);
    }
    r.cpu.cpus = o.cpusetCpus;
  }
  return r;
}

/** The archive code is loaded when an image is asked for. */
async function unpack(file: string): Promise<UnpackedImage> {
  const { openImage } = await import('../image/image.ts');
  return openImage(file);
}

/** Without limits there are no groups: they cost time, and nobody asks for them. */
async function groupsOf(id: string, resources: Resources): Promise<OwnGroups | null> {
  if (!asksForLimits(resources)) return null;
  const { makeGroups, OwnGroups } = await import('../cgroup/sandbox-groups.ts');
  const group = makeGroups({ id, cgroupsPath: '', systemd: false, resources }, warn);
  return group === null ? null : new OwnGroups(group);
}

/** `512m`, `2g`, `4096`: as docker's. */
function sizeOption(name: string, value: string): number {
  const n = parseSize(value);
  if (n === null || n < MEMORY_MIN) {
    throw new UserError(`${name} ${value}: must be a size of at least 6m, as 512m or 2g`);
  }
  return n;
}

function integerOption(name: string, value: string, min: number, max: number): number {
  const n = Number(value);
  if (!/^\d+$/.test(value) || n < min || n > max) {
    throw new UserError(`${name} ${value}: must be a number from ${min} to ${max}`);
  }
  return n;
}

function rootDir(options: DoOptions): string {
  const dir = options.root ?? '/';
  if (!existsSync(dir)) throw new UserError(`--root ${dir}: no such directory`);
  if (!statSync(dir).isDirectory()) throw new UserError(`--root ${dir}: not a directory`);
  return realpathSync(dir);
}

function volume(spec: string, exports: Export[]): MountConfig {
  const parts = spec.split(':');
  const [src, dst, mode] = parts;
  if (
    parts.length < 2 ||
    parts.length > 3 ||
    !src ||
    !dst ||
    (mode !== undefined && mode !== 'ro' && mode !== 'rw')
  ) {
    throw new UserError(`--volume ${spec}: must be SRC:DST or SRC:DST:ro`);
  }
  if (!isAbsolute(dst)) throw new UserError(`--volume ${spec}: "${dst}" must be an absolute path`);
  const path = resolve(src);
  if (!existsSync(path)) throw new UserError(`--volume ${spec}: "${src}" does not exist`);
  const readOnly = mode === 'ro';
  exports.push({ path: realpathSync(path), readOnly, exclusive: false });
  return {
    destination: dst,
    type: 'bind',
    exportIndex: exports.length - 1,
    source: path,
    flags: MS_NOSUID | MS_NODEV | (readOnly ? MS_RDONLY : 0),
    data: '',
  };
}

function currentDirectory(): string {
  try {
    return process.cwd();
  } catch {
    throw new UserError('the current directory does not exist any more: name another one, --cwd DIR');
  }
}

function processConfig(args: string[], options: DoOptions): ProcessConfig {
  for (const e of options.env) {
    if (!/^[^=]+=/.test(e)) throw new UserError(`--env ${e}: must be NAME=VALUE`);
  }
  const uid = process.getuid!();
  const gid = process.getgid!();
  const caps = uid === 0 ? allCapabilities() : [];
  const inherited = Object.entries(process.env).map(([k, v]) => `${k}=${v}`);
  const cwd = options.cwd ?? (options.root === undefined ? currentDirectory() : '/');
  if (!isAbsolute(cwd)) throw new UserError(`--cwd ${cwd}: must be an absolute path`);
  return {
    args,
    env: mergeEnv(inherited, options.env),
    cwd,
    uid,
    gid,
    additionalGids: process.getgroups!().filter((g) => g !== gid),
    umask: process.umask(),
    capabilities: { bounding: caps, effective: caps, inheritable: [], permitted: caps, ambient: [] },
    rlimits: ownLimits(),
    noNewPrivileges: false,
    oomScoreAdj: 0,
    terminal: false,
  };
}

/** What `docker run` would start: environment, user and directory are the image's. A given command replaces its own. */
function imageProcess(args: string[], options: DoOptions, image: UnpackedImage): ProcessConfig {
  const { config } = image;
  const command = args.length > 0 ? args : [...config.entrypoint, ...config.cmd];
  if (command.length === 0) throw new UserError(`${options.image!}: the image names no command, give one`);
  const user = resolveUser(config.user, image.layers);
  const base = processConfig(command, { ...options, cwd: options.cwd ?? config.workingDir });
  const inherited = [`PATH=${DEFAULT_PATH}`, `HOME=${user.home}`, `TERM=${process.env['TERM'] ?? 'xterm'}`];
  // The sandbox's own capabilities: whoever started it on the host, its root is root.
  const all = allCapabilities();
  const caps = user.uid === 0 ? all : [];
  return {
    ...base,
    env: mergeEnv([...inherited, ...config.env], options.env),
    uid: user.uid,
    gid: user.gid,
    additionalGids: user.additionalGids,
    umask: 0o022,
    capabilities: { ...base.capabilities, bounding: all, effective: caps, permitted: caps },
  };
}

function allCapabilities(): number[] {
  return Array.from({ length: CAP_LAST_CAP + 1 }, (_, i) => i);
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Later settings of a name win. */
function mergeEnv(base: readonly string[], extra: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const e of [...base, ...extra]) byName.set(e.slice(0, e.indexOf('=')), e);
  return [...byName.values()];
}
