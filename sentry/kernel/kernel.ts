/**
 * Kernel: one per sandbox. Owns tasks, timers and the run queue, receives the platform's events and dispatches syscalls.
 */
import { ENOSYS, ERESTARTNOINTR, ESRCH } from '../abi/errno.ts';
import { SIGKILL, SI_USER } from '../abi/signal.ts';
import { SYSCALL_NAMES } from '../abi/syscall-names.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import { textPatches } from '../mm/text/text-patches.ts';
import type { Context, Platform, PlatformEvents } from '../platform/platform.ts';
import { Clock } from '../time/clock.ts';
import { TimerQueue } from '../time/timer-queue.ts';
import { servedMounts, setAsker } from '../vfs/served-call.ts';
import { onTreeChange } from '../vfs/walk-cache.ts';
import { cpusWithin, memoryWithin, type Container, type GroupFigures } from './container.ts';
import { accounts } from './accounts.ts';
import { KernelWork } from './cpu-account.ts';
import { watchCopies } from './lost-copies.ts';
import { CoreSettings } from './core-pattern.ts';
import { semExit } from './ipc/sem.ts';
import { TASKS_MAX_DEFAULT } from './tasks-max.ts';
import { LoadAverage } from './load-average.ts';
import { PidNamespace } from './pid-namespace.ts';
import { patchCaller } from './patched-text.ts';
import { tracerExit } from './ptrace-exit.ts';
import { takeFutexes } from './own-futexes.ts';
import { clearStep, trapNotify } from './ptrace.ts';
import { accessTracee, stoppedTracee } from './ptrace-memory.ts';
import { syscallEntryStop } from './ptrace-stops.ts';
import { RunQueue } from './run-queue.ts';
import { invokeServed } from './served-calls.ts';
import { checkSeccomp } from './seccomp.ts';
import { checkDispatch } from './syscall-dispatch.ts';
import { timersAtExec, timersAtExit } from './process-timers.ts';
import { sigInfoUser } from './sig-info.ts';
import { UNBLOCKABLE_LO } from './sig-set.ts';
import { groupExit, sendGroupSignal, signalWake } from './signal-send.ts';
import type { SysResult, SyscallRow } from './syscall-table.ts';
import { Task, TASK_DEAD, TASK_DETACHED, TASK_KERNEL } from './task.ts';
import { exitTask } from './task-exit.ts';
import { resumeTask } from './task-resume.ts';
import { endKilled, exitToUser, finishSyscall, recalcWork } from './task-run.ts';
import { ResourceUsage, ThreadGroup } from './thread-group.ts';
import { userFault } from './user-fault.ts';

export class Kernel implements PlatformEvents {
  readonly platform: Platform;
  readonly clock = new Clock();
  readonly timers = new TimerQueue();
  readonly work = new KernelWork();
  readonly accounts = accounts;
  readonly load = new LoadAverage(this.clock.monotonicNs());
  /** What processes that have ended have used, and tasks ever made. */
  readonly ended = new ResourceUsage();
  tasksMade = 0;
  readonly pidNs = new PidNamespace(null);
  /** Of every container: namespaces without a common ancestor, their processes do not see each other. */
  readonly rootPidNamespaces = new Set([this.pidNs]);
  /** Rows by number; null where there is none. Another one while memory is short (heap-guard.ts). */
  table: readonly (SyscallRow | null)[];
  readonly runQueue = new RunQueue(resumeTask);
  /** Calls of syscalls that have no row or answer "not supported": name → count. */
  readonly unimplemented = new Map<string, number>();
  /** CPUs the guest is told of; the embedding program sets it. */
  cpuCount = 1;
  /** Memory that the container may use, in bytes. */
  memTotal = 2 ** 30;
  /** What there is, whatever limits say. */
  machine = { cpus: 1, memory: 2 ** 30, highestCpu: 0 };
  /** Of the sandbox's first container. */
  figures: GroupFigures | null = null;
  /** Core files: their names, and whose there are. */
  readonly core = new CoreSettings();
  /** fs.nr_open: no process's RLIMIT_NOFILE goes beyond. */
  openFilesMax = 1048576;
  /** fs.aio-max-nr and fs.aio-nr: requests that contexts of asynchronous I/O are made for. */
  readonly aio = { max: 65536, used: 0 };
  /** kernel.io_uring_disabled and kernel.io_uring_group: who may make io_urings. */
  readonly ioUring = { disabled: 0, group: -1 };
  /** Queued signals per real user (RLIMIT_SIGPENDING). */
  readonly pendingByUid = new Map<number, number>();
  /** Most tasks at a time in the whole sandbox (pids cgroup's pids.max). */
  tasksMax = TASKS_MAX_DEFAULT;
  /** Tasks per real user (RLIMIT_NPROC). */
  readonly tasksByUid = new Map<number, number>();

