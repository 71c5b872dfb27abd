/** Where tracees stop: signals, system calls, events, group stops (kernel/signal.c ptrace_signal, ptrace_event; ptrace(2)). */
import {
  PTRACE_EVENTMSG_SYSCALL_ENTRY,
  PTRACE_EVENTMSG_SYSCALL_EXIT,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_EXEC,
  PTRACE_EVENT_EXIT,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_VFORK,
  PTRACE_O_TRACESYSGOOD,
} from '../abi/ptrace.ts';
import { ENOSYS } from '../abi/errno.ts';
import { CLD_STOPPED, NSIG, SIGCHLD, SIGSTOP, SIGTRAP, SI_USER } from '../abi/signal.ts';
import { R10, R8, R9, RAX, RDI, RDX, RIP, RSI } from '../arch/regs.ts';
import {
  eventInfo,
  GO_SYSCALL,
  GO_SYSEMU,
  link,
  ptraceStop,
  trapCode,
  trapInfo,
  type Ptrace,
} from './ptrace.ts';
import { type SigInfo, sigInfoFault, sigInfoKernel, sigInfoUser } from './sig-info.ts';
import { forceSignal, sendTaskSignal } from './signal-send.ts';
import { SYS_RESUME_REGS, type SysResult } from './syscall-table.ts';
import { TASK_DETACHED, type Task } from './task.ts';

const CLONE_PTRACE = 0x2000;
const CLONE_VFORK = 0x4000;
const CLONE_UNTRACED = 0x800000;
const TRAP_BRKPT = 1;

function remember(p: Ptrace, result: number, inSyscall: boolean): void {
  p.result = result;
  p.inSyscall = inSyscall;
}

function goOn(t: Task, p: Ptrace): void {
  t.kernel.exitToUser(t, p.result, p.inSyscall);
}

/** Signal-delivery-stop: the tracer decides what is delivered. */
export function signalStop(t: Task, info: SigInfo, result: number, inSyscall: boolean): void {
  const p = t.ptrace!;
  remember(p, result, inSyscall);
  const sig = info.signo;
  ptraceStop(t, sig, 0, info, (task) => {
    if (p.signal !== 0) {
      const { tracer } = p;
      const chosen =
        p.signal === sig && p.info !== null
          ? p.info
          : sigInfoUser(p.signal, SI_USER, tracer.dead ? 0 : tracer.pid.nrIn(task.pidNs), tracer.creds.uid);
      if (task.sigMask.has(p.signal)) sendTaskSignal(task, chosen, true);
      else task.injectedSignal = chosen;
    }
    goOn(task, p);
  });
}

/** A single step has led into a signal handler: it ends there (handle_signal's `stepping`). */
export function handlerStop(t: Task): boolean {
  const p = t.ptrace!;
  if (!p.stepping || t.killed) return false;
  remember(p, 0, false);
  ptraceStop(t, SIGTRAP, 0, eventInfo(t, SIGTRAP, SIGTRAP), (task) => goOn(task, p));
  return true;
}

/** The tracee takes part in a group stop, or was asked to stop. True: it has stopped. */
export function trapStop(t: Task, result: number, inSyscall: boolean): boolean {
  const p = t.ptrace!;
  if (!t.stopPending && !p.trapDue) return false;
  remember(p, result, inSyscall);
  const code = trapCode(t, p);
  ptraceStop(t, code, 0, trapInfo(t, p, code), (task) => goOn(task, p), CLD_STOPPED);
  return true;
}

/** The code of syscall stops. */
function syscallCode(p: Ptrace): number {
  return (p.options & PTRACE_O_TRACESYSGOOD) !== 0 ? SIGTRAP | 0x80 : SIGTRAP;
}

/** A signal that the tracer gives along from a stop that is no signal's. */
function passSignal(t: Task, p: Ptrace): void {
  if (p.signal !== 0 && p.signal <= NSIG && !t.killed) sendTaskSignal(t, sigInfoKernel(p.signal), true);
  p.signal = 0;
}

/**
 * Syscall-enter-stop. True: it has stopped, `run` carries the call out afterwards, or ends it with `answer`: the tracer has set
 * orig_rax to −1 then.
 */
export function syscallEntryStop(t: Task, run: (t: Task, answer: SysResult | null) => void): boolean {
  const p = t.ptrace!;
  p.stepIntoCall = p.stepping;
  if (p.mode !== GO_SYSCALL && p.mode !== GO_SYSEMU) return false;
  const emulate = p.mode === GO_SYSEMU;
  remember(p, -ENOSYS, true);
  const code = syscallCode(p);
  ptraceStop(t, code, PTRACE_EVENTMSG_SYSCALL_ENTRY, eventInfo(t, SIGTRAP, code), (task) => {
    passSignal(task, p);
    if (task.killed || emulate) {
      goOn(task, p);
      return;
    }
    argsFromRegs(task);
    if (!p.inSyscall) {
      task.sysno = -1;
      task.row = null;
    }
    run(task, p.inSyscall ? null : p.result);
  });
  return true;
}

