/**
 * The way out of the kernel (arch/x86/kernel/signal.c arch_do_signal_or_restart, kernel/signal.c get_signal): ends a syscall,
 * delivers signals, stops, restarts or ends the task, and resumes guest code.
 */
import { EINTR, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS, ERESTART_RESTARTBLOCK } from '../abi/errno.ts';
import { SA_RESETHAND, SA_RESTART, SIGKILL, SIGSEGV, SIGSTOP, SIG_DFL, SIG_IGN } from '../abi/signal.ts';
import { RAX, RIP } from '../arch/regs.ts';
import { replaceLost } from '../mm/small-copies.ts';
import { CoreDump, mayDumpCore } from './core-dump.ts';
import { leaveThunk } from './patched-text.ts';
import { setStep } from './ptrace.ts';
import { handlerStop, signalStop, syscallExit, trapStop } from './ptrace-stops.ts';
import { type SigInfo, sigInfoKernel } from './sig-info.ts';
import { setupSignalFrame } from './signal-frame.ts';
import { defaultDumpsCore, defaultIgnored, defaultStops, kernelOnly } from './signal-handlers.ts';
import { forceSignal, freeSigInfo, groupExit, stopGroup, takePartInStop } from './signal-send.ts';
import { SYS_BLOCKED, SYS_DETACHED, SYS_RESUME_REGS, type SysResult } from './syscall-table.ts';
import {
  TASK_DEAD,
  TASK_DETACHED,
  TASK_FROZEN,
  TASK_KERNEL,
  TASK_RUNNING,
  TASK_STOPPED,
  type Task,
} from './task.ts';
import { endTask } from './task-exit.ts';

const NR_RESTART_SYSCALL = 219;

/** A syscall's handler has returned `result`. */
export function finishSyscall(t: Task, result: SysResult): void {
  if (result === SYS_BLOCKED) {
    if (t.state === TASK_DEAD || !t.work || !mustInterrupt(t)) return;
    result = t.interruptWait();
  } else if (result === SYS_DETACHED) {
    if (t.state === TASK_KERNEL) t.state = TASK_DETACHED;
    return;
  }
  t.blockState = null;
  if (t.state === TASK_DEAD) return;
  if (t.ptrace !== null && !t.killed) {
    syscallExit(t, result);
    return;
  }
  const plain = !t.work && !t.restoreSigMask && !t.mm.lostCopies;
  if (plain && (result > -ERESTARTSYS || result < -ERESTART_RESTARTBLOCK)) {
    t.state = TASK_RUNNING;
    if (result === SYS_RESUME_REGS) t.ctx.resume();
    else t.ctx.resumeSyscall(result);
    return;
  }
  exitToUser(t, result, result !== SYS_RESUME_REGS);
}

/** Is the reason for `work` one that ends a wait? */
function mustInterrupt(t: Task): boolean {
  // The reason is kept until the wait is over.
  if (t.killable && !t.killed) return false;
  if (t.killed || t.stopPending || t.ptrace?.trapDue === true || hasDeliverable(t)) return true;
  t.work = t.frozen;
  return false;
}

export function hasDeliverable(t: Task): boolean {
  return (
    t.pending.next(t.sigMask.lo, t.sigMask.hi) !== 0 || t.group.pending.next(t.sigMask.lo, t.sigMask.hi) !== 0
  );
}

/** recalc_sigpending() */
export function recalcWork(t: Task): void {
  t.work = t.killed || t.stopPending || hasDeliverable(t) || t.frozen || t.ptrace?.trapDue === true;
}

/** Own signals come before the process's (dequeue_signal). */
export function dequeueSignal(t: Task, maskLo: number, maskHi: number): SigInfo | null {
  let queue = t.pending;
  let sig = queue.next(maskLo, maskHi);
  if (sig === 0) {
    queue = t.group.pending;
    sig = queue.next(maskLo, maskHi);
    if (sig === 0) return null;
  }
  const info = queue.take(sig);
  freeSigInfo(t, info);
  info.timer?.onDequeue(info);
  return info;
}

function isRestart(result: number): boolean {
  return result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK;
}

function isInterrupt(result: number): boolean {
  return result === -EINTR || isRestart(result);
}

/** SIGKILL, exit_group or a core dump has caught up with `t`, which would go on with `result` or from its registers. */
export function endKilled(t: Task, result: number, inSyscall: boolean): void {
  const dump = t.group.coreDump;
  if (dump === null) {
    endTask(t, t.group.exitStatus, result, inSyscall);
    return;
  }
  t.stopResult = result;
  t.stopInSyscall = inSyscall;
  dump.park(t);
}

/** The task's registers are needed and not at hand: goes on when they are. */
function completeThenExit(t: Task, result: number): void {
  t.state = TASK_DETACHED;
  t.ctx.complete(() => {
    if (t.state !== TASK_DEAD) exitToUser(t, result, true);
  });
}

/**
 * Guest code shall run: with `result` as the answer of a syscall, or (inSyscall false) from the registers. What is pending comes
 * first.
 */