  /** Patching of syscall sites; null if off. */
  readonly patches = textPatches();

  // Hooks of other parts and of the program that embeds the kernel.
  /** Run when a thread ends, before its files are closed. */
  readonly taskExitHooks: ((t: Task) => void)[] = [tracerExit];
  /** Called with parent and child when a thread or process has been made. */
  readonly cloneHooks: ((parent: Task, child: Task) => void)[] = [];
  /** Run at execve, before the old address space is left. */
  readonly execHooks: ((t: Task) => void)[] = [(t) => timersAtExec(t.group)];
  /** Run when the last thread of a process has ended. */
  readonly processExitHooks: ((g: ThreadGroup) => void)[] = [timersAtExit, semExit];
  /** The sandbox's init has ended, with its wait status. */
  onExit: ((status: number) => void) | null = null;
  /** init has been stopped (true) or continued by job control. */
  onInitStop: ((stopped: boolean) => void) | null = null;
  /** A line for the debug log: bugs, platform deaths. */
  report: (line: string) => void = () => {};
  /** Bytes in tmpfs files and shared memory. */
  sharedBytes: () => number = () => 0;
  /** Sets an entry of /proc/sys in the namespaces of a task: 0, −errno, null if there is none to set. The proc file system's. */
  setSysctl: (t: Task, path: string, value: string) => number | null = () => null;
  /** For strace: a syscall starts and ends. Null when nobody listens. */
  trace: { enter(t: Task): void; exit(t: Task, result: SysResult): void } | null = null;

  /** CPUs that processes are told of: those of the container's cpuset, and no more than its quota is worth. */
  cpusOf(box: Container | null): number {
    return box === null ? this.cpuCount : cpusWithin(box.limits, this.machine.cpus);
  }

  /**
   * Whether the numbers of all CPUs that threads run on are among those that processes are told of: only then may the host tell
   * them by itself (rseq(2)), as allocators index what they have for each CPU by them.
   */
  knowsAllCpus(box: Container | null): boolean {
    return this.machine.highestCpu < this.cpusOf(box);
  }

  /** Bytes that processes are told of. */
  memoryOf(box: Container | null): number {
    return box === null ? this.memTotal : memoryWithin(box.limits, this.machine.memory);
  }

  constructor(platform: Platform, table: readonly (SyscallRow | null)[]) {
    this.platform = platform;
    this.table = table;
    onTreeChange((generation) => platform.namesChanged(generation));
    watchCopies(this);
  }

  /** All processes of the sandbox, zombies included. */
  *allGroups(): Iterable<ThreadGroup> {
    for (const ns of this.rootPidNamespaces) yield* ns.groups();
  }

  /** Fires due timers, runs what is ready, then waits for the platform. True if `wakeFd` was readable. */
  turn(timeoutNs: number, wakeFd: number): boolean {
    this.runQueue.resumeYielded();
    this.runQueue.run();
    const next = this.timers.nextDeadlineNs;
    if (next !== Infinity) {
      const now = this.clock.monotonicNs();
      if (next <= now) {
        this.timers.expire(now);
        this.runQueue.run();
        timeoutNs = 0;
      } else if (timeoutNs < 0 || next - now < timeoutNs) timeoutNs = next - now;
    }
    if (!this.runQueue.empty) timeoutNs = 0;
    const woken = this.platform.poll(timeoutNs, wakeFd);
    this.runQueue.run();
    return woken;
  }

  onSyscall(ctx: Context): void {
    const t = ctx.task as Task;
    if (t.mm.free.areUnsettled) t.mm.free.settle(ctx);
    t.state = TASK_KERNEL;
    t.sysno = ctx.sysno;
    t.cpu.calls++;
    this.work.calls++;
    t.row = this.table[ctx.sysno] ?? null;
    t.blockState = null;
    t.timedOut = false;
    t.memoryChange.kind = 'none';
    this.enterSyscall(t);
  }

