/**
 * Stubs that sleep in a notification, and those that have been answered before their notification was received: these are
 * owed a wake-up, because a stub that is about to sleep does not see the answer any more.
 */
import type { SystrapContext } from './context.ts';
import { GONE, IDLE, STOPPED } from './thread-slot.ts';
import type { SystrapPlatform } from './systrap.ts';

/** Fruitless looks for a notification before it is left to the next wait. */
const OWED_MISSES = 8;

export class Sleepers {
  private readonly platform: SystrapPlatform;
  /** Stubs that have been answered and whose sleep notifications are still to come. */
  owed = 0;
  private misses = 0;
  private readonly notified: SystrapContext[] = [];

  constructor(platform: SystrapPlatform) {
    this.platform = platform;
  }

  /** Takes the notifications of stubs that have their answer already, if they are there by now. */
  receiveOwed(): void {
    const count = this.platform.gate.dispatch(Math.min(this.owed, 32));
    if (count > 0) {
      this.owed -= count;
      this.misses = 0;
      this.answer();
    } else if (++this.misses === OWED_MISSES) {
      // A stub that says it sleeps and does not.
      this.owed = 0;
      this.misses = 0;
    }
  }

  /** Sleepers that the kernel does not hold are sent back at once. */
  answer(): void {
    this.platform.scan();
    for (const ctx of this.notified) {
      if (!ctx.sleeping || ctx.phase === STOPPED || ctx.phase === IDLE) continue;
      ctx.sleeping = false;
      this.platform.gate.wake(ctx.sleepIdLo, ctx.sleepIdHi);
    }
    if (this.notified.length > 0) this.notified.length = 0;
  }

  /** Thread `tid` has gone to sleep, by the kernel's account. */
  add(tid: number, idLo: number, idHi: number): void {
    const ctx = this.platform.threads.get(tid) ?? this.platform.births.findNewThread(tid, idLo, idHi);
    if (ctx === null) return; // Newborn: answered when its creator has named it.
    if (ctx === undefined) {
      this.platform.gate.wake(idLo, idHi); // A thread that has been sent away, or one nobody knows.
      return;
    }
    if (ctx.phase === GONE) return; // A parked leader: let it sleep.
    if (ctx.sleeping) this.platform.gate.wake(ctx.sleepIdLo, ctx.sleepIdHi);
    ctx.sleeping = true;
    ctx.sleepIdLo = idLo;
    ctx.sleepIdHi = idHi;
    if (ctx.phase !== STOPPED && ctx.phase !== IDLE) this.notified.push(ctx);
  }
}
