/**
 * Host calls that a stopped thread makes for the sentry: its registers are set to the call at the stub's syscall instruction,
 * and it runs to the trap behind it. That takes microseconds, and the guest has no part in it, so it is waited for. Orders
 * queue up here until the thread goes on.
 */
import { EAGAIN, EFAULT, ESRCH } from '../../sentry/abi/errno.ts';
import {
  CS,
  EFLAGS,
  ORIG_RAX,
  R10,
  R8,
  R9,
  RAX,
  RBX,
  RDI,
  RDX,
  Regs,
  RIP,
  RSI,
  SS,
} from '../../sentry/arch/regs.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import * as NR from '../order-numbers.ts';
import { GATE_FD, ORDER_CMPXCHG, STUB_BASE, STUB_CMPXCHG, STUB_TRAP } from '../stub-layout.ts';
import type { PtraceContext } from './context.ts';
import type { PtracePlatform } from './platform.ts';
import {
  PTRACE_CONT,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_GETEVENTMSG,
  PTRACE_PEEKUSER,
  ptrace,
  waitFor,
} from './ptrace.ffi.ts';
import { setRegs } from './registers.ts';

const SIGTRAP = 5;
const SIGBUS = 7;
const SIGKILL = 9;
const SIGSEGV = 11;
/** Selectors of 64-bit user code and data (__USER_CS, __USER_DS): a guest may have switched to 32-bit code. */
const USER_CS = 0x33;
const USER_DS = 0x2b;
const TRAP_FLAG = 0x100;
const RAX_OFFSET = RAX * 8;

const callRegs = new Regs();
const word = new HostBuffer(8);

interface Order {
  readonly nr: number;
  readonly args: readonly number[];
  /** To be put at GATE_FD before the call; −1: none. Owned by the order. */
  readonly hostFd: number;
  /** The next orders are executed even if this one fails. */
  readonly mayFail: boolean;
}

export class InjectedCalls {
  readonly #ctx: PtraceContext;
  readonly #platform: PtracePlatform;
  #orders: Order[] = [];
  /** Index of the order whose error `runQueue` has returned. */
  failedOrder = 0;
  /** Child of the clone that was injected last. */
  childTid = 0;
  #swapFaulted = false;

  constructor(ctx: PtraceContext, platform: PtracePlatform) {
    this.#ctx = ctx;
    this.#platform = platform;
  }

  queue(order: Order): void {
    this.#orders.push(order);
  }

