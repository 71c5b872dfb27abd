/**
 * A process that comes from outside: a container's first one, or what `exec` brings in. It is made in two steps, as engines
 * want to know of a missing program before they start anything: `makeProcess` finds the program, `start` runs it.
 */
import { EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, errnoName } from '../../sentry/abi/errno.ts';
import { SIGKILL } from '../../sentry/abi/signal.ts';
import type { Credentials } from '../../sentry/auth/credentials.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import type { Container } from '../../sentry/kernel/container.ts';
import { FdTable } from '../../sentry/kernel/fd-table.ts';
import type { Kernel } from '../../sentry/kernel/kernel.ts';
import { createInit, createProcess } from '../../sentry/kernel/process-init.ts';
import { ResourceLimits } from '../../sentry/kernel/limits.ts';
import type { Namespaces } from '../../sentry/kernel/namespaces.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { exitTask } from '../../sentry/kernel/task-exit.ts';
import { openProgram, type Program } from '../../sentry/loader/program.ts';
import { MemoryManager } from '../../sentry/mm/memory-manager.ts';
import type { Context } from '../../sentry/platform/platform.ts';
import { FsContext } from '../../sentry/vfs/call-context.ts';
import type { Path } from '../../sentry/vfs/dentry.ts';
import { openExec } from '../../sentry/vfs/open.ts';
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, nd, walk } from '../../sentry/vfs/walk.ts';
import { closeExec, execProgram } from '../../syscalls/exec.ts';
import { BootError, reason } from '../boot/error.ts';
import { openStdio, type StdioTerminal } from '../boot/stdio.ts';
import { enterGroups } from './exec-groups.ts';
import { applySysctls, environmentOf, prepareTask } from '../boot/process.ts';
import type { LinuxConfig, ProcessConfig } from '../sandbox-config.ts';

export interface ProcessEnv {
  readonly process: ProcessConfig;
  readonly creds: Credentials;
  readonly root: Path;
  /** Donated descriptors of its standard streams; taken over. */
  readonly stdioFds: readonly number[];
  readonly ns: Namespaces;
  readonly linux: LinuxConfig | null;
  /** Set before the first process of a container. */
  readonly sysctl: Record<string, string>;
  /** It becomes init of its PID namespace, and signals without a handler may do nothing to it. */
  readonly init: { readonly unkillable: boolean } | null;
  /** Control groups of `exec --cgroup`. */
  readonly groups: readonly string[];
}

const latin1 = (s: string): string => Buffer.from(s, 'utf8').toString('latin1');

export class OutsideProcess {
  readonly task: Task;
  readonly terminal: StdioTerminal | null;
  private program: { readonly program: Program; readonly name: string } | null;

  constructor(task: Task, terminal: StdioTerminal | null, program: Program, name: string) {
    this.task = task;
    this.terminal = terminal;
    this.program = { program, name };
  }

  get started(): boolean {
    return this.program === null;
  }

  start(): void {
    const p = this.program;
    if (p === null) return;
    this.program = null;
    execProgram(this.task, p.program, p.name);
  }
}

/** `done` is called when the process is there, or with the reason why it is not. */
export function makeProcess(
  kernel: Kernel,
  box: Container,
  env: ProcessEnv,
  done: (p: OutsideProcess | Error) => void,
): void {
  kernel.platform.createAddressSpace((ctx) => {
    if (typeof ctx === 'number') {
      done(new BootError(`cannot make an address space: ${errnoName(-ctx)}`, 125));
      return;
    }
    let result: OutsideProcess | Error;
    try {
      result = makeIn(kernel, box, env, ctx);
    } catch (e) {
      // This may run from the kernel's loop, where nobody else would catch it.
      result = e as Error;
    }
    done(result);
  });
}

function makeIn(kernel: Kernel, box: Container, env: ProcessEnv, ctx: Context): OutsideProcess {
  const p = env.process;
  const limits = new ResourceLimits();
  for (const [nr, { soft, hard }] of Object.entries(p.rlimits)) {
    limits.set(Number(nr), soft < 0 ? Infinity : soft, hard < 0 ? Infinity : hard);
  }
  const { minAddr, maxAddr } = kernel.platform;
  const init = {
    ctx,
    // Never mapped: execve gives the process its first address space with contents.
    mm: new MemoryManager(ctx.space, minAddr, maxAddr, maxAddr),
    fs: new FsContext(env.root, env.root, p.umask),
    fdTable: new FdTable(),
    creds: env.creds,
    limits,
    ns: env.ns,
    container: box,
  };
  const t = env.init === null ? createProcess(kernel, init) : createInit(kernel, init);
  if (typeof t === 'number') {
    ctx.exit();
    for (const fd of env.stdioFds) close(fd);
    throw new BootError(`cannot make the process: ${errnoName(-t)}`, 125);
  }
  let terminal: StdioTerminal | null = null;
  try {
    terminal = openStdio(t, env.stdioFds, p.terminal);
    t.group.unkillable = env.init?.unkillable ?? false;
    prepareTask(t, p, env.linux);
    if (env.init !== null) applySysctls(t, env.sysctl);
    enterGroups(t, env.groups);
    changeDirectory(t, p.cwd);
    const { program, name } = findProgram(t, { ...p, env: environmentOf(t, p) });
    return new OutsideProcess(t, terminal, program, name);
  } catch (e) {
    exitTask(t, SIGKILL);
    terminal?.release();
    throw e;
  }
}

function changeDirectory(t: Task, cwd: string): void {
  const r = walk(t, t.fs.root, latin1(cwd), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) {
    throw new BootError(
      `chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed: ${reason(-r)}`,
      126,
    );
  }
  t.fs.setCwd(nd.path());
}

function openOne(t: Task, name: string, argv: string[], envp: string[]): Program | number {
  const open = (path: string) => openExec(t, t.fs.cwd, path, true);
  const file = open(name);
  if (typeof file === 'number') return file;
  return openProgram(t, {
    file,
    filename: name,
    nameInaccessible: false,
    argv,
    envp,
    stackLimit: t.group.limits.stack,
    open,
    close: closeExec,
  });
}

/** What a search in PATH goes on after: nothing there, a directory, a file that may not be executed. */
const isPassedOver = (errno: number): boolean => [ENOENT, ENOTDIR, EACCES, EISDIR].includes(errno);

/** What runc notices before it executes the file. */
const STAT_ERRORS = [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG];

/** Finds the program as a shell would; the messages are runc's, which engines map to exit codes. */
function findProgram(t: Task, p: ProcessConfig): { program: Program; name: string } {
  const name = p.program ?? p.args[0]!;
  const argv = p.args.map(latin1);
  const envp = p.env.map(latin1);
  const path = p.env.find((e) => e.startsWith('PATH='))?.slice(5) ?? '';
  const dirs = path === '' ? [] : path.split(':');
  const candidates = name.includes('/') ? [name] : dirs.map((d) => `${d === '' ? '.' : d}/${name}`);
  let errno = ENOENT;
  for (const candidate of candidates) {
    const program = openOne(t, latin1(candidate), argv, envp);
    if (typeof program !== 'number') return { program, name: latin1(candidate) };
    if (name.includes('/') || !isPassedOver(-program)) errno = -program;
  }
  const shown = JSON.stringify(name);
  const missing = errno === ENOENT;
  const where = STAT_ERRORS.includes(errno) ? `stat ${name}: ` : '';
  const why = missing && !name.includes('/') ? 'executable file not found in $PATH' : where + reason(errno);
  throw new BootError(`exec: ${shown}: ${why}`, missing ? 127 : 126);
}
