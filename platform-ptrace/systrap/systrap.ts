/**
 * The systrap platform. Guest threads trap by seccomp's SIGSYS into the stub, which publishes the event in its slot and
 * waits there; the sentry reads slots through SharedMemory, answers by storing a command, and sleeps on the seccomp
 * listener. All guest processes are clones of the zygote and children of this process.
 */
import { EAGAIN } from '../../sentry/abi/errno.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { Context, CopyPlan, Platform, PlatformEvents } from '../../sentry/platform/platform.ts';
import {
  currentCpu,
  WAIT_DEATHS,
  WAIT_COUNT_MASK,
  WAIT_COUNT_SHIFT,
  WAIT_CPU_SHIFT,
  WAIT_WAKE,
  waitForEvents,
} from '../ffi/process.ffi.ts';
import { Gate } from '../gate.ts';
import {
  GUEST_MAX,
  GUEST_MIN,
  INTERRUPT_SIGNAL,
  STUB_FAST,
  ZYGOTE_KEYS,
  ZYGOTE_PKRU,
  ZYGOTE_VDSO,
  ZYGOTE_VDSO_END,
  ZYGOTE_VVAR,
} from '../stub-layout.ts';
import type { Zygote } from '../zygote.ts';
import { Births } from './births.ts';
import { SystrapContext } from './context.ts';
import { Deadlines } from './deadlines.ts';
import { Deaths } from './deaths.ts';
import { FrameLayout } from './frame.ts';
import { Placement } from './placement.ts';
import { PublishPages } from './publish.ts';
import { SharedMemory } from './shared-memory.ts';
import { type Chunk, SystrapSpace } from './space.ts';
import { Sleepers } from './sleepers.ts';
import type { ThreadSlot } from './thread-slot.ts';
import { Traps } from './traps.ts';
import { adoptZygote, ZygotePool } from './zygote-pool.ts';

const NR_KILL_THREAD = 234; // tgkill
/** Chunks the window has room for: at least as many processes. */
const WINDOW_CHUNKS = 2040;
/** Every so many polls the descriptors are looked at even if slots keep the sentry busy. */
const LOOK_EVERY = 64;
/** Looks for a call that is expected at the gate, of about 1 µs each, before the sentry sleeps. */
const CALL_LOOKS = 20;

export interface SystrapOptions {
  readonly zygote: Zygote;
  readonly copyPlan: CopyPlan;
  /** Rounds of the sentry's and the stubs' waiting loops before they sleep. */
  readonly sentrySpin?: number;
  readonly stubSpin?: number;
}

export class SystrapPlatform implements Platform {
  readonly name = 'systrap';
  readonly minAddr = GUEST_MIN;
  readonly maxAddr = GUEST_MAX;
  readonly callEntry = STUB_FAST;
  readonly vvarStart: number;
  readonly vdsoStart: number;
  readonly vdsoEnd: number;
  readonly hasKeys: boolean;

  readonly memory: SharedMemory;
  readonly publish: PublishPages;
  readonly frames: FrameLayout;
  readonly gate: Gate;
  readonly sleepers: Sleepers;
  readonly births: Births;
  readonly placement = new Placement();
  private readonly traps = new Traps(this);
  /** Chunks with threads that may have something to say. */
  readonly busyChunks: Chunk[] = [];

  private readonly listener: number;
  readonly deaths: Deaths;
  readonly threads = new Map<number, SystrapContext>();
  /** By host process; the dead ones until they are reaped. */
  readonly spaces = new Map<number, SystrapSpace>();
  readonly deadlines = new Deadlines();
  events!: PlatformEvents;
  readonly zygote: SystrapContext;
  readonly pool: ZygotePool;
  private polls = 0;
  private cpu = -1;
  private readonly sentrySpin: number;
  private readonly stubSpin: number;
  private stubsSpin = true;
  private stopping = false;
  readonly counters = { syscalls: 0, fast: 0, sleeps: 0, forks: 0, spawns: 0, interrupts: 0, kills: 0 };

