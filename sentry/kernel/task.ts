/**
 * Task: a thread (include/linux/sched.h struct task_struct). Holds what a syscall handler needs and how it waits.
 *
 * Blocking is "try; register; try again; park": a handler that would block registers on the wait queues it cares about
 * (`waitOn`), checks once more, and returns `block(...)`. When an entry fires, the deadline passes or a signal comes, the
 * task goes to the kernel's run queue and the *same handler runs again* with `blockState` kept, so a handler is written as:
 * take (or make) the state, try, otherwise register and block. `timedOut` says that the deadline passed. If the handler
 * blocks again while a signal is pending, the call ends with what `block` was given as `onInterrupt`.
 */
import { ERESTARTSYS } from '../abi/errno.ts';
import { SyscallArgs } from '../arch/syscall-args.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { MemoryManager, PendingChange } from '../mm/memory-manager.ts';
import type { MemPolicy } from '../mm/mempolicy.ts';
import type { Context } from '../platform/platform.ts';
import { Timer } from '../time/timer-queue.ts';
import { UserMemory } from '../usermem/user-memory.ts';
import type { CallContext, FsContext } from '../vfs/call-context.ts';
import type { Asker, ServedCall } from '../vfs/served-call.ts';
import { WaitEntry, type WaitQueue } from '../waiter/wait-queue.ts';
import type { CssSet } from './cgroup/css-set.ts';
import { CpuAccount } from './cpu-account.ts';
import type { FdTable } from './fd-table.ts';
import type { PiState, PiWaiter } from './futex-pi.ts';
import type { Kernel } from './kernel.ts';
import { useNamespaces, type Namespaces } from './namespaces.ts';
import type { Pid, PidNamespace } from './pid-namespace.ts';
import type { DebugRegs } from './debug-regs.ts';
import type { Ptrace } from './ptrace.ts';
import type { LandlockDomain } from '../vfs/landlock.ts';
import type { SeccompFilter } from './seccomp.ts';
import type { UserDispatch } from './syscall-dispatch.ts';
import type { SigInfo } from './sig-info.ts';
import { SigQueue } from './sig-queue.ts';
import { SigSet, UNBLOCKABLE_LO } from './sig-set.ts';
import { ResourceUsage, type ThreadGroup } from './thread-group.ts';
import { SYS_BLOCKED, type SysResult, type SyscallRow } from './syscall-table.ts';

/** What an interrupted wait returns: a result or restart code, or a function of the task that makes it. */
export type OnInterrupt = number | ((t: Task) => SysResult);

// Task.state
/** Guest code runs, or its event has not been seen yet. */
export const TASK_RUNNING = 0;
/** The kernel works for it: in a handler or on the way out. */
export const TASK_KERNEL = 1;
/** Parked by block(). */
export const TASK_BLOCKED = 2;
/** In a group stop (job control). */
export const TASK_STOPPED = 3;
/** Waits for an operation of the platform (fork, exec, orders). */
export const TASK_DETACHED = 4;
/** Ended. */
export const TASK_DEAD = 5;
/** Waits for its vfork child. */
export const TASK_VFORK = 6;
/** Waits for its sibling threads to leave (exec). */
export const TASK_DETHREAD = 7;
/** Kept from returning to guest code by a freezer. */
export const TASK_FROZEN = 8;
/** Stopped for its tracer. */
export const TASK_TRACED = 9;
/** Stands still while the core of its process is written. */
export const TASK_DUMPED = 10;
/** Waits for a program that serves a file system; only death ends that. */
export const TASK_ASKING = 11;

/** What a worker (io-worker.ts) does when it is woken, and when it is its turn. */
export interface Work {
  woken(): void;
  resume(): void;
}

export interface TaskInit {
  pid: Pid;
  group: ThreadGroup;
  ctx: Context;
  mm: MemoryManager;
  fs: FsContext;
  fdTable: FdTable;
  creds: Credentials;
  ns: Namespaces;
  cset: CssSet;
}

/** Entries of wait queues that a task keeps for its next wait. */
const ENTRIES_KEPT = 64;

export class Task implements CallContext, Asker {
  readonly kernel: Kernel;
  pid: Pid;
  group: ThreadGroup;
  ctx: Context;
  mm: MemoryManager;
  mem: UserMemory;
  fs: FsContext;
  fdTable: FdTable;
  creds: Credentials;
  ns: Namespaces;
  /** Its control groups. */
  cset: CssSet;
  /** prctl(PR_SET_NAME): up to 15 bytes. */
  comm = '';
  state = TASK_KERNEL;

