/**
 * TypeScript's side of platform-ptrace/native/launcher.h, where the processes and the order of events are described:
 * message types, descriptor numbers and the launcher's command line. launcher-protocol.test.ts compares the files.
 */

/** Messages on the control sockets: two little-endian int32, type and value. */
export const MSG_READY = 1;
export const MSG_EXIT = 2;
export const MSG_STOPPED = 3;
export const MSG_PONG = 4;
export const MSG_CREATED = 5;
export const MSG_FAILED = 6;
export const MSG_GO = 16;
export const MSG_SIGNAL = 17;
export const MSG_PING = 18;
export const MSG_PLACED = 24;
export const MSG_HOOKED = 25;
export const MSG_COMMIT = 26;
export const MSG_STUB = 27;
export const MSG_SIZE = 8;
/** Most text behind MSG_FAILED. */
export const MAX_TEXT = 4096;

export const SENTRY_CONTROL_FD = 3;
export const SENTRY_GOFER_FD = 4;
export const SENTRY_LISTENER_FD = 5;
export const SENTRY_CONFIG_FD = 6;
export const SENTRY_DIST_FD = 7;
export const SENTRY_STDIO_FD = 8;
export const SENTRY_AREA_FD = 11;
export const SENTRY_RAW_FD = 12;
export const SENTRY_NETWORKS_FD = 13;
export const SENTRY_EXTRA_FD = 14;

export const GOFER_CONTROL_FD = 3;
export const GOFER_SENTRY_FD = 4;
export const GOFER_CONFIG_FD = 5;
export const GOFER_DIST_FD = 6;

/** Exit status when sentry or gofer ended by a fault of ours. */
export const EXIT_SANDBOX_GONE = 137;
/** Exit status when the sandbox could not be started. */
export const EXIT_CANNOT_START = 125;

const TITLE_MAX = 32;
const VIEW_MAX = 192;
const TITLE_ARG_MAX = 256;

export interface LauncherOptions {
  /** Node's program and the directory of stub, sentry.cjs, gofer.cjs and the native parts. */
  readonly node: string;
  readonly dist: string;
  /** False: no zygote, no guest processes (tests). */
  readonly zygote?: boolean;
  /** Host ids of the sandbox when started by root; default 65534. */
  readonly uid?: number;
  readonly gid?: number;
  /** host: the caller's network namespace; new: one that the launcher makes and stays in; a descriptor: that one. */
  readonly network?: 'host' | 'new' | number;
  /** The sentry may have raw and packet sockets, unless it is in the caller's network namespace. */
  readonly rawSockets?: boolean;
  /** What ps(1) shows as the launcher's arguments; what is too long is cut off. */
  readonly title?: readonly string[];
  /** With createFd: whose process the launcher seems to be to the host, where, and under which limits (RLIM_INFINITY: −1). */
  readonly identity?: {
    readonly uid: number;
    readonly gid: number;
    readonly umask: number;
    readonly groups: readonly number[];
    readonly cwd: string;
    readonly rlimits: Readonly<Record<number, { readonly soft: number; readonly hard: number }>>;
  };
  /** Standard input becomes the controlling terminal; the launcher has to be the leader of a session. */
  readonly terminal?: boolean;
  /** Socket to the CLI: the launcher is made for an engine's `create`. */
  readonly createFd?: number;
  /** Connection to the control socket of a sandbox: no sandbox of its own is made. */
  readonly joinFd?: number;
  /** With joinFd and a gofer: the gofer's end of its socket to the sentry. */
  readonly goferLinkFd?: number;
  /** Descriptors of this process, open without FD_CLOEXEC. */
  readonly logFd?: number;
  readonly sentryConfigFd?: number;
  readonly goferConfigFd?: number;
  readonly donatedFds?: readonly number[];
  /** tasks or cgroup.procs files of groups: to be in; for the launcher alone, some time; for it and guests instead. */
  readonly joinProcsFds?: readonly number[];
  readonly lateProcsFds?: readonly number[];
  readonly guestProcsFds?: readonly number[];
  /** cgroup.procs of the groups that the caller is in: the launcher goes back there before they are removed. */
  readonly leaveProcsFds?: readonly number[];
  /** Groups that the launcher has removed when the sandbox has ended. */
  readonly rmdirs?: readonly string[];
  /** With createFd: CLONE_NEW* of the namespaces that the launcher makes for itself, and those that it joins. */
  readonly newNamespaces?: number;
  readonly joinNamespaces?: readonly { readonly flag: number; readonly fd: number }[];
  /** Names of the UTS namespace that it is in then. */
  readonly hostname?: string;
  readonly domainname?: string;
  /** Of its new time namespace: lines of /proc/PID/timens_offsets. */
  readonly timeOffsets?: string;
  /** The container's root, which becomes the launcher's. */
  readonly root?: string;
  /** The container's mounts in that, as launcher.h explains them. */
  readonly view?: readonly string[];
  /** Node's options, then `SENTRY_PROGRAM` or another program, then its arguments. */
  readonly sentryArgs?: readonly string[];
  readonly goferArgs?: readonly string[];
  /** Start-up snapshots in `dist`, used if they fit `node` and the CPU: NAME of NAME-STAMP.blob. */
  readonly sentrySnapshot?: string;
  readonly goferSnapshot?: string;
  /** Trees the gofer serves: /0, /1, … in its root. */
  readonly exports?: readonly {
    readonly path: string;
    readonly readOnly: boolean;
    /** Ids of its files: lines of /proc/PID/uid_map. */
    readonly idMap?: { readonly recursive: boolean; readonly uids: string; readonly gids: string };
    /** Options of the host's overlay that is mounted at `path` for the gofer, and for nobody else. */
    readonly overlay?: string;
    /** One mount, without those below it; letters as launcher.h explains them. */
    readonly alone?: string;
  }[];
}

