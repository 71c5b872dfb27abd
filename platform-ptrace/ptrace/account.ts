/** What the host counts for a traced thread: the thread asks itself, in calls that the tracer has it make. */
import { EFAULT } from '../../sentry/abi/errno.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../sentry/abi/mman.ts';
import { PAGE_SIZE } from '../../sentry/lib/addr.ts';
import type { Context, HostUsage, ThreadAccount } from '../../sentry/platform/platform.ts';
import {
  noUsage,
  NR_CLOCK_GETTIME,
  NR_GETRUSAGE,
  RUSAGE_SELF,
  RUSAGE_THREAD,
  threadClock,
  usageOf,
} from '../host-usage.ts';
import * as NR from '../order-numbers.ts';
import { AREA_ADDR, USAGE_SIZE } from '../stub-layout.ts';
import type { PtraceContext } from './context.ts';

/** sizeof(struct timespec) */
const TIMESPEC_SIZE = 16;

const answer = Buffer.alloc(USAGE_SIZE);

export class InjectedAccount implements ThreadAccount {
  private readonly ctx: PtraceContext;
  private readonly ofThread = noUsage();
  private readonly ofProcess = noUsage();

  constructor(ctx: PtraceContext) {
    this.ctx = ctx;
  }

  /** Has the host write `size` bytes for the guest's process. They land where the other platform has its slots. */
  private call(nr: number, what: number, size: number): number {
    const { ctx } = this;
    let r = ctx.inject(nr, [what, AREA_ADDR]);
    if (r === -EFAULT) {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
      r = ctx.inject(NR.MMAP, [AREA_ADDR, PAGE_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0]);
      if (r >= 0) r = ctx.inject(nr, [what, AREA_ADDR]);
    }
    if (r < 0) return r;
    return ctx.space.read(AREA_ADDR, answer, 0, size) === size ? 0 : -EFAULT;
  }

  clock(of: Context, done: (ns: number) => void): void {
    const r = this.call(NR_CLOCK_GETTIME, threadClock((of as PtraceContext).tid), TIMESPEC_SIZE);
    done(r < 0 ? r : answer.readUIntLE(0, 6) * 1e9 + answer.readUInt32LE(8));
  }

  ask(ofThread: boolean, done: (result: number) => void): void {
    const r = this.call(NR_GETRUSAGE, ofThread ? RUSAGE_THREAD : RUSAGE_SELF, USAGE_SIZE);
    if (r === 0) usageOf((i) => answer.readUIntLE(8 * i, 6), ofThread ? this.ofThread : this.ofProcess);
    done(r);
  }

  usage(ofThread: boolean, out: HostUsage): void {
    Object.assign(out, ofThread ? this.ofThread : this.ofProcess);
  }
}
