/**
 * ptrace(2): who traces whom, and the stopped state (kernel/ptrace.c). A tracee that stops keeps what it was about to do
 * in `then`; the tracer's next request lets it go on there. Where tracees stop is in ptrace-stops.ts.
 */
import { ESRCH } from '../abi/errno.ts';
import { PTRACE_EVENT_STOP } from '../abi/ptrace.ts';
import { CLD_STOPPED, CLD_TRAPPED, SA_NOCLDSTOP, SIGCHLD, SIGSTOP, SIGTRAP, SIG_IGN } from '../abi/signal.ts';
import { EFLAGS } from '../arch/regs.ts';
import { takeFutexes } from './own-futexes.ts';
import { type SigInfo, sigInfoKernel, sigInfoUser } from './sig-info.ts';
import {
  childInfo,
  sendGroupSignal,
  sendTaskSignal,
  signalWake,
  stopCode,
  takePartInStop,
} from './signal-send.ts';
import type { Task } from './task.ts';
import { TASK_DETACHED, TASK_KERNEL, TASK_STOPPED, TASK_TRACED } from './task.ts';
import { CHILD_EVENT } from './thread-group.ts';

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
  /** A stop is wanted, by PTRACE_INTERRUPT or from the start: any stop will do (JOBCTL_TRAP_STOP). */
  trapPending = false;
  /** A group stop has begun or ended: PTRACE_EVENT_STOP tells of it (JOBCTL_TRAP_NOTIFY). */
  notifyPending = false;
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

  get trapDue(): boolean {
    return this.trapPending || this.notifyPending;
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
  t.mm.space.forgetAnswers();
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

/** siginfo of a stop that is no signal (ptrace_notify). */
export function eventInfo(t: Task, signo: number, code: number): SigInfo {
  return sigInfoUser(signo, code, t.pid.nrIn(t.ptrace!.tracer.pidNs), t.creds.uid);
}

/** do_notify_parent_cldstop() for the tracer. */
function notifyTracer(t: Task, p: Ptrace, why: typeof CLD_STOPPED | typeof CLD_TRAPPED): void {
  const g = p.tracer.group;
  const h = g.handlers;
  if (h.handler[SIGCHLD] !== SIG_IGN && (h.flags[SIGCHLD]! & SA_NOCLDSTOP) === 0) {
    const status = why === CLD_STOPPED ? stopCode(t.group) : p.exitCode;
    sendGroupSignal(g, childInfo(t.group, g, SIGCHLD, why, status & 0x7f, t), false, p.tracer);
  }
  g.childWaiters.wake(CHILD_EVENT);
}

/** The bookkeeping of ptrace_stop(): the tracee stands still, and its tracer hears of it. */
function enterStop(t: Task, p: Ptrace, code: number, why: typeof CLD_STOPPED | typeof CLD_TRAPPED): void {
  p.exitCode = code;
  p.stopped = true;
  p.signal = 0;
  t.state = TASK_TRACED;
  if (why === CLD_STOPPED && t.stopPending) takePartInStop(t);
  // "Any trap clears pending STOP trap, STOP trap clears NOTIFY."
  p.trapPending = false;
  if (code >> 8 === PTRACE_EVENT_STOP) p.notifyPending = false;
  notifyTracer(t, p, why);
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
  why: typeof CLD_STOPPED | typeof CLD_TRAPPED = CLD_TRAPPED,
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
    enterStop(t, p, code, why);
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
  t.kernel.runQueue.add(t);
}

/** A traced task's turn in the run queue. */
export function runTraced(t: Task): void {
  const p = t.ptrace;
  if (p !== null && p.stopped && !t.killed) return;
  t.state = TASK_KERNEL;
  // Whoever traces it by now has not seen it stop.
  const then = t.afterDetach ?? p?.then;
  t.afterDetach = null;
  then?.(t);
}

/**
 * __ptrace_unlink() of ptrace_detach() and exit_ptrace(): the tracee goes on by itself, with `signal` if it was at one, or joins
 * the group stop that is in force.
 */
export function detach(t: Task, signal: number): void {
  const p = t.ptrace!;
  const stopped = p.stopped;
  const { then } = p;
  p.signal = signal;
  p.mode = GO_ON;
  p.stepping = false;
  p.stopped = false;
  unlink(t);
  if (t.group.stopSignal !== 0 && !t.killed) t.stopPending = true;
  if (stopped) {
    t.work = true;
    t.afterDetach = then;
    t.kernel.runQueue.add(t);
  } else if (t.stopPending) signalWake(t);
}

/** do_jobctl_trap(): what a tracee reports that takes part in a group stop, or was asked to stop. */
export function trapCode(t: Task, p: Ptrace): number {
  if (!p.seized) return t.stopSignal;
  const sig = t.group.stopSignal !== 0 ? t.stopSignal : SIGTRAP;
  return sig | (PTRACE_EVENT_STOP << 8);
}

/** siginfo of that; null in a group stop of the old kind. */
export function trapInfo(t: Task, p: Ptrace, code: number): SigInfo | null {
  return p.seized ? eventInfo(t, code & 0x7f, code) : null;
}

/** ptrace_signal_wake_up(): a listening tracee reports again. One that is stopped traps when it is let go. */
function wakeToTrap(t: Task): void {
  const p = t.ptrace!;
  t.work = true;
  if (p.listening) trapAgain(t, p);
  else if (!p.stopped) signalWake(t);
}

/** PTRACE_INTERRUPT. */
export function trap(t: Task): void {
  t.ptrace!.trapPending = true;
  wakeToTrap(t);
}

/** ptrace_trap_notify(): a group stop has begun or ended. */
export function trapNotify(t: Task): void {
  t.ptrace!.notifyPending = true;
  wakeToTrap(t);
}

/** "PTRACE_LISTEN … works only on tracees attached by PTRACE_SEIZE", in a PTRACE_EVENT_STOP. False: not there. */
export function listen(t: Task): boolean {
  const p = t.ptrace!;
  if (!p.seized || p.stopCode >> 8 !== PTRACE_EVENT_STOP) return false;
  p.listening = true;
  // Something has happened since the stop.
  if (p.notifyPending) trapAgain(t, p);
  return true;
}

/** A stopped tracee enters a stop once more, from where it is. */
function trapAgain(t: Task, p: Ptrace): void {
  p.listening = false;
  p.message = 0;
  p.stopCode = trapCode(t, p);
  p.info = trapInfo(t, p, p.stopCode);
  enterStop(t, p, p.stopCode, CLD_STOPPED);
}

/** PTRACE_ATTACH and PTRACE_SEIZE: a task in a group stop is traced from there. */
export function trapStopped(t: Task): void {
  if (t.state !== TASK_STOPPED) return;
  const p = t.ptrace!;
  if (t.ctx.partial) {
    // A tracer sees registers: they have to be brought first, on the way out (exitToUser).
    p.trapPending = true;
    t.kernel.runQueue.add(t);
    return;
  }
  p.inSyscall = t.stopInSyscall;
  p.result = t.stopResult;
  p.then = t.kernel.goOnStopped;
  trapAgain(t, p);
}

/** PTRACE_ATTACH: "the tracee is sent a SIGSTOP". */
export function stopForAttach(t: Task): void {
  sendTaskSignal(t, sigInfoKernel(SIGSTOP), true);
}

/** The tracee with number `nr` of this very tracer, which must be stopped unless `running`; −ESRCH. */
export function findTracee(t: Task, nr: number, running: boolean): Task | number {
  const c = t.pidNs.findTask(nr);
  if (c === null || c.dead || c.ptrace === null || c.ptrace.tracer !== t) return -ESRCH;
  return running || (c.ptrace.stopped && !c.ptrace.listening && !c.killed) ? c : -ESRCH;
}
