/**
 * ptrace(2): who traces whom, and the stopped state (kernel/ptrace.c). A tracee that stops keeps what it was about to do
 * in `then`; the tracer's next request lets it go on there. Where tracees stop is in ptrace-stops.ts.
 */
import { ESRCH } from '../abi/errno.ts';
import { PTRACE_EVENT_STOP } from '../abi/ptrace.ts';
import { CLD_TRAPPED, SA_NOCLDSTOP, SIGCHLD, SIGSTOP, SIGTRAP, SIG_IGN } from '../abi/signal.ts';
import { EFLAGS } from '../arch/regs.ts';
import { takeFutexes } from './own-futexes.ts';
import type { SigInfo } from './sig-info.ts';
import { childInfo, sendGroupSignal, sendTaskSignal, signalWake } from './signal-send.ts';
import { sigInfoKernel } from './sig-info.ts';
import type { Task } from './task.ts';
import { TASK_DETACHED, TASK_KERNEL, TASK_STOPPED, TASK_TRACED } from './task.ts';
import { CHILD_EVENT, type ThreadGroup } from './thread-group.ts';

const TRAP_FLAG = 0x100;

/** What a tracee does when it is let go. */
export const GO_ON = 0;
export const GO_SYSCALL = 1;
export const GO_SYSEMU = 2;

export class Ptrace {
  readonly tracer: Task;
  readonly seized: boolean;
  /** PTRACE_O_* */
  options: number;
  /** Of the stop that has not been waited for: signal | event << 8; 0: none. */
  exitCode = 0;
  /** The same, kept after the wait. */
  stopCode = 0;
  /** PTRACE_GETEVENTMSG */
  message = 0;
  /** PTRACE_GETSIGINFO; null in a group stop of the old kind. */
  info: SigInfo | null = null;
  stopped = false;
  /** PTRACE_LISTEN */
  listening = false;
  /** A stop is wanted: PTRACE_INTERRUPT, or the group stop has ended. */
  trapPending = false;
  /** PTRACE_EVENT_EXIT has been reported. */
  exitReported = false;
  /** Wait status of a thread that has ended. */
  exitStatus = 0;

  /** How the tracer let it go: GO_*, single steps, and the signal given along. */
  mode = GO_ON;
  stepping = false;
  signal = 0;
  /** The trap flag in the registers is the tracer's. */
  trapFlagSet = false;
  /** The system call in progress was begun by a single step. */
  stepIntoCall = false;

  /** In a system call: whose result, or a restart code, is `result`. */
  inSyscall = false;
  result = 0;
  then: (t: Task) => void = () => {};

  constructor(tracer: Task, seized: boolean, options: number) {
    this.tracer = tracer;
    this.seized = seized;
    this.options = options;
  }

  wants(event: number): boolean {
    return Math.floor(this.options / 2 ** event) % 2 === 1;
  }
}

/** ptrace_link() */
export function link(t: Task, tracer: Task, seized: boolean, options: number): Ptrace {
  const p = new Ptrace(tracer, seized, options);
  t.ptrace = p;
  t.mem.immediate = true;
  takeFutexes(t.mm);
  t.reclaim();
  (tracer.tracees ??= new Set()).add(t);
  return p;
}

export function unlink(t: Task): void {
  const p = t.ptrace;
  if (p === null) return;
  clearStep(t);
  t.ptrace = null;
  t.mem.immediate = false;
  p.tracer.tracees?.delete(t);
}

/** Removes the trap flag that a single step has put into the registers. */
export function clearStep(t: Task): void {
  const p = t.ptrace;
  if (p === null || !p.trapFlagSet || t.ctxGone) return;
  p.trapFlagSet = false;
  const { words } = t.ctx.regs();
  words[2 * EFLAGS] = words[2 * EFLAGS]! & ~TRAP_FLAG;
  t.ctx.regsChanged();
}

/** Guest code is about to run: user_enable_single_step(). */
export function setStep(t: Task): void {
  const p = t.ptrace;
  if (p === null || !p.stepping) return;
  const { words } = t.ctx.regs();
  // A program that steps itself keeps its flag.
  if ((words[2 * EFLAGS]! & TRAP_FLAG) !== 0) return;
  p.trapFlagSet = true;
  words[2 * EFLAGS] = words[2 * EFLAGS]! | TRAP_FLAG;
  t.ctx.regsChanged();
}

/** do_notify_parent_cldstop() for the tracer. */
function notifyTracer(t: Task, p: Ptrace): void {
  const g = p.tracer.group;
  const h = g.handlers;
  if (h.handler[SIGCHLD] !== SIG_IGN && (h.flags[SIGCHLD]! & SA_NOCLDSTOP) === 0) {
    sendGroupSignal(g, childInfo(t.group, g, SIGCHLD, CLD_TRAPPED, p.exitCode & 0x7f, t));
  }
  g.childWaiters.wake(CHILD_EVENT);
}

