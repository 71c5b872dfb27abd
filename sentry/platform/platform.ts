/**
 * What the kernel wants from a platform: address spaces that hold guest memory, contexts that run guest code, and
 * events. Implemented by platform-ptrace/systrap and platform-ptrace/ptrace; the kernel never knows which one runs.
 *
 * A context is one host thread. It is either *running* guest code or *stopped*: held by the kernel since its last
 * event, until `resume`, `exit` or `destroy`. Everything on a context except `interrupt` requires it to be stopped.
 * Orders (host memory calls that change the address space) are queued on a stopped context and executed, in
 * order, by its host thread: with `resume` in one round trip, or with `runOrders` when the kernel needs the outcome
 * before it goes on. No method waits for guest code.
 */
import type { Regs } from '../arch/regs.ts';

/** Host-side events. They are called from `Platform.poll` only, never re-entrantly. */
export interface PlatformEvents {
  /** The guest executed a syscall instruction. `ctx.sysno` and `ctx.args` are a private copy. */
  onSyscall(ctx: Context): void;
  /** The thread of an onSyscall that follows denies itself protection key 0. A platform need not notice. */
  onKeyDenied(ctx: Context): void;
  /**
   * The guest caused an exception: `signo` SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP with the host's si_code;
   * `addr` is si_addr (cr2 for page faults); `trapNo` and `errorCode` are the CPU's.
   */
  onFault(ctx: Context, signo: number, code: number, addr: number, trapNo: number, errorCode: number): void;
  /** `interrupt` took effect: a running context is stopped now between two guest instructions. */
  onInterrupt(ctx: Context): void;
  /** A queued order of a `resume` failed with `errno` (> 0); the guest has not been resumed, the rest of the orders not run. */
  onOrderFailed(ctx: Context, index: number, errno: number): void;
  /**
   * The context is gone although nobody asked for it: its host thread or process died (`signo` > 0: killed by that
   * signal) or broke the protocol (`signo` = SIGKILL, `reason` says how). Called once for every context of a dead space.
   */
  onDeath(ctx: Context, signo: number, reason: string): void;
}

export interface Platform {
  readonly name: 'systrap' | 'ptrace';
  start(events: PlatformEvents): void;
  /**
   * Fresh, empty address space with one stopped context. From a pool: `done` is normally called before the call returns,
   * otherwise from a later `poll`. −errno on failure.
   */
  createAddressSpace(done: (result: Context | number) => void): void;
  /**
   * Delivers what has happened to the handlers given to `start`; if nothing has, sleeps until something does, until
   * `wakeFd` is readable, or `timeoutNs` is over (0: do not sleep, −1: no limit). True if `wakeFd` was seen readable.
   */
  poll(timeoutNs: number, wakeFd: number): boolean;
  /** Lowest and first-past-the-end address that guest mappings may use; [vdsoStart, vdsoEnd) lies in every space. */
  readonly minAddr: number;
  readonly maxAddr: number;
  /** Mapped host [vvar] and [vdso] of every space, 0 if none: first byte of vvar, of the vDSO's ELF header, and the end. */
  readonly vvarStart: number;
  readonly vdsoStart: number;
  readonly vdsoEnd: number;
  /**
   * Where guest code may jump instead of executing `syscall`, with the number in rax and the address behind the `syscall` in
   * rcx; 0 if every call has to trap.
   */
  readonly callEntry: number;
  /** True for calls that trap even so. */
  needsTrap(sysno: number): boolean;
  /** What answers lent by `lendAnswer` say holds no more from before this returns. No generation comes twice. */
  namesChanged(generation: number): void;
  /** Kills every host process of the platform. Idempotent. */
  shutdown(): void;
  /** Counters for `--debug-log` and benchmarks, by name. */
  stats(): Record<string, number>;
}

/**
 * FUTEX_WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET and WAKE_BITSET with FUTEX_PRIVATE_FLAG, WAIT_BITSET with
 * FUTEX_CLOCK_REALTIME too: operations that a space with `ownFutexes` carries out by itself. A wait that `interrupt` has
 * ended becomes an ordinary onSyscall.
 */
