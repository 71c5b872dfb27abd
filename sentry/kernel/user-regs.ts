/** Registers of a stopped task as its tracer and its core file show them (arch/x86/kernel/ptrace.c, fpu/regset.c). */
import { ENODEV } from '../abi/errno.ts';
import { FS_BASE, GS_BASE, ORIG_RAX, RAX, type Regs } from '../arch/regs.ts';
import { FP_SW_RESERVED, FP_XSTATE_MAGIC1, FXSAVE_SIZE } from '../arch/signal-frame.ts';
import type { Task } from './task.ts';

const FP_MAX = 16 * 1024;

/** Where a stopped task stands: in a system call whose result, or a restart code, is `result`, or in its own code. */
export interface StopPlace {
  readonly inSyscall: boolean;
  readonly result: number;
}

/** struct user_regs_struct of `t` into `view`. */
export function loadUserRegs(view: Regs, t: Task, { inSyscall, result }: StopPlace): void {
  view.copyFrom(t.ctx.regs());
  view.set(ORIG_RAX, inSyscall ? t.sysno : -1);
  if (inSyscall) view.set(RAX, result);
  view.set(FS_BASE, t.ctx.segmentBase('fs'));
  view.set(GS_BASE, t.ctx.segmentBase('gs'));
}

const fp = Buffer.alloc(FP_MAX);

/** struct user_fpregs_struct (NT_PRFPREG); valid until the next call of these functions. */
export function userFpRegs(t: Task): Buffer {
  t.ctx.getFpState(fp);
  fp.fill(0, FP_SW_RESERVED, FXSAVE_SIZE);
  return fp.subarray(0, FXSAVE_SIZE);
}

/** The XSAVE area (NT_X86_XSTATE), or −ENODEV on a CPU without; valid until the next call of these functions. */
export function userXstate(t: Task): Buffer | number {
  const total = t.ctx.getFpState(fp);
  if (fp.readUInt32LE(FP_SW_RESERVED) !== FP_XSTATE_MAGIC1) return -ENODEV;
  const size = Math.min(fp.readUInt32LE(FP_SW_RESERVED + 16), total);
  // The features that the XSAVE area may hold take the place of the frame's software bytes (xstateregs_get).
  fp.copyWithin(FP_SW_RESERVED, FP_SW_RESERVED + 8, FP_SW_RESERVED + 16);
  fp.fill(0, FP_SW_RESERVED + 8, FXSAVE_SIZE);
  return fp.subarray(0, size);
}
