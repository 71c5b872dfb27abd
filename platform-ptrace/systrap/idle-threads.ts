/**
 * Host threads whose guest threads have ended and that the next guest threads of their address space get. The host's clone and
 * exit, the gate's consent and the newborn's first sleep are most of what a short-lived thread costs. An idle thread waits in its
 * slot for an answer, as it did when its guest thread asked to exit: the stub does not know the difference, and a thread that
 * does something else instead is one that was told to leave and did not.
 */
import * as host from '../../sentry/host/sys.ffi.ts';
import { SLOT_MASK, SLOT_STATE, SLOTS_PER_CHUNK, STATE_PARKED, STATE_TRAPPED } from '../stub-layout.ts';
import type { SystrapContext } from './context.ts';
import { GONE, IDLE, STOPPED } from './thread-slot.ts';
import type { SystrapSpace } from './space.ts';

const NR_TGKILL = 234;
/** Threads kept per address space: each is a host thread that the container's limits count. */
const IDLE_MAX = 4;

export class IdleThreads {
  private readonly space: SystrapSpace;
  private readonly contexts: SystrapContext[] = [];

  constructor(space: SystrapSpace) {
    this.space = space;
  }

  /**
   * Keeps the host thread of `ctx`, which is no context of the kernel's any more. False if there are enough, or if it does not
   * stand where a frame leads back to the guest, or the host still writes to memory for it.
   */
  keep(ctx: SystrapContext): boolean {
    const { space, contexts } = this;
    if (contexts.length === IDLE_MAX || ctx.phase !== STOPPED || ctx.partial || ctx.rseqArea !== null)
      return false;
    const { platform } = space;
    platform.placement.blocked(ctx);
    const heir = platform.makeContext(space, ctx.index, ctx.base);
    heir.phase = IDLE;
    heir.tid = ctx.tid;
    heir.cpus = ctx.cpus;
    heir.sleeping = ctx.sleeping;
    heir.sleepIdLo = ctx.sleepIdLo;
    heir.sleepIdHi = ctx.sleepIdHi;
    ctx.account.told(true, heir.account.before);
    ctx.sleeping = false; // It sleeps on.
    ctx.park();
    platform.forgetThread(ctx);
    platform.memory.compareExchange(ctx.base + SLOT_STATE / 4, STATE_TRAPPED, STATE_PARKED);
    platform.threads.set(heir.tid, heir);
    heir.chunk.contexts[heir.index % SLOTS_PER_CHUNK] = heir;
    contexts.push(heir);
    return true;
  }

  /** A stopped context without registers of its own, or null. */
  take(): SystrapContext | null {
    const { space, contexts } = this;
    for (;;) {
      const ctx = contexts.pop();
      if (ctx === undefined) return null;
      ctx.phase = STOPPED;
      space.platform.memory.store(ctx.base + SLOT_MASK / 4, 0);
      // A thread may have left the host without being told to.
      if (host.hostSyscall(NR_TGKILL, space.pid, ctx.tid, 0, 0, 0, 0) === 0) return ctx;
      space.discard(ctx);
    }
  }

  get none(): boolean {
    return this.contexts.length === 0;
  }

  /** The address space is gone. */
  release(): void {
    for (const ctx of this.contexts) {
      ctx.phase = GONE;
      this.space.platform.forgetThread(ctx);
    }
    this.contexts.length = 0;
  }
}