export const OWN_FUTEX_OPS: ReadonlySet<number> = new Set([128, 129, 131, 132, 133, 137, 138, 393]);

// What AddressSpace.residency says of a page: never touched (or taken away), there, the one page of zeros that all share.
export const PAGE_ABSENT = 0;
export const PAGE_PRESENT = 1;
export const PAGE_ZERO = 2;

/** What the host counts for a thread or a process (getrusage(2)). */
export interface HostUsage {
  utimeNs: number;
  stimeNs: number;
  /** Peak resident set in KiB. */
  maxRssKb: number;
  minFaults: number;
  majFaults: number;
  involuntarySwitches: number;
}

/** What the host counts for a context's thread and its process. */
export interface ThreadAccount {
  /**
   * Has the stopped thread ask the host for the CPU time in ns that the thread of `of`, a context of the same space, has used
   * since it became that; −errno if it cannot tell.
   */
  clock(of: Context, done: (ns: number) => void): void;
  /** The same for all that the host counts, of the host process or of this thread; then see `usage`. */
  ask(ofThread: boolean, done: (result: number) => void): void;
  /**
   * The host's figures, by the guest's account: those of the last `ask`, and where the platform can those of the moment when
   * the thread called exit (`ofThread`), or exit_group or execve. Zeros before.
   */
  usage(ofThread: boolean, out: HostUsage): void;
}

export interface AddressSpace {
  /** Number of live contexts in this space. */
  readonly contexts: number;
  readonly dead: boolean;
  /** Host process id, whose CPU clock is the guest's; 0 if there is none yet. */
  readonly pid: number;
  /**
   * Copies guest memory into `dst[off..off+len)`. Returns bytes copied (page-granular short counts at a bad page) or −EFAULT
   * if none. Never for ranges the kernel's VMA table says are absent.
   */
  read(addr: number, dst: Uint8Array, off: number, len: number): number;
  /** Copies `src[off..off+len)` into guest memory; same result convention. Obeys page protections. */
  write(addr: number, src: Uint8Array, off: number, len: number): number;
  /**
   * Which of `pages` mapped pages from `addr` on the process has, into `out[off..)`: PAGE_ABSENT, PAGE_PRESENT or PAGE_ZERO. 0,
   * or −errno if the host does not tell.
   */
  residency(addr: number, pages: number, out: Uint8Array, off: number): number;
  /**
   * Whether threads make futex calls on private words on the host, without the kernel (see OWN_FUTEX_OPS). Those that wait
   * there are interrupted by `false`. Returns what holds now: a platform need not know how.
   */
  ownFutexes(on: boolean): boolean;
  /** Some thread has been interrupted and has not come yet. */
  readonly isInterrupting: boolean;
  /** The host has protection keys, and all but 0 are for guests: INIT_PKRU is what programs begin with. */
  readonly hasKeys: boolean;
  /** Memory of this space has keys, or a thread has been seen to deny itself key 0: `Context.pkru` is to be right from now on. */
  useKeys(on: boolean): void;
  /** What Context.lendAnswer has lent to threads of this space is void. */
  forgetAnswers(): void;
  /** SIGKILLs the host process and reaps it; its contexts are gone without events. Idempotent. */
  destroy(): void;
}

