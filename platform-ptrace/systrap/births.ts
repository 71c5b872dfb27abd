/**
 * New guest processes and threads. A process: the parent's stub clones itself with the sentry's consent, and the child's
 * first call asks for its own slot area, which is how the sentry learns its host pid. A thread: its creator's stub
 * reports the host tid, which is believed if the host agrees that it belongs to that process.
 */
import { EAGAIN } from '../../sentry/abi/errno.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import { TASK_SIZE } from '../../sentry/lib/addr.ts';
import { fillRandom } from '../../sentry/lib/random.ts';
import type { Context } from '../../sentry/platform/platform.ts';
import { watchProcess } from '../ffi/process.ffi.ts';
import * as NR from '../order-numbers.ts';
import {
  AREA_ADDR,
  AREA_SIZE,
  CLONE_FLAGS_PROCESS,
  CLONE_FLAGS_THREAD,
  GATE_FD,
  SLOT_NR,
} from '../stub-layout.ts';
import type { SystrapContext } from './context.ts';
import { SystrapSpace } from './space.ts';
import type { SystrapPlatform } from './systrap.ts';
import type { ThreadSlot } from './thread-slot.ts';

const NR_TGKILL = 234;
/** A new process's first call: its slot area (read and write, MAP_SHARED|MAP_FIXED). */
const NEWBORN_MMAP = [AREA_ADDR, AREA_SIZE, 3, 0x11];
/** Where clone puts a thread's stack, below the frame in its slot (stub-orders.c, clone_thread). */
const THREAD_STACK_GAP = 256;
const DEPARTING_MIN = 128;

type Done = (result: Context | number) => void;

interface PendingFork {
  readonly child: SystrapContext;
  readonly done: Done;
  readonly nonce: number;
  reported: boolean;
  arrived: boolean;
}

export class Births {
  private readonly platform: SystrapPlatform;
  private readonly deaths: number;
  private readonly forks = new Map<ThreadSlot, PendingFork>();
  /** Children by creator. */
  private readonly spawning = new Map<SystrapContext, SystrapContext>();
  /** Sleeping threads that may be one of several newborns: tid → notification. */
  private readonly unnamed = new Map<number, readonly [number, number]>();
  /** Threads on their way out, with their processes; some may be gone already. */
  private readonly departing = new Map<number, number>();
  private sweepAt = DEPARTING_MIN;
  private readonly nonce = Buffer.alloc(4);

  constructor(platform: SystrapPlatform, deaths: number) {
    this.platform = platform;
    this.deaths = deaths;
  }

  fork(parent: SystrapContext, done: Done): void {
    const { platform } = this;
    platform.placement.blocked(parent); // The child would inherit the CPU it has been given.
    const areaFd = platform.memory.createArea();
    if (areaFd < 0) {
      done(-EAGAIN); // Out of descriptors, memory or room in the window: fork(2)'s word for all of them.
      return;
    }
    const space = new SystrapSpace(platform, areaFd, platform.memory.takenChunk);
    const child = space.newContext() as SystrapContext;
    platform.frames.copyFrame(parent, child);
    child.inheritProcess(parent);
    const pending: PendingFork = { child, done, nonce: this.newNonce(), reported: false, arrived: false };
    this.forks.set(parent, pending);
    // Installing a descriptor waits until its receiver has run, which the newborn may only do after others on its CPU. So
    // it inherits its area from the parent, which runs where the sentry does; unless it has other threads.
    const inherited = parent.space.contexts === 1 ? host.dup(areaFd) : -1;
    platform.gate.orderNewborn(pending.nonce, {
      args: NEWBORN_MMAP,
      hostFd: inherited >= 0 ? -1 : areaFd,
      arrived: (tid) => this.bindProcess(space, child, tid),
      admitted: () => {
        pending.arrived = true;
        this.finishFork(parent, pending);
      },
    });
    parent.orderClone(CLONE_FLAGS_PROCESS, 0, pending.nonce, inherited);
    parent.runOrders((result) => {
      pending.reported = true;
      if (result === 0) {
        this.finishFork(parent, pending);
        return;
      }
      this.abandonFork(parent);
      done(result);
    });
    platform.counters.forks++;
  }

  /** True while `parent` goes on as soon as its child arrives. */
  awaitsChild(parent: ThreadSlot): boolean {
    return this.forks.has(parent) && !this.platform.isZygote(parent);
  }

  /** A random number for a newborn, not to be guessed by other guests. */
  private newNonce(): number {
    fillRandom(this.nonce, 0, 4);
    return this.nonce.readUInt32LE(0);
  }

  /** Process `tid` carries `space` from now on, unless it is a thread or known already. */
  private bindProcess(space: SystrapSpace, ctx: SystrapContext, tid: number): boolean {
    if (this.platform.threads.has(tid)) return false;
    const pidfd = watchProcess(this.deaths, tid, tid);
    if (pidfd < 0) return false;
    space.pid = tid;
    space.pidfd = pidfd;
    ctx.tid = tid;
    this.platform.threads.set(tid, ctx);
    this.platform.spaces.set(tid, space);
    return true;
  }

  /** The parent goes on when it has reported *and* the child is there: either may be first. */
  private finishFork(parent: SystrapContext, pending: PendingFork): void {
    if (!pending.reported) return;
    if (!pending.arrived) {
      this.platform.setDeadline(parent);
      return;
    }
    this.platform.deadlines.clear(parent);
    this.forks.delete(parent);
    pending.done(pending.child);
  }

