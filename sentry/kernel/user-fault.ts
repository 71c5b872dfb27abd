/** Exceptions of guest code (arch/x86/mm/fault.c do_user_addr_fault(), arch/x86/kernel/traps.c). */
import { SIGSEGV } from '../abi/signal.ts';
import { RIP, RSP } from '../arch/regs.ts';
import { handleFault } from '../mm/page-fault.ts';
import type { Context } from '../platform/platform.ts';
import { DebugRegs } from './debug-regs.ts';
import { sigInfoFault, sigInfoKey } from './sig-info.ts';
import { forceSignal } from './signal-send.ts';
import type { Task } from './task.ts';
import { exitToUser, finishSyscall } from './task-run.ts';
import { emulateVsyscall } from './vsyscall.ts';

/** X86_TRAP_DB */
const DEBUG = 1;
/** X86_TRAP_PF */
const PAGE_FAULT = 14;
const SEGV_MAPERR = 1;
const SEGV_PKUERR = 4;

/** Memory that is to be there is brought in, a call through the vsyscall page made; anything else is the program's, by a signal. */
export function userFault(
  t: Task,
  ctx: Context,
  signo: number,
  code: number,
  addr: number,
  trapNo: number,
  errorCode: number,
): void {
  const denied = signo === SIGSEGV && code === SEGV_PKUERR ? t.mm.table.find(addr) : null;
  if (denied === null && trapNo === PAGE_FAULT && handleFault(t.mm, ctx, addr, errorCode, t.group.limits)) {
    exitToUser(t, 0, false);
    return;
  }
  if (signo === SIGSEGV && denied === null) {
    const nr = emulateVsyscall(t);
    if (nr >= 0) {
      runVsyscall(t, nr);
      return;
    }
  }
  t.fault.trapNo = trapNo;
  t.fault.errorCode = errorCode;
  if (trapNo === PAGE_FAULT) t.fault.cr2 = addr;
  if (trapNo === DEBUG && (t.ptrace !== null || t.debugRegs !== null))
    (t.debugRegs ??= new DebugRegs()).trapped(code, ctx);
  forceSignal(
    t,
    denied === null ? sigInfoFault(signo, code, addr) : sigInfoKey(signo, code, addr, denied.pkey),
  );
  exitToUser(t, 0, false);
}

/** A call through the vsyscall page on a host that does not emulate it: run it, then return to the caller. */
function runVsyscall(t: Task, nr: number): void {
  t.sysno = nr;
  t.row = t.kernel.table[nr] ?? null;
  const regs = t.ctx.regs();
  const sp = regs.get(RSP);
  const ret = Buffer.alloc(8);
  if (t.mem.copyIn(sp, ret, 0, 8) !== 0) {
    forceSignal(t, sigInfoFault(SIGSEGV, SEGV_MAPERR, sp));
    exitToUser(t, 0, false);
    return;
  }
  const result = t.kernel.invoke(t);
  regs.set(RIP, ret.readUInt32LE(0) + ret.readUInt32LE(4) * 0x100000000);
  regs.set(RSP, sp + 8);
  t.ctx.regsChanged();
  finishSyscall(t, result);
}
