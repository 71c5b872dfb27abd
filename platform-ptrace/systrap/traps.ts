/** What guest threads publish in their slots: calls, faults, interrupts, and how orders went. All of it may be forged. */
import {
  EVENT_FAST_SYSCALL,
  EVENT_INTERRUPT,
  EVENT_KEY_DENIED,
  EVENT_ORDER_FAILED,
  EVENT_ORDERS_DONE,
  EVENT_SYSCALL,
  PLAN_SYSCALLS,
  SLOT_ARGS,
  SLOT_EVENT,
  SLOT_NR,
  SLOT_STATE,
  STATE_SLEEPING,
  STATE_TRAPPED,
} from '../stub-layout.ts';
import type { SystrapContext } from './context.ts';
import type { SystrapPlatform } from './systrap.ts';
import { ORDERING, RUNNING } from './thread-slot.ts';

const SIGSYS = 31;

export class Traps {
  private readonly platform: SystrapPlatform;

  constructor(platform: SystrapPlatform) {
    this.platform = platform;
  }

  /** One slot has set its pending bit. */
  handle(ctx: SystrapContext): void {
    const { platform } = this;
    const { memory } = platform;
    const { base } = ctx;
    // A stopped thread has nothing to say: forged.
    if (ctx.phase !== RUNNING && ctx.phase !== ORDERING) return;
    const state = memory.loadRelaxed(base + SLOT_STATE / 4);
    if (state !== STATE_TRAPPED && state !== STATE_SLEEPING) return;
    const event = memory.loadRelaxed(base + SLOT_EVENT / 4);
    const kind = event & 0xff;
    if (kind === EVENT_ORDERS_DONE || kind === EVENT_ORDER_FAILED) {
      this.handleOrders(ctx, kind);
      return;
    }
    if (ctx.phase === ORDERING) {
      platform.deaths.kill(ctx.space, `event ${kind} instead of a report`);
      return;
    }
    ctx.stop();
    platform.placement.observe(ctx, (event >>> 8) & 0xfff, platform.sentryCpu);
    if (ctx.interruptWanted && kind !== EVENT_INTERRUPT) this.interruptOver(ctx);
    if (kind === EVENT_SYSCALL || kind === EVENT_FAST_SYSCALL) {
      memory.loadWords(base + SLOT_ARGS / 4, ctx.args, 0, 12);
      const nr = memory.loadRelaxed(base + SLOT_NR / 4);
      if (kind === EVENT_FAST_SYSCALL) {
        if (!platform.publish.isFast(nr)) {
          platform.deaths.kill(ctx.space, `call ${nr} without a frame`);
          return;
        }
        ctx.partial = true;
        platform.counters.fast++;
      }
      ctx.sysno = nr;
      ctx.hasPrefetch = nr >= 0 && nr < PLAN_SYSCALLS && platform.publish.planned[nr] !== 0;
      platform.counters.syscalls++;
      if ((event & EVENT_KEY_DENIED) !== 0) platform.events.onKeyDenied(ctx);
      platform.events.onSyscall(ctx);
      return;
    }
    ctx.sysno = -1;
    if (kind === EVENT_INTERRUPT) {
      if (ctx.interruptWanted) {
        this.interruptOver(ctx);
        platform.events.onInterrupt(ctx);
      } else {
        ctx.resume(); // A signal that another event has overtaken.
      }
      return;
    }
    this.handleFault(ctx, kind);
  }

  private handleFault(ctx: SystrapContext, signo: number): void {
    const { memory } = this.platform;
    const at = ctx.base + SLOT_ARGS / 4;
    if (signo === 0 || signo > SIGSYS) {
      this.platform.deaths.kill(ctx.space, `event ${signo}`);
      return;
    }
    this.platform.events.onFault(
      ctx,
      signo,
      memory.loadRelaxed(at + 2),
      memory.loadSigned(at),
      memory.loadRelaxed(at + 4),
      memory.loadRelaxed(at + 6),
    );
  }

  private handleOrders(ctx: SystrapContext, kind: number): void {
    if (kind === EVENT_ORDERS_DONE) {
      if (ctx.phase !== ORDERING) {
        this.platform.deaths.kill(ctx.space, 'report without orders');
        return;
      }
      if (ctx.completing || !ctx.batchDone()) this.endOrders(ctx)!(0);
      return;
    }
    const at = ctx.base + SLOT_ARGS / 4;
    const index = ctx.queueIndex(this.platform.memory.loadRelaxed(at));
    const errno = this.platform.memory.loadRelaxed(at + 2);
    if (ctx.completing || !(index >= 0 && index < ctx.orderCount && errno > 0 && errno < 4096)) {
      this.platform.deaths.kill(ctx.space, 'malformed report');
      return;
    }
    const reported = this.endOrders(ctx);
    if (reported !== null) reported(-errno);
    else this.platform.events.onOrderFailed(ctx, index, errno);
  }

  /** The thread is stopped again after orders, or a real trap: who is to hear how they went; null: they were part of a resume. */
  private endOrders(ctx: SystrapContext): ((result: number) => void) | null {
    const { reported } = ctx;
    ctx.reported = null;
    if (ctx.completing) ctx.completed();
    else ctx.stopAfterOrders();
    this.platform.deadlines.clear(ctx);
    return reported;
  }

  private interruptOver(ctx: SystrapContext): void {
    ctx.interruptWanted = false;
    this.platform.deadlines.clear(ctx);
  }
}
