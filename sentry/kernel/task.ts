/**
 * Task: a thread (include/linux/sched.h struct task_struct). Holds what a syscall handler needs and how it waits.
 *
 * Blocking is "try; register; try again; park": a handler that would block registers on the wait queues it cares about
 * (`waitOn`), checks once more, and returns `block(...)`. When an entry fires, the deadline passes or a signal comes, the
 * task goes to the kernel's run queue and the *same handler runs again* with `blockState` kept, so a handler is written as:
 * take (or make) the state, try, otherwise register and block. `timedOut` says that the deadline passed.
 */
import { EINTR, ERESTARTSYS } from '../abi/errno.ts';
import { SyscallArgs } from '../arch/syscall-args.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import type { Context } from '../platform/platform.ts';
import { Timer } from '../time/timer-queue.ts';
import { UserMemory } from '../usermem/user-memory.ts';
import type { CallContext, FsContext } from '../vfs/call-context.ts';
import { WaitEntry, type WaitQueue } from '../waiter/wait-queue.ts';
import type { FdTable } from './fd-table.ts';
import type { Kernel } from './kernel.ts';
import type { ThreadGroup } from './thread-group.ts';
import { SYS_BLOCKED, type SysResult, type SyscallRow } from './syscall-table.ts';

/** What an interrupted wait returns: a result or restart code, or a function of the task that makes it. */
export type OnInterrupt = number | ((t: Task) => SysResult);

export interface TaskInit {
  tid: number;
  group: ThreadGroup;
  ctx: Context;
  mm: MemoryManager;
  fs: FsContext;
  fdTable: FdTable;
  creds: Credentials;
}

export class Task implements CallContext {
  readonly kernel: Kernel;
  /** Thread id in the sandbox's PID namespace. */
  tid: number;
  group: ThreadGroup;
  ctx: Context;
  mm: MemoryManager;
  mem: UserMemory;
  fs: FsContext;
  fdTable: FdTable;
  creds: Credentials;
  /** prctl(PR_SET_NAME): up to 15 bytes. */
  comm = '';

  // The syscall in progress.
  readonly args: SyscallArgs;
  sysno = -1;
  row: SyscallRow | null = null;

  // Waiting.
  private entries: WaitEntry[] = [];
  private entriesUsed = 0;
  private readonly deadline: Timer;
  /** State of the blocked syscall between runs of its handler; null at the first run. */
  blockState: unknown = null;
  blocked = false;
  timedOut = false;
  private onInterrupt: OnInterrupt = -ERESTARTSYS;
  /** Link of the kernel's run queue. */
  queued = false;

  constructor(kernel: Kernel, init: TaskInit) {
    this.kernel = kernel;
    this.tid = init.tid;
    this.group = init.group;
    this.ctx = init.ctx;
    this.mm = init.mm;
    this.fs = init.fs;
    this.fdTable = init.fdTable;
    this.creds = init.creds;
    this.mem = new UserMemory(init.ctx, init.mm);
    this.args = new SyscallArgs(init.ctx.args);
    this.deadline = new Timer(() => {
      this.timedOut = true;
      this.wake();
    });
    init.ctx.task = this;
  }

  get tgid(): number {
    return this.group.tgid;
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
    this.blocked = true;
    this.timedOut = false;
    this.onInterrupt = onInterrupt;
    if (deadlineNs !== Infinity) this.kernel.timers.arm(this.deadline, deadlineNs);
    return SYS_BLOCKED;
  }

  /** Takes back registrations made in this run of a handler that then need not block. */
  cancelWait(): void {
    for (let i = 0; i < this.entriesUsed; i++) this.entries[i]!.remove();
    this.entriesUsed = 0;
    this.kernel.timers.disarm(this.deadline);
    this.blocked = false;
  }

  /** Schedules a parked task's handler to run again. */
  wake(): void {
    if (this.blocked) this.kernel.enqueue(this);
  }

  /** Ends the wait because of a signal; returns what the syscall returns. */
  interruptWait(): SysResult {
    this.cancelWait();
    const r = typeof this.onInterrupt === 'number' ? this.onInterrupt : this.onInterrupt(this);
    this.blockState = null;
    return r;
  }
}

/** For waits that never restart (poll, epoll_wait, nanosleep with remaining time written…). */
export const INTERRUPTED = -EINTR;
