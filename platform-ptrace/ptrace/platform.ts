/**
 * The ptrace platform: guests are tracees of Node's main thread under PTRACE_SYSEMU. Slower than systrap and
 * independent of it, so each checks the other. Measured per trapped call: 12 µs with tracer and tracees on one CPU,
 * 54 µs across CPUs, therefore all of them are pinned to one.
 */
import { RAX, RIP } from '../../sentry/arch/regs.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { clockNs, hostSyscall, pread } from '../../sentry/host/sys.ffi.ts';
import { fromLoHi, signedFromLoHi } from '../../sentry/lib/addr.ts';
import type { Context, Platform, PlatformEvents } from '../../sentry/platform/platform.ts';
import { panic } from '../../sentry/lib/assert.ts';
import { Gate } from '../gate.ts';
import {
  AREA_ADDR,
  AREA_SIZE,
  GATE_FD,
  GUEST_MAX,
  GUEST_MIN,
  PUBLISH_ADDR,
  PUBLISH_SIZE,
  ZYGOTE_KEYS,
  ZYGOTE_VDSO,
  ZYGOTE_VDSO_END,
  ZYGOTE_VVAR,
} from '../stub-layout.ts';
import type { Zygote } from '../zygote.ts';
import { PtraceContext } from './context.ts';
import { LOOK_INTERVAL_NS, Placer } from './placer.ts';
import {
  event,
  initTracer,
  kill,
  ptrace,
  PTRACE_CONT,
  PTRACE_EVENT_STOP,
  PTRACE_GETSIGINFO,
  PTRACE_INTERRUPT,
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACECLONE,
  PTRACE_O_TRACEFORK,
  PTRACE_O_TRACESYSGOOD,
  PTRACE_SEIZE,
  pollFor,
  waitFor,
  waitForAny,
} from './ptrace.ffi.ts';
import { PtraceSpace } from './space.ts';

const SYS_poll = 7;
const CLOCK_MONOTONIC = 1;
const SIGILL = 4;
const SIGTRAP = 5;
const SIGBUS = 7;
const SIGFPE = 8;
const SIGKILL = 9;
const SIGSEGV = 11;
const SIGSYS = 31;
const AUDIT_ARCH_X86_64 = 0xc000003e;
const SI_KERNEL = 0x80;
const SEGV_ACCERR = 2;
const SEGV_PKUERR = 4;
const BUS_ADRALN = 1;
const FPE_INTDIV = 1;
/** The CPU's exceptions (arch/x86/include/asm/trapnr.h). */
const X86_TRAP_DE = 0;
const X86_TRAP_DB = 1;
const X86_TRAP_BP = 3;
const X86_TRAP_UD = 6;
const X86_TRAP_GP = 13;
const X86_TRAP_SS = 12;
const X86_TRAP_PF = 14;
const X86_TRAP_MF = 16;
const X86_TRAP_AC = 17;
const X86_PF_PROT = 1;
const X86_PF_USER = 4;
const X86_PF_INSTR = 0x10;
const X86_PF_PK = 0x20;
/** Events handled before one look at the wake descriptor. */
const BATCH = 32;
const GATE_DEADLINE_MS = 2000;

/** The exception behind a signal. A tracer is not shown it: reconstructed as far as the signal tells. */
/** Error code of a page fault as far as it can be told: whether something was written is not known. */
function pageFaultError(ctx: PtraceContext, code: number, addr: number): number {
  // Linux lets nobody find out what is mapped in the kernel's half (sanitize_error_code).
  const present = addr < 0 || code === SEGV_ACCERR ? X86_PF_PROT : 0;
  const key = code === SEGV_PKUERR ? X86_PF_PK | X86_PF_PROT : 0;
  const { words } = ctx.regs();
  const fetched = signedFromLoHi(words[2 * RIP]!, words[2 * RIP + 1]!) === addr;
  return X86_PF_USER | present | key | (fetched ? X86_PF_INSTR : 0);
}