  constructor(options: SystrapOptions) {
    const { zygote } = options;
    this.listener = zygote.listenerFd;
    this.sentrySpin = options.sentrySpin ?? 2000;
    this.deaths = new Deaths(this);
    this.births = new Births(this, this.deaths.fd);
    this.memory = new SharedMemory(WINDOW_CHUNKS);
    this.gate = new Gate(zygote.listenerFd);
    this.sleepers = new Sleepers(this);
    this.gate.onSleep = (tid, idLo, idHi) => this.sleepers.add(tid, idLo, idHi);
    this.publish = new PublishPages(options.copyPlan);
    this.stubSpin = options.stubSpin ?? 2000;
    this.publish.setSpin(this.stubSpin);

    const chunk = this.memory.mapChunk(zygote.areaFd, 0);
    assert(chunk >= 0, 'mapping of the zygote area');
    const space = new SystrapSpace(this, zygote.areaFd, chunk);
    this.zygote = adoptZygote(this, space, zygote.pid, this.deaths.fd);
    this.vvarStart = this.memory.loadNumber(chunk + ZYGOTE_VVAR / 4);
    this.vdsoStart = this.memory.loadNumber(chunk + ZYGOTE_VDSO / 4);
    this.vdsoEnd = this.memory.loadNumber(chunk + ZYGOTE_VDSO_END / 4);
    const pkruOffset = this.memory.load(chunk + ZYGOTE_PKRU / 4);
    this.hasKeys = this.memory.load(chunk + ZYGOTE_KEYS / 4) !== 0;
    this.publish.setPkruOffset(pkruOffset);
    this.frames = new FrameLayout(this.memory, this.zygote, pkruOffset);
    this.frames.resetFp(this.zygote);
    this.pool = new ZygotePool(this.zygote, this.publish.fd);
  }

  start(events: PlatformEvents): void {
    this.events = events;
    this.pool.start();
  }

  needsTrap(sysno: number): boolean {
    return !this.publish.isFast(sysno);
  }

  namesChanged(generation: number): void {
    this.publish.setNames(generation);
  }

  makeContext(space: SystrapSpace, index: number, base: number): SystrapContext {
    return new SystrapContext(this, space, index, base);
  }

  createAddressSpace(done: (result: Context | number) => void): void {
    if (this.stopping) done(-EAGAIN);
    else this.pool.take(done);
  }

  // ---- poll -------------------------------------------------------------------------------------------------------------

  poll(timeoutNs: number, wakeFd: number): boolean {
    if (this.scan()) {
      if (++this.polls % LOOK_EVERY !== 0) {
        if (this.sleepers.owed > 0) this.sleepers.receiveOwed();
        return false;
      }
      return this.look(0, wakeFd);
    }
    if (this.pool.refill()) return false;
    // A guest that calls as fast as the loop spins must not keep it from the rest of the world.
    if (timeoutNs !== 0 && this.spin()) return ++this.polls % LOOK_EVERY === 0 && this.look(0, wakeFd);
    return this.look(timeoutNs, wakeFd);
  }

  /** Handles what threads have published. False if nothing was. */
  scan(): boolean {
    const { busyChunks, memory } = this;
    let seen = false;
    for (let i = busyChunks.length - 1; i >= 0; i--) {
      const chunk = busyChunks[i];
      if (chunk === undefined) continue;
      if (memory.load(chunk.pending) === 0) {
        if (chunk.running === 0) chunk.setBusy(false);
        continue;
      }
      let bits = memory.exchange(chunk.pending, 0);
      seen = true;
      while (bits !== 0 && !chunk.space.dead) {
        const slot = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        const ctx = chunk.contexts[slot]!;
        if (ctx === null) continue;
        this.traps.handle(ctx);
        ctx.letSleep();
      }
    }
    return seen;
  }

  /** Waits a little for a guest on another CPU. */
  private spin(): boolean {
    if (this.busyChunks.length === 0) return false;
    if (this.sleepers.owed > 0) this.sleepers.receiveOwed();
    for (const chunk of this.busyChunks) chunk.noteWaiters();
    const room = this.placement.roomToSpin;
    if (room !== this.stubsSpin) {
      this.stubsSpin = room;
      this.publish.setSpin(room ? this.stubSpin : 0);
    }
    if (!this.placement.runElsewhere(this.cpu) || this.deadlines.any) return this.scan();
    if (this.gate.expecting) return this.awaitCall();
    const { busyChunks, memory } = this;
    for (let n = this.sentrySpin; n > 0; n--) {
      for (let i = 0; i < busyChunks.length; i++) {
        if (memory.load(busyChunks[i]!.pending) !== 0) return this.scan();
      }
    }
    return false;
  }