  // The syscall in progress.
  readonly args: SyscallArgs;
  sysno = -1;
  row: SyscallRow | null = null;
  /** What restart_syscall(2) runs after −ERESTART_RESTARTBLOCK; set by the handler that returns it. */
  restart: ((t: Task) => SysResult) | null = null;
  /** What the orders of this call announce, taken back if the host refuses them. */
  readonly memoryChange: PendingChange = { kind: 'none', start: 0, value: 0 };

  // Signals.
  private readonly mask = new SigSet();
  private robustHead = 0;
  /** Mask and robust list are in the thread's own hands (lent-state.ts). */
  lent = false;
  /** Mask to go back to after sigsuspend, ppoll and the like (set_restore_sigmask). */
  readonly savedSigMask = new SigSet();
  restoreSigMask = false;
  /** The mask proper while sigtimedwait(2) has opened `sigMask` for the signals it wants; empty otherwise. */
  readonly realSigMask = new SigSet();
  readonly pending = new SigQueue();
  /**
   * Something is to be done before guest code runs again: a deliverable signal, a group stop, or the exit of the process.
   * Like TIF_SIGPENDING it may be set without reason, never the other way round.
   */
  work = false;
  altStackSp = 0;
  altStackSize = 0;
  /** As sigaltstack(2) was given them; handlers find them in uc_stack. */
  altStackFlags = 0;
  /** SIGKILL or exit_group: leaves at the next chance. */
  killed = false;
  /** Of the last fault: goes into the signal frame (thread_struct trap_nr, error_code, cr2). */
  readonly fault = { trapNo: 0, errorCode: 0, cr2: 0 };
  /** Has yet to take part in the group stop (JOBCTL_STOP_PENDING). */
  stopPending = false;
  /** One of those that the stop is complete without (JOBCTL_STOP_CONSUME). */
  stopConsume = false;
  /** The signal of the last group stop it was told of (JOBCTL_STOP_SIGMASK). */
  stopSignal = 0;
  /** No SIGCONT has come since a signal was taken from the queue (JOBCTL_STOP_DEQUEUED): it may stop the group. */
  stopDequeued = false;
  /** Result of the interrupted syscall while stopped or frozen, and whether there is one. */
  stopResult = 0;
  stopInSyscall = false;

  // Tracing.
  /** What its tracer has set, and where it stands; null: nobody traces it. */
  ptrace: Ptrace | null = null;
  /** null: as at birth. */
  debugRegs: DebugRegs | null = null;
  /** What it traces, and the zombies among that. */
  tracees: Set<Task> | null = null;
  /** The signal that the tracer lets through, delivered next. */
  injectedSignal: SigInfo | null = null;
  /** What a tracee whose tracer has left it in a stop does next. */
  afterDetach: ((t: Task) => void) | null = null;

  // Birth and death.
  /** set_tid_address(2), CLONE_CHILD_CLEARTID. */
  clearChildTid = 0;
  futexesReleased = false;
  /** Locks with waiters that it holds, and the lock it waits for (PI futexes). */
  piOwned: Set<PiState> | null = null;
  piBlockedOn: PiWaiter | null = null;
  pdeathSignal = 0;
  /** Parent to release when this vfork child execs or exits. */
  vforkParent: Task | null = null;
  /** For the parent: the child is gone, and what the call returns. */
  vforkDone = false;
  vforkResult = 0;
  /** The platform has lost the context: nothing may be asked of it. */
  ctxGone = false;

  // Attributes.
  noNewPrivs = false;
  /** PR_SET_SYSCALL_USER_DISPATCH: neither threads nor children inherit it. */
  dispatch: UserDispatch | null = null;
  /** Innermost guest seccomp filter. */
  seccomp: SeccompFilter | null = null;
  landlock: LandlockDomain | null = null;
  personality = 0;
  nice = 0;
  schedPolicy = 0;
  schedPriority = 0;
  schedResetOnFork = false;
  /** Runtime, deadline and period in ns of SCHED_DEADLINE. */
  schedDeadline: readonly [number, number, number] | null = null;
  /** CPU affinity as the guest set it, less than all that it sees; null: all. */
  affinity: Uint8Array | null = null;
  ioprio = 0;
  /** PR_MCE_KILL: late (0), early (1) or the system's way (2). */
  mceKill = 2;
  /** PR_SET_IO_FLUSHER, which has no effect: no memory is reclaimed here. */
  ioFlusher = false;
  /** set_mempolicy(2); null: the default one. */
  mempolicy: MemPolicy | null = null;
  timerSlackNs = 50_000;
  /** What PR_SET_TIMERSLACK 0 goes back to: the slack of the creator. */
  defaultTimerSlackNs = 50_000;
  /** Who logged in, by the outermost namespace's number, and in which session (audit(7)); −1: nobody did. */
  loginuid = -1;
  sessionid = -1;
  readonly usage = new ResourceUsage();
  readonly cpu: CpuAccount;
  readonly startNs: number;