  private enterSyscall(t: Task): void {
    if (t.killed) {
      endKilled(t, -ERESTARTNOINTR, true);
      return;
    }
    const dispatched = t.dispatch === null ? null : checkDispatch(t, t.dispatch);
    if (dispatched !== null) finishSyscall(t, dispatched);
    else if (t.ptrace !== null) this.enterTraced(t);
    else this.runSyscall(t);
  }

  /** A tracer sees registers: a call from patched text has to bring them first. It may be gone by then. */
  private enterTraced(t: Task): void {
    if (t.ctx.partial) {
      t.state = TASK_DETACHED;
      t.ctx.complete(() => {
        if (t.state === TASK_DEAD) return;
        t.state = TASK_KERNEL;
        this.enterSyscall(t);
      });
      return;
    }
    clearStep(t);
    if (!syscallEntryStop(t, this.runSyscall)) this.runSyscall(t);
  }

  /** Carries a system call out, unless a tracer has answered it. */
  private readonly runSyscall = (t: Task, answer: SysResult | null = null): void => {
    if (this.trace !== null) this.trace.enter(t);
    const refused = answer ?? (t.seccomp === null ? null : checkSeccomp(t));
    const result = refused ?? this.invoke(t);
    const { patches } = this;
    if (patches !== null && patches.due && !t.ctx.partial && t.ptrace === null)
      patchCaller(t, result, patches);
    finishSyscall(t, result);
  };

  /** Carries out a call that a tracer has seen on behalf of a filter. */
  runSeen(t: Task): void {
    const refused = t.seccomp === null ? null : checkSeccomp(t, true);
    finishSyscall(t, refused ?? this.invoke(t));
  }

  /**
   * A tracer writes to memory its tracee may not write, by /proc/PID/mem. False: `mm` is of nobody that `t` traces and that
   * is stopped. See accessTracee.
   */
  pokeTracee(
    t: Task,
    mm: MemoryManager,
    addr: number,
    bytes: Uint8Array,
    done: (r: number) => void,
  ): boolean {
    const c = stoppedTracee(t, mm);
    if (c === null) return false;
    accessTracee(c, addr, bytes, bytes.length, true, done);
    return true;
  }

  /** For those that task-run.ts and ptrace.ts build on. */
  readonly exitToUser = exitToUser;
  readonly trapNotify = trapNotify;

  /** A task that was in a group stop when its tracer came goes on. */
  readonly goOnStopped = (t: Task): void => {
    exitToUser(t, t.stopResult, t.stopInSyscall);
  };

  /** Runs the handler. Its exception is a bug of ours: it costs the guest process, not the sandbox. */
  invoke(t: Task): SysResult {
    const row = t.row;
    if (row === null || row.support === 'none') this.countUnimplemented(t.sysno, row);
    if (row === null) {
      if (this.trace !== null) this.trace.exit(t, -ENOSYS);
      return -ENOSYS;
    }
    try {
      const r = servedMounts === 0 ? row.fn(t, t.args) : invokeServed(t, row.fn);
      if (this.trace !== null) this.trace.exit(t, r);
      return r;
    } catch (e) {
      setAsker(null);
      this.endBroken(t, row.name, e);
      return -ENOSYS;
    }
  }

  /** A worker has been woken. Exceptions of its errand as of a handler. */
  resumeWorker(t: Task): void {
    try {
      t.errand!.resume();
    } catch (e) {
      this.endBroken(t, 'worker', e);
    }
  }

  private endBroken(t: Task, name: string, e: unknown): void {
    this.report(`${name}: ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`);
    groupExit(t.group, SIGKILL);
  }

  private countUnimplemented(sysno: number, row: SyscallRow | null): void {
    const name = row?.name ?? SYSCALL_NAMES.get(sysno) ?? `syscall_${sysno}`;
    if (this.unimplemented.size < 1024) this.unimplemented.set(name, (this.unimplemented.get(name) ?? 0) + 1);
  }

  /** A new thread begins: from its registers, with 0 as the result of the call that made it. */
  startTask(t: Task): void {
    exitToUser(t, 0, true);
  }

  countTask(t: Task): void {
    this.tasksByUid.set(t.creds.uid, (this.tasksByUid.get(t.creds.uid) ?? 0) + 1);
  }

  uncountTask(t: Task): void {
    const n = (this.tasksByUid.get(t.creds.uid) ?? 0) - 1;
    if (n > 0) this.tasksByUid.set(t.creds.uid, n);
    else this.tasksByUid.delete(t.creds.uid);
  }

