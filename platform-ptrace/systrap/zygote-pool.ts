/**
 * Spare address spaces, cloned from the zygote ahead of need, so that execve finds one ready. Refilled only when
 * nothing else is to be done.
 */
import { EAGAIN } from '../../sentry/abi/errno.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { Context } from '../../sentry/platform/platform.ts';
import { watchProcess, waitForEvents } from '../ffi/process.ffi.ts';
import {
  PUBLISH_ADDR,
  PUBLISH_SIZE,
  SLOT_SIZE,
  SLOT_STATE,
  STATE_SLEEPING,
  STATE_TRAPPED,
} from '../stub-layout.ts';
import type { SystrapContext } from './context.ts';
import type { SystrapSpace } from './space.ts';
import type { SystrapPlatform } from './systrap.ts';

/** How long the zygote, which no guest has touched yet, may take to get to its first trap on a machine that is short of CPUs. */
const ZYGOTE_DEADLINE_NS = 60e9;
const CLOCK_MONOTONIC = 1;
const SPARES = 4;
const MAP_SHARED = 1;
const PROT_READ = 1;

type Done = (result: Context | number) => void;

/** The zygote's one thread is in its first trap or on the way there. */
export function adoptZygote(
  platform: SystrapPlatform,
  space: SystrapSpace,
  pid: number,
  deaths: number,
): SystrapContext {
  const { memory } = platform;
  const base = space.chunkOf(0).base;
  const deadline = host.clockNs(CLOCK_MONOTONIC) + ZYGOTE_DEADLINE_NS;
  const stateWord = base + (SLOT_SIZE + SLOT_STATE) / 4;
  for (;;) {
    const state = memory.load(stateWord);
    if (state === STATE_TRAPPED || state === STATE_SLEEPING) break;
    if (host.clockNs(CLOCK_MONOTONIC) > deadline) throw new Error('zygote: not ready');
    waitForEvents(-1, -1, -1, 1e5, 0);
  }
  const state = memory.load(stateWord);
  const ctx = space.newContext();
  assert(typeof ctx === 'object', 'slot of the zygote');
  memory.store(stateWord, state);
  memory.store(base, 0);
  space.pid = pid;
  space.pidfd = watchProcess(deaths, pid, pid);
  if (space.pidfd < 0) throw new Error(`zygote: pidfd of ${pid}: errno ${-space.pidfd}`);
  ctx.tid = pid;
  platform.threads.set(pid, ctx);
  platform.spaces.set(pid, space);
  return ctx;
}

export class ZygotePool {
  private readonly zygote: SystrapContext;
  private readonly publishFd: number;
  private readonly spares: SystrapContext[] = [];
  private readonly waiting: Done[] = [];
  private cloning = false;
  private ready = false;
  private ended = false;
  /** The last clone failed: no more of them until somebody needs one. */
  private failed = false;

  constructor(zygote: SystrapContext, publishFd: number) {
    this.zygote = zygote;
    this.publishFd = publishFd;
  }

  get size(): number {
    return this.spares.length;
  }

  /** Maps the publish pages into the zygote, whose clones inherit them. */
  start(): void {
    this.zygote.mmap(PUBLISH_ADDR, PUBLISH_SIZE, PROT_READ, MAP_SHARED, this.publishFd, 0);
    this.zygote.runOrders((result) => {
      if (result < 0) throw new Error(`zygote: mapping of the publish pages: errno ${-result}`);
      this.ready = true;
      this.clone();
    });
  }

  take(done: Done): void {
    const spare = this.spares.pop();
    if (spare !== undefined) done(spare);
    else if (this.ended) done(-EAGAIN);
    else {
      this.waiting.push(done);
      this.clone();
    }
  }

  /** Starts to make a spare if one is missing. True if something was started. */
  refill(): boolean {
    if (this.cloning || this.failed || !this.ready || this.ended || this.spares.length >= SPARES)
      return false;
    this.clone();
    return true;
  }

  private clone(): void {
    if (this.cloning || !this.ready || this.ended) return;
    this.cloning = true;
    this.zygote.fork((result) => {
      this.cloning = false;
      this.failed = typeof result === 'number';
      if (typeof result === 'object') {
        const next = this.waiting.shift();
        if (next !== undefined) next(result);
        else this.keep(result as SystrapContext);
        if (this.waiting.length > 0) this.clone();
        return;
      }
      for (const done of this.waiting.splice(0)) done(result);
    });
  }

  private keep(spare: SystrapContext): void {
    this.spares.push(spare);
    spare.letSleep();
  }

  /** A context has died: true if it was a spare. */
  forget(ctx: SystrapContext): boolean {
    const i = this.spares.indexOf(ctx);
    if (i >= 0) this.spares.splice(i, 1);
    return i >= 0;
  }

  zygoteDied(): void {
    this.ended = true;
    for (const done of this.waiting.splice(0)) done(-EAGAIN);
  }

  stop(): void {
    this.ended = true;
    this.spares.length = 0;
    this.waiting.length = 0;
  }
}