  private abandonFork(parent: SystrapContext): void {
    const pending = this.forks.get(parent);
    if (pending === undefined) return;
    this.forks.delete(parent);
    this.platform.gate.forgetNewborn(pending.nonce);
    pending.child.space.destroy();
  }

  spawn(parent: SystrapContext, done: Done): void {
    const { platform } = this;
    platform.counters.spawns++;
    if (this.reuseThread(parent, done)) return;
    const child = parent.space.newContext();
    if (typeof child === 'number') {
      done(child);
      return;
    }
    platform.placement.gather(parent, platform.sentryCpu);
    platform.frames.copyFrame(parent, child);
    child.inherit(parent);
    this.spawning.set(parent, child);
    parent.orderClone(CLONE_FLAGS_THREAD, child.addr, 0);
    parent.runOrders((result) => {
      this.spawning.delete(parent);
      platform.placement.blocked(parent);
      if (result < 0) {
        parent.space.dropContext(child);
        done(result);
        return;
      }
      const tid = platform.memory.loadRelaxed(parent.base + SLOT_NR / 4);
      if (child.tid === 0 && !this.learnThread(child, tid)) {
        platform.deaths.kill(parent.space, 'clone reported a thread that is not there');
        return;
      }
      this.claimSleeper(child);
      platform.placement.blocked(child);
      done(child);
    });
  }

  /** Has a thread that is there already be the new one. */
  private reuseThread(parent: SystrapContext, done: Done): boolean {
    const { frames } = this.platform;
    const fsBase = parent.segmentBase('fs');
    const gsBase = parent.segmentBase('gs');
    // wrfsbase(1) sets what arch_prctl(2) refuses.
    if (fsBase >= TASK_SIZE || gsBase >= TASK_SIZE) return false;
    const child = parent.space.takeThread();
    if (child === null) return false;
    frames.copyFrame(parent, child);
    child.inheritOnOldThread(parent, fsBase, gsBase);
    done(child);
    return true;
  }

  /**
   * The context of a thread that sleeps before its creator has reported it. With several births in its process it cannot
   * be told yet whose it is: null, and its sleep is remembered until the report names it.
   */
  findNewThread(tid: number, idLo: number, idHi: number): SystrapContext | null | undefined {
    if (this.departing.has(tid)) return undefined;
    let found: SystrapContext | undefined;
    for (const child of this.spawning.values()) {
      if (child.tid !== 0 || !this.isThreadOf(child, tid)) continue;
      if (found !== undefined) {
        this.unnamed.set(tid, [idLo, idHi]);
        return null;
      }
      found = child;
    }
    return found !== undefined && this.learnThread(found, tid) ? found : undefined;
  }

  /** A thread has been named by its creator: it may be asleep already. When no births are left, whoever else slept goes back. */
  private claimSleeper(ctx: SystrapContext): void {
    if (this.unnamed.size === 0) return;
    const own = this.unnamed.get(ctx.tid);
    if (own !== undefined) {
      this.unnamed.delete(ctx.tid);
      ctx.sleeping = true;
      ctx.sleepIdLo = own[0];
      ctx.sleepIdHi = own[1];
    }
    if (this.spawning.size > 0) return;
    for (const [lo, hi] of this.unnamed.values()) this.platform.gate.wake(lo, hi);
    this.unnamed.clear();
  }

  /** A thread has been told to exit: until it is gone it must not be taken for a newborn of its process. */
  departs(ctx: SystrapContext): void {
    this.departing.set(ctx.tid, ctx.space.pid);
    if (this.departing.size < this.sweepAt) return;
    for (const [tid, pid] of this.departing) {
      if (host.hostSyscall(NR_TGKILL, pid, tid, 0, 0, 0, 0) !== 0) this.departing.delete(tid);
    }
    // Of hundreds that end together few are gone when the next one is sent away.
    this.sweepAt = Math.max(DEPARTING_MIN, 2 * this.departing.size);
  }

  private isThreadOf(ctx: SystrapContext, tid: number): boolean {
    return host.hostSyscall(NR_TGKILL, ctx.space.pid, tid, 0, 0, 0, 0) === 0;
  }

  /** Takes `tid` for `ctx` if it is a thread of its process that nobody else has. */
  private learnThread(ctx: SystrapContext, tid: number): boolean {
    const { threads } = this.platform;
    if (tid <= 0 || threads.has(tid)) return false;
    if (!this.isThreadOf(ctx, tid)) return false;
    ctx.tid = tid;
    threads.set(tid, ctx);
    this.departing.delete(tid);
    return true;
  }

  /** Announces the clone in a batch of orders to the gate; `hostFd` is what the child inherits as GATE_FD, −1: nothing. */
  expectClone(ctx: ThreadSlot, flags: number, childSlot: number, hostFd: number): void {
    const stack =
      flags === CLONE_FLAGS_THREAD
        ? Math.floor((childSlot + this.platform.frames.offset - THREAD_STACK_GAP) / 16) * 16
        : 0;
    this.platform.gate.order(ctx.tid, { nr: NR.CLONE, args: [flags, stack], hostFd, fd: GATE_FD });
  }

  /** `ctx` is gone: what it was to bring forth will not come. */
  forget(ctx: SystrapContext): void {
    this.abandonFork(ctx);
    this.spawning.delete(ctx);
  }
}