/** Address-space orders. Addresses and lengths are page-aligned and validated by the caller; −errno arrives later. */
export interface Orders {
  /**
   * mmap(2) at a fixed address. `flags` ⊆ MAP_SHARED|MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE; MAP_FIXED is added. `hostFd`
   * is duplicated at once, so the caller may close it afterwards; −1 with MAP_ANONYMOUS.
   */
  mmap(addr: number, len: number, prot: number, flags: number, hostFd: number, offset: number): void;
  munmap(addr: number, len: number): void;
  mprotect(addr: number, len: number, prot: number): void;
  /** pkey_mprotect(2), with one of the 16 keys. */
  pkeyMprotect(addr: number, len: number, prot: number, key: number): void;
  /** mremap(2) with MREMAP_MAYMOVE|MREMAP_FIXED when newAddr ≠ oldAddr, else in place. */
  mremap(oldAddr: number, oldLen: number, newLen: number, newAddr: number): void;
  madvise(addr: number, len: number, advice: number): void;
  /**
   * Brings pages in, for reading or for writing, as touching them would. `mayFail`: the rest is done all the same when that
   * fails (beyond the end of a file, on hosts before Linux 5.14).
   */
  populate(addr: number, len: number, write: boolean, mayFail: boolean): void;
  /** membarrier(2) of the host, by the guest's thread: the other threads of its process go through a barrier. */
  membarrier(command: number, flags: number, cpu: number): void;
  /** rseq(2) of the host, by the guest's thread; `flags` 0 or RSEQ_FLAG_UNREGISTER. */
  rseq(addr: number, len: number, flags: number, sig: number): void;
  /** Compare-and-swap of the aligned uint32 at `addr`, atomic for guest threads. Fails with EAGAIN if it is not `expected`. */
  compareExchange(addr: number, expected: number, value: number): void;
}

/** Arguments of rseq(2). */
export interface RseqArea {
  readonly addr: number;
  readonly len: number;
  readonly sig: number;
}

export interface Context extends Orders {
  readonly space: AddressSpace;
  /** The kernel's task; the platform only carries it. */
  task: unknown;
  readonly stopped: boolean;

  // Valid after onSyscall until resume:
  /** Syscall number (int32); −1 for a 32-bit or malformed entry. */
  readonly sysno: number;
  /** Six arguments as lo/hi pairs: args[2*i] low, args[2*i+1] high. A private copy, stable while stopped. */
  readonly args: Uint32Array;

  /** All registers. Fetched at the first call since the stop, the same object until resume. Change it, then call regsChanged(). */
  regs(): Regs;
  regsChanged(): void;
  /**
   * True after a syscall that came without a trap: regs() knows rip, rsp, number and arguments only, and neither registers
   * nor FP state can be changed until `complete`.
   */
  readonly partial: boolean;
  /** Fetches the whole state. `done(0)` at once or from a later poll; what is queued stays queued. */
  complete(done: (result: number) => void): void;
  /** Sets the FS or GS base (arch_prctl ARCH_SET_FS / ARCH_SET_GS semantics); takes effect at resume. */
  setSegmentBase(which: 'fs' | 'gs', base: number): void;
  segmentBase(which: 'fs' | 'gs'): number;
  /** Keeps the thread, and those that it makes, on some of the sandbox's CPUs: bits by their order; null: on any. */
  bindTo(cpus: Uint8Array | null): void;

  /**
   * FP/SSE/AVX state in the layout of a signal frame's fpstate: FXSAVE, sw_reserved at 464, XSAVE area, MAGIC2 at the end.
   * Copies into `dst` and returns its size in bytes.
   */
  getFpState(dst: Uint8Array): number;
  /** Loads a signal-frame fpstate image. False (nothing changed) if the image is malformed. */
  setFpState(src: Uint8Array, size: number): boolean;
  /** Initial FP state, as after execve. */
  resetFpState(): void;
  /** The thread's rights by protection keys; 0, all, where there are none, or (of a `partial` call) where it is not known. */
  readonly pkru: number;
  setPkru(value: number): void;
  /**
   * Has the processor trap where `control`, as DR7 has it, enables breakpoints at `addrs`, and nowhere else. 0 or −errno: ENOSPC if
   * the platform cannot.
   */
  setBreakpoints(addrs: readonly number[], control: number): number;
  /** DR6's bits of those that the last debug exception was for. */
  breakpointsHit(): number;

