/** Breakpoints of a stopped tracee: the host's debug registers (arch/x86/kernel/ptrace.c), which belong to the thread. */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { GUEST_MAX } from '../stub-layout.ts';
import { PTRACE_PEEKUSER, PTRACE_POKEUSER, ptrace } from './ptrace.ffi.ts';

/** offsetof(struct user, u_debugreg) */
const DEBUGREG_OFFSET = 848;
const DR6 = 6;
const DR7 = 7;
const DR_TRAP_BITS = 0xf;

const word = new HostBuffer(8);

const poke = (tid: number, n: number, value: number): number =>
  ptrace(PTRACE_POKEUSER, tid, DEBUGREG_OFFSET + 8 * n, value);

/** Context.setBreakpoints(). Nothing of the platform's own gets one: only guest code is to be stopped. */
export function setBreakpoints(tid: number, addrs: readonly number[], control: number): number {
  let enabled = 0;
  // Off first: an address has to fit the length that is enabled there.
  let r = poke(tid, DR7, 0);
  addrs.forEach((addr, n) => {
    const on = ((control >>> (2 * n)) & 3) !== 0;
    if (r < 0 || !on || addr >= GUEST_MAX) return;
    r = poke(tid, n, addr);
    enabled |= control & ((3 << (2 * n)) | (15 << (16 + 4 * n)));
  });
  return r < 0 || enabled === 0 ? r : poke(tid, DR7, enabled >>> 0);
}

/** Bits of DR6: which of them the last debug exception was for. */
export function breakpointsHit(tid: number): number {
  return ptrace(PTRACE_PEEKUSER, tid, DEBUGREG_OFFSET + 8 * DR6, word.addr) < 0
    ? 0
    : word.u32[0]! & DR_TRAP_BITS;
}
