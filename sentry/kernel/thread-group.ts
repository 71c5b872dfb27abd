/** ThreadGroup: a process (signal_struct, and what its threads share). Lives until its parent has waited for it. */
import { SA_NOCLDWAIT, SIGCHLD, SIG_IGN } from '../abi/signal.ts';
import { WaitQueue } from '../waiter/wait-queue.ts';
import type { Container } from './container.ts';
import { ShownTimes } from './cpu-account.ts';
import type { CoreDump } from './core-dump.ts';
import type { Pid } from './pid-namespace.ts';
import type { ProcessGroup, Session } from './job-control.ts';
import type { Kernel } from './kernel.ts';
import type { ResourceLimits } from './limits.ts';
import { SigQueue } from './sig-queue.ts';
import type { SignalHandlers } from './signal-handlers.ts';
import type { Task } from './task.ts';

/** Event masks on ThreadGroup.childWaiters. */
export const CHILD_EVENT = 1;

/** CPU times in ns, and counts, as getrusage(2) shows them. */
export class ResourceUsage {
  utimeNs = 0;
  stimeNs = 0;
  minFaults = 0;
  majFaults = 0;
  /** Peak resident set in KiB. */
  maxRssKb = 0;
  voluntarySwitches = 0;
  involuntarySwitches = 0;

  add(o: ResourceUsage): void {
    this.utimeNs += o.utimeNs;
    this.stimeNs += o.stimeNs;
    this.minFaults += o.minFaults;
    this.majFaults += o.majFaults;
    this.maxRssKb = Math.max(this.maxRssKb, o.maxRssKb);
    this.voluntarySwitches += o.voluntarySwitches;
    this.involuntarySwitches += o.involuntarySwitches;
  }
}

export class ThreadGroup {
  readonly kernel: Kernel;
  readonly pid: Pid;
  /** Thread whose tid is the tgid; stays as a zombie until the last thread has gone. */
  leader!: Task;
  /** Live threads, the leader included until it exits. */
  readonly tasks = new Set<Task>();
  limits: ResourceLimits;
  handlers: SignalHandlers;
  /** The thread that the last signal for any of them went to, if not to the leader (signal_struct.curr_target). */
  signalTarget: Task | null = null;
  /** Process-wide pending signals. */
  readonly pending = new SigQueue();
  /** signalfd and sigtimedwait-like pollers of this process; woken with EPOLLIN when a signal is queued to any thread. */
  readonly signalWaiters = new WaitQueue();

  // Family.
  parent: ThreadGroup | null = null;
  /** Thread that made this process: PR_SET_PDEATHSIG follows it, and __WNOTHREAD asks for it. */
  parentTask: Task | null = null;
  readonly children = new Set<ThreadGroup>();
  /** Woken when a child ends, stops or continues. */
  readonly childWaiters = new WaitQueue();
  /** Signal to the parent at exit; 0: none (a "clone child" for wait). */
  exitSignal = SIGCHLD;
  /** Counts execve(2); what the parent's was at fork: to a parent that is another program, the end is SIGCHLD. */
  execId = 0;
  parentExecId = 0;
  childSubreaper = false;
  processGroup: ProcessGroup;

  // Exit.
  /** exit_group or a fatal signal is in progress: every thread leaves. */
  exiting = false;
  /** wait(2) status: exit code << 8, or signal | 0x80 for core. */
  exitStatus = 0;
  /** All threads are gone. */
  isZombie = false;
  /** Waited for. */
  isReaped = false;
  /** The thread that executes a program while the others leave (exec's de-threading), and what it does then, or if it is killed. */
  dethread: { task: Task; done: (t: Task) => void; abandoned: () => void } | null = null;
  container: Container | null = null;
  /** Called once, with the wait status, when the process has ended. */
  onEnd: ((status: number) => void) | null = null;
  /** init of a PID namespace: signals without a handler do nothing (SIGNAL_UNKILLABLE). */
  unkillable = false;

  // Stop and continue (job control).
  /** A stop is requested or in force; 0 if none. */
  stopSignal = 0;
  /** Threads that have yet to stop. */
  stopsOutstanding = 0;
  /** All threads have stopped (SIGNAL_STOP_STOPPED); tracers may have let some go on. */
  stopped = false;
  /** Stop not yet reported by a wait without WNOWAIT. */
  stopUnreported = false;
  /** SIGCONT took effect and no WCONTINUED wait has consumed it. */
  continuedUnreported = false;

  /** Times of ended threads, and of waited-for children. */
  readonly usage = new ResourceUsage();
  readonly childrenUsage = new ResourceUsage();
  /** Of its CPU time in ns, what control groups have been told. */
  readonly settledCpu = { user: 0, system: 0 };
  /** Of ended threads: time of this kernel for them, and how long they lived. */
  kernelNs = 0;
  lifeNs = 0;
  /** CPU time on the host of threads that have ended in the present address space. */
  endedHostNs = 0;
  /** There has been more than one thread. */
  hadThreads = false;
  readonly shown = new ShownTimes();
  /** CLOCK_MONOTONIC at creation. */
  readonly startNs: number;
  /** execve(2) has been called since fork: setpgid by the parent is refused. */
  didExec = false;
  oomScoreAdj = 0;
  /** What it may be lowered to without CAP_SYS_RESOURCE. */
  oomScoreAdjMin = 0;
  /** /proc/PID/coredump_filter */
  coredumpFilter = 0x33;
  /** The core dump in progress. */
  coreDump: CoreDump | null = null;
  /** Interval and POSIX timers, owned by the time syscalls. */
  timers: unknown = null;

  constructor(
    kernel: Kernel,
    pid: Pid,
    handlers: SignalHandlers,
    processGroup: ProcessGroup,
    limits: ResourceLimits,
  ) {
    this.kernel = kernel;
    this.limits = limits;
    this.pid = pid;
    this.handlers = handlers;
    this.processGroup = processGroup;
    this.startNs = kernel.clock.monotonicNs();
    pid.group = this;
    processGroup.add(this);
  }

  /** Ended threads that their tracer has not waited for. */
  readonly tracedZombies = new Set<Task>();

  /** No other thread runs, or has ended without its tracer having waited for it. */
  get isAlone(): boolean {
    return this.tasks.size === 1 && this.tracedZombies.size === 0;
  }

  /** A zombie that can be waited for: its tracers have waited for its threads (!delay_group_leader). */
  get hasEnded(): boolean {
    return this.isZombie && this.tracedZombies.size === 0;
  }

  /** get_nr_threads(): with zombies, the leader among them. */
  get threadCount(): number {
    return this.tasks.size + this.tracedZombies.size + (this.leader.dead ? 1 : 0);
  }

  /** Number in the process's own PID namespace. */
  get tgid(): number {
    return this.pid.nr;
  }

  get session(): Session {
    return this.processGroup.session;
  }

  /** getppid(2): 0 if the parent is outside the namespace. */
  get ppid(): number {
    return this.parent === null ? 0 : this.parent.pid.nrIn(this.pid.ns);
  }

  /** SA_NOCLDWAIT or an ignored SIGCHLD: children leave no zombies. */
  get autoReaps(): boolean {
    const h = this.handlers;
    return h.handler[SIGCHLD] === SIG_IGN || (h.flags[SIGCHLD]! & SA_NOCLDWAIT) !== 0;
  }

  /** init of its PID namespace. */
  get isInit(): boolean {
    return this.pid.ns.reaper === this;
  }
}
