/** A guest thread under systrap, as the kernel sees it. What is said to its stub: thread-slot.ts. */
import { ENOSPC } from '../../sentry/abi/errno.ts';
import { Regs } from '../../sentry/arch/regs.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { Context, RseqArea } from '../../sentry/platform/platform.ts';
import * as NR from '../order-numbers.ts';
import {
  COMMAND_REPORT,
  COMMAND_RESUME,
  COMMAND_RESUME_SYSCALL,
  DATA_SIZE,
  SLOT_DATA,
  SLOT_FS_BASE,
  SLOT_GS_BASE,
  SLOT_LENT_ANSWER,
  SLOT_LENT_EPOCH,
  SLOT_MAY_RSEQ,
  SLOT_PKRU,
  SLOT_RSEQ,
  SLOT_RSEQ_LEN,
  SLOT_RSEQ_SIG,
} from '../stub-layout.ts';
import { SlotAccount } from './account.ts';
import { LentWords } from './lent-words.ts';
import type { SystrapSpace } from './space.ts';
import type { SystrapPlatform } from './systrap.ts';
import { GONE, ORDERING, RUNNING, STOPPED, ThreadSlot } from './thread-slot.ts';

const RSEQ_FLAG_UNREGISTER = 1;
const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;

export class SystrapContext extends ThreadSlot implements Context {
  task: unknown = null;
  sysno = -1;
  readonly args = new Uint32Array(12);
  private regsCopy: Regs | null = null;
  private regsDirty = false;
  interruptWanted = false;
  readonly lent: LentWords;
  readonly account = new SlotAccount(this);

  constructor(platform: SystrapPlatform, space: SystrapSpace, index: number, base: number) {
    super(platform, space, index, base);
    this.lent = new LentWords(platform.memory, base);
  }

  get stopped(): boolean {
    return this.phase === STOPPED || this.phase === ORDERING;
  }

  get gone(): boolean {
    return this.phase === GONE;
  }

  // ---- registers ----------------------------------------------------------------------------------------------------

  regs(): Regs {
    this.regsCopy ??= new Regs();
    if (!this.regsValid) {
      const { frames } = this.platform;
      if (this.partial) frames.readFast(this, this.sysno, this.args, this.regsCopy);
      else frames.readRegs(this, this.sysno, this.regsCopy);
      this.regsValid = true;
    }
    return this.regsCopy;
  }

  regsChanged(): void {
    assert(!this.partial, 'registers of a call from a patched site');
    this.regsDirty = true;
  }

  complete(done: (result: number) => void): void {
    if (!this.partial || this.phase === GONE) done(0);
    else this.sendComplete(done);
  }

  /** Before the frame is copied or left. */
  private flushRegs(): void {
    if (!this.regsDirty || this.phase === GONE) return;
    this.platform.frames.writeRegs(this, this.regs());
    this.regsDirty = false;
  }

  setSegmentBase(which: 'fs' | 'gs', base: number): void {
    if (this.phase === GONE) return;
    const code = which === 'fs' ? ARCH_SET_FS : ARCH_SET_GS;
    this.orders.dropLast(NR.ARCH_PRCTL, code);
    this.order(NR.ARCH_PRCTL, [code, base]);
    this.platform.memory.storeNumber(this.base + (which === 'fs' ? SLOT_FS_BASE : SLOT_GS_BASE) / 4, base);
  }

  segmentBase(which: 'fs' | 'gs'): number {
    return this.platform.memory.loadNumber(this.base + (which === 'fs' ? SLOT_FS_BASE : SLOT_GS_BASE) / 4);
  }

  getFpState(dst: Uint8Array): number {
    assert(!this.partial, 'FP state of a call from a patched site');
    return this.platform.frames.readFp(this, dst);
  }

  setFpState(src: Uint8Array, size: number): boolean {
    return this.phase !== GONE && this.platform.frames.writeFp(this, src, size);
  }

  resetFpState(): void {
    if (this.phase !== GONE) this.platform.frames.resetFp(this);
  }

