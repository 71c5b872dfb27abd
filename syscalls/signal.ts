/** Actions, masks, alternate stacks, waiting for signals. Linux: kernel/signal.c, arch/x86/kernel/signal.c. */
import { EAGAIN, EFAULT, EINTR, EINVAL, ERESTARTNOHAND } from '../sentry/abi/errno.ts';
import {
  NSIG,
  SIG_BLOCK,
  SIG_SETMASK,
  SIG_UNBLOCK,
  SIGINFO_SIZE,
  SIGSEGV,
  SS_AUTODISARM,
  UAPI_SA_FLAGS,
} from '../sentry/abi/signal.ts';
import { RSP } from '../sentry/arch/regs.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { lendState } from '../sentry/kernel/lent-state.ts';
import type { SigInfo } from '../sentry/kernel/sig-info.ts';
import { sigInfoKernel } from '../sentry/kernel/sig-info.ts';
import {
  altStackState,
  putAltStack,
  restoreSignalFrame,
  setAltStack,
} from '../sentry/kernel/signal-frame.ts';
import { kernelOnly } from '../sentry/kernel/signal-handlers.ts';
import { flushFromAll, forceSignal } from '../sentry/kernel/signal-send.ts';
import {
  inStruct,
  oneOf,
  outStruct,
  signal,
  size,
  SYS_RESUME_REGS,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { dequeueSignal } from '../sentry/kernel/task-run.ts';
import { UNBLOCKABLE_LO } from '../sentry/kernel/sig-set.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const SIGSET_SIZE = 8;
/** sizeof(struct kernel_sigaction): handler, flags, restorer, mask. */
const SIGACTION_SIZE = 32;
const STACK_T_SIZE = 24;

function pair(i: number): number {
  return scratch.u32[i + 1]! * 0x100000000 + scratch.u32[i]!;
}

function putPair(i: number, value: number): void {
  scratch.u32[i] = value >>> 0;
  scratch.u32[i + 1] = Math.floor(value / 0x100000000) >>> 0;
}

/** Hot: a posix_spawn calls it for every signal. Old action goes out after the new one came in, as do_sigaction orders it. */
function sysRtSigaction(t: Task, a: SyscallArgs): SysResult {
  if (a.size(3) !== SIGSET_SIZE) return -EINVAL;
  const act = a.addr(1);
  const old = a.addr(2);
  const sig = a.int(0);
  if (act !== 0 && t.mem.copyIn(act, scratch.bytes, 0, SIGACTION_SIZE) !== 0) return -EFAULT;
  if (sig < 1 || sig > NSIG || (act !== 0 && kernelOnly(sig))) return -EINVAL;
  const h = t.group.handlers;
  const handler = h.handler[sig]!;
  const flags = h.flags[sig]!;
  const restorer = h.restorer[sig]!;
  const maskLo = h.maskLo[sig]!;
  const maskHi = h.maskHi[sig]!;
  if (act !== 0) {
    const s = scratch.u32;
    h.handler[sig] = pair(0);
    // Bits the kernel does not know are cleared, so that a caller can probe for them (SA_UNSUPPORTED).
    h.flags[sig] = s[2]! & UAPI_SA_FLAGS;
    h.restorer[sig] = pair(4);
    h.maskLo[sig] = s[6]! & ~UNBLOCKABLE_LO;
    h.maskHi[sig] = s[7]!;
    if (h.ignores(sig)) {
      if (sig <= 32) flushFromAll(t.group, 1 << (sig - 1));
      else flushFromAll(t.group, 0, 1 << (sig - 33));
    }
  }
  if (old === 0) return 0;
  putPair(0, handler);
  putPair(2, flags);
  putPair(4, restorer);
  scratch.u32[6] = maskLo;
  scratch.u32[7] = maskHi;
  return t.mem.copyOut(old, scratch.bytes, 0, SIGACTION_SIZE);
}

function sysRtSigprocmask(t: Task, a: SyscallArgs): SysResult {
  if (a.size(3) !== SIGSET_SIZE) return -EINVAL;
  const m = t.sigMask;
  const oldLo = m.lo;
  const oldHi = m.hi;
  if (a.addr(1) !== 0) {
    if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, SIGSET_SIZE) !== 0) return -EFAULT;
    const lo = scratch.u32[0]!;
    const hi = scratch.u32[1]!;
    switch (a.int(0)) {
      case SIG_BLOCK:
        t.kernel.setSigMask(t, m.lo | lo, m.hi | hi);
        break;
      case SIG_UNBLOCK:
        t.kernel.setSigMask(t, m.lo & ~lo, m.hi & ~hi);
        break;
      case SIG_SETMASK:
        t.kernel.setSigMask(t, lo, hi);
        break;
      default:
        return -EINVAL;
    }
  }
  lendState(t);
  return a.addr(2) === 0 ? 0 : writeSet(t, a.addr(2), oldLo, oldHi, SIGSET_SIZE);
}