  /** Waits a little for a call that a guest on another CPU has been ordered to make. */
  private awaitCall(): boolean {
    const { gate } = this;
    for (let n = CALL_LOOKS; n > 0 && gate.expectingCall; n--) {
      if (this.scan()) return true;
      if (gate.dispatch() > 0) {
        this.sleepers.answer();
        return true;
      }
    }
    return this.scan();
  }

  /** Looks at the descriptors, sleeping if allowed. */
  private look(timeoutNs: number, wakeFd: number): boolean {
    const sleeps = timeoutNs !== 0;
    let limit = timeoutNs;
    if (sleeps) {
      if (this.deadlines.any) limit = this.deadlines.limit(timeoutNs);
      this.publish.setAsleep(true);
      if (this.scan()) {
        this.publish.setAsleep(false);
        return false;
      }
      this.counters.sleeps++;
    }
    const ready = waitForEvents(this.listener, this.deaths.fd, wakeFd, limit, this.gate.bufferAddr);
    if (sleeps) this.publish.setAsleep(false);
    this.setCpu(ready >> WAIT_CPU_SHIFT);
    const count = (ready >> WAIT_COUNT_SHIFT) & WAIT_COUNT_MASK;
    this.sleepers.owed = 0;
    if (count > 0) {
      this.gate.dispatchReceived(count);
      this.sleepers.answer();
    }
    if ((ready & WAIT_DEATHS) !== 0) this.deaths.reap();
    if (this.deadlines.any)
      this.deadlines.check((ctx) => this.deaths.kill(ctx.space, 'no answer within the deadline'));
    return (ready & WAIT_WAKE) !== 0;
  }

  private setCpu(cpu: number): void {
    if (cpu === this.cpu) return;
    this.cpu = cpu;
    this.publish.setCpu(cpu);
  }

  // ---- interrupts, deadlines, ends ------------------------------------------------------------------------------------

  signalInterrupt(ctx: SystrapContext): void {
    this.counters.interrupts++;
    this.setDeadline(ctx);
    const r = host.hostSyscall(NR_KILL_THREAD, ctx.space.pid, ctx.tid, INTERRUPT_SIGNAL, 0, 0, 0);
    if (r < 0) this.deadlines.expire(ctx); // The thread has left by itself.
  }

  /** CPU of the sentry when it last looked, −1 before. */
  get sentryCpu(): number {
    return this.cpu;
  }

  isZygote(ctx: ThreadSlot): boolean {
    return ctx === this.zygote;
  }

  setDeadline(ctx: ThreadSlot): void {
    // The zygote runs no guest code, and without it nothing could start any more.
    if (!this.isZygote(ctx)) this.deadlines.set(ctx);
  }

  /** The thread is gone, or nothing to the kernel any more: what the platform remembers of it. */
  forgetThread(ctx: SystrapContext): void {
    if (ctx.tid !== 0) {
      this.threads.delete(ctx.tid);
      this.gate.forget(ctx.tid);
    }
    this.deadlines.clear(ctx);
    if (ctx.sleeping) {
      ctx.sleeping = false;
      if (!ctx.space.dead) this.gate.wake(ctx.sleepIdLo, ctx.sleepIdHi);
    }
    this.births.forget(ctx);
  }

  /** Ends the guest thread; its host thread may stay for another. */
  exitContext(ctx: SystrapContext): void {
    const { space } = ctx;
    if (space.dead) return;
    if (space.contexts <= 1) {
      space.destroy();
      return;
    }
    // The leader's host thread stays parked in its slot: without it the process could not be reached by its pid.
    if (ctx.tid === space.pid) {
      space.park(ctx);
    } else if (!space.keepThread(ctx)) {
      this.births.departs(ctx);
      ctx.leave();
      space.removeContext(ctx);
    }
  }

  shutdown(): void {
    if (this.stopping) return;
    this.stopping = true;
    this.pool.stop();
    for (const space of [...this.spaces.values()]) space.destroy();
    for (let i = 0; i < 50 && this.spaces.size > 0; i++) {
      this.gate.dispatch();
      waitForEvents(-1, this.deaths.fd, -1, 2e7, 0);
      this.deaths.reap();
    }
  }

  stats(): Record<string, number> {
    return {
      ...this.counters,
      approved: this.gate.approved,
      refused: this.gate.refused,
      spaces: this.spaces.size,
      pooled: this.pool.size,
      moves: this.placement.moves,
    };
  }

  /** Refreshes the CPU that stubs must not spin on. */
  noteCpu(): void {
    this.setCpu(currentCpu());
  }
}