  // Waiting.
  private entries: WaitEntry[] = [];
  private entriesUsed = 0;
  private readonly deadline: Timer;
  /** State of the blocked syscall between runs of its handler; null at the first run. */
  blockState: unknown = null;
  /** What programs that serve file systems were asked in the call in hand. */
  served: ServedCall | null = null;
  timedOut = false;
  /** While blocked: only death ends the wait (TASK_KILLABLE). */
  killable = false;
  /** What becomes of the call in hand if its wait is ended. */
  onInterrupt: OnInterrupt = -ERESTARTSYS;
  /** Link of the kernel's run queue. */
  queued = false;

  /** Itself; of a worker the task that it works for. */
  owner: Task;
  /** What a worker is there for. */
  errand: Work | null = null;

  /** `owner`: the new one is a worker of that, no thread. */
  constructor(kernel: Kernel, init: TaskInit, owner: Task | null = null) {
    this.kernel = kernel;
    this.pid = init.pid;
    this.group = init.group;
    this.ctx = init.ctx;
    this.mm = init.mm;
    this.fs = init.fs;
    this.fdTable = init.fdTable;
    this.creds = init.creds;
    this.ns = init.ns;
    this.cset = init.cset;
    this.mem = new UserMemory(init.ctx, init.mm);
    this.args = new SyscallArgs(init.ctx.args);
    this.startNs = kernel.clock.monotonicNs();
    this.cpu = new CpuAccount(kernel.work);
    this.deadline = new Timer(() => {
      this.timedOut = true;
      this.wake();
    });
    this.owner = owner ?? this;
    if (owner === null) this.enlist();
  }

  private enlist(): void {
    const { kernel } = this;
    this.ctx.task = this;
    this.pid.task = this;
    this.group.tasks.add(this);
    useNamespaces(this.ns);
    this.cset.enter();
    kernel.tasksMade++;
    kernel.countTask(this);
  }

  /** Signals that are blocked. */
  get sigMask(): SigSet {
    if (this.lent) this.reclaim();
    return this.mask;
  }

  /** Head of the robust futex list, 0 if none. */
  get robustList(): number {
    if (this.lent) this.reclaim();
    return this.robustHead;
  }

  set robustList(head: number) {
    if (this.lent) this.reclaim();
    this.robustHead = head;
  }

  /** Lets the thread look after its signal mask and robust list, where the platform can. */
  lend(): void {
    if (!this.lent) {
      const mayRseq = this.kernel.knowsAllCpus(this.group.container);
      this.lent = this.ctx.lend(this.mask.lo, this.mask.hi, this.robustHead, mayRseq);
    }
  }

  /** Takes back what is lent. The guest says what it is now. */
  reclaim(): void {
    if (!this.lent) return;
    this.lent = false;
    this.ctx.reclaim();
    const { maskLo, maskHi, robustList } = this.ctx.lent;
    this.mask.set(maskLo & ~UNBLOCKABLE_LO, maskHi);
    this.robustHead = robustList;
  }

  /** Thread id in the task's own PID namespace. */
  get tid(): number {
    return this.pid.nr;
  }

  get tgid(): number {
    return this.group.pid.nr;
  }

  get pidNs(): PidNamespace {
    return this.pid.ns;
  }

  get isLeader(): boolean {
    return this.group.leader === this;
  }

  get dead(): boolean {
    return this.state === TASK_DEAD;
  }

  get blocked(): boolean {
    return this.state === TASK_BLOCKED;
  }

  /** Blocked, or waiting on the host where the kernel does not see it. */
  get sleeping(): boolean {
    return this.blocked || (this.state === TASK_RUNNING && this.ctx.waits);
  }

  /** The freezer of its container or of a control group keeps it from guest code. */
  get frozen(): boolean {
    return this.cset.frozen || this.group.container?.frozen === true;
  }

