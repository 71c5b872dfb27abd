/** General registers of a stopped thread (struct user_regs_struct). */
import { type Regs, USER_REGS_SIZE } from '../../sentry/arch/regs.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { PTRACE_GETREGS, PTRACE_SETREGS, ptrace } from './ptrace.ffi.ts';

const transfer = new HostBuffer(USER_REGS_SIZE);

/** Copies them into `regs`. 0 or −errno. */
export function getRegs(tid: number, regs: Regs): number {
  const r = ptrace(PTRACE_GETREGS, tid, 0, transfer.addr);
  regs.bytes.set(transfer.bytes);
  return r;
}

/** 0 or −errno: −EIO for values that the kernel refuses. */
export function setRegs(tid: number, regs: Regs): number {
  transfer.bytes.set(regs.bytes);
  return ptrace(PTRACE_SETREGS, tid, 0, transfer.addr);
}