function writeSet(t: Task, addr: number, lo: number, hi: number, len: number): number {
  scratch.u32[0] = lo >>> 0;
  scratch.u32[1] = hi >>> 0;
  return t.mem.copyOut(addr, scratch.bytes, 0, len);
}

function sysRtSigpending(t: Task, a: SyscallArgs): SysResult {
  const len = a.size(1);
  if (len > SIGSET_SIZE) return -EINVAL;
  const own = t.pending.bits;
  const shared = t.group.pending.bits;
  return writeSet(
    t,
    a.addr(0),
    (own.lo | shared.lo) & t.sigMask.lo,
    (own.hi | shared.hi) & t.sigMask.hi,
    len,
  );
}

function sysRtSigsuspend(t: Task, a: SyscallArgs): SysResult {
  if (a.size(1) !== SIGSET_SIZE) return -EINVAL;
  if (t.blockState === null) {
    if (t.mem.copyIn(a.addr(0), scratch.bytes, 0, SIGSET_SIZE) !== 0) return -EFAULT;
    t.blockState = true;
    t.setTemporarySigMask(scratch.u32[0]!, scratch.u32[1]!);
  }
  return t.block(Infinity, -ERESTARTNOHAND);
}

function sysPause(t: Task): SysResult {
  return t.block(Infinity, -ERESTARTNOHAND);
}

/** sigtimedwait in progress: its deadline, and the signals it does not want. */
interface SigWait {
  deadlineNs: number;
  notLo: number;
  notHi: number;
}

function startSigWait(t: Task, a: SyscallArgs): SigWait | number {
  if (a.size(3) !== SIGSET_SIZE) return -EINVAL;
  if (t.mem.copyIn(a.addr(0), scratch.bytes, 0, SIGSET_SIZE) !== 0) return -EFAULT;
  const wait: SigWait = {
    deadlineNs: Infinity,
    notLo: (~scratch.u32[0]! | UNBLOCKABLE_LO) >>> 0,
    notHi: ~scratch.u32[1]! >>> 0,
  };
  if (a.addr(2) !== 0) {
    if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 16) !== 0) return -EFAULT;
    const sec = (scratch.u32[1]! | 0) * 0x100000000 + scratch.u32[0]!;
    const nsec = pair(2);
    if (sec < 0 || nsec >= 1e9) return -EINVAL;
    wait.deadlineNs = sec === 0 && nsec === 0 ? 0 : t.kernel.clock.monotonicNs() + sec * 1e9 + nsec;
  }
  return wait;
}

/** Back to the mask proper after a wait that had opened it. */
function endSigWait(t: Task): void {
  if (t.realSigMask.isEmpty && t.blockState === null) return;
  const { lo, hi } = t.realSigMask;
  t.realSigMask.set(0, 0);
  t.kernel.setSigMask(t, lo, hi);
}

function interruptSigWait(t: Task): SysResult {
  endSigWait(t);
  return -EINTR;
}