/** Paths that work whoever owns the directories above dist: the descriptor is inherited. */
export const SENTRY_PROGRAM = `/proc/self/fd/${SENTRY_DIST_FD}/sentry.cjs`;
export const GOFER_PROGRAM = `/proc/self/fd/${GOFER_DIST_FD}/gofer.cjs`;

/** Node must not resolve /proc/self/fd/N to a path that its ids may not walk. */
export const NODE_ARGS: readonly string[] = [
  '--preserve-symlinks',
  '--preserve-symlinks-main',
  '--no-warnings',
];

/**
 * V8's flags of the two programs. build.js compiles their code caches under the same: V8 refuses others, so none may be set
 * later. What was compiled once stays compiled.
 */
export const SENTRY_V8_ARGS: readonly string[] = [
  '--always-sparkplug',
  // What is there at the start lives on (9 MB, and 28 MB outside of the heap, which count): with less the first full collection
  // comes in the middle of the start, or in the first 10,000 system calls.
  '--initial-old-space-size=64',
  // Its helper threads get little CPU on a busy machine (helper-threads.ts): the kernel must not wait for their share.
  '--single-threaded-gc',
  '--no-flush-bytecode',
  '--max-semi-space-size=16',
];
/**
 * Of programs that start from a snapshot, whose hash seed they have, too (launcher-snapshot.c adds this). V8 would search primes for
 * one more, and sort all its tables again: a tenth of the start.
 */
export const SNAPSHOT_V8_ARGS: readonly string[] = ['--no-rehash-snapshot'];
export const GOFER_V8_ARGS: readonly string[] = ['--no-flush-bytecode', '--max-old-space-size=256'];

const RLIM_INFINITY = '18446744073709551615';
const STUB_GROUPS_MAX = 32;

function addIdentity(
  { uid, gid, umask, groups, cwd, rlimits }: NonNullable<LauncherOptions['identity']>,
  add: (key: string, value: string) => void,
): void {
  const limit = (value: number): string => (value < 0 ? RLIM_INFINITY : String(value));
  add('user', `${uid}:${gid}:${umask.toString(8)}:${groups.slice(0, STUB_GROUPS_MAX).join(',')}`);
  add('cwd', cwd);
  for (const [nr, { soft, hard }] of Object.entries(rlimits)) {
    add('rlimit', `${nr}:${limit(soft)}:${limit(hard)}`);
  }
}

/** argv of the launcher, argv[0] included. */
export function launcherArgv(o: LauncherOptions): string[] {
  const argv = ['runsc-ts', `node=${o.node}`, `dist=${o.dist}`];
  const add = (key: string, value: string | number | undefined) => {
    if (value !== undefined) argv.push(`${key}=${value}`);
  };
  add('stub', o.zygote === false ? 0 : 1);
  add('uid', o.uid);
  add('gid', o.gid);
  if (typeof o.network === 'number') add('netns', o.network);
  else add('net', o.network);
  if (o.rawSockets === true) add('raw', 1);
  if (o.terminal === true) add('terminal', 1);
  for (const arg of (o.title ?? []).slice(0, TITLE_MAX)) add('title', arg.slice(0, TITLE_ARG_MAX));
  if (o.identity !== undefined) addIdentity(o.identity, add);
  add('create', o.createFd);
  add('join', o.joinFd);
  add('gofer-link', o.goferLinkFd);
  add('log', o.logFd);
  add('sentry-config', o.sentryConfigFd);
  add('gofer-config', o.goferConfigFd);
  for (const fd of o.donatedFds ?? []) add('donate', fd);
  for (const fd of o.joinProcsFds ?? []) add('join-procs', fd);
  for (const fd of o.lateProcsFds ?? []) add('late-procs', fd);
  for (const fd of o.guestProcsFds ?? []) add('guest-procs', fd);
  for (const fd of o.leaveProcsFds ?? []) add('leave-procs', fd);
  for (const dir of o.rmdirs ?? []) add('rmdir', dir);
  add('new-ns', o.newNamespaces);
  for (const n of o.joinNamespaces ?? []) add('join-ns', `${n.flag}:${n.fd}`);
  add('hostname', o.hostname);
  add('domainname', o.domainname);
  add('time-offsets', o.timeOffsets);
  add('root', o.root);
  for (const v of (o.view ?? []).slice(0, VIEW_MAX)) add('view', v);
  for (const arg of o.sentryArgs ?? []) add('sentry-arg', arg);
  for (const arg of o.goferArgs ?? []) add('gofer-arg', arg);
  add('sentry-snapshot', o.sentrySnapshot);
  add('gofer-snapshot', o.goferSnapshot);
  for (const e of o.exports ?? []) add('export', `${e.readOnly ? 'ro' : 'rw'}:${e.path}`);
  o.exports?.forEach(({ idMap: m, overlay, alone }, i) => {
    if (m !== undefined) add('idmap', `${i}:${m.recursive ? 1 : 0}:${m.uids}:${m.gids}`);
    if (overlay !== undefined) add('overlay', `${i}:${overlay}`);
    if (alone !== undefined) add('alone', `${i}:${alone}`);
  });
  return argv;
}
