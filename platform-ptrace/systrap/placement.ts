/**
 * Which CPU guest threads run on, and whether waiting by spinning pays. Measured: both sides spinning on two CPUs answer
 * in 2–3 µs, both asleep on one CPU (notifications wake the other side on the waker's CPU) in 6–8 µs, asleep across
 * CPUs in 35–50 µs; spinning on a CPU that the other side needs is a disaster. So a lone guest that makes many calls
 * without blocking gets a CPU that the sentry is not on, and as long as it is alone and does not block the sentry keeps off
 * that CPU: otherwise the first wake-up behind a spin that was too short brings both together again. When there are as many guests as CPUs they are spread. A thread
 * that blocks may run anywhere again, so that its wake-up does not have to cross CPUs. The sentry spins only while no
 * running guest is believed to be on its own CPU.
 */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { chosenCpus } from '../chosen-cpus.ts';

const NR_SCHED_SETAFFINITY = 203;
const NR_SCHED_GETAFFINITY = 204;
const MAX_CPUS = 1024;
/** sched_setaffinity(2)'s name for the calling thread. */
const SELF = 0;
/** Calls in a row that a guest makes alone on the sentry's CPU before it is moved. */
const LONE_CALLS = 64;
/** Calls of a thread between two decisions about its place. */
const SETTLE_CALLS = 64;

/** What is known of a guest thread's place. */
export interface PlacedThread {
  /** Host thread id; 0 until known. */
  readonly tid: number;
  /** Where it was last seen, or has been put; −1: not known. */
  cpu: number;
  /** It has been put there. */
  pinned: boolean;
  /** Host CPUs that the guest has bound it to; null: any. */
  cpus: readonly number[] | null;
  /** Calls in a row that it has made alone on the sentry's CPU. */
  loneCalls: number;
  /** Calls until the next decision about its place. */
  placeIn: number;
}

export class Placement {
  private readonly allowed: number[] = [];
  private readonly mask = new HostBuffer(MAX_CPUS / 8);
  /** Running guest threads per CPU, as of their last event. */
  private readonly load = new Int32Array(MAX_CPUS);
  running = 0;
  moves = 0;
  /** The lone guest whose CPU the sentry keeps off. */
  private avoided: PlacedThread | null = null;

  constructor() {
    hostSyscall(NR_SCHED_GETAFFINITY, 0, this.mask.size, this.mask.addr, 0, 0, 0);
    for (let cpu = 0; cpu < MAX_CPUS; cpu++) {
      if ((this.mask.bytes[cpu >> 3]! & (1 << (cpu & 7))) !== 0) this.allowed.push(cpu);
    }
  }

  /** True if guests run, and none of them on `cpu` as far as is known. */
  runElsewhere(cpu: number): boolean {
    return this.running > 0 && this.load[cpu] === 0;
  }

  /** True if running guests leave a CPU to the sentry. */
  get roomToSpin(): boolean {
    return this.running < this.allowed.length;
  }

  started(ctx: PlacedThread): void {
    this.running++;
    if (ctx.cpu >= 0) this.load[ctx.cpu]!++;
  }

  stopped(ctx: PlacedThread): void {
    this.running--;
    if (ctx.cpu >= 0) this.load[ctx.cpu]!--;
  }

  /** `ctx` has stopped on `cpu`; the sentry is on `sentryCpu`. */
  observe(ctx: PlacedThread, cpu: number, sentryCpu: number): void {
    if (cpu >= MAX_CPUS) return;
    ctx.cpu = cpu;
    if (this.avoided !== null && (this.running > 0 || ctx !== this.avoided)) this.stopAvoiding();
    if (ctx.cpus !== null) return;
    if (this.running === 0) {
      if (cpu !== sentryCpu) ctx.loneCalls = 0;
      else if (++ctx.loneCalls >= LONE_CALLS && this.allowed.length > 1) {
        ctx.loneCalls = 0;
        this.placeAlone(ctx, this.leastLoaded(sentryCpu));
      }
      return;
    }
    ctx.loneCalls = 0;
    if (--ctx.placeIn >= 0) return;
    ctx.placeIn = SETTLE_CALLS;
    const best = this.leastLoaded(-1);
    if (this.load[best]! < this.load[cpu]!) this.place(ctx, best);
  }

  /** `ctx` blocks: the next wake-up is to find it on the sentry's CPU. It may run anywhere. */
  blocked(ctx: PlacedThread): void {
    ctx.loneCalls = 0;
    if (this.avoided === ctx) this.stopAvoiding();
    if (!ctx.pinned) return;
    ctx.pinned = false;
    this.admit(ctx.tid, -1);
  }

  /**
   * `ctx` makes a thread. It is to begin on the sentry's CPU, like one that is woken: most have to say something at once,
   * and waking the sentry across CPUs, to and fro, costs more than a start later. Whoever stays runnable is moved by the host
   * when it balances. To be undone by `blocked` for both.
   */
  gather(ctx: PlacedThread, sentryCpu: number): void {
    if (sentryCpu >= 0 && ctx.cpus === null) this.place(ctx, sentryCpu);
  }

  /** `ctx` is about to be woken by the sentry, which runs on `sentryCpu`. */
  woken(ctx: PlacedThread, sentryCpu: number): void {
    if (!ctx.pinned) ctx.cpu = ctx.cpus === null || ctx.cpus.includes(sentryCpu) ? sentryCpu : ctx.cpus[0]!;
  }

  /** The guest has bound `ctx` to some of the allowed CPUs: it is left there from now on. */
  bind(ctx: PlacedThread, bits: Uint8Array | null): void {
    if (this.avoided === ctx) this.stopAvoiding();
    ctx.pinned = false;
    ctx.cpus = chosenCpus(this.allowed, bits);
    this.admitAgain(ctx);
  }

  /** The host hears what `ctx` is bound to. */
  admitAgain(ctx: PlacedThread): void {
    if (ctx.tid !== 0) this.setMask(ctx.tid, ctx.cpus ?? this.allowed);
  }

  private leastLoaded(except: number): number {
    let best = -1;
    for (const cpu of this.allowed) {
      if (cpu !== except && (best < 0 || this.load[cpu]! < this.load[best]!)) best = cpu;
    }
    return best;
  }

  private place(ctx: PlacedThread, cpu: number): void {
    this.moves++;
    ctx.pinned = true;
    this.setMask(ctx.tid, [cpu]);
    ctx.cpu = cpu;
  }

  private placeAlone(ctx: PlacedThread, cpu: number): void {
    this.place(ctx, cpu);
    this.avoided = ctx;
    this.admit(SELF, cpu);
  }

  private stopAvoiding(): void {
    this.avoided = null;
    this.admit(SELF, -1);
  }

  /** Lets thread `tid` run on all CPUs but `except`. */
  private admit(tid: number, except: number): void {
    const { allowed } = this;
    this.setMask(tid, except < 0 ? allowed : allowed.filter((cpu) => cpu !== except));
  }

  private setMask(tid: number, cpus: readonly number[]): void {
    this.mask.bytes.fill(0);
    for (const cpu of cpus) this.mask.bytes[cpu >> 3]! |= 1 << (cpu & 7);
    hostSyscall(NR_SCHED_SETAFFINITY, tid, this.mask.size, this.mask.addr, 0, 0, 0);
  }
}
