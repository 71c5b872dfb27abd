/**
 * What the host counts for a guest thread. It tells a thread's figures to its own process only, so the thread asks, and the answer
 * lies in its slot. The stub asks, too, before the thread or its process ends.
 */
import type { Context, HostUsage, ThreadAccount } from '../../sentry/platform/platform.ts';
import {
  noUsage,
  NR_CLOCK_GETTIME,
  NR_GETRUSAGE,
  RUSAGE_SELF,
  RUSAGE_THREAD,
  subtractUsage,
  threadClock,
  usageOf,
} from '../host-usage.ts';
import { SLOT_CLOCK, SLOT_THREAD_USAGE, SLOT_USAGE } from '../stub-layout.ts';
import type { SystrapContext } from './context.ts';

const NO_USAGE = noUsage();

export class SlotAccount implements ThreadAccount {
  private readonly ctx: SystrapContext;
  /** What had been counted for the host thread when it became this context's. */
  readonly before = noUsage();

  constructor(ctx: SystrapContext) {
    this.ctx = ctx;
  }

  clock(of: Context, done: (ns: number) => void): void {
    const { tid, account } = of as SystrapContext;
    const { base, addr, platform } = this.ctx;
    this.ctx.ask(NR_CLOCK_GETTIME, [threadClock(tid), addr + SLOT_CLOCK], (r) => {
      const at = base + SLOT_CLOCK / 4;
      const ns = platform.memory.loadNumber(at) * 1e9 + platform.memory.load(at + 2);
      done(r < 0 ? r : Math.max(0, ns - account.before.utimeNs - account.before.stimeNs));
    });
  }

  ask(ofThread: boolean, done: (result: number) => void): void {
    const who = ofThread ? RUSAGE_THREAD : RUSAGE_SELF;
    this.ctx.ask(NR_GETRUSAGE, [who, this.ctx.addr + (ofThread ? SLOT_THREAD_USAGE : SLOT_USAGE)], done);
  }

  usage(ofThread: boolean, out: HostUsage): void {
    this.told(ofThread, out);
    if (ofThread) subtractUsage(out, this.before);
  }

  /** The same of the host thread's whole life. */
  told(ofThread: boolean, out: HostUsage): void {
    const { gone, base, platform } = this.ctx;
    if (gone) {
      Object.assign(out, NO_USAGE); // Its slot may be another's by now.
      return;
    }
    const at = base + (ofThread ? SLOT_THREAD_USAGE : SLOT_USAGE) / 4;
    usageOf((i) => platform.memory.loadNumber(at + 2 * i), out);
  }
}
