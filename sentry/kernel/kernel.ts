/**
 * Kernel: one per sandbox. Owns tasks, timers and the run queue, receives the platform's events and dispatches syscalls.
 */
import { ENOSYS } from '../abi/errno.ts';
import type { Context, Platform, PlatformEvents } from '../platform/platform.ts';
import { Clock } from '../time/clock.ts';
import { TimerQueue } from '../time/timer-queue.ts';
import {
  SYS_BLOCKED,
  SYS_DETACHED,
  SYS_RESUME_REGS,
  type SysResult,
  type SyscallRow,
} from './syscall-table.ts';
import type { Task } from './task.ts';

export class Kernel implements PlatformEvents {
  readonly platform: Platform;
  readonly clock = new Clock();
  readonly timers = new TimerQueue();
  /** Rows by number; null where there is none. */
  private readonly table: readonly (SyscallRow | null)[];
  private runQueue: Task[] = [];
  /** Calls of syscalls that have no row or answer "not supported": name → count. */
  readonly unimplemented = new Map<string, number>();

  constructor(platform: Platform, table: readonly (SyscallRow | null)[]) {
    this.platform = platform;
    this.table = table;
  }

  /** Puts a woken task on the run queue; it runs from runReady, never from here. */
  enqueue(t: Task): void {
    if (t.queued) return;
    t.queued = true;
    this.runQueue.push(t);
  }

  /** Runs the handlers of woken tasks again. */
  runReady(): void {
    while (this.runQueue.length > 0) {
      const batch = this.runQueue;
      this.runQueue = [];
      for (const t of batch) {
        t.queued = false;
        if (!t.blocked) continue;
        t.cancelWait();
        this.finishSyscall(t, this.invoke(t));
      }
    }
  }

  onSyscall(ctx: Context): void {
    const t = ctx.task as Task;
    t.sysno = ctx.sysno;
    t.row = this.table[ctx.sysno] ?? null;
    t.blockState = null;
    t.timedOut = false;
    this.finishSyscall(t, this.invoke(t));
  }

  private invoke(t: Task): SysResult {
    return t.row === null ? -ENOSYS : t.row.fn(t, t.args);
  }

  /** Ends a syscall with its result: signals first, then back to the guest. */
  finishSyscall(t: Task, result: SysResult): void {
    if (result === SYS_BLOCKED || result === SYS_DETACHED) return;
    t.blockState = null;
    if (result === SYS_RESUME_REGS) t.ctx.resume();
    else t.ctx.resumeSyscall(result);
  }

  onFault(_ctx: Context, _signo: number, _code: number, _addr: number): void {}
  onInterrupt(_ctx: Context): void {}
  onOrderFailed(_ctx: Context, _index: number, _errno: number): void {}
  onDeath(_ctx: Context, _signo: number, _reason: string): void {}
}
