/**
 * The composition root: builds a Kernel from its parts as the configuration says, mounts the file systems and starts
 * the container's first process. Runs in the confined sentry.
 */
import { EACCES, ENOENT, ENOEXEC, errnoName } from '../sentry/abi/errno.ts';
import { Credentials, UserNamespace } from '../sentry/auth/credentials.ts';
import { CapSet } from '../sentry/auth/capability.ts';
import type { GoferClient } from '../sentry/gofer-api/gofer-api.ts';
import { FdTable } from '../sentry/kernel/fd-table.ts';
import { Kernel } from '../sentry/kernel/kernel.ts';
import { ResourceLimits } from '../sentry/kernel/limits.ts';
import {
  CgroupNamespace,
  IpcNamespace,
  MountNamespaceRef,
  NetNamespace,
  TimeNamespace,
  UtsNamespace,
} from '../sentry/kernel/namespaces.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { MemoryManager } from '../sentry/mm/memory-manager.ts';
import type { Context, Platform } from '../sentry/platform/platform.ts';
import { FsContext } from '../sentry/vfs/call-context.ts';
import type { MountNamespace } from '../sentry/vfs/mount-namespace.ts';
import { openProgram } from '../sentry/loader/program.ts';
import { openExec } from '../sentry/vfs/open.ts';
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, nd, walk } from '../sentry/vfs/walk.ts';
import { closeExec, execProgram } from '../syscalls/exec.ts';
import { makeSyscallTable } from '../syscalls/table.ts';
import { mountAll } from './boot-mounts.ts';
import { openStdio } from './boot-stdio.ts';
import { registerParts, type HostFacts } from './boot-parts.ts';
import type { ProcessConfig, SandboxConfig } from './sandbox-config.ts';

export interface BootEnv {
  config: SandboxConfig;
  platform: Platform;
  gofer: GoferClient;
  host: HostFacts;
  /** Donated descriptors of the container's standard input, output and error. */
  stdioFds: readonly number[];
  log: (line: string) => void;
  /** The first process could not be started; a BootError is the user's to mend. */
  onFailure: (e: Error) => void;
}