  /** Stands still in a group stop, untraced. */
  get inGroupStop(): boolean {
    return this.state === TASK_STOPPED;
  }

  answered(): void {
    if (this.state === TASK_ASKING) this.kernel.runQueue.add(this);
  }

  /** The call is over: an answer that is still to come is nobody's. */
  endServed(): void {
    const call = this.served;
    if (call === null) return;
    this.served = null;
    call.end();
  }

  /** Waits for what no signal but a fatal one ends: its vfork child, a program that serves a file system, or threads that execve ends. */
  get uninterruptible(): boolean {
    const { state } = this;
    if (state === TASK_BLOCKED) return this.killable;
    return state === TASK_VFORK || state === TASK_ASKING || state === TASK_DETHREAD;
  }

  get fileSizeLimit(): number {
    return this.group.limits.fileSize;
  }

  get nowSec(): number {
    return this.kernel.clock.realtimeSec();
  }

  get nowNsec(): number {
    return this.kernel.clock.realtimeNsec();
  }

  /** Moves the task to another context and address space (execve). */
  rebind(ctx: Context, mm: MemoryManager): void {
    this.reclaim();
    this.ctx = ctx;
    this.mm = mm;
    this.mem.rebind(ctx, mm);
    this.args.words = ctx.args;
    ctx.task = this;
    if (this.affinity !== null) ctx.bindTo(this.affinity);
  }

  /** Registers on a wait queue for the block that follows. */
  waitOn(queue: WaitQueue, mask: number): void {
    let e = this.entries[this.entriesUsed];
    if (e === undefined) {
      e = new WaitEntry(() => this.wake());
      this.entries.push(e);
    }
    this.entriesUsed++;
    queue.add(e, mask);
  }

  /**
   * Parks the task until a registered queue fires, `deadlineNs` (CLOCK_MONOTONIC, Infinity: never) passes or a signal
   * interrupts it, in which case the syscall ends with `onInterrupt` (default: restart).
   */
  block(deadlineNs = Infinity, onInterrupt: OnInterrupt = -ERESTARTSYS): SysResult {
    this.state = TASK_BLOCKED;
    this.usage.voluntarySwitches++;
    this.timedOut = false;
    this.killable = false;
    this.onInterrupt = onInterrupt;
    if (deadlineNs !== Infinity) this.kernel.timers.arm(this.deadline, deadlineNs);
    return SYS_BLOCKED;
  }

  /** Takes back registrations made in this run of a handler that then need not block. */
  cancelWait(): void {
    for (let i = 0; i < this.entriesUsed; i++) this.entries[i]!.remove();
    if (this.entriesUsed > ENTRIES_KEPT) this.entries.length = ENTRIES_KEPT;
    this.entriesUsed = 0;
    if (this.deadline.armed) this.kernel.timers.disarm(this.deadline);
    if (this.state === TASK_BLOCKED || this.state === TASK_ASKING) this.state = TASK_KERNEL;
  }

  /** Schedules a parked task's handler to run again. */
  wake(): void {
    if (this.state !== TASK_BLOCKED) return;
    this.kernel.runQueue.add(this);
    if (this.errand !== null) this.errand.woken();
  }

  /** In the middle of a long call: the handler goes on with `progress` when others have had their turn; a signal ends the call. */
  yieldCall(progress: unknown, onInterrupt: OnInterrupt, deadlineNs = Infinity): SysResult {
    this.blockState = progress;
    const r = this.block(deadlineNs, onInterrupt);
    this.usage.voluntarySwitches--; // It does not wait for anything.
    this.kernel.runQueue.addYielded(this);
    return r;
  }

  /** Ends the wait because of a signal; returns what the syscall returns. */
  interruptWait(): SysResult {
    this.cancelWait();
    const r = typeof this.onInterrupt === 'number' ? this.onInterrupt : this.onInterrupt(this);
    this.blockState = null;
    return r;
  }

  /**
   * Replaces the signal mask until the syscall ends (ppoll, pselect6, epoll_pwait, sigsuspend). When the call is interrupted
   * the handler runs with this mask and returns to the old one; otherwise the old one comes back at once.
   */
  setTemporarySigMask(lo: number, hi: number): void {
    this.savedSigMask.copyFrom(this.sigMask);
    this.restoreSigMask = true;
    this.kernel.setSigMask(this, lo, hi);
  }

  /** True if a signal, stop or exit waits for this task: long handlers stop at the next good point. */
  get interrupted(): boolean {
    return this.work;
  }
}
