/**
 * A guest thread under systrap: its slot, what the sentry believes about it, and what it has been told to do next. All
 * decisions rest on the private fields here; words in the slot are guesses of a hostile party.
 */
import { Regs } from '../../sentry/arch/regs.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { Context } from '../../sentry/platform/platform.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import {
  AREA_ADDR,
  COMMAND_COMPLETE,
  COMMAND_EXIT_THREAD,
  COMMAND_REPORT,
  COMMAND_RESUME,
  COMMAND_RESUME_SYSCALL,
  DATA_SIZE,
  MAP_FD,
  ORDER_CMPXCHG,
  SLOT_COPYOUT_COUNT,
  SLOT_DATA,
  SLOT_EVENT,
  SLOT_FS_BASE,
  SLOT_GS_BASE,
  SLOT_LENT_ANSWER,
  SLOT_LENT_EPOCH,
  SLOT_NR,
  SLOT_ORDER_COUNT,
  SLOT_SIZE,
  SLOT_STATE,
  STATE_GO,
  STATE_PARKED,
  STATE_SLEEPING,
  STATE_TRAPPED,
} from '../stub-layout.ts';
import { populateAdvice } from '../order-advice.ts';
import * as NR from '../order-numbers.ts';
import { SlotAccount } from './account.ts';
import { DataWindow } from './data-window.ts';
import { LentWords } from './lent-words.ts';
import { OrderQueue } from './order-queue.ts';
import type { Chunk, SystrapSpace } from './space.ts';
import type { SystrapPlatform } from './systrap.ts';

/** In place of the nonce of orders that have none: see stub-orders.c. */
const ORDER_MAY_FAIL = 1;
const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

/** Running guest code, or obeying a resume. */
export const RUNNING = 0;
/** Held by the kernel. */
export const STOPPED = 1;
/** Executing orders that it will report. */
export const ORDERING = 2;
/** Gone, or left for ever in its slot. */
export const GONE = 3;
/** Of nobody: its host thread waits for another guest thread (idle-threads.ts). */
export const IDLE = 4;

export class SystrapContext implements Context {
  readonly space: SystrapSpace;
  readonly platform: SystrapPlatform;
  task: unknown = null;
  /** Number of the slot in its area, and its word index in the window. */
  readonly index: number;
  readonly chunk: Chunk;
  readonly base: number;
  readonly addr: number;
  /** Host thread id; 0 until known. */
  tid = 0;
  phase = STOPPED;

  sysno = -1;
  readonly args = new Uint32Array(12);
  private regsCopy: Regs | null = null;
  private regsValid = false;
  private regsDirty = false;
  /** Trapped from a patched site: there is no frame. */
  partial = false;
  /** Told to trap for real. */
  completing = false;
  /** The slot's prefetch lengths belong to the current syscall. */
  hasPrefetch = false;

  private readonly orders = new OrderQueue(this);
  private readonly window: DataWindow;
  readonly lent: LentWords;
  readonly account = new SlotAccount(this);
  /** Command that follows the last batch, and its result. */
  private finalCommand = 0;
  private finalResult = 0;
  /** Counts in the slot are not zero. */
  private slotDirty = true;
  /** Receives the outcome of ORDERING. */
  reported: ((result: number) => void) | null = null;
  interruptWanted = false;

  /** An unanswered sleep notification. */
  sleeping = false;
  sleepIdLo = 0;
  sleepIdHi = 0;
  /** Where the thread was last seen, or has been put. See placement.ts. */
  cpu = -1;
  pinned = false;
  /** Host CPUs that the guest has bound it to; null: any. */
  cpus: readonly number[] | null = null;
  loneCalls = 0;
  placeIn = 64;

  constructor(platform: SystrapPlatform, space: SystrapSpace, index: number, base: number) {
    this.platform = platform;
    this.space = space;
    this.index = index;
    this.chunk = space.chunkOf(index);
    this.base = base;
    this.addr = AREA_ADDR + index * SLOT_SIZE;
    this.window = new DataWindow(platform.memory, base);
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
    if (!this.partial || this.phase === GONE) {
      done(0);
      return;
    }
    assert(this.phase === STOPPED, 'only a stopped context can be completed');
    this.reported = done;
    this.completing = true;
    this.platform.setDeadline(this);
    this.go(COMMAND_COMPLETE, 0);
  }

  /** The stub has trapped for real. What was queued stays so. */
  completed(): void {
    this.completing = false;
    this.partial = false;
    this.regsValid = false;
    this.phase = STOPPED;
    this.chunk.stopped(this);
  }

  /** Before the frame is copied or left. */
  private flushRegs(): void {
    if (!this.regsDirty) return;
    this.platform.frames.writeRegs(this, this.regs());
    this.regsDirty = false;
  }

