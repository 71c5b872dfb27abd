/**
 * One traced host thread. Orders are executed by having the thread itself make the host call: its registers are set to
 * the call at the stub's syscall instruction, it runs to the trap behind it, and the guest's registers are put back
 * at the next resume. That takes microseconds, and the guest has no part in it, so it is waited for.
 */
import { EAGAIN, EFAULT, ESRCH } from '../../sentry/abi/errno.ts';
import {
  CS,
  EFLAGS,
  FS_BASE,
  GS_BASE,
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
  USER_REGS_SIZE,
} from '../../sentry/arch/regs.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close, dup } from '../../sentry/host/sys.ffi.ts';
import type { AddressSpace, Context } from '../../sentry/platform/platform.ts';
import {
  CLONE_FLAGS_PROCESS,
  CLONE_FLAGS_THREAD,
  GATE_FD,
  ORDER_CMPXCHG,
  STUB_BASE,
  STUB_CMPXCHG,
  STUB_TRAP,
} from '../stub-layout.ts';
import { InjectedAccount } from './account.ts';
import { getFpState, resetFpState, setFpState } from './fp-state.ts';
import { populateAdvice } from '../order-advice.ts';
import * as NR from '../order-numbers.ts';
import type { PtracePlatform } from './platform.ts';
import {
  PTRACE_CONT,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_GETEVENTMSG,
  PTRACE_GETREGS,
  PTRACE_INTERRUPT,
  PTRACE_PEEKUSER,
  PTRACE_SETREGS,
  PTRACE_SYSEMU,
  ptrace,
  returnFromSyscall,
  waitFor,
} from './ptrace.ffi.ts';
import { PtraceSpace } from './space.ts';

const SIGSEGV = 11;
const SIGBUS = 7;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const SIGTRAP = 5;
/** Selectors of 64-bit user code and data (__USER_CS, __USER_DS): a guest may have switched to 32-bit code. */
const USER_CS = 0x33;
const USER_DS = 0x2b;
const TRAP_FLAG = 0x100;
const RAX_OFFSET = RAX * 8;

/** Registers on their way from or to the kernel, and single words. */
const transfer = new HostBuffer(USER_REGS_SIZE);
const transferRegs = new Regs();
const word = new HostBuffer(8);

interface Order {
  readonly nr: number;
  readonly args: readonly number[];
  /** To be put at GATE_FD before the call; −1: none. Owned by the order. */
  readonly hostFd: number;
  /** The next orders are executed even if this one fails. */
  readonly mayFail?: boolean;
}

export class PtraceContext implements Context {
  readonly tid: number;
  readonly space: PtraceSpace & AddressSpace;
  task: unknown = null;
  stopped = true;
  sysno = -1;
  readonly args = new Uint32Array(12);
  readonly dataAddr = 0;
  readonly dataSize = 0;
  /** No event of this thread is reported any more. */
  isDead = false;
  interruptRequested = false;
  /** Placement, see Placer: bound to the tracer's CPU, and stops since the last look. */
  isPinned = true;
  /** The guest has bound it to some CPUs, where it is left. */
  isBound = false;
  events = 0;

  readonly #platform: PtracePlatform;
  readonly #regs = new Regs();
  #regsFetched = false;
  /** #regs must be loaded before the guest goes on. */
  #regsChanged = false;
  #orders: Order[] = [];
  /** A copy-out since the stop did not reach all of its destination. */
  #hasFaulted = false;
  /** Child of the clone that is being injected. */
  #childTid = 0;

  constructor(platform: PtracePlatform, tid: number, space: PtraceSpace) {
    this.#platform = platform;
    this.tid = tid;
    this.space = space;
    space.members.add(this);
  }

  // --- registers ---------------------------------------------------------------------------------------------------

  regs(): Regs {
    if (!this.#regsFetched) {
      ptrace(PTRACE_GETREGS, this.tid, 0, transfer.addr);
      this.#regs.bytes.set(transfer.bytes);
      this.#regsFetched = true;
      // At a syscall stop rax is already −ENOSYS; what the guest put there is in orig_rax.
      if (this.sysno !== -1) {
        this.#regs.words[2 * RAX] = this.#regs.words[2 * ORIG_RAX]!;
        this.#regs.words[2 * RAX + 1] = this.#regs.words[2 * ORIG_RAX + 1]!;
      }
    }
    return this.#regs;
  }