function trapNumber(signo: number, code: number): number {
  switch (signo) {
    case SIGSEGV:
      return code === SI_KERNEL ? X86_TRAP_GP : X86_TRAP_PF;
    case SIGBUS:
      if (code === SI_KERNEL) return X86_TRAP_SS;
      return code === BUS_ADRALN ? X86_TRAP_AC : X86_TRAP_PF;
    case SIGFPE:
      return code === FPE_INTDIV ? X86_TRAP_DE : X86_TRAP_MF;
    case SIGTRAP:
      return code === SI_KERNEL ? X86_TRAP_BP : X86_TRAP_DB;
    default:
      return X86_TRAP_UD;
  }
}

export class PtracePlatform implements Platform {
  readonly name = 'ptrace';
  readonly minAddr = GUEST_MIN;
  readonly maxAddr = GUEST_MAX;
  readonly vvarStart: number;
  readonly vdsoStart: number;
  readonly vdsoEnd: number;

  /** Threads that run guest code bound to the tracer's CPU. */
  pinnedRunning = 0;
  #placer: Placer | null = null;
  #placedAt = 0;
  readonly #gate: Gate;
  readonly #listenerFd: number;
  readonly #zygotePid: number;
  readonly #hasKeys: boolean;
  #zygote: PtraceContext | null = null;
  #events: PlatformEvents | null = null;
  /** All threads not yet reaped, the dead among them. */
  readonly #byTid = new Map<number, PtraceContext>();
  /** Events that arose outside `poll`. */
  #deferred: (() => void)[] = [];
  readonly #siginfo = new HostBuffer(128);
  readonly #pollFd = new HostBuffer(8);
  #syscalls = 0;
  #faults = 0;
  #spacesMade = 0;
  #untilLook = BATCH;

  /** Made while procfs is there, on the thread that will trace. */
  constructor(zygote: Zygote) {
    const ready = initTracer();
    if (ready < 0) panic(`cannot become the tracer: ${ready}`);
    this.#zygotePid = zygote.pid;
    this.#listenerFd = zygote.listenerFd;
    this.#gate = new Gate(zygote.listenerFd);
    // What the zygote has found out: the same in every process that descends from it.
    const head = new HostBuffer(512);
    pread(zygote.areaFd, head.addr, head.size, 0);
    const address = (offset: number) => fromLoHi(head.u32[offset / 4]!, head.u32[offset / 4 + 1]!);
    this.vvarStart = address(ZYGOTE_VVAR);
    this.vdsoStart = address(ZYGOTE_VDSO);
    this.vdsoEnd = address(ZYGOTE_VDSO_END);
    this.#hasKeys = head.u32[ZYGOTE_KEYS / 4] !== 0;
  }

