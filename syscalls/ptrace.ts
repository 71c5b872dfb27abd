/** ptrace(2) (kernel/ptrace.c, arch/x86/kernel/ptrace.c). */
import { EFAULT, EINVAL, EIO, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import * as P from '../sentry/abi/ptrace.ts';
import { NSIG, SIGINFO_SIZE, SIGKILL } from '../sentry/abi/signal.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import {
  detach,
  findTracee,
  GO_ON,
  GO_SYSCALL,
  GO_SYSEMU,
  link,
  listen,
  resumeTracee,
  stopForAttach,
  trap,
  trapStopped,
} from '../sentry/kernel/ptrace.ts';
import { accessTracee } from '../sentry/kernel/ptrace-memory.ts';
import { SigInfo } from '../sentry/kernel/sig-info.ts';
import { groupExit } from '../sentry/kernel/signal-send.ts';
import {
  oneOf,
  pid,
  ptr,
  SYS_DETACHED,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { TASK_DETACHED, TASK_KERNEL, type Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { segmentBase } from './arch-prctl.ts';
import { getRegs, getRegset, peekUser, pokeUser, setRegs, setRegset } from './ptrace-regs.ts';
import { getSyscallInfo, setSyscallInfo } from './ptrace-syscall-info.ts';

const PEEKSIGINFO_SHARED = 1;

function sysPtrace(t: Task, a: SyscallArgs): SysResult {
  const request = a.size(0);
  if (request === P.PTRACE_TRACEME) return traceme(t);
  const nr = a.int(1);
  if (request === P.PTRACE_ATTACH || request === P.PTRACE_SEIZE)
    return attach(t, a, request === P.PTRACE_SEIZE);
  const c = findTracee(t, nr, request === P.PTRACE_KILL || request === P.PTRACE_INTERRUPT);
  if (typeof c === 'number') return c;
  switch (request) {
    case P.PTRACE_CONT:
    case P.PTRACE_SYSCALL:
    case P.PTRACE_SINGLESTEP:
    case P.PTRACE_SYSEMU:
    case P.PTRACE_SYSEMU_SINGLESTEP:
    case P.PTRACE_DETACH:
      return letGo(c, request, a.size(3));
    case P.PTRACE_KILL:
      groupExit(c.group, SIGKILL);
      return 0;
    case P.PTRACE_INTERRUPT:
      if (!c.ptrace!.seized) return -EIO;
      trap(c);
      return 0;
    case P.PTRACE_LISTEN:
      return listen(c) ? 0 : -EIO;
    case P.PTRACE_PEEKTEXT:
    case P.PTRACE_PEEKDATA:
    case P.PTRACE_POKETEXT:
    case P.PTRACE_POKEDATA:
      return accessWord(t, c, a, request >= P.PTRACE_POKETEXT);
    case P.PTRACE_SETOPTIONS:
      if (a.size(3) > 0xffffffff || (a.uint(3) & ~P.PTRACE_O_MASK) !== 0) return -EINVAL;
      if ((a.uint(3) & P.PTRACE_O_SUSPEND_SECCOMP) !== 0) return -EPERM;
      c.ptrace!.options = a.uint(3);
      return 0;
    case P.PTRACE_GETEVENTMSG:
      return t.mem.writeU64(a.addr(3), c.ptrace!.message);
    default:
      return about(t, c, a, request);
  }
}

/** Requests that read or set state. */
function about(t: Task, c: Task, a: SyscallArgs, request: number): SysResult {
  switch (request) {
    case P.PTRACE_PEEKUSR: {
      const r = peekUser(c, a.size(2), scratch.u32);
      return r !== 0 ? r : t.mem.copyOut(a.addr(3), scratch.bytes, 0, 8);
    }
    case P.PTRACE_POKEUSR:
      return pokeUser(c, a.size(2), a.words[6]!, a.words[7]!);
    case P.PTRACE_GETREGS: {
      const regs = getRegs(c);
      return t.mem.copyOut(a.addr(3), regs, 0, regs.length);
    }
    case P.PTRACE_SETREGS:
      if (t.mem.copyIn(a.addr(3), scratch.bytes, 0, 216) !== 0) return -EFAULT;
      return setRegs(c, scratch.bytes, 216);
    case P.PTRACE_GETFPREGS: {
      const set = getRegset(c, P.NT_PRFPREG) as Uint8Array;
      return t.mem.copyOut(a.addr(3), set, 0, set.length);
    }
    case P.PTRACE_SETFPREGS:
      if (t.mem.copyIn(a.addr(3), scratch.bytes, 0, 512) !== 0) return -EFAULT;
      return setRegset(c, P.NT_PRFPREG, scratch.bytes.subarray(0, 512));
    case P.PTRACE_GETREGSET:
    case P.PTRACE_SETREGSET:
      return regset(t, c, a, request === P.PTRACE_SETREGSET);
    case P.PTRACE_GETSIGINFO:
      if (c.ptrace!.info === null) return -EINVAL;
      return t.mem.copyOut(a.addr(3), c.ptrace!.info.bytes, 0, SIGINFO_SIZE);
    case P.PTRACE_SETSIGINFO: {
      if (c.ptrace!.info === null) return -EINVAL;
      const info = new SigInfo(0, 0);
      if (t.mem.copyIn(a.addr(3), info.bytes, 0, SIGINFO_SIZE) !== 0) return -EFAULT;
      c.ptrace!.info = info;
      return 0;
    }
    case P.PTRACE_PEEKSIGINFO:
      return peekSigInfo(t, c, a);
    case P.PTRACE_GETSIGMASK:
      if (a.size(2) !== 8) return -EINVAL;
      scratch.u32[0] = c.restoreSigMask ? c.savedSigMask.lo : c.sigMask.lo;
      scratch.u32[1] = c.restoreSigMask ? c.savedSigMask.hi : c.sigMask.hi;
      return t.mem.copyOut(a.addr(3), scratch.bytes, 0, 8);
    case P.PTRACE_SETSIGMASK:
      if (a.size(2) !== 8) return -EINVAL;
      if (t.mem.copyIn(a.addr(3), scratch.bytes, 0, 8) !== 0) return -EFAULT;
      c.restoreSigMask = false;
      t.kernel.setSigMask(c, scratch.u32[0]!, scratch.u32[1]!);
      return 0;
    case P.PTRACE_ARCH_PRCTL:
      return segmentBase(t, c, a.int(3), a.addr(2));
    case P.PTRACE_GET_SYSCALL_INFO:
      return getSyscallInfo(t, c, a);
    case P.PTRACE_SET_SYSCALL_INFO:
      return setSyscallInfo(t, c, a);
    default:
      return -EIO;
  }
}

function traceme(t: Task): SysResult {
  const { parentTask, parent } = t.group;
  const tracer = parentTask ?? parent?.leader ?? null;
  if (t.ptrace !== null || tracer === null || tracer.dead) return -EPERM;
  if (tracer.landlock !== null && !tracer.landlock.contains(t.landlock)) return -EPERM;
  link(t, tracer, false, 0);
  return 0;
}

function attach(t: Task, a: SyscallArgs, seize: boolean): SysResult {
  const options = seize ? a.size(3) : 0;
  const c = t.pidNs.findTask(a.int(1));
  if (c === null) return -ESRCH;
  if (seize && (a.addr(2) !== 0 || options > 0xffffffff || (options & ~P.PTRACE_O_MASK) !== 0)) return -EIO;
  if (c.group === t.group || c.dead || c.killed || !mayTrace(t, c) || c.ptrace !== null) return -EPERM;
  link(c, t, seize, options);
  if (!seize) stopForAttach(c);
  trapStopped(c);
  return 0;
}

function letGo(c: Task, request: number, signal: number): SysResult {
  if (signal > NSIG) return -EIO;
  if (request === P.PTRACE_DETACH) {
    detach(c, signal);
    return 0;
  }
  const emulate = request === P.PTRACE_SYSEMU || request === P.PTRACE_SYSEMU_SINGLESTEP;
  const step = request === P.PTRACE_SINGLESTEP || request === P.PTRACE_SYSEMU_SINGLESTEP;
  resumeTracee(c, emulate ? GO_SYSEMU : request === P.PTRACE_SYSCALL ? GO_SYSCALL : GO_ON, step, signal);
  return 0;
}

const word = Buffer.alloc(8);

/** PTRACE_PEEKDATA (the system call stores the word at `data`) and PTRACE_POKEDATA. */
function accessWord(t: Task, c: Task, a: SyscallArgs, write: boolean): SysResult {
  const buf = Buffer.from(word);
  if (write) {
    buf.writeUInt32LE(a.words[6]!, 0);
    buf.writeUInt32LE(a.words[7]!, 4);
  }
  const out = a.addr(3);
  t.state = TASK_DETACHED;
  let finished = false;
  let waits = false;
  let result: SysResult = 0;
  accessTracee(c, a.addr(2), buf, 8, write, (r) => {
    if (t.dead) return;
    finished = true;
    result = r !== 0 ? r : write ? 0 : t.mem.copyOut(out, buf, 0, 8);
    if (waits) t.kernel.endDetached(t, result);
  });
  if (finished) {
    t.state = TASK_KERNEL;
    return result;
  }
  waits = true;
  return SYS_DETACHED;
}

function regset(t: Task, c: Task, a: SyscallArgs, set: boolean): SysResult {
  const iov = Buffer.alloc(16);
  if (t.mem.copyIn(a.addr(3), iov, 0, 16) !== 0) return -EFAULT;
  const base = iov.readUInt32LE(4) * 0x100000000 + iov.readUInt32LE(0);
  const len = iov.readUInt32LE(12) * 0x100000000 + iov.readUInt32LE(8);
  const type = a.uint(2);
  if (len % 8 !== 0) return -EINVAL; // All of them are counted in longs.
  let done: number;
  if (set) {
    const known = getRegset(c, type);
    if (typeof known === 'number') return known;
    done = Math.min(len, known.length);
    const buf = Buffer.alloc(done);
    if (t.mem.copyIn(base, buf, 0, done) !== 0) return -EFAULT;
    const r = setRegset(c, type, buf);
    if (r !== 0) return r;
  } else {
    const regs = getRegset(c, type);
    if (typeof regs === 'number') return regs;
    done = Math.min(len, regs.length);
    if (t.mem.copyOut(base, regs, 0, done) !== 0) return -EFAULT;
  }
  return t.mem.writeU64(a.addr(3) + 8, done);
}

/** struct ptrace_peeksiginfo_args { u64 off; u32 flags; s32 nr; } */
function peekSigInfo(t: Task, c: Task, a: SyscallArgs): SysResult {
  if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const [off, flags, nr] = [scratch.u32[0]!, scratch.u32[2]!, scratch.i32[3]!];
  if ((flags & ~PEEKSIGINFO_SHARED) !== 0 || nr < 0) return -EINVAL;
  const queue = (flags & PEEKSIGINFO_SHARED) !== 0 ? c.group.pending : c.pending;
  let done = 0;
  for (const info of queue.list(off, nr)) {
    if (t.mem.copyOut(a.addr(3) + done * SIGINFO_SIZE, info.bytes, 0, SIGINFO_SIZE) !== 0)
      return done > 0 ? done : -EFAULT;
    done++;
  }
  return done;
}

const REQUESTS = Object.fromEntries(
  Object.entries(P).filter(([k]) => /^PTRACE_(?!EVENT|O_)/.test(k)),
) as Record<string, number>;

export const ptraceRows: readonly SyscallRow[] = [
  {
    nr: 101,
    name: 'ptrace',
    fn: sysPtrace,
    args: [oneOf(REQUESTS), pid, ptr, ptr],
    support: 'partial',
    note: 'breakpoints in debug registers on the ptrace platform only, no block steps or reading of seccomp filters',
  },
];