  readonly partial = false;

  complete(done: (result: number) => void): void {
    done(0);
  }

  regsChanged(): void {
    this.#regsChanged = true;
  }

  setSegmentBase(which: 'fs' | 'gs', base: number): void {
    this.regs().set(which === 'fs' ? FS_BASE : GS_BASE, base);
    this.#regsChanged = true;
  }

  segmentBase(which: 'fs' | 'gs'): number {
    return this.regs().get(which === 'fs' ? FS_BASE : GS_BASE);
  }

  getFpState(dst: Uint8Array): number {
    return getFpState(this.tid, dst);
  }

  setFpState(src: Uint8Array, size: number): boolean {
    return setFpState(this.tid, src, size);
  }

  resetFpState(): void {
    resetFpState(this.tid);
  }

  // --- data: none travels with a stop, outputs are written at once -----------------------------------------------------

  prefetched(): number {
    return 0;
  }

  copyOutData(): boolean {
    return false;
  }

  zeroOut(): boolean {
    return false;
  }

  copyOut(addr: number, src: Uint8Array, off: number, len: number): boolean {
    if (this.space.write(addr, src, off, len) !== len) this.#hasFaulted = true;
    return true;
  }

  // --- orders --------------------------------------------------------------------------------------------------------

  mmap(addr: number, len: number, prot: number, flags: number, hostFd: number, offset: number): void {
    const isFile = hostFd >= 0 && Math.floor(flags / MAP_ANONYMOUS) % 2 === 0;
    const fd = isFile ? GATE_FD : -1;
    this.#orders.push({
      nr: NR.MMAP,
      args: [addr, len, prot, flags + MAP_FIXED, fd, offset],
      hostFd: isFile ? dup(hostFd) : -1,
    });
  }

  munmap(addr: number, len: number): void {
    this.#orders.push({ nr: NR.MUNMAP, args: [addr, len], hostFd: -1 });
  }

  mprotect(addr: number, len: number, prot: number): void {
    this.#orders.push({ nr: NR.MPROTECT, args: [addr, len, prot], hostFd: -1 });
  }

  mremap(oldAddr: number, oldLen: number, newLen: number, newAddr: number): void {
    const flags = newAddr === oldAddr ? 0 : MREMAP_MAYMOVE + MREMAP_FIXED;
    this.#orders.push({ nr: NR.MREMAP, args: [oldAddr, oldLen, newLen, flags, newAddr], hostFd: -1 });
  }

  madvise(addr: number, len: number, advice: number): void {
    this.#orders.push({ nr: NR.MADVISE, args: [addr, len, advice], hostFd: -1 });
  }

  populate(addr: number, len: number, write: boolean, mayFail: boolean): void {
    this.#orders.push({ nr: NR.MADVISE, args: [addr, len, populateAdvice(write)], hostFd: -1, mayFail });
  }

  membarrier(command: number): void {
    this.#orders.push({ nr: NR.MEMBARRIER, args: [command, 0, 0], hostFd: -1 });
  }

  compareExchange(addr: number, expected: number, value: number): void {
    this.#orders.push({ nr: ORDER_CMPXCHG, args: [addr, value, expected], hostFd: -1 });
  }

  /** Executes the queue. 0, or −errno of the first that failed, whose index is left in `#failedOrder`. */
  #runQueue(): number {
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
      const r = isGated && hostFd < 0 ? hostFd : this.#inject(nr, args, isGated, hostFd);
      hasFile ||= isGated;
      if (r < 0 && mayFail !== true) {
        result = r;
        this.#failedOrder = i;
      }
    }
    // Each file replaces the one before it; the guest itself makes no host call that could reach the last.
    if (hasFile) this.#inject(NR.CLOSE, [GATE_FD], false, -1);
    return result;
  }
  #failedOrder = 0;

  /**
   * Has the stopped thread make one host call; `hostFd` (−1: none) is installed at GATE_FD first, and closed here. Its
   * result or −errno; −ESRCH if it died, which is reported as an event.
   */
  #inject(nr: number, args: readonly number[], isGated: boolean, hostFd: number): number {
    if (this.isDead) {
      if (hostFd >= 0) close(hostFd);
      return -ESRCH;
    }
    transferRegs.copyFrom(this.regs());
    this.#regsChanged = true;
    const r = transferRegs;
    const isSwap = nr === ORDER_CMPXCHG;
    r.set(RIP, isSwap ? STUB_CMPXCHG : STUB_BASE);
    r.set(RBX, STUB_TRAP);
    r.set(RAX, isSwap ? args[2]! : nr);
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
    transfer.bytes.set(r.bytes);
    ptrace(PTRACE_SETREGS, this.tid, 0, transfer.addr);
    ptrace(PTRACE_CONT, this.tid, 0, 0);
    if (isGated && !this.#platform.admit(this.tid, nr, args, hostFd)) this.#platform.killSpace(this.space);
    if (!this.#waitForTrap()) return -ESRCH;
    ptrace(PTRACE_PEEKUSER, this.tid, RAX_OFFSET, word.addr);
    if (isSwap) return this.#swapFaulted ? -EFAULT : word.u32[0]! === args[2]! ? 0 : -EAGAIN;
    return word.i32[1]! * 0x100000000 + word.u32[0]!;
  }

  #swapFaulted = false;

  /** Waits for the trap behind the injected call, passing by other stops. False: the thread has died. */
  #waitForTrap(): boolean {
    this.#swapFaulted = false;
    for (;;) {
      const status = waitFor(this.tid);
      if (status < 0 || (status & 0xff) !== 0x7f) {
        this.#platform.reportDeath(this, status < 0 ? 9 : status & 0x7f);
        return false;
      }
      const signo = (status >> 8) & 0xff;
      const ptraceEvent = status >> 16;
      if (ptraceEvent === 0 && signo === SIGTRAP) return true;
      if (ptraceEvent === 0 && (signo === SIGSEGV || signo === SIGBUS)) {
        // Of all that is injected only the compare-and-swap touches the guest's memory itself.
        this.#swapFaulted = true;
        return true;
      }
      if (ptraceEvent === PTRACE_EVENT_FORK || ptraceEvent === PTRACE_EVENT_CLONE) {
        ptrace(PTRACE_GETEVENTMSG, this.tid, 0, word.addr);
        this.#childTid = word.i32[0]!;
      }
      ptrace(PTRACE_CONT, this.tid, 0, 0);
    }
  }

  // --- going on ------------------------------------------------------------------------------------------------------

  resumeSyscall(value: number): void {
    if (!this.#ordersSucceed()) return;
    if (this.#hasFaulted) value = -EFAULT;
    if (this.#regsChanged) {
      this.#regs.set(RAX, value);
      this.#loadRegs();
    } else {
      this.#noteRunning();
      returnFromSyscall(this.tid, value);
      return;
    }
    this.#go();
  }

  resume(): void {
    if (!this.#ordersSucceed()) return;
    // The host's registers differ from regs() at a syscall stop, see there.
    if (this.sysno !== -1) {
      this.regs();
      this.#regsChanged = true;
    }
    if (this.#regsChanged) this.#loadRegs();
    this.#go();
  }

  #ordersSucceed(): boolean {
    const r = this.#runQueue();
    if (r === 0) return true;
    if (r !== -ESRCH || !this.isDead) this.#platform.reportOrderFailed(this, this.#failedOrder, -r);
    return false;
  }

  #loadRegs(): void {
    transferRegs.copyFrom(this.#regs);
    transferRegs.set(ORIG_RAX, -1);
    transfer.bytes.set(transferRegs.bytes);
    const r = ptrace(PTRACE_SETREGS, this.tid, 0, transfer.addr);
    // −EIO: values that the kernel checks for; the sentry should not have let them through.
    if (r < 0 && r !== -ESRCH) this.#platform.killSpace(this.space);
  }

  #go(): void {
    this.#noteRunning();
    ptrace(PTRACE_SYSEMU, this.tid, 0, 0);
  }

  #noteRunning(): void {
    this.stopped = false;
    this.sysno = -1;
    this.#hasFaulted = false;
    this.#regsFetched = false;
    this.#regsChanged = false;
    if (this.isPinned) this.#platform.pinnedRunning++;
  }

  /**
   * Passes by a stop that is nobody's business. A thread that is to exit really makes its call, instead of having it
   * emulated; the filter lets it make no other. −ESRCH, killed meanwhile, is reported by its exit.
   */
  passBy(): void {
    ptrace(this.isDead ? PTRACE_CONT : PTRACE_SYSEMU, this.tid, 0, 0);
  }

  clearSpace(): boolean {
    return false;
  }

  dropQueued(): void {}

  runOrders(done: (result: number) => void): void {
    done(this.#runQueue());
  }

  /** A call that the thread makes itself. */
  inject(nr: number, args: readonly number[]): number {
    return this.#inject(nr, args, false, -1);
  }

  readonly account = new InjectedAccount(this);

  fork(done: (result: Context | number) => void): void {
    done(this.#clone(CLONE_FLAGS_PROCESS, null));
  }

  bindTo(cpus: Uint8Array | null): void {
    this.#platform.bind(this, cpus);
  }

  spawn(done: (result: Context | number) => void): void {
    done(this.#clone(CLONE_FLAGS_THREAD, this.space));
  }

  #clone(flags: number, space: PtraceSpace | null): PtraceContext | number {
    const queued = this.#runQueue();
    if (queued < 0) return queued;
    this.#childTid = 0;
    const r = this.#inject(NR.CLONE, [flags], true, -1);
    if (r < 0) return r;
    const tid = this.#childTid;
    const status = waitFor(tid); // its first stop
    if (status < 0 || (status & 0xff) !== 0x7f) return -ESRCH;
    const child = new PtraceContext(this.#platform, tid, space ?? new PtraceSpace(tid));
    child.#regs.copyFrom(this.#regs);
    child.#regsFetched = true;
    child.#regsChanged = true;
    child.isPinned = this.isPinned; // affinity is inherited
    child.isBound = this.isBound;
    this.#platform.register(child);
    return child;
  }

  readonly lent = { maskLo: 0, maskHi: 0, robustList: 0 };

  lend(): boolean {
    return false;
  }

  reclaim(): void {}

  lendAnswer(): void {}

  readonly waits = false;

  interrupt(): void {
    if (this.stopped || this.isDead) return;
    this.interruptRequested = true;
    ptrace(PTRACE_INTERRUPT, this.tid, 0, 0);
  }

  exit(): void {
    if (this.isDead) return;
    if (this.space.members.size === 1) {
      this.space.destroy();
      return;
    }
    transferRegs.copyFrom(this.regs());
    this.markDead();
    this.space.members.delete(this);
    transferRegs.set(RIP, STUB_BASE);
    transferRegs.set(RBX, STUB_TRAP);
    transferRegs.set(RAX, NR.EXIT);
    transferRegs.set(ORIG_RAX, -1);
    transferRegs.set(CS, USER_CS);
    transferRegs.set(SS, USER_DS);
    transferRegs.set(RDI, 0);
    transfer.bytes.set(transferRegs.bytes);
    ptrace(PTRACE_SETREGS, this.tid, 0, transfer.addr);
    ptrace(PTRACE_CONT, this.tid, 0, 0);
  }

  /** A new stop: what was known about the last one is void. */
  noteStop(): void {
    if (!this.stopped && this.isPinned) this.#platform.pinnedRunning--;
    this.stopped = true;
    this.events++;
    this.sysno = -1;
    this.#regsFetched = false;
    this.#regsChanged = false;
    this.interruptRequested = false;
  }

  markDead(): void {
    if (!this.isDead && !this.stopped && this.isPinned) this.#platform.pinnedRunning--;
    this.isDead = true;
    for (const order of this.#orders) if (order.hostFd >= 0) close(order.hostFd);
    this.#orders = [];
  }
}