export function exitToUser(t: Task, result: number, inSyscall: boolean): void {
  t.state = TASK_KERNEL;
  for (;;) {
    if (t.killed) {
      endKilled(t, result, inSyscall);
      return;
    }
    if (t.ptrace !== null) {
      // A tracer sees and changes registers.
      if (t.ctx.partial) {
        completeThenExit(t, result);
        return;
      }
      if (t.injectedSignal === null && trapStop(t, result, inSyscall)) return;
    }
    if (t.stopPending && t.injectedSignal === null) {
      t.state = TASK_STOPPED;
      t.stopResult = result;
      t.stopInSyscall = inSyscall;
      takePartInStop(t);
      return;
    }
    if (t.frozen) {
      t.state = TASK_FROZEN;
      t.stopResult = result;
      t.stopInSyscall = inSyscall;
      return;
    }
    // Only an interrupted call leaves the temporary mask to the handler.
    if (t.restoreSigMask && !(inSyscall && isInterrupt(result))) restoreMask(t);
    // A handler or a restart changes registers.
    if (t.ctx.partial && (isRestart(result) || hasDeliverable(t))) {
      completeThenExit(t, result);
      return;
    }
    let info = t.injectedSignal;
    if (info !== null) t.injectedSignal = null;
    else {
      info = dequeueSignal(t, t.sigMask.lo, t.sigMask.hi);
      t.stopDequeued = info !== null;
      if (info !== null && t.ptrace !== null && info.signo !== SIGKILL) {
        signalStop(t, info, result, inSyscall);
        return;
      }
    }
    if (info === null) {
      if (t.restoreSigMask) {
        restoreMask(t);
        if (hasDeliverable(t)) continue;
      }
      break;
    }
    const fatal = act(t, info);
    if (fatal !== 0) {
      if (fatal < 0) continue;
      if (defaultDumpsCore(fatal) && mayDumpCore(t)) {
        t.stopResult = result;
        t.stopInSyscall = inSyscall;
        new CoreDump(t, info, endDumped).start();
        return;
      }
      groupExit(t.group, fatal);
      continue;
    }
    if (inSyscall) {
      answerBeforeHandler(t, result, (t.group.handlers.flags[info.signo]! & SA_RESTART) !== 0);
      inSyscall = false;
    } else leaveThunk(t);
    deliver(t, info);
    if (t.state === TASK_DEAD) return;
    if (t.ptrace !== null && handlerStop(t)) return;
  }
  t.work = false;
  if (t.mm.lostCopies) replaceLost(t.mm, t.ctx);
  if (t.ptrace !== null) setStep(t);
  t.state = TASK_RUNNING;
  if (!inSyscall) {
    t.ctx.resume();
  } else if (isRestart(result)) {
    rewind(t, result === -ERESTART_RESTARTBLOCK ? NR_RESTART_SYSCALL : t.sysno);
    t.ctx.resume();
  } else t.ctx.resumeSyscall(result);
}

function restoreMask(t: Task): void {
  t.restoreSigMask = false;
  t.kernel.setSigMask(t, t.savedSigMask.lo, t.savedSigMask.hi);
}

/** Carries out what needs no handler. 0: a handler is to run; > 0: the process ends with this status; −1: nothing is left to do. */
function act(t: Task, info: SigInfo): number {
  const g = t.group;
  const sig = info.signo;
  const handler = g.handlers.handler[sig]!;
  if (!kernelOnly(sig)) {
    if (handler === SIG_IGN) return -1;
    if (handler !== SIG_DFL) return 0;
  }
  if (defaultIgnored(sig)) return -1;
  if (g.unkillable && !kernelOnly(sig)) return -1;
  if (defaultStops(sig)) {
    // No shell would continue it (get_signal).
    if (sig !== SIGSTOP && g.processGroup.isOrphaned()) return -1;
    stopGroup(t, sig);
    return -1;
  }
  return sig;
}

/** The core of the process of `t` has been written, or not. */
function endDumped(t: Task): void {
  t.killed = true;
  t.kernel.runQueue.addExit(t.group);
}

/** Sets rax as the handler's return shall find it: EINTR, the restart of the call, or its result. */
function answerBeforeHandler(t: Task, result: number, saRestart: boolean): void {
  const regs = t.ctx.regs();
  if (result === -ERESTARTNOINTR || (result === -ERESTARTSYS && saRestart)) {
    rewind(t, t.sysno);
    return;
  }
  const interrupted =
    result === -ERESTARTSYS || result === -ERESTARTNOHAND || result === -ERESTART_RESTARTBLOCK;
  regs.set(RAX, interrupted ? -EINTR : result);
  t.ctx.regsChanged();
}

/** Back to the `syscall` instruction, two bytes long. */
function rewind(t: Task, sysno: number): void {
  const regs = t.ctx.regs();
  regs.set(RAX, sysno);
  regs.set(RIP, regs.get(RIP) - 2);
  t.ctx.regsChanged();
}

/** handle_signal() */
function deliver(t: Task, info: SigInfo): void {
  const sig = info.signo;
  const h = t.group.handlers;
  if (setupSignalFrame(t, sig, info) !== 0) {
    // force_sigsegv(): a SIGSEGV that cannot be delivered is fatal.
    if (sig === SIGSEGV) h.handler[SIGSEGV] = SIG_DFL;
    forceSignal(t, sigInfoKernel(SIGSEGV));
    return;
  }
  if ((h.flags[sig]! & SA_RESETHAND) !== 0) h.handler[sig] = SIG_DFL;
}