  get pkru(): number {
    const { memory, frames } = this.platform;
    return this.partial ? memory.load(this.base + SLOT_PKRU / 4) >>> 0 : frames.readPkru(this);
  }

  setPkru(value: number): void {
    assert(!this.partial, 'PKRU of a call from a patched site');
    if (this.phase !== GONE) this.platform.frames.writePkru(this, value);
  }

  /** Only a tracer can set debug registers. */
  setBreakpoints(_: readonly number[], control: number): number {
    return control === 0 ? 0 : -ENOSPC;
  }

  breakpointsHit(): number {
    return 0;
  }

  // ---- data window --------------------------------------------------------------------------------------------------

  get dataAddr(): number {
    return this.platform.memory.hostAddr(this.base + SLOT_DATA / 4);
  }

  get dataSize(): number {
    return this.window.copyOuts === 0 ? DATA_SIZE : 0;
  }

  prefetched(addr: number, dst: Uint8Array, off: number, len: number): number {
    if (!this.hasPrefetch) return 0;
    const planned = this.platform.publish.planned[this.sysno]!;
    return this.window.prefetched(planned, this.args, addr, dst, off, len);
  }

  copyOutData(addr: number, dataOff: number, len: number): boolean {
    return this.phase !== GONE && this.window.copyOutData(addr, dataOff, len);
  }

  copyOut(addr: number, src: Uint8Array, off: number, len: number): boolean {
    return this.phase !== GONE && this.window.copyOut(addr, src, off, len);
  }

  zeroOut(addr: number, len: number): boolean {
    return this.phase !== GONE && this.window.zeroOut(addr, len);
  }

  // ---- orders and going on ------------------------------------------------------------------------------------------

  /** `hostFd` is what the child inherits as GATE_FD, and the parent then closes; −1: nothing. */
  orderClone(flags: number, stackSlot: number, nonce: number, hostFd = -1): void {
    this.queueOrder(NR.CLONE, [flags, stackSlot, hostFd >= 0 ? 1 : 0], hostFd, nonce);
  }

  /** A call that the thread makes itself, and says how it went. */
  ask(nr: number, args: readonly number[], done: (result: number) => void): void {
    this.order(nr, args);
    this.runOrders(done);
  }

  clearSpace(): boolean {
    if (this.phase !== STOPPED || this.partial || !this.space.isOnly(this)) return false;
    const { minAddr, maxAddr } = this.platform;
    this.dropQueued();
    // What the old program has exchanged with the kernel is none of the new one's.
    this.hasPrefetch = false;
    this.window.wipe();
    this.space.useKeys(false);
    const area = this.rseqArea;
    if (area !== null) this.order(NR.RSEQ, [area.addr, area.len, RSEQ_FLAG_UNREGISTER, area.sig], -1, true);
    this.munmap(minAddr, maxAddr - minAddr);
    return true;
  }

  resumeSyscall(value: number): void {
    this.flushRegs();
    this.send(COMMAND_RESUME_SYSCALL, value);
  }

  resume(): void {
    assert(!this.partial, 'resume of a call from a patched site');
    this.flushRegs();
    this.send(COMMAND_RESUME, 0);
  }

  runOrders(done: (result: number) => void): void {
    if (this.orders.length === 0) {
      done(0);
      return;
    }
    this.reported = done;
    this.platform.setDeadline(this);
    this.flushRegs();
    this.send(COMMAND_REPORT, 0);
  }

  // ---- life -----------------------------------------------------------------------------------------------------------

  fork(done: (result: Context | number) => void): void {
    if (this.phase === GONE) return;
    this.flushRegs();
    this.platform.births.fork(this, done);
  }

  spawn(done: (result: Context | number) => void): void {
    if (this.phase === GONE) return;
    this.flushRegs();
    this.platform.births.spawn(this, done);
  }

