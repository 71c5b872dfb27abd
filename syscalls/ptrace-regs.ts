/** Registers of a stopped tracee as its tracer sees and sets them (arch/x86/kernel/ptrace.c). */
import { EFAULT, EINVAL, EIO } from '../sentry/abi/errno.ts';
import { NT_PRFPREG, NT_PRSTATUS, NT_X86_XSTATE } from '../sentry/abi/ptrace.ts';
import {
  CS,
  DS,
  EFLAGS,
  ES,
  FIX_EFLAGS,
  FS,
  FS_BASE,
  GS,
  GS_BASE,
  NREGS,
  ORIG_RAX,
  RAX,
  Regs,
  SS,
  USER_REGS_SIZE,
} from '../sentry/arch/regs.ts';
import { FP_SW_RESERVED, FXSAVE_SIZE } from '../sentry/arch/signal-frame.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import { DebugRegs } from '../sentry/kernel/debug-regs.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { loadUserRegs, userFpRegs, userXstate } from '../sentry/kernel/user-regs.ts';

const TRAP_FLAG = 0x100;
const SW_BYTES = 48;
const FP_MAX = 16 * 1024;
/** sizeof(struct user), and where its debug registers are. */
const USER_SIZE = 928;
const DEBUGREG_OFFSET = 848;

const view = new Regs();
const bytes = Buffer.from(view.bytes.buffer);

/** Fills `view` with what PTRACE_GETREGS gives, and returns it. */
export function load(c: Task): Regs {
  const p = c.ptrace!;
  loadUserRegs(view, c, p);
  if (p.trapFlagSet) view.words[2 * EFLAGS] = view.words[2 * EFLAGS]! & ~TRAP_FLAG;
  return view;
}

const high = (r: number): number => view.words[2 * r + 1]!;

/** Takes over what load() has returned: 0, or −EIO for values no 64-bit program can have; then nothing is changed. */
export function store(c: Task): number {
  const p = c.ptrace!;
  const regs = c.ctx.regs();
  for (const r of [CS, SS, DS, ES, FS, GS]) {
    if (view.words[2 * r] !== regs.words[2 * r] || high(r) !== regs.words[2 * r + 1]) return -EIO;
  }
  if (view.get(FS_BASE) >= TASK_SIZE || view.get(GS_BASE) >= TASK_SIZE) return -EIO;
  const flags = regs.words[2 * EFLAGS]!;
  view.words[2 * EFLAGS] = ((flags & ~FIX_EFLAGS) | (view.words[2 * EFLAGS]! & FIX_EFLAGS)) >>> 0;
  view.words[2 * EFLAGS + 1] = 0;
  const nr = view.words[2 * ORIG_RAX]! | 0;
  p.inSyscall = nr >= 0;
  p.result = (high(RAX) | 0) * 0x100000000 + view.words[2 * RAX]!;
  if (nr >= 0) {
    c.sysno = nr;
    c.row = c.kernel.table[nr] ?? null;
  }
  for (const [r, which] of [
    [FS_BASE, 'fs'],
    [GS_BASE, 'gs'],
  ] as const) {
    if (view.get(r) !== c.ctx.segmentBase(which)) c.ctx.setSegmentBase(which, view.get(r));
  }
  const { words } = c.ctx.regs();
  for (let r = 0; r < NREGS; r++) {
    if (r === ORIG_RAX) continue;
    words[2 * r] = view.words[2 * r]!;
    words[2 * r + 1] = view.words[2 * r + 1]!;
  }
  c.ctx.regsChanged();
  return 0;
}

export function getRegs(c: Task): Uint8Array {
  load(c);
  return bytes;
}

export function setRegs(c: Task, from: Uint8Array, len: number): number {
  load(c);
  bytes.set(from.subarray(0, len));
  return store(c);
}

/** PTRACE_PEEKUSER: a word in `words`, 0 or −EIO. */
export function peekUser(c: Task, offset: number, words: Uint32Array): number {
  if (offset % 8 !== 0 || offset < 0 || offset >= USER_SIZE) return -EIO;
  words[0] = words[1] = 0;
  if (isDebugReg(offset)) {
    (c.debugRegs ?? NO_DEBUG_REGS).get((offset - DEBUGREG_OFFSET) / 8, words);
    return 0;
  }
  if (offset >= USER_REGS_SIZE) return 0;
  load(c);
  words[0] = view.words[offset / 4]!;
  words[1] = view.words[offset / 4 + 1]!;
  return 0;
}

const NO_DEBUG_REGS = new DebugRegs();
const isDebugReg = (offset: number): boolean => offset >= DEBUGREG_OFFSET && offset < DEBUGREG_OFFSET + 64;

/** PTRACE_POKEUSER */
export function pokeUser(c: Task, offset: number, lo: number, hi: number): number {
  if (offset % 8 !== 0 || offset < 0 || offset >= USER_SIZE) return -EIO;
  if (isDebugReg(offset))
    return (c.debugRegs ??= new DebugRegs()).set((offset - DEBUGREG_OFFSET) / 8, lo, hi, c.ctx);
  if (offset >= USER_REGS_SIZE) return -EIO;
  load(c);
  view.words[offset / 4] = lo;
  view.words[offset / 4 + 1] = hi;
  return store(c);
}

const frame = Buffer.alloc(FP_MAX);

/** A register set as PTRACE_GETREGSET gives it, or −errno. */
export function getRegset(c: Task, type: number): Uint8Array | number {
  switch (type) {
    case NT_PRSTATUS:
      return getRegs(c);
    case NT_PRFPREG:
      return userFpRegs(c);
    case NT_X86_XSTATE:
      return userXstate(c);
    default:
      return -EINVAL;
  }
}

/** PTRACE_SETREGSET: 0 or −errno. */
export function setRegset(c: Task, type: number, from: Uint8Array): number {
  if (type === NT_PRSTATUS) {
    if (from.length % 8 !== 0) return -EINVAL;
    return setRegs(c, from, Math.min(from.length, USER_REGS_SIZE));
  }
  if (type !== NT_PRFPREG && type !== NT_X86_XSTATE) return -EINVAL;
  const total = c.ctx.getFpState(frame);
  const size = Math.min(frame.readUInt32LE(FP_SW_RESERVED + 16), total);
  if (type === NT_X86_XSTATE && from.length < size) return -EFAULT;
  if (type === NT_PRFPREG && from.length < FXSAVE_SIZE) return -EINVAL;
  const len = type === NT_PRFPREG ? FXSAVE_SIZE : size;
  frame.set(from.subarray(0, FP_SW_RESERVED));
  if (len > FXSAVE_SIZE) frame.set(from.subarray(FP_SW_RESERVED + SW_BYTES, len), FXSAVE_SIZE);
  return c.ctx.setFpState(frame, total) ? 0 : -EINVAL;
}