  /**
   * Host address `dataAddr` of a buffer of `dataSize` bytes that reaches guest memory more cheaply than AddressSpace.write:
   * host calls may fill it, then `copyOutData` delivers. 0/0 where the platform has none; no bytes while some wait in it for delivery.
   */
  readonly dataAddr: number;
  readonly dataSize: number;
  /**
   * Up to `len` bytes of guest memory at `addr` if the platform fetched them along with the syscall (see CopyPlan):
   * copied to `dst[off..)`; returns how many bytes, 0 if none.
   */
  prefetched(addr: number, dst: Uint8Array, off: number, len: number): number;
  /**
   * Queues [dataOff, dataOff+len) of the data buffer for delivery to `addr` at resume. A fault then makes the syscall
   * return −EFAULT. False if the queue is full (use AddressSpace.write).
   */
  copyOutData(addr: number, dataOff: number, len: number): boolean;
  /** The same for bytes of the kernel's: they are copied into the data buffer first. */
  copyOut(addr: number, src: Uint8Array, off: number, len: number): boolean;
  /** The same for zeros: those of an earlier call are used again if they are enough. */
  zeroOut(addr: number, len: number): boolean;

  /**
   * For execve in the same host process: queues the unmapping of all guest memory. False, with nothing done, if the context is not
   * alone there or the platform would rather have a fresh address space.
   */
  clearSpace(): boolean;
  /** Forgets queued orders and copy-outs. */
  dropQueued(): void;

  /** Executes queued orders and copy-outs, then runs the guest with `value` in rax (a syscall's result or −errno). */
  resumeSyscall(value: number): void;
  /** Executes queued orders, then runs the guest from regs(). */
  resume(): void;
  /** Executes queued orders and stays stopped; `done(0)` or `done(−errno)` from a later poll (or at once). */
  runOrders(done: (result: number) => void): void;

  /**
   * Copies the address space (fork): `done` receives a stopped context in a new space whose registers, FP state and
   * memory equal this one's, or −errno. Both stay stopped.
   */
  fork(done: (result: Context | number) => void): void;
  /** A further stopped context in this space, with this one's registers and FP state, or −errno. Both stay stopped. */
  spawn(done: (result: Context | number) => void): void;

  /**
   * Lends the thread its signal mask and robust list: from its resume on it answers rt_sigprocmask(2), set_robust_list(2) and
   * rseq(2) (ENOSYS unless `mayRseq`) by itself where it can. False: the platform does not do that.
   */
  lend(maskLo: number, maskHi: number, robustList: number, mayRseq: boolean): boolean;
  /** Takes them back, from a running thread too: what they are now is in `lent`. By the guest's account. */
  reclaim(): void;
  readonly lent: { readonly maskLo: number; readonly maskHi: number; readonly robustList: number };

  /** What rseq(2) has registered, by the guest's account; null: nothing. */
  readonly rseqArea: RseqArea | null;
  /** A stop may find the thread inside a critical section, which the host has not aborted. */
  readonly stopsInRseq: boolean;
  /** The guest thread is about to end: from now on the host writes nothing for it. */
  leaving(): void;

  /**
   * The answer to this call, whose first argument is a name, holds for all calls of this kind from this space with the same
   * name until `namesChanged` or `forgetAnswers`: its threads may repeat it without the kernel.
   */
  lendAnswer(): void;

  readonly account: ThreadAccount;

  /** True while running guest code is known to wait on the host (AddressSpace.ownFutexes). */
  readonly waits: boolean;
  /** Makes a running context stop soon with onInterrupt, unless another event comes first. No-op when stopped. */
  interrupt(): void;
  /** Ends this context; the space is destroyed with its last one. */
  exit(): void;
}

/** What a syscall's argument points to, so that the platform may fetch it along with the trap. One per argument. */
export type ArgCopy =
  | null
  /** NUL-terminated string, at most 4096 bytes. */
  | { readonly kind: 'string' }
  /** Input of fixed size in bytes. */
  | { readonly kind: 'in'; readonly size: number }
  /** Input of (argument `lenArg`) × `unit` bytes. */
  | { readonly kind: 'inBuf'; readonly lenArg: number; readonly unit: number };

/** Per syscall number, its arguments. Given to the platform before start. */
export type CopyPlan = ReadonlyMap<number, readonly ArgCopy[]>;
