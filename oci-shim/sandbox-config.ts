/**
 * What the CLI tells the sentry and the gofer about one sandbox, as JSON. The CLI has checked it against the user's
 * input; the sentry trusts the CLI. Exports of the gofer are named by index.
 */
import type { ContainerLimits } from '../sentry/kernel/container.ts';
import type { DeviceList } from '../sentry/kernel/device-list.ts';

export interface ProcessConfig {
  args: string[];
  /** Path of the program if it is not what args[0] names. */
  program?: string;
  /** `NAME=value` */
  env: string[];
  cwd: string;
  uid: number;
  gid: number;
  additionalGids: number[];
  umask: number;
  /** Capability sets as bit numbers. */
  capabilities: {
    bounding: number[];
    effective: number[];
    inheritable: number[];
    permitted: number[];
    ambient: number[];
  };
  /** RLIMIT_* number → soft and hard limit; −1 is RLIM_INFINITY. Missing ones have the kernel's defaults. */
  rlimits: Record<number, { soft: number; hard: number }>;
  noNewPrivileges: boolean;
  oomScoreAdj: number;
  /** The process gets a new pty of the sandbox as controlling terminal (OCI process.terminal). */
  terminal: boolean;
  /** Size of that terminal; null: unknown. */
  consoleSize?: { rows: number; columns: number } | null;
  /** SCHED_*, nice value and real-time priority; null: SCHED_OTHER. */
  scheduler?: { policy: number; nice: number; priority: number } | null;
  /** As ioprio_set(2) takes it; null: none. */
  ioPriority?: number | null;
  /** HOME comes from the container's /etc/passwd unless `env` has it. */
  homeFromPasswd?: boolean;
}

export interface MountConfig {
  /** Absolute path in the guest. */
  destination: string;
  type:
    | 'proc'
    | 'sysfs'
    | 'tmpfs'
    | 'devpts'
    | 'mqueue'
    | 'devtmpfs'
    | 'ramfs'
    | 'bind'
    | 'cgroup'
    | 'cgroup2'
    | 'debugfs'
    | 'tracefs'
    | 'securityfs'
    | 'bpf'
    | 'fusectl'
    | 'pstore';
  /** Gofer export of a bind. */
  exportIndex: number;
  /** Source as /proc/mounts shows it. */
  source: string;
  /** MS_* flags. */
  flags: number;
  /** File system options that are not flags: `size=64m,mode=755`. */
  data: string;
  /** MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, each maybe with MS_REC: applied in this order after mounting. */
  propagation?: readonly number[];
  /** Flags of this mount and all below it (rro, rnosuid, …). */
  recursive?: { set: number; clear: number };
  /** Mounts of the host below a bind's source, which come along with `rbind`. */
  below?: MountConfig[];
  /** A tmpfs that starts with a copy of what it covers. */
  copyUp?: boolean;
}

export interface RootConfig {
  /** Gofer exports, topmost layer first. */
  layers: number[];
  /** memory: writes go to memory above the layers. none: the single layer is written through. */
  overlay: 'memory' | 'none';
  readOnly: boolean;
}

/** A node in the container's file system (runtime-spec config-linux.md, "Devices"). */
export interface DeviceConfig {
  path: string;
  /** Type and permission bits: S_IFCHR | 0o666. */
  mode: number;
  major: number;
  minor: number;
  uid: number;
  gid: number;
}

/** One condition of a seccomp rule on an argument; 64-bit values as [low, high] words. */
export interface SeccompArgConfig {
  index: number;
  op: 'ne' | 'lt' | 'le' | 'eq' | 'ge' | 'gt' | 'masked';
  value: [number, number];
  /** masked: `(argument & value) == valueTwo`. */
  valueTwo: [number, number];
}

/** A seccomp profile with names and actions resolved: what SECCOMP_RET_* values each call number gets. */
export interface SeccompConfig {
  defaultAction: number;
  rules: { nr: number; action: number; args: SeccompArgConfig[] }[];
}

export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** What `linux` of config.json sets inside the sandbox. */
export interface LinuxConfig {
  devices: DeviceConfig[];
  /** null: all. */
  allowedDevices: DeviceList | null;
  seccomp: SeccompConfig | null;
  /** MS_SHARED, … with MS_REC; 0: private. */
  rootfsPropagation: number;
  /** Empty: ids are the host's. */
  uidMappings: IdMapping[];
  gidMappings: IdMapping[];
  /** As personality(2) takes it. */
  personality: number;
  /** Of the host's time namespace that the whole sandbox is in: lines of /proc/PID/timens_offsets. */
  timeOffsets: string;
}

/** Systrap: rewriting of syscall sites in the text of busy programs, of every program at its first call (tests), or not at all. */
export type Patching = 'busy' | 'always' | 'off';

export interface SandboxConfig {
  id: string;
  platform: 'systrap' | 'ptrace';
  patching: Patching;
  hostname: string;
  domainname: string;
  process: ProcessConfig;
  root: RootConfig;
  mounts: MountConfig[];
  maskedPaths: string[];
  readonlyPaths: string[];
  /** Names with dots, checked. */
  sysctl: Record<string, string>;
  /** null: nothing of it is set. */
  linux: LinuxConfig | null;
  /** Signals without a handler do nothing to the first process, as to any container's init; `do` runs it as natively. */
  initUnkillable: boolean;
  /** Most tasks at a time; 0: the kernel's default. */
  pidsLimit: number;
  limits: ContainerLimits;
  /** Names of figures of the host's groups: each is a donated descriptor, in this order (sandbox/group-figures.ts). */
  figures?: string[];
  /** Of a further container: so many cgroup.procs files, donated behind the figures, that its processes are put into. */
  groupProcs?: number;
  network: 'none' | 'host';
  /** Raw and packet sockets can be had from the launcher's opener. */
  rawSockets?: boolean;
  /** An engine manages it: the first donated descriptor is the control socket, and the program waits for `start`. */
  managed: boolean;
  /** Descriptors beside the standard streams that the first process gets, from 3 on (--preserve-fds). */
  preservedFds: number;
  /** null: off, []: all calls, else names. */
  strace: string[] | null;
  /** `--syscall-report`, written when the sandbox ends. */
  report: ReportConfig | null;
  /** The log was asked for (`--debug-log`): what only matters to whoever looks closer is said, too. */
  debugLog: boolean;
  /** Export index → true if only this sandbox changes the tree (attributes may be cached). */
  exclusiveExports: boolean[];
}

/** Where the report on system calls goes: a donated descriptor, by its number among them, and its form. */
export interface ReportConfig {
  donated: number;
  json: boolean;
}

/** What the gofer serves: one entry per export, in order. The trees are /0, /1, … of its root. */
export interface GoferConfig {
  /** `hostSockets`: sockets of the host in the tree may be connected to. */
  exports: { readOnly: boolean; hostSockets: boolean }[];
  debugLog: boolean;
}