  start(events: PlatformEvents): void {
    this.#events = events;
    const pid = this.#zygotePid;
    const options = PTRACE_O_TRACESYSGOOD + PTRACE_O_TRACEFORK + PTRACE_O_TRACECLONE + PTRACE_O_EXITKILL;
    const r = ptrace(PTRACE_SEIZE, pid, 0, options);
    if (r < 0) panic(`cannot trace the zygote: ${r}`);
    this.#placer = new Placer(pid);
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    const status = waitFor(pid);
    if (status >> 16 !== PTRACE_EVENT_STOP) panic(`zygote: unexpected wait status ${status}`);
    this.#zygote = new PtraceContext(this, pid, new PtraceSpace(pid, this.#hasKeys));
    this.register(this.#zygote);
    // Shared memory of the other platform: here it would only join guests that have nothing in common.
    this.#zygote.munmap(AREA_ADDR, AREA_SIZE);
    this.#zygote.munmap(PUBLISH_ADDR, PUBLISH_SIZE);
    this.#zygote.runOrders((r) => {
      if (r < 0) panic(`zygote: cannot unmap the slot area: ${r}`);
    });
  }

  register(ctx: PtraceContext): void {
    this.#byTid.set(ctx.tid, ctx);
  }

  bind(ctx: PtraceContext, cpus: Uint8Array | null): void {
    if (!ctx.stopped && ctx.isPinned) this.pinnedRunning--;
    this.#placer!.bind(ctx, cpus);
    if (!ctx.stopped && ctx.isPinned) this.pinnedRunning++;
  }

  namesChanged(): void {}

  createAddressSpace(done: (result: Context | number) => void): void {
    if (this.#zygote === null) panic('platform not started');
    this.#spacesMade++;
    this.#zygote!.fork(done);
  }

  poll(timeoutNs: number, wakeFd: number): boolean {
    if (this.#deferred.length > 0) {
      const deferred = this.#deferred;
      this.#deferred = [];
      for (const deliver of deferred) deliver();
      return false;
    }
    const isBusy = this.pinnedRunning > 0 && this.#placer!.isActive;
    const wait = isBusy && (timeoutNs < 0 || timeoutNs > LOOK_INTERVAL_NS) ? LOOK_INTERVAL_NS : timeoutNs;
    const tid = waitForAny(wakeFd, wait);
    if (tid > 0) this.#dispatch(tid, event.i32[0]!);
    else if (tid === 0 && wait === LOOK_INTERVAL_NS) this.#place();
    if (tid <= 0) return tid < 0;
    // A guest that never lets the loop sleep must not keep it from the rest of the world.
    this.#untilLook--;
    if (this.#untilLook > 0) return false;
    this.#untilLook = BATCH;
    if (clockNs(CLOCK_MONOTONIC) - this.#placedAt >= LOOK_INTERVAL_NS) this.#place();
    return this.#isReadable(wakeFd);
  }

  #place(): void {
    this.#placedAt = clockNs(CLOCK_MONOTONIC);
    this.pinnedRunning = this.#placer!.look(this.#byTid.values());
  }

  #isReadable(fd: number, timeoutMs = 0): boolean {
    this.#pollFd.i32[0] = fd;
    this.#pollFd.i32[1] = 1; // POLLIN
    return hostSyscall(SYS_poll, this.#pollFd.addr, 1, timeoutMs, 0, 0, 0) > 0;
  }

  /**
   * Lets a thread that has just been set to a gated call through the gate, with `hostFd` at GATE_FD. It gets there within
   * microseconds; false if it does not. `hostFd` is closed.
   */
  admit(tid: number, nr: number, args: readonly number[], hostFd: number): boolean {
    let hasProceeded = false;
    const proceeded = () => {
      hasProceeded = true;
    };
    this.#gate.order(tid, { nr, args, hostFd, fd: GATE_FD, proceeded });
    for (let ms = 0; !hasProceeded; ms++) {
      if (this.#isReadable(this.#listenerFd, 1)) {
        this.#gate.dispatch();
        continue;
      }
      // It may stand at an interrupt that was asked for before it stopped for something else.
      const status = pollFor(tid);
      if ((status & 0xff) === 0x7f) ptrace(PTRACE_CONT, tid, 0, 0);
      if (status < 0 || ms === GATE_DEADLINE_MS) {
        this.#gate.forget(tid);
        return false;
      }
    }
    return true;
  }

  #dispatch(tid: number, status: number): void {
    const ctx = this.#byTid.get(tid);
    const isStop = (status & 0xff) === 0x7f;
    if (ctx === undefined) {
      if (isStop) kill(tid, SIGKILL); // not one of ours: nothing may run outside the kernel's knowledge
      return;
    }
    if (!isStop) {
      this.#byTid.delete(tid);
      if (ctx.isDead) return;
      this.#noteDeath(ctx);
      if (ctx === this.#zygote) panic('the zygote has ended');
      this.#events!.onDeath(ctx, status & 0x7f, 'the host process has ended');
      return;
    }
    if (ctx.isDead) {
      ctx.passBy(); // a stop on the way to its end
      return;
    }
    const signo = (status >> 8) & 0xff;
    if (signo === (SIGTRAP | 0x80)) {
      this.#dispatchSyscall(ctx);
    } else if (status >> 16 === PTRACE_EVENT_STOP) {
      if (!ctx.interruptRequested) {
        ctx.passBy(); // an interrupt that another event has overtaken
        return;
      }
      ctx.noteStop();
      this.#events!.onInterrupt(ctx);
    } else {
      this.#dispatchSignal(ctx, signo);
    }
  }

  #dispatchSyscall(ctx: PtraceContext): void {
    this.#syscalls++;
    ctx.noteStop();
    // struct ptrace_syscall_info at 8: arch at +4, nr at +24, args at +32.
    const words = event.u32;
    ctx.sysno = words[3] === AUDIT_ARCH_X86_64 ? words[8]! | 0 : -1;
    for (let i = 0; i < 12; i++) ctx.args[i] = words[10 + i]!;
    this.#events!.onSyscall(ctx);
  }

  #dispatchSignal(ctx: PtraceContext, signo: number): void {
    ptrace(PTRACE_GETSIGINFO, ctx.tid, 0, this.#siginfo.addr);
    const code = this.#siginfo.i32[2]!;
    // Only the CPU's faults count. Signals sent by anybody are not the guest's business: dropped.
    if (code <= 0) {
      ctx.passBy();
      return;
    }
    switch (signo) {
      case SIGSEGV:
      case SIGBUS:
      case SIGILL:
      case SIGFPE:
      case SIGTRAP:
        break;
      case SIGSYS:
        this.#dispatchVsyscall(ctx);
        return;
      default:
        ctx.passBy();
        return;
    }
    this.#faults++;
    ctx.noteStop();
    const addr = signedFromLoHi(this.#siginfo.u32[4]!, this.#siginfo.u32[5]!);
    const trapNo = trapNumber(signo, code);
    const errorCode = trapNo === X86_TRAP_PF ? pageFaultError(ctx, code, addr) : 0;
    this.#events!.onFault(ctx, signo, code, addr, trapNo, errorCode);
  }

  /** A call of the vsyscall page, trapped by the guest filter: rip and rsp are already those after its return. */
  #dispatchVsyscall(ctx: PtraceContext): void {
    ctx.noteStop();
    const regs = ctx.regs(); // before sysno is set: rax is still the guest's
    ctx.sysno = regs.words[2 * RAX]! | 0;
    const order = [14, 13, 12, 7, 9, 8]; // rdi, rsi, rdx, r10, r8, r9
    for (let i = 0; i < 6; i++) {
      ctx.args[2 * i] = regs.words[2 * order[i]!]!;
      ctx.args[2 * i + 1] = regs.words[2 * order[i]! + 1]!;
    }
    this.#events!.onSyscall(ctx);
  }

  #noteDeath(ctx: PtraceContext): void {
    ctx.markDead();
    ctx.stopped = true;
    ctx.space.members.delete(ctx);
    if (ctx.space.members.size === 0) ctx.space.dead = true;
  }

  /** A thread died while it executed an order. */
  reportDeath(ctx: PtraceContext, signo: number): void {
    this.#byTid.delete(ctx.tid);
    if (ctx.isDead) return;
    this.#noteDeath(ctx);
    this.#deferred.push(() => this.#events!.onDeath(ctx, signo, 'the host process has ended'));
  }

  reportOrderFailed(ctx: PtraceContext, index: number, errno: number): void {
    this.#deferred.push(() => {
      if (!ctx.isDead) this.#events!.onOrderFailed(ctx, index, errno);
    });
  }

  /** The protocol with a space is broken: end it. Its threads' deaths are reported as they are reaped. */
  killSpace(space: PtraceSpace): void {
    kill(space.pid, SIGKILL);
  }

  readonly callEntry = 0;

  needsTrap(): boolean {
    return true;
  }

  shutdown(): void {
    const spaces = new Set<PtraceSpace>();
    for (const ctx of this.#byTid.values()) spaces.add(ctx.space);
    for (const space of spaces) space.destroy();
    kill(this.#zygotePid, SIGKILL);
  }

  stats(): Record<string, number> {
    const spaces = new Set<PtraceSpace>();
    for (const ctx of this.#byTid.values()) spaces.add(ctx.space);
    return {
      syscalls: this.#syscalls,
      faults: this.#faults,
      spacesMade: this.#spacesMade,
      spaces: spaces.size,
      threads: this.#byTid.size,
      threadsBound: this.#placer?.bound ?? 0,
      threadsFreed: this.#placer?.freed ?? 0,
    };
  }
}