/** The arguments of the call in progress, which a tracer may have changed. */
export function argsFromRegs(t: Task): void {
  const regs = t.ctx.regs();
  [RDI, RSI, RDX, R10, R8, R9].forEach((r, i) => {
    t.args.words[2 * i] = regs.words[2 * r]!;
    t.args.words[2 * i + 1] = regs.words[2 * r + 1]!;
  });
}

/** The end of a traced task's system call: syscall-exit-stop if wanted, the trap of a single step, then the way out. */
export function syscallExit(t: Task, result: SysResult): void {
  const p = t.ptrace!;
  const regs = t.ctx.regs();
  if (result === SYS_RESUME_REGS) {
    // execve answers 0, sigreturn's registers are from before any call.
    const fresh = t.sysno === 59 || t.sysno === 322;
    remember(p, fresh ? 0 : signedRax(t), fresh);
  } else remember(p, result, true);
  if (p.stepIntoCall && p.stepping) {
    p.stepIntoCall = false;
    forceSignal(t, sigInfoFault(SIGTRAP, TRAP_BRKPT, regs.get(RIP)));
  }
  if (p.mode !== GO_SYSCALL) {
    goOn(t, p);
    return;
  }
  const code = syscallCode(p);
  ptraceStop(t, code, PTRACE_EVENTMSG_SYSCALL_EXIT, eventInfo(t, SIGTRAP, code), (task) => {
    passSignal(task, p);
    goOn(task, p);
  });
}

function signedRax(t: Task): number {
  const { words } = t.ctx.regs();
  return (words[2 * RAX + 1]! | 0) * 0x100000000 + words[2 * RAX]!;
}

/** ptrace_event(): a stop in the middle of a call, then `then`. Without a tracer that wants it just `then`. */
export function ptraceEvent(t: Task, event: number, message: number, then: (t: Task) => void): void {
  const p = t.ptrace;
  if (p === null || !p.wants(event) || t.killed) {
    then(t);
    return;
  }
  remember(p, -ENOSYS, true);
  const code = SIGTRAP | (event << 8);
  ptraceStop(t, code, message, eventInfo(t, SIGTRAP, code), then);
}

/** The tracer wants to see the end of `t`, and has not, or is looking at it. */
export function endIsWatched(t: Task): boolean {
  const p = t.ptrace;
  return p !== null && p.wants(PTRACE_EVENT_EXIT) && (!p.exitReported || !t.killed);
}

/**
 * PTRACE_EVENT_EXIT, once: true if the task stops and `then` follows. What has killed it has been taken from it (get_signal), so that
 * it can stop once more, wherever it was, with `result` as what its call would have answered.
 */
export function exitStop(
  t: Task,
  status: number,
  result: number,
  inSyscall: boolean,
  then: (t: Task) => void,
): boolean {
  const p = t.ptrace;
  if (p === null || !p.wants(PTRACE_EVENT_EXIT) || p.exitReported || t.ctxGone) return false;
  p.exitReported = true;
  p.stopped = false;
  p.exitCode = 0;
  t.killed = false;
  t.state = TASK_DETACHED;
  t.ctx.complete(() => {
    if (t.dead) return;
    if (t.ptrace !== p) {
      then(t);
      return;
    }
    remember(p, result, inSyscall);
    const code = SIGTRAP | (PTRACE_EVENT_EXIT << 8);
    ptraceStop(t, code, status, eventInfo(t, SIGTRAP, code), then);
  });
  return true;
}

/** The event that a clone of these flags is to its tracer; 0: none. */
export function cloneEvent(t: Task, flags: number, exitSignal: number): number {
  const p = t.ptrace;
  if (p === null || (flags & CLONE_UNTRACED) !== 0) return 0;
  const event =
    (flags & CLONE_VFORK) !== 0
      ? PTRACE_EVENT_VFORK
      : exitSignal !== SIGCHLD
        ? PTRACE_EVENT_CLONE
        : PTRACE_EVENT_FORK;
  return p.wants(event) ? event : 0;
}

/** ptrace_init_task(): the child is traced like its parent, and stops before its first instruction. */
export function traceChild(t: Task, child: Task, flags: number, event: number): void {
  const p = t.ptrace;
  if (p === null || (event === 0 && (flags & CLONE_PTRACE) === 0)) return;
  const own = link(child, p.tracer, p.seized, p.options);
  if (p.seized) own.trapPending = true;
  else child.pending.push(SIGSTOP, null);
  child.work = true;
}

/** execve(2) has succeeded; `oldTid` is the thread's number before. */
export function execStop(t: Task, oldTid: number, then: (t: Task) => void): void {
  const p = t.ptrace;
  if (p === null) {
    then(t);
    return;
  }
  if (p.wants(PTRACE_EVENT_EXEC)) {
    ptraceEvent(t, PTRACE_EVENT_EXEC, oldTid, then);
    return;
  }
  if (!p.seized) sendTaskSignal(t, sigInfoUser(SIGTRAP, SI_USER, t.tid, t.creds.uid), true);
  then(t);
}