  setSegmentBase(which: 'fs' | 'gs', base: number): void {
    if (this.phase === GONE) return;
    const code = which === 'fs' ? ARCH_SET_FS : ARCH_SET_GS;
    this.orders.dropLast(NR.ARCH_PRCTL, code);
    this.order(NR.ARCH_PRCTL, [code, base], -1);
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

  // ---- data window --------------------------------------------------------------------------------------------------

  get dataAddr(): number {
    return this.platform.memory.hostAddr(this.base + SLOT_DATA / 4);
  }

  readonly dataSize = DATA_SIZE;

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

  // ---- orders -------------------------------------------------------------------------------------------------------

  private order(nr: number, args: readonly number[], hostFd: number, nonce = 0): void {
    assert(this.phase === STOPPED || this.phase === GONE, 'orders are given to stopped contexts');
    this.orders.push(nr, args, hostFd, nonce);
  }

  mmap(addr: number, len: number, prot: number, flags: number, hostFd: number, offset: number): void {
    if ((flags & MAP_ANONYMOUS) !== 0) {
      this.order(NR.MMAP, [addr, len, prot, flags | MAP_FIXED, -1, 0], -1);
    } else {
      const fd = host.dup(hostFd);
      // A descriptor that cannot be duplicated makes the mapping fail: EBADF from the host, nothing is installed.
      this.order(NR.MMAP, [addr, len, prot, flags | MAP_FIXED, MAP_FD + this.index, offset], fd);
    }
  }

  munmap(addr: number, len: number): void {
    this.order(NR.MUNMAP, [addr, len], -1);
  }

  mprotect(addr: number, len: number, prot: number): void {
    this.order(NR.MPROTECT, [addr, len, prot], -1);
  }

  mremap(oldAddr: number, oldLen: number, newLen: number, newAddr: number): void {
    const flags = newAddr === oldAddr ? 0 : 3; // MREMAP_MAYMOVE | MREMAP_FIXED
    this.order(NR.MREMAP, [oldAddr, oldLen, newLen, flags, newAddr], -1);
  }

  madvise(addr: number, len: number, advice: number): void {
    this.order(NR.MADVISE, [addr, len, advice], -1);
  }

  populate(addr: number, len: number, write: boolean, mayFail: boolean): void {
    this.order(NR.MADVISE, [addr, len, populateAdvice(write)], -1, mayFail ? ORDER_MAY_FAIL : 0);
  }

  membarrier(command: number): void {
    this.order(NR.MEMBARRIER, [command, 0, 0], -1);
  }

  compareExchange(addr: number, expected: number, value: number): void {
    this.order(ORDER_CMPXCHG, [addr, expected, value], -1);
  }

  /** `hostFd` is what the child inherits as GATE_FD, and the parent then closes; −1: nothing. */
  orderClone(flags: number, stackSlot: number, nonce: number, hostFd = -1): void {
    this.order(NR.CLONE, [flags, stackSlot, hostFd >= 0 ? 1 : 0], hostFd, nonce);
  }

  /** A call that the thread makes itself, and says how it went. */
  ask(nr: number, args: readonly number[], done: (result: number) => void): void {
    this.order(nr, args, -1);
    this.runOrders(done);
  }

  private start(command: number, result: number): void {
    if (this.phase === GONE) {
      this.dropQueued();
      return;
    }
    assert(this.phase === STOPPED, 'only a stopped context can be resumed');
    this.flushRegs();
    const { memory } = this.platform;
    this.finalCommand = command;
    this.finalResult = result;
    let now = command;
    if (this.orders.length > 0) {
      if (!this.orders.first()) now = COMMAND_REPORT;
    } else if (this.slotDirty) {
      memory.storeRelaxed(this.base + SLOT_ORDER_COUNT / 4, 0);
    }
    if (now !== COMMAND_REPORT && (this.window.copyOuts > 0 || this.slotDirty)) {
      memory.storeRelaxed(this.base + SLOT_COPYOUT_COUNT / 4, this.window.copyOuts);
    }
    this.slotDirty = this.orders.length > 0 || this.window.copyOuts > 0;
    this.go(now, result);
  }

  /** Hands the slot to the stub. */
  private go(command: number, result: number): void {
    const { memory } = this.platform;
    const { base } = this;
    memory.storeRelaxed(base + SLOT_EVENT / 4, command);
    memory.storeRelaxed(base + SLOT_NR / 4, result | 0);
    memory.storeRelaxed(base + SLOT_NR / 4 + 1, Math.floor(result / 0x100000000) | 0);
    const old = memory.exchange(base + SLOT_STATE / 4, STATE_GO);
    if (this.phase === STOPPED) {
      if (this.sleeping || old === STATE_SLEEPING)
        this.platform.placement.woken(this, this.platform.sentryCpu);
      this.chunk.started(this);
    }
    this.phase = command === COMMAND_REPORT || command === COMMAND_COMPLETE ? ORDERING : RUNNING;
    if (this.sleeping) {
      this.sleeping = false;
      this.platform.gate.wake(this.sleepIdLo, this.sleepIdHi);
    } else if (old === STATE_SLEEPING) {
      // Its notification is on its way: it has to be received and answered.
      this.platform.sleepers.owed++;
    }
  }

  dropQueued(): void {
    this.orders.clear();
    this.window.clear();
  }

  clearSpace(): boolean {
    if (this.phase !== STOPPED || this.partial || !this.space.isOnly(this)) return false;
    const { minAddr, maxAddr } = this.platform;
    this.dropQueued();
    // What the old program has exchanged with the kernel is none of the new one's.
    this.hasPrefetch = false;
    this.window.wipe();
    this.munmap(minAddr, maxAddr - minAddr);
    return true;
  }

  resumeSyscall(value: number): void {
    this.start(COMMAND_RESUME_SYSCALL, value);
  }

  resume(): void {
    assert(!this.partial, 'resume of a call from a patched site');
    this.start(COMMAND_RESUME, 0);
  }

  runOrders(done: (result: number) => void): void {
    if (this.orders.length === 0) {
      done(0);
      return;
    }
    this.reported = done;
    this.platform.setDeadline(this);
    this.start(COMMAND_REPORT, 0);
  }

  /** The thread will not be answered for a while: its stub need not keep a CPU busy with waiting. */
  letSleep(): void {
    if (this.phase !== STOPPED || this.platform.births.awaitsChild(this)) return;
    this.platform.placement.blocked(this);
    this.platform.memory.compareExchange(this.base + SLOT_STATE / 4, STATE_TRAPPED, STATE_PARKED);
  }

  /** The guest thread has trapped: nothing of what it was told is outstanding any more. */
  stop(): void {
    this.phase = STOPPED;
    this.chunk.stopped(this);
    this.regsValid = false;
    this.hasPrefetch = false;
    this.partial = false;
    this.completing = false;
    if (this.slotDirty) {
      this.platform.gate.forget(this.tid);
      if (this.orders.length > 0 || this.window.copyOuts > 0) this.dropQueued();
    }
  }

  /** The same after orders: what the thread trapped with is still there. */
  stopAfterOrders(): void {
    const { partial } = this;
    this.stop();
    this.partial = partial;
  }

  /**
   * A batch of orders has been executed. True if more follow, or the guest has been resumed; false if the outcome is
   * to be reported.
   */
  batchDone(): boolean {
    const { memory } = this.platform;
    const { base, orders } = this;
    if (!orders.next()) {
      if (this.finalCommand === COMMAND_REPORT) return false;
      memory.storeRelaxed(base + SLOT_ORDER_COUNT / 4, 0);
    }
    if (orders.isLast) memory.storeRelaxed(base + SLOT_COPYOUT_COUNT / 4, this.window.copyOuts);
    this.go(orders.isLast ? this.finalCommand : COMMAND_REPORT, this.finalResult);
    return true;
  }

  /** Orders that the thread has been given, those of earlier batches among them. */
  get orderCount(): number {
    return this.orders.given;
  }

  /** Index in the order queue of number `i` of the batch in the slot. */
  queueIndex(i: number): number {
    return this.orders.indexOf(i);
  }

  /** True if the current run of orders ends in a resume. */
  get resumes(): boolean {
    return this.finalCommand !== COMMAND_REPORT;
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

  /** Makes a copy of `parent` at the time of fork or spawn. */
  inherit(parent: SystrapContext): void {
    this.sysno = parent.sysno;
    this.args.set(parent.args);
    this.pinned = parent.pinned;
    this.cpus = parent.cpus;
    // Where the host starts it is not known: as if it were on the sentry's CPU, so that nobody spins in its way.
    this.cpu = parent.pinned ? parent.cpu : this.platform.sentryCpu;
  }

  lend(maskLo: number, maskHi: number, robustList: number): boolean {
    if (this.phase === GONE) return false;
    this.lent.lend(maskLo, maskHi, robustList);
    return true;
  }

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

  get waits(): boolean {
    return this.phase === RUNNING && this.chunk.waits(this);
  }

  interrupt(): void {
    if (this.phase !== RUNNING || this.interruptWanted || this.tid === 0) return;
    this.interruptWanted = true;
    this.platform.signalInterrupt(this);
  }

  exit(): void {
    if (this.phase === GONE) return;
    assert(this.phase === STOPPED, 'exit of a stopped context');
    this.platform.exitContext(this);
  }

  /** Sends the host thread away. Its slot is free again when the thread says so. */
  leave(): void {
    this.dropQueued();
    this.go(COMMAND_EXIT_THREAD, 0);
  }

  /** The thread stays where it is, asleep, and is not heard of again. */
  park(): void {
    this.dropQueued();
    this.phase = GONE;
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