/** rt_sigtimedwait(2). Linux: do_sigtimedwait() opens the mask for the wanted signals, so that they wake this thread. */
function sysRtSigtimedwait(t: Task, a: SyscallArgs): SysResult {
  const first = t.blockState === null;
  const wait = first ? startSigWait(t, a) : (t.blockState as SigWait);
  if (typeof wait === 'number') return wait;
  const info = dequeueSignal(t, wait.notLo, wait.notHi);
  if (info !== null) {
    if (!first) endSigWait(t);
    return writeInfo(t, a.addr(1), info);
  }
  if (wait.deadlineNs === 0 || t.timedOut) {
    if (!first) endSigWait(t);
    return -EAGAIN;
  }
  if (first) {
    t.blockState = wait;
    t.realSigMask.copyFrom(t.sigMask);
    t.kernel.setSigMask(t, t.sigMask.lo & wait.notLo, t.sigMask.hi & wait.notHi);
  }
  return t.block(wait.deadlineNs, interruptSigWait);
}

function writeInfo(t: Task, addr: number, info: SigInfo): SysResult {
  if (addr !== 0 && t.mem.copyOut(addr, info.bytes, 0, SIGINFO_SIZE) !== 0) return -EFAULT;
  return info.signo;
}

function sysRtSigreturn(t: Task): SysResult {
  if (!restoreSignalFrame(t)) forceSignal(t, sigInfoKernel(SIGSEGV));
  return SYS_RESUME_REGS;
}

function sysSigaltstack(t: Task, a: SyscallArgs): SysResult {
  const sp = t.ctx.regs().get(RSP);
  const old = Buffer.alloc(STACK_T_SIZE);
  const view = new DataView(old.buffer, old.byteOffset, STACK_T_SIZE);
  const disarm = (t.altStackFlags & SS_AUTODISARM) >>> 0;
  putAltStack(t, view, 0, (altStackState(t, sp) | disarm) >>> 0);
  if (a.addr(0) !== 0) {
    if (t.mem.copyIn(a.addr(0), scratch.bytes, 0, STACK_T_SIZE) !== 0) return -EFAULT;
    const r = setAltStack(t, pair(0), scratch.u32[2]!, pair(4), sp);
    if (r !== 0) return r;
  }
  return a.addr(1) === 0 ? 0 : t.mem.copyOut(a.addr(1), old, 0, STACK_T_SIZE);
}

function sysRestartSyscall(t: Task): SysResult {
  return t.restart === null ? -EINTR : t.restart(t);
}

const set = inStruct(SIGSET_SIZE, 'sigset');
const outSet = outStruct(SIGSET_SIZE, 'sigset');

export const signalRows: SyscallRow[] = [
  {
    nr: 13,
    name: 'rt_sigaction',
    fn: sysRtSigaction,
    args: [signal, inStruct(SIGACTION_SIZE, 'sigaction'), outStruct(SIGACTION_SIZE, 'sigaction'), size],
    support: 'full',
  },
  {
    nr: 14,
    name: 'rt_sigprocmask',
    fn: sysRtSigprocmask,
    args: [oneOf({ SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK }), set, outSet, size],
    support: 'full',
  },
  { nr: 15, name: 'rt_sigreturn', fn: sysRtSigreturn, args: [], support: 'full' },
  { nr: 34, name: 'pause', fn: sysPause, args: [], support: 'full' },
  { nr: 127, name: 'rt_sigpending', fn: sysRtSigpending, args: [outSet, size], support: 'full' },
  {
    nr: 128,
    name: 'rt_sigtimedwait',
    fn: sysRtSigtimedwait,
    args: [set, outStruct(SIGINFO_SIZE, 'siginfo'), inStruct(16, 'timespec'), size],
    support: 'full',
  },
  { nr: 130, name: 'rt_sigsuspend', fn: sysRtSigsuspend, args: [set, size], support: 'full' },
  {
    nr: 131,
    name: 'sigaltstack',
    fn: sysSigaltstack,
    args: [inStruct(STACK_T_SIZE, 'stack_t'), outStruct(STACK_T_SIZE, 'stack_t')],
    support: 'full',
  },
  { nr: 219, name: 'restart_syscall', fn: sysRestartSyscall, args: [], support: 'full' },
];