/**
 * ptrace_stop(): the tracee stands still until its tracer lets it go, then does `then`. Orders of the call in progress reach
 * the host first, so that the tracer sees memory as it is.
 */
export function ptraceStop(
  t: Task,
  code: number,
  message: number,
  info: SigInfo | null,
  then: (t: Task) => void,
): void {
  const p = t.ptrace!;
  p.stopCode = code;
  p.message = message;
  p.info = info;
  p.then = then;
  p.listening = false;
  t.state = TASK_DETACHED;
  t.ctx.runOrders((r) => {
    if (t.dead) return;
    t.state = TASK_KERNEL;
    if (r < 0 && p.inSyscall) p.result = t.mm.rollback(t.memoryChange, -r);
    t.memoryChange.kind = 'none';
    // Killed, or the tracer has gone meanwhile: no stop.
    if (t.killed || t.ptrace !== p) {
      then(t);
      return;
    }
    p.exitCode = code;
    p.stopped = true;
    p.signal = 0;
    t.state = TASK_TRACED;
    notifyTracer(t, p);
  });
}

/** The tracer lets a stopped tracee go. */
export function resumeTracee(t: Task, mode: number, stepping: boolean, signal: number): void {
  const p = t.ptrace!;
  p.mode = mode;
  p.stepping = stepping;
  p.signal = signal;
  p.exitCode = 0;
  p.stopped = false;
  p.listening = false;
  t.kernel.enqueue(t);
}

/** A traced task's turn in the run queue. */
export function runTraced(t: Task): void {
  const p = t.ptrace;
  if (p !== null && p.stopped && !t.killed) return;
  t.state = TASK_KERNEL;
  const then = p === null ? t.afterDetach : p.then;
  t.afterDetach = null;
  then?.(t);
}

/** ptrace_detach(), exit_ptrace(): the tracee goes on by itself, or joins the group stop that is in force. */
export function detach(t: Task, signal: number): void {
  const p = t.ptrace!;
  const stopped = p.stopped;
  const { then } = p;
  p.signal = signal;
  p.mode = GO_ON;
  p.stepping = false;
  p.stopped = false;
  unlink(t);
  if (!stopped) return;
  if (t.state === TASK_TRACED && t.group.stopSignal !== 0 && signal === 0 && !t.killed) {
    t.state = TASK_STOPPED;
    t.stopResult = p.result;
    t.stopInSyscall = p.inSyscall;
    return;
  }
  t.afterDetach = then;
  t.kernel.enqueue(t);
}

/** The tracer asks for a stop: PTRACE_INTERRUPT, and the start of a seized child. */
export function trap(t: Task): void {
  const p = t.ptrace!;
  if (p.stopped) {
    if (p.listening) retrap(t);
    return;
  }
  p.trapPending = true;
  signalWake(t);
}

/** A listening tracee reports again: its group stop has ended, or it is interrupted. */
export function retrap(t: Task): void {
  const p = t.ptrace!;
  p.listening = false;
  p.stopCode = SIGTRAP | (PTRACE_EVENT_STOP << 8);
  p.exitCode = p.stopCode;
  notifyTracer(t, p);
}

/** PTRACE_ATTACH: a task in a group stop is traced from there, any other stops by SIGSTOP. */
export function stopForAttach(t: Task): void {
  if (t.state === TASK_STOPPED) {
    const p = t.ptrace!;
    p.inSyscall = t.stopInSyscall;
    p.result = t.stopResult;
    p.then = t.kernel.goOnStopped;
    p.stopCode = p.exitCode = t.group.stopSignal;
    p.stopped = true;
    t.state = TASK_TRACED;
    notifyTracer(t, p);
  }
  sendTaskSignal(t, sigInfoKernel(SIGSTOP), true);
}

/** The tracee with number `nr` of this very tracer, which must be stopped unless `running`; −ESRCH. */
export function findTracee(t: Task, nr: number, running: boolean): Task | number {
  const c = t.pidNs.findTask(nr);
  if (c === null || c.dead || c.ptrace === null || c.ptrace.tracer !== t) return -ESRCH;
  return running || (c.ptrace.stopped && !c.ptrace.listening && !c.killed) ? c : -ESRCH;
}

/** All that threads of `g` trace. */
export function* traceesOf(g: ThreadGroup): Iterable<Task> {
  for (const t of g.tasks) if (t.tracees !== null) yield* t.tracees;
}