  /** commit_creds(): new credentials, counted for RLIMIT_NPROC. */
  commitCreds(t: Task, creds: Credentials): void {
    this.uncountTask(t);
    t.creds = creds;
    t.mm.space.forgetAnswers();
    this.countTask(t);
  }

  /** A platform operation that a handler returned SYS_DETACHED for has ended. False: the task is gone, nothing is to be done. */
  endDetached(t: Task, result: SysResult): void {
    if (t.state === TASK_DEAD) return;
    t.state = TASK_KERNEL;
    finishSyscall(t, result);
  }

  onKeyDenied(ctx: Context): void {
    const { mm } = ctx.task as Task;
    mm.useKeys();
    takeFutexes(mm);
  }

  onFault(ctx: Context, signo: number, code: number, addr: number, trapNo: number, errorCode: number): void {
    const t = ctx.task as Task;
    if (t.mm.free.areUnsettled) t.mm.free.settle(ctx);
    t.state = TASK_KERNEL;
    if (t.killed) {
      endKilled(t, 0, false);
      return;
    }
    if (t.ptrace !== null) clearStep(t);
    userFault(t, ctx, signo, code, addr, trapNo, errorCode);
  }

  onInterrupt(ctx: Context): void {
    const t = ctx.task as Task;
    if (t.mm.free.areUnsettled) t.mm.free.settle(ctx);
    if (t.ptrace !== null) clearStep(t);
    exitToUser(t, 0, false);
  }

  onOrderFailed(ctx: Context, _index: number, errno: number): void {
    const t = ctx.task as Task;
    if (t.mm.free.areUnsettled) t.mm.free.settle(ctx);
    t.state = TASK_KERNEL;
    if (t.memoryChange.kind === 'exec') groupExit(t.group, SIGKILL);
    finishSyscall(t, t.mm.rollback(t.memoryChange, errno));
  }

  /** The host process or thread is gone without an order: the guest process was killed. */
  onDeath(ctx: Context, signo: number, reason: string): void {
    const t = ctx.task as Task | null;
    if (t === null || t.state === TASK_DEAD) return;
    // An exec in progress has a context that is not the task's yet.
    if (ctx === t.ctx) t.ctxGone = true;
    if (reason !== '')
      this.report(`pid ${t.tgid} (${t.comm}): ${ranOutOfMemory(t.group.container) ? OUT_OF_MEMORY : reason}`);
    groupExit(t.group, signo > 0 ? signo : SIGKILL);
    exitTask(t, t.group.exitStatus);
  }

  /** __set_current_blocked(): SIGKILL and SIGSTOP never get into a mask. */
  setSigMask(t: Task, lo: number, hi: number): void {
    const m = t.sigMask;
    lo = (lo & ~UNBLOCKABLE_LO) >>> 0;
    hi = hi >>> 0;
    if (m.lo === lo && m.hi === hi) return;
    const newlyBlocked = (lo & ~m.lo) !== 0 || (hi & ~m.hi) !== 0;
    m.set(lo, hi);
    const g = t.group;
    if (newlyBlocked && g.tasks.size > 1 && !g.pending.bits.isEmpty) this.retargetPending(g, t);
    recalcWork(t);
  }

  /** retarget_shared_pending(): `t` no longer takes them, another thread may. */
  private retargetPending(g: ThreadGroup, t: Task): void {
    for (const o of g.tasks) {
      if (o === t || o.work || o.state === TASK_DEAD) continue;
      if (g.pending.next(o.sigMask.lo, o.sigMask.hi) !== 0) signalWake(o);
    }
  }

  /** A signal from outside the sandbox to its init (an engine's kill, the terminal of the CLI). 0 or −ESRCH. */
  signalInit(sig: number): number {
    const init = this.pidNs.reaper;
    if (init === null || init.isZombie) return -ESRCH;
    return sendGroupSignal(init, sigInfoUser(sig, SI_USER, 0, 0), true);
  }

  initEnded(status: number): void {
    this.onExit?.(status);
  }
}

/** The host has killed a process of the container for lack of memory since this was asked the last time. */
function ranOutOfMemory(box: Container | null): boolean {
  if (box === null) return false;
  const kills = box.figures?.oomKills() ?? 0;
  const isNew = kills > box.oomKills;
  box.oomKills = kills;
  return isNew;
}

const OUT_OF_MEMORY = 'killed, the container is out of memory';