/** A failure that the user can understand; `exitCode` as a shell's or runc's. */
export class BootError extends Error {
  override name = 'BootError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A kernel whose init is about to run its first instruction. */
export function boot(env: BootEnv): Kernel {
  const { config, platform } = env;
  const kernel = new Kernel(platform, makeSyscallTable());
  kernel.report = env.log;
  if (config.pidsLimit > 0) kernel.tasksMax = config.pidsLimit;
  registerParts(kernel, env);
  const creds = initialCredentials(config.process);
  const mounts = mountAll(config, env.gofer, creds);
  platform.start(kernel);
  platform.createAddressSpace((ctx) => {
    try {
      if (typeof ctx === 'number') {
        throw new BootError(`cannot make an address space: ${errnoName(-ctx)}`, 125);
      }
      startInit(kernel, env, ctx, creds, mounts);
    } catch (e) {
      // This may run from the kernel's loop, where nobody else would catch it.
      env.onFailure(e as Error);
    }
  });
  return kernel;
}

function initialCredentials(p: ProcessConfig): Credentials {
  const creds = new Credentials(new UserNamespace(null, 0));
  creds.uid = creds.euid = creds.suid = creds.fsuid = p.uid;
  creds.gid = creds.egid = creds.sgid = creds.fsgid = p.gid;
  creds.groups = [...new Set(p.additionalGids)].sort((a, b) => a - b);
  creds.bounding = CapSet.of(...p.capabilities.bounding);
  creds.inheritable = CapSet.of(...p.capabilities.inheritable);
  creds.ambient = CapSet.of(...p.capabilities.ambient);
  creds.permitted = CapSet.of(...p.capabilities.permitted);
  creds.effective = CapSet.of(...p.capabilities.effective);
  return creds;
}

function startInit(
  kernel: Kernel,
  env: BootEnv,
  ctx: Context,
  creds: Credentials,
  mounts: MountNamespace,
): void {
  const p = env.config.process;
  const root = { mount: mounts.root, dentry: mounts.root.root };
  const limits = new ResourceLimits();
  for (const [nr, { soft, hard }] of Object.entries(p.rlimits)) {
    limits.set(Number(nr), soft < 0 ? Infinity : soft, hard < 0 ? Infinity : hard);
  }
  const { minAddr, maxAddr } = env.platform;
  const t = kernel.createInit({
    ctx,
    // Never mapped: execve gives the process its first address space with contents.
    mm: new MemoryManager(ctx.space, minAddr, maxAddr, maxAddr),
    fs: new FsContext(root, root, p.umask),
    fdTable: new FdTable(),
    creds,
    limits,
    ns: {
      uts: new UtsNamespace(env.config.hostname, env.config.domainname),
      ipc: new IpcNamespace(),
      net: new NetNamespace(),
      mnt: new MountNamespaceRef(mounts),
      time: new TimeNamespace(),
      cgroup: new CgroupNamespace(),
      pidForChildren: kernel.pidNs,
    },
  });
  if (typeof t === 'number') throw new BootError(`cannot make the first process: ${errnoName(-t)}`, 125);
  t.group.unkillable = env.config.initUnkillable;
  t.noNewPrivs = p.noNewPrivileges;
  t.group.oomScoreAdj = p.oomScoreAdj;
  changeDirectory(t, p.cwd);
  openStdio(t, env.stdioFds);
  execInit(t, p);
}

const latin1 = (s: string): string => Buffer.from(s, 'utf8').toString('latin1');

function changeDirectory(t: Task, cwd: string): void {
  const r = walk(t, t.fs.root, latin1(cwd), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) throw new BootError(`cannot change to the working directory "${cwd}": ${errnoName(-r)}`, 126);
  t.fs.setCwd(nd.path());
}

/** Starts execve of one file: 0, or −errno of what is wrong with the file. */
function execFile(t: Task, name: string, argv: string[], envp: string[]): number {
  const open = (path: string) => openExec(t, t.fs.cwd, path, true);
  const file = open(name);
  if (typeof file === 'number') return file;
  const program = openProgram(t, {
    file,
    filename: name,
    nameInaccessible: false,
    argv,
    envp,
    stackLimit: t.group.limits.stack,
    open,
    close: closeExec,
  });
  if (typeof program === 'number') return program;
  execProgram(t, program, name);
  return 0;
}

/** Finds the program as a shell would and executes it; the messages are runc's. */
function execInit(t: Task, p: ProcessConfig): void {
  const name = p.args[0]!;
  const argv = p.args.map(latin1);
  const envp = p.env.map(latin1);
  const path = p.env.find((e) => e.startsWith('PATH='))?.slice(5) ?? '/usr/local/bin:/usr/bin:/bin';
  const candidates = name.includes('/')
    ? [name]
    : path.split(':').map((d) => `${d === '' ? '.' : d}/${name}`);
  let errno = ENOENT;
  for (const candidate of candidates) {
    const r = execFile(t, latin1(candidate), argv, envp);
    if (r === 0) return;
    if (r !== -ENOENT) errno = -r;
  }
  const shown = JSON.stringify(name);
  if (errno === ENOENT && !name.includes('/')) {
    throw new BootError(`exec: ${shown}: executable file not found in $PATH`, 127);
  }
  if (errno === ENOENT) throw new BootError(`exec: ${shown}: no such file or directory`, 127);
  if (errno === EACCES) throw new BootError(`exec: ${shown}: permission denied`, 126);
  if (errno === ENOEXEC) throw new BootError(`exec: ${shown}: exec format error`, 126);
  throw new BootError(`exec: ${shown}: ${errnoName(errno)}`, 126);
}