  /** The same of a new process: the host has given it its parent's area (rseq_fork). */
  inheritProcess(parent: SystrapContext): void {
    this.inherit(parent);
    this.rseqArea = parent.rseqArea;
  }

  /** Makes a copy of `parent` at the time of fork or spawn. */
  inherit(parent: SystrapContext): void {
    this.sysno = parent.sysno;
    this.args.set(parent.args);
    this.pinned = parent.pinned;
    this.cpus = parent.cpus;
    // Where the host starts it is not known: as if it were on the sentry's CPU, so that nobody spins in its way.
    this.cpu = parent.pinned ? parent.cpu : this.platform.sentryCpu;
  }

  /** The same for a host thread that was there before, with segment bases of its own. */
  inheritOnOldThread(parent: SystrapContext, fsBase: number, gsBase: number): void {
    const { cpus } = this;
    this.inherit(parent);
    this.pinned = false;
    if (this.cpus !== cpus) this.platform.placement.admitAgain(this);
    this.cpu = this.platform.sentryCpu;
    this.setSegmentBase('fs', fsBase);
    // Without one of its own it gets its slot's address from the stub.
    if (gsBase !== 0) this.setSegmentBase('gs', gsBase);
  }

  lend(maskLo: number, maskHi: number, robustList: number, mayRseq: boolean): boolean {
    if (this.phase === GONE) return false;
    this.platform.memory.storeRelaxed(this.base + SLOT_MAY_RSEQ / 4, mayRseq ? 1 : 0);
    this.lent.lend(maskLo, maskHi, robustList);
    return true;
  }

  get rseqArea(): RseqArea | null {
    const { memory } = this.platform;
    const addr = memory.loadNumber(this.base + SLOT_RSEQ / 4);
    if (addr === 0) return null;
    const len = memory.load(this.base + SLOT_RSEQ_LEN / 4) >>> 0;
    return { addr, len, sig: memory.load(this.base + SLOT_RSEQ_SIG / 4) >>> 0 };
  }

  private set rseqArea(area: RseqArea | null) {
    const { memory } = this.platform;
    memory.storeNumber(this.base + SLOT_RSEQ / 4, area?.addr ?? 0);
    memory.storeRelaxed(this.base + SLOT_RSEQ_LEN / 4, area?.len ?? 0);
    memory.storeRelaxed(this.base + SLOT_RSEQ_SIG / 4, area?.sig ?? 0);
  }

  /** The host delivers a signal first, or makes a call, which sections may not. */
  readonly stopsInRseq = false;

  /** The stub has seen to it when it saw the call. */
  leaving(): void {}

  reclaim(): void {
    // Its slot may be another's once it is gone.
    if (this.phase !== GONE) this.lent.reclaim();
  }

  lendAnswer(): void {
    const { memory, publish } = this.platform;
    if (this.phase === GONE) return;
    memory.storeRelaxed(this.base + SLOT_LENT_EPOCH / 4, this.space.lendingEpoch());
    memory.storeRelaxed(this.base + SLOT_LENT_ANSWER / 4, publish.names);
  }

  bindTo(cpus: Uint8Array | null): void {
    this.platform.placement.bind(this, cpus);
  }

  get waits(): boolean {
    return this.phase === RUNNING && this.chunk.waits(this);
  }

  interrupt(): void {
    if (this.phase !== RUNNING || this.interruptWanted || this.tid === 0) return;
    this.interruptWanted = true;
    this.platform.signalInterrupt(this);
  }

  get isInterrupting(): boolean {
    return this.phase === RUNNING && this.interruptWanted;
  }

  exit(): void {
    if (this.phase === GONE) return;
    assert(this.phase === STOPPED, 'exit of a stopped context');
    this.platform.exitContext(this);
  }

  /** The context is no more: nothing may refer to it. */
  release(): void {
    if (this.phase === GONE) return;
    if (this.phase !== STOPPED) this.chunk.stopped(this);
    this.phase = GONE;
    this.dropQueued();
    this.reported = null;
    this.platform.forgetThread(this);
  }
}