  dropQueue(): void {
    for (const { hostFd } of this.#orders) if (hostFd >= 0) close(hostFd);
    this.#orders = [];
  }

  /** Executes the queue. 0, or −errno of the first that failed: `failedOrder`. */
  runQueue(): number {
    const orders = this.#orders;
    if (orders.length === 0) return 0;
    this.#orders = [];
    let result = 0;
    let hasFile = false;
    for (let i = 0; i < orders.length; i++) {
      const { nr, args, hostFd, mayFail } = orders[i]!;
      if (result < 0) {
        if (hostFd >= 0) close(hostFd);
        continue;
      }
      const isGated = nr === NR.MMAP && args[4] === GATE_FD;
      // The duplicate could not be made: hostFd is the error.
      const r = isGated && hostFd < 0 ? hostFd : this.#call(nr, args, isGated, hostFd);
      hasFile ||= isGated;
      if (r === 0 && nr === NR.RSEQ)
        this.#ctx.rseqArea = args[2] === 0 ? { addr: args[0]!, len: args[1]!, sig: args[3]! } : null;
      if (r < 0 && !mayFail) {
        result = r;
        this.failedOrder = i;
      }
    }
    // Each file replaces the one before it; the guest itself makes no host call that could reach the last.
    if (hasFile) this.call(NR.CLOSE, [GATE_FD]);
    return result;
  }

  /** A call that needs no consent. Its result or −errno; −ESRCH if the thread died, which is reported as an event. */
  call(nr: number, args: readonly number[]): number {
    return this.#call(nr, args, false, -1);
  }

  /** clone(2); the new thread's id in `childTid`. */
  clone(flags: number): number {
    this.childTid = 0;
    return this.#call(NR.CLONE, [flags], true, -1);
  }

  /** `hostFd` (−1: none) is installed at GATE_FD first, and closed here. */
  #call(nr: number, args: readonly number[], isGated: boolean, hostFd: number): number {
    if (this.#ctx.isDead) {
      if (hostFd >= 0) close(hostFd);
      return -ESRCH;
    }
    const { tid } = this.#ctx;
    const isSwap = nr === ORDER_CMPXCHG;
    if (isSwap) this.load(STUB_CMPXCHG, args[1]!, [args[0]!, args[2]!]);
    else this.load(STUB_BASE, nr, args);
    ptrace(PTRACE_CONT, tid, 0, 0);
    if (isGated && !this.#platform.admit(tid, nr, args, hostFd)) this.#platform.killSpace(this.#ctx.space);
    if (!this.#waitForTrap(isSwap)) return -ESRCH;
    ptrace(PTRACE_PEEKUSER, tid, RAX_OFFSET, word.addr);
    if (isSwap) return this.#swapFaulted ? -EFAULT : word.u32[0]! === args[1]! ? 0 : -EAGAIN;
    return word.i32[1]! * 0x100000000 + word.u32[0]!;
  }

  /** Sets the thread's registers, so that it executes the stub at `rip` when it goes on. */
  load(rip: number, rax: number, args: readonly number[]): void {
    const r = callRegs;
    r.copyFrom(this.#ctx.regs());
    this.#ctx.regsChanged();
    r.set(RIP, rip);
    r.set(RBX, STUB_TRAP);
    r.set(RAX, rax);
    r.set(ORIG_RAX, -1); // no syscall restart
    r.set(CS, USER_CS);
    r.set(SS, USER_DS);
    const eflags = r.words[2 * EFLAGS]!;
    r.words[2 * EFLAGS] = eflags - (eflags & TRAP_FLAG);
    r.set(RDI, args[0] ?? 0);
    r.set(RSI, args[1] ?? 0);
    r.set(RDX, args[2] ?? 0);
    r.set(R10, args[3] ?? 0);
    r.set(R8, args[4] ?? 0);
    r.set(R9, args[5] ?? 0);
    setRegs(this.#ctx.tid, r);
  }

  /** Waits for the trap behind the injected call, passing by other stops. False: the thread has died. */
  #waitForTrap(isSwap: boolean): boolean {
    const { tid } = this.#ctx;
    this.#swapFaulted = false;
    for (;;) {
      const status = waitFor(tid);
      if (status < 0 || (status & 0xff) !== 0x7f) {
        this.#platform.reportDeath(this.#ctx, status < 0 ? SIGKILL : status & 0x7f);
        return false;
      }
      const signo = (status >> 8) & 0xff;
      const ptraceEvent = status >> 16;
      if (ptraceEvent === 0 && signo === SIGTRAP) return true;
      if (ptraceEvent === 0 && (signo === SIGSEGV || signo === SIGBUS)) {
        // Of all that is injected only the compare-and-swap touches the guest's memory itself. Otherwise it is the host that
        // cannot write to what rseq(2) has registered; Linux ends such a process.
        if (isSwap) {
          this.#swapFaulted = true;
          return true;
        }
        ptrace(PTRACE_CONT, tid, 0, signo);
        continue;
      }
      if (ptraceEvent === PTRACE_EVENT_FORK || ptraceEvent === PTRACE_EVENT_CLONE) {
        ptrace(PTRACE_GETEVENTMSG, tid, 0, word.addr);
        this.childTid = word.i32[0]!;
      }
      ptrace(PTRACE_CONT, tid, 0, 0);
    }
  }
}
