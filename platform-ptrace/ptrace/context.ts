/** One traced host thread. Orders, and calls for the sentry's own use: injected-calls.ts. */
import { EFAULT, ESRCH } from '../../sentry/abi/errno.ts';
import { FS_BASE, GS_BASE, ORIG_RAX, RAX, Regs } from '../../sentry/arch/regs.ts';
import type { AddressSpace, Context, RseqArea } from '../../sentry/platform/platform.ts';
import { MemoryOrders } from '../memory-orders.ts';
import * as NR from '../order-numbers.ts';
import { CLONE_FLAGS_PROCESS, CLONE_FLAGS_THREAD, GATE_FD, STUB_BASE } from '../stub-layout.ts';
import { InjectedAccount } from './account.ts';
import { breakpointsHit, setBreakpoints } from './breakpoints.ts';
import { getFpState, getPkru, resetFpState, setFpState, setPkru } from './fp-state.ts';
import { InjectedCalls } from './injected-calls.ts';
import type { PtracePlatform } from './platform.ts';
import {
  PTRACE_CONT,
  PTRACE_INTERRUPT,
  PTRACE_SYSEMU,
  ptrace,
  returnFromSyscall,
  waitFor,
} from './ptrace.ffi.ts';
import { getRegs, setRegs } from './registers.ts';
import { PtraceSpace } from './space.ts';

const RSEQ_FLAG_UNREGISTER = 1;

const resumeRegs = new Regs();

export class PtraceContext extends MemoryOrders implements Context {
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
  readonly #calls: InjectedCalls;
  /** A copy-out since the stop did not reach all of its destination. */
  #hasFaulted = false;

  constructor(platform: PtracePlatform, tid: number, space: PtraceSpace) {
    super();
    this.#platform = platform;
    this.#calls = new InjectedCalls(this, platform);
    this.tid = tid;
    this.space = space;
    space.members.add(this);
  }

  // --- registers ---------------------------------------------------------------------------------------------------

  regs(): Regs {
    if (!this.#regsFetched) {
      getRegs(this.tid, this.#regs);
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

  get pkru(): number {
    return getPkru(this.tid);
  }

  setPkru(value: number): void {
    setPkru(this.tid, value);
  }

  setBreakpoints(addrs: readonly number[], control: number): number {
    return setBreakpoints(this.tid, addrs, control);
  }

  breakpointsHit(): number {
    return breakpointsHit(this.tid);
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

  protected order(nr: number, args: readonly number[], hostFd = -1, mayFail = false): void {
    this.#calls.queue({ nr, args, hostFd, mayFail });
  }

  protected readonly orderFd = GATE_FD;

  runOrders(done: (result: number) => void): void {
    done(this.#calls.runQueue());
  }

  dropQueued(): void {}

  clearSpace(): boolean {
    return false;
  }

  /** What the host has registered for this thread. */
  rseqArea: RseqArea | null = null;
  readonly stopsInRseq = true;

  leaving(): void {
    const { rseqArea: area } = this;
    if (area === null || this.isDead || !this.stopped || this.space.members.size === 1) return;
    this.rseqArea = null;
    this.#calls.call(NR.RSEQ, [area.addr, area.len, RSEQ_FLAG_UNREGISTER, area.sig]);
  }

  /** A call that the thread makes itself: its result or −errno. */
  inject(nr: number, args: readonly number[]): number {
    return this.#calls.call(nr, args);
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
    const r = this.#calls.runQueue();
    if (r === 0) return true;
    if (r !== -ESRCH || !this.isDead) this.#platform.reportOrderFailed(this, this.#calls.failedOrder, -r);
    return false;
  }

  #loadRegs(): void {
    resumeRegs.copyFrom(this.#regs);
    resumeRegs.set(ORIG_RAX, -1);
    const r = setRegs(this.tid, resumeRegs);
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
    const queued = this.#calls.runQueue();
    if (queued < 0) return queued;
    const r = this.#calls.clone(flags);
    if (r < 0) return r;
    const tid = this.#calls.childTid;
    const status = waitFor(tid); // its first stop
    if (status < 0 || (status & 0xff) !== 0x7f) return -ESRCH;
    const child = new PtraceContext(this.#platform, tid, space ?? new PtraceSpace(tid, this.space.hasKeys));
    child.#regs.copyFrom(this.#regs);
    child.#regsFetched = true;
    child.#regsChanged = true;
    child.isPinned = this.isPinned; // affinity is inherited
    child.isBound = this.isBound;
    if (space === null) child.rseqArea = this.rseqArea; // rseq_fork()
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
    this.#calls.load(STUB_BASE, NR.EXIT, []);
    this.markDead();
    this.space.members.delete(this);
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
    this.#calls.dropQueue();
  }
}
