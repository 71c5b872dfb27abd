/**
 * Where guest threads run. A syscall costs 12 µs with tracer and tracee on one CPU and 54 µs across CPUs, so threads begin
 * bound to the tracer's CPU. Those that compute for long without a stop are set free, so that the scheduler can give them
 * the other CPUs, and bound again when they make calls often.
 */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { chosenCpus } from '../chosen-cpus.ts';
import type { PtraceContext } from './context.ts';
import { setAffinity } from './ptrace.ffi.ts';

const SYS_sched_getaffinity = 204;
const SYS_getcpu = 309;
/** Between two looks at all threads. */
export const LOOK_INTERVAL_NS = 4e6;
/** Stops between two looks that make a thread worth binding: it would spend a tenth of its time on crossing CPUs. */
const STOPS_TO_BIND = 10;

export class Placer {
  readonly #all = new HostBuffer(128);
  readonly #tracers = new HostBuffer(128);
  /** Those of #all. */
  readonly #cpus: readonly number[];
  readonly #chosen = new HostBuffer(128);
  /** With one CPU there is nothing to decide. */
  readonly #isIdle: boolean;
  bound = 0;
  freed = 0;

  /** Binds the calling thread to the CPU it is on, and the zygote with it: what it clones inherits that. */
  constructor(zygotePid: number) {
    hostSyscall(SYS_sched_getaffinity, 0, this.#all.size, this.#all.addr, 0, 0, 0);
    this.#cpus = Array.from({ length: this.#all.size * 8 }, (_, cpu) => cpu).filter(
      (cpu) => (this.#all.bytes[cpu >> 3]! & (1 << (cpu & 7))) !== 0,
    );
    hostSyscall(SYS_getcpu, this.#tracers.addr, 0, 0, 0, 0, 0);
    const cpu = this.#tracers.u32[0]!;
    this.#tracers.bytes.fill(0);
    this.#tracers.u32[cpu >>> 5] = (1 << (cpu & 31)) >>> 0;
    this.#isIdle = this.#all.u32.every((word, i) => word === this.#tracers.u32[i]);
    setAffinity(0, this.#tracers);
    setAffinity(zygotePid, this.#tracers);
  }

  /** One look at all threads. How many running ones are bound afterwards. */
  look(contexts: Iterable<PtraceContext>): number {
    let boundRunning = 0;
    for (const ctx of contexts) {
      if (ctx.isDead) continue;
      if (!this.#isIdle && !ctx.isBound) this.#decide(ctx);
      ctx.events = 0;
      if (!ctx.stopped && ctx.isPinned) boundRunning++;
    }
    return boundRunning;
  }

  #decide(ctx: PtraceContext): void {
    if (ctx.isPinned && !ctx.stopped && ctx.events === 0) {
      ctx.isPinned = false;
      setAffinity(ctx.tid, this.#all);
      this.freed++;
    } else if (!ctx.isPinned && ctx.events >= STOPS_TO_BIND) {
      ctx.isPinned = true;
      setAffinity(ctx.tid, this.#tracers);
      this.bound++;
    }
  }

  /** The guest has bound `ctx` to some of the sandbox's CPUs, or set it free: it begins with the tracer then, like others. */
  bind(ctx: PtraceContext, bits: Uint8Array | null): void {
    const cpus = chosenCpus(this.#cpus, bits);
    ctx.isBound = cpus !== null;
    ctx.isPinned = cpus === null;
    this.#chosen.bytes.fill(0);
    for (const cpu of cpus ?? []) this.#chosen.bytes[cpu >> 3]! |= 1 << (cpu & 7);
    setAffinity(ctx.tid, cpus === null ? this.#tracers : this.#chosen);
  }

  /** Whether bound running threads are worth waking up for. */
  get isActive(): boolean {
    return !this.#isIdle;
  }
}
