/**
 * execve(2), execveat(2) (fs/exec.c). Everything that can fail happens in a fresh address space while the old program is
 * still there; then the other threads go and the task moves over (kernel/task-exec). A process that is alone and keeps its rights
 * (a child of fork, mostly) stays in its host process instead: no other one has to be made, and none to be ended.
 */
import { EACCES, EAGAIN, EBADF, EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import { SIGSEGV } from '../sentry/abi/signal.ts';
import { CS, EFLAGS, RIP, RSP, SS } from '../sentry/arch/regs.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_PTRACE } from '../sentry/auth/capability.ts';
import { execStop } from '../sentry/kernel/ptrace-stops.ts';
import { sigInfoKernel } from '../sentry/kernel/sig-info.ts';
import { forceSignal } from '../sentry/kernel/signal-send.ts';
import {
  SYS_DETACHED,
  SYS_RESUME_REGS,
  fd,
  flags,
  path,
  ptr,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { commitExec, deThread } from '../sentry/kernel/task-exec.ts';
import { TASK_DETACHED, type Task } from '../sentry/kernel/task.ts';
import { hasPristineVdso, loadProgram, type LoadedProgram } from '../sentry/loader/address-space.ts';
import { execCredentials, type ExecCreds } from '../sentry/loader/exec-creds.ts';
import { openProgram, releaseProgram, type Program } from '../sentry/loader/program.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import type { Context } from '../sentry/platform/platform.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { allowWrite, openExec, openExecPath } from '../sentry/vfs/open.ts';
import { MAY_READ, inodePermission } from '../sentry/vfs/permission.ts';
import { readStrings } from './exec-args.ts';
import { getnameEmpty, startAt } from './path.ts';

/** Whether the file could be executed is all that is asked. */
const AT_EXECVE_CHECK = 0x10000;
const ADDR_NO_RANDOMIZE = 0x0040000;
/** PER_CLEAR_ON_SETID and READ_IMPLIES_EXEC do not survive; the layout bits do. */
const READ_IMPLIES_EXEC = 0x0400000;
const USER_CS = 0x33;
const USER_DS = 0x2b;

function sysExecve(t: Task, a: SyscallArgs): SysResult {
  return doExecve(t, AT_FDCWD, a.addr(0), a.addr(1), a.addr(2), 0);
}

function sysExecveat(t: Task, a: SyscallArgs): SysResult {
  return doExecve(t, a.int(0), a.addr(1), a.addr(2), a.addr(3), a.int(4));
}

function doExecve(
  t: Task,
  dfd: number,
  pathAddr: number,
  argvAddr: number,
  envpAddr: number,
  atFlags: number,
): SysResult {
  // Of this call no address is no empty name (getname_uflags).
  const name = pathAddr === 0 ? -EFAULT : getnameEmpty(t, pathAddr, atFlags);
  if (typeof name === 'number') return name;
  if ((atFlags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EXECVE_CHECK)) !== 0) return -EINVAL;
  const file = openTarget(t, dfd, name, (atFlags & AT_SYMLINK_NOFOLLOW) === 0);
  if (typeof file === 'number') return file;
  const argv = readStrings(t, argvAddr);
  const envp = typeof argv === 'number' ? argv : readStrings(t, envpAddr);
  if (typeof argv === 'number' || typeof envp === 'number') {
    closeExec(file);
    return typeof envp === 'number' ? envp : -EFAULT;
  }
  if ((atFlags & AT_EXECVE_CHECK) !== 0) {
    closeExec(file);
    return 0;
  }
  // "The name … is /dev/fd/N[/P]": how a program by descriptor is called (alloc_bprm).
  const byFd = dfd !== AT_FDCWD && name.charCodeAt(0) !== 0x2f;
  const filename = !byFd ? name : name === '' ? `/dev/fd/${dfd}` : `/dev/fd/${dfd}/${name}`;
  const program = openProgram(t, {
    file,
    filename,
    nameInaccessible: byFd && t.fdTable.isCloexec(dfd),
    argv,
    envp,
    stackLimit: t.group.limits.stack,
    open: (interpreter) => openExec(t, t.fs.cwd, interpreter, true),
    close: closeExec,
  });
  if (program === -EINVAL) forceSignal(t, sigInfoKernel(SIGSEGV), true);
  if (typeof program === 'number') return program;
  return execProgram(t, program, name === '' ? filename : name);
}

function openTarget(t: Task, dfd: number, name: string, follow: boolean): FileDescription | number {
  if (name !== '') {
    const start = startAt(t, dfd, name);
    return typeof start === 'number' ? start : openExec(t, start, name, follow);
  }
  if (dfd === AT_FDCWD) return openExecPath(t, t.fs.cwd);
  const f = t.fdTable.getRaw(dfd);
  if (f === null) return -EBADF;
  return f.path === null ? -EACCES : openExecPath(t, f.path);
}

/** Gives a file back that openExec() returned. */
export function closeExec(file: FileDescription): void {
  allowWrite(file);
  file.unref();
}

/** LSM_UNSAFE_PTRACE: a tracer without the capability must not get hold of a set-user-ID program. */
function tracedByLesser(t: Task): boolean {
  return t.ptrace !== null && !t.ptrace.tracer.creds.hasIn(CAP_SYS_PTRACE, t.creds.userNs);
}

/** Runs `program` in the task instead of what it runs. For the sandbox's first process too. */
export function execProgram(t: Task, program: Program, name: string): SysResult {
  const ids = execCredentials(t.creds, program.file, t.noNewPrivs, tracedByLesser(t));
  if (typeof ids === 'number') {
    releaseProgram(program, closeExec);
    return ids;
  }
  // would_dump(): memory must not tell what the file does not.
  for (const p of [program, program.interp])
    if (p !== null && inodePermission(t, p.file.inode, MAY_READ) !== 0) ids.dumpable = false;
  t.state = TASK_DETACHED;
  if (mayStay(t, ids) && populateInPlace(t, program, ids, name)) return SYS_DETACHED;
  t.kernel.platform.createAddressSpace((ctx) => {
    if (typeof ctx === 'number') {
      releaseProgram(program, closeExec);
      t.kernel.endDetached(t, ctx);
      return;
    }
    ctx.task = t;
    t.group.container?.adopt?.(ctx.space.pid);
    populate(t, ctx, program, ids, name);
  });
  return SYS_DETACHED;
}

/**
 * Whether the new program may have the old one's host process. The stub there has been at the old one's mercy, so the two must be
 * of one mind: with the same rights, and each might have traced the other. The vDSO stays where it is.
 */
function mayStay(t: Task, ids: ExecCreds): boolean {
  const { group: g, mm } = t;
  return (
    g.tasks.size === 1 &&
    !g.hadThreads &&
    mm.userCount === 1 &&
    t.ptrace === null &&
    !t.ctxGone &&
    !t.killed &&
    !ids.forgetsParent &&
    ids.dumpable &&
    mm.dumpable === 1 &&
    hasPristineVdso(mm, t.kernel.platform)
  );
}

/** False, with nothing done: the program needs a fresh address space. What is ordered here ends the old one at the first resume. */
function populateInPlace(t: Task, program: Program, ids: ExecCreds, name: string): boolean {
  const { ctx } = t;
  if (!ctx.clearSpace()) return false;
  const loaded = load(t, ctx, program, ids);
  if (typeof loaded === 'number' || !queueAll(ctx, loaded)) {
    ctx.dropQueued();
    if (typeof loaded !== 'number') loaded.mm.unref();
    return false;
  }
  finishInterp(program);
  switchTo(t, ctx, loaded, ids, name, 0);
  return true;
}

function load(t: Task, ctx: Context, program: Program, ids: ExecCreds): LoadedProgram | number {
  const { creds } = ids;
  return loadProgram(program, {
    platform: t.kernel.platform,
    ctx,
    limits: t.group.limits,
    randomize: (t.personality & ADDR_NO_RANDOMIZE) === 0,
    ids: {
      uid: creds.userNs.fromUid(creds.uid),
      euid: creds.userNs.fromUid(creds.euid),
      gid: creds.userNs.fromGid(creds.gid),
      egid: creds.userNs.fromGid(creds.egid),
      secure: ids.secure,
    },
  });
}

function populate(t: Task, ctx: Context, program: Program, ids: ExecCreds, name: string): void {
  const oldTid = t.ptrace === null ? 0 : t.pid.nrIn(t.ptrace.tracer.pidNs);
  const loaded = load(t, ctx, program, ids);
  if (typeof loaded === 'number') {
    releaseProgram(program, closeExec);
    ctx.exit();
    // The point of no return lies before the mapping of segments in Linux.
    if (t.mm.exeFile !== null) forceSignal(t, sigInfoKernel(SIGSEGV), true);
    t.kernel.endDetached(t, loaded);
    return;
  }
  if (t.killed) {
    abandon(t, ctx, loaded, program, -EAGAIN);
    return;
  }
  const done = (): void => switchTo(t, ctx, loaded, ids, name, oldTid);
  const abandoned = (): void => {
    loaded.mm.unref();
    ctx.exit();
  };
  if (ctx.dataSize > 0 && t.ptrace === null && queueAll(ctx, loaded)) {
    // Everything goes along with the first resume; what fails there ends the process (begin_new_exec is past).
    finishInterp(program);
    deThread(t, done, abandoned);
    return;
  }
  ctx.runOrders((result) => {
    const failed = result < 0 ? result : writeAll(ctx, loaded);
    if (failed !== 0 || t.killed) {
      abandon(t, ctx, loaded, program, failed === 0 ? -EAGAIN : failed);
      return;
    }
    finishInterp(program);
    deThread(t, done, abandoned);
  });
}

/** The new program does not come about. */
function abandon(t: Task, ctx: Context, loaded: LoadedProgram, program: Program, result: number): void {
  finishInterp(program);
  loaded.mm.unref();
  ctx.exit();
  t.kernel.endDetached(t, result);
}

/** The interpreter's file has been mapped; unlike the program's it may be written from now on. */
function finishInterp(program: Program): void {
  if (program.interp !== null) closeExec(program.interp.file);
  // The memory manager has a reference of the executable and keeps writers out by itself.
  closeExec(program.file);
}

/** Queues the writes behind the orders where the platform can take them. */
function queueAll(ctx: Context, loaded: LoadedProgram): boolean {
  // The longest first: the others have their zeros from there.
  loaded.zeros.sort((a, b) => b.len - a.len);
  return (
    loaded.zeros.every((z) => ctx.zeroOut(z.addr, z.len)) &&
    loaded.writes.every((w) => ctx.copyOut(w.addr, w.bytes, 0, w.bytes.length))
  );
}

/** Less than a page is zeroed behind a segment. */
const ZEROS = new Uint8Array(PAGE_SIZE);

function writeAll(ctx: Context, loaded: LoadedProgram): number {
  for (const { addr, len } of loaded.zeros) if (ctx.space.write(addr, ZEROS, 0, len) !== len) return -EFAULT;
  for (const w of loaded.writes) {
    const n = w.bytes.length;
    if (ctx.space.write(w.addr, w.bytes, 0, n) !== n) return -EFAULT;
  }
  return 0;
}

/** The point of no return. */
function switchTo(
  t: Task,
  ctx: Context,
  loaded: LoadedProgram,
  ids: ExecCreds,
  name: string,
  oldTid: number,
): void {
  const regs = ctx.regs();
  regs.words.fill(0);
  regs.set(RIP, loaded.entry);
  regs.set(RSP, loaded.sp);
  regs.set(EFLAGS, 0x200);
  regs.set(CS, USER_CS);
  regs.set(SS, USER_DS);
  ctx.regsChanged();
  ctx.resetFpState();
  ctx.setSegmentBase('fs', 0);
  ctx.setSegmentBase('gs', 0);
  t.memoryChange.kind = 'exec';
  t.creds = ids.creds;
  if (ids.forgetsParent) t.pdeathSignal = 0;
  loaded.mm.dumpable = ids.dumpable ? 1 : t.kernel.core.suidDumpable;
  t.personality &= ~READ_IMPLIES_EXEC;
  commitExec(t, ctx, loaded.mm, name.slice(name.lastIndexOf('/') + 1));
  execStop(t, oldTid, (task) => task.kernel.endDetached(task, SYS_RESUME_REGS));
}

const AT_NAMES = { AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH };

export const execRows: readonly SyscallRow[] = [
  {
    nr: 59,
    name: 'execve',
    fn: sysExecve,
    args: [path, ptr, ptr],
    support: 'partial',
    note: 'ELF64 and #! files; no 32-bit programs or binfmt_misc',
  },
  {
    nr: 322,
    name: 'execveat',
    fn: sysExecveat,
    args: [fd, path, ptr, ptr, flags(AT_NAMES)],
    support: 'partial',
    note: 'as execve',
  },
];
