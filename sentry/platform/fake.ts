/**
 * A platform without guests, for unit tests: address spaces are flat byte arrays, contexts are driven by hand. A test calls
 * `ctx.syscall(nr, ...args)` and looks at `ctx.returned`.
 */
import { Regs, RAX } from '../arch/regs.ts';
import type {
  AddressSpace,
  Context,
  HostUsage,
  Platform,
  PlatformEvents,
  ThreadAccount,
} from './platform.ts';

const FAKE_FP_SIZE = 832;

class FakeSpace implements AddressSpace {
  /** Guest memory: [base, base + bytes.length). */
  readonly base: number;
  readonly bytes: Buffer;
  dead = false;
  readonly pid = 0;
  readonly members = new Set<FakeContext>();

  constructor(base = 0x10000, size = 0x20000) {
    this.base = base;
    this.bytes = Buffer.alloc(size);
  }

  get contexts(): number {
    return this.members.size;
  }

  private within(addr: number, len: number): number {
    if (this.dead || addr < this.base || addr >= this.base + this.bytes.length) return -14;
    return Math.min(len, this.base + this.bytes.length - addr);
  }

  read(addr: number, dst: Uint8Array, off: number, len: number): number {
    const n = this.within(addr, len);
    if (n > 0) dst.set(this.bytes.subarray(addr - this.base, addr - this.base + n), off);
    return n;
  }

  write(addr: number, src: Uint8Array, off: number, len: number): number {
    const n = this.within(addr, len);
    if (n > 0) this.bytes.set(src.subarray(off, off + n), addr - this.base);
    return n;
  }

  residency(): number {
    return -38; // ENOSYS
  }

  forgetAnswers(): void {}

  readonly hasKeys = false;

  useKeys(): void {}

  ownFutexes(): boolean {
    return false;
  }

  readonly isInterrupting = false;

  destroy(): void {
    this.dead = true;
    for (const c of this.members) c.stopped = false;
    this.members.clear();
  }
}

/** What the host says. */
export class FakeAccount implements ThreadAccount {
  clockNs = 0;
  readonly counted: HostUsage = {
    utimeNs: 0,
    stimeNs: 0,
    maxRssKb: 0,
    minFaults: 0,
    majFaults: 0,
    involuntarySwitches: 0,
  };

  clock(of: Context, done: (ns: number) => void): void {
    done((of as FakeContext).account.clockNs);
  }

  ask(_ofThread: boolean, done: (result: number) => void): void {
    done(0);
  }

  usage(_ofThread: boolean, out: HostUsage): void {
    Object.assign(out, this.counted);
  }
}

export class FakeContext implements Context {
  readonly platform: FakePlatform;
  readonly space: FakeSpace;
  task: unknown = null;
  stopped = true;
  sysno = -1;
  readonly args = new Uint32Array(12);
  readonly registers = new Regs();
  readonly fp = Buffer.alloc(FAKE_FP_SIZE);
  fsBase = 0;
  gsBase = 0;
  cpus: Uint8Array | null = null;
  readonly dataAddr = 0;
  readonly dataSize = 0;
  /** Results of resumeSyscall, newest last; 'regs' for resume(). */
  readonly returns: (number | 'regs')[] = [];
  exited = false;
  interrupted = false;
  readonly orders: string[] = [];

  constructor(platform: FakePlatform, space: FakeSpace) {
    this.platform = platform;
    this.space = space;
    space.members.add(this);
  }

  get returned(): number | 'regs' | undefined {
    return this.returns.at(-1);
  }

  /** The guest executes a syscall. */
  syscall(nr: number, ...values: number[]): number | 'regs' | undefined {
    this.sysno = nr;
    this.args.fill(0);
    values.forEach((v, i) => {
      this.args[2 * i] = v >>> 0;
      this.args[2 * i + 1] = Math.floor(v / 0x100000000) >>> 0;
    });
    this.stopped = true;
    this.platform.events!.onSyscall(this);
    return this.returned;
  }

  /** The guest faults. */
  fault(signo: number, code: number, addr: number, trapNo = 14, errorCode = 6): void {
    this.stopped = true;
    this.platform.events!.onFault(this, signo, code, addr, trapNo, errorCode);
  }

  regs(): Regs {
    return this.registers;
  }

  readonly partial = false;

  complete(done: (result: number) => void): void {
    done(0);
  }

  regsChanged(): void {}

  rseq(addr: number, len: number, flags: number, sig: number): void {
    this.orders.push(`rseq ${addr} ${len} ${flags} ${sig}`);
  }

  readonly rseqArea = null;
  readonly stopsInRseq = false;

  leaving(): void {}

  setSegmentBase(which: 'fs' | 'gs', base: number): void {
    if (which === 'fs') this.fsBase = base;
    else this.gsBase = base;
  }

  segmentBase(which: 'fs' | 'gs'): number {
    return which === 'fs' ? this.fsBase : this.gsBase;
  }

  getFpState(dst: Uint8Array): number {
    dst.set(this.fp);
    new DataView(dst.buffer, dst.byteOffset).setUint32(464, 0x46505853, true);
    new DataView(dst.buffer, dst.byteOffset).setUint32(468, FAKE_FP_SIZE, true);
    return FAKE_FP_SIZE;
  }

  setFpState(src: Uint8Array, size: number): boolean {
    this.fp.set(src.subarray(0, Math.min(size, FAKE_FP_SIZE)));
    return true;
  }

  bindTo(cpus: Uint8Array | null): void {
    this.cpus = cpus;
  }

  resetFpState(): void {
    this.fp.fill(0);
  }

  readonly pkru = 0;

  setPkru(): void {}

  setBreakpoints(): number {
    return 0;
  }

  breakpointsHit(): number {
    return 0;
  }

  prefetched(): number {
    return 0;
  }

  copyOutData(): boolean {
    return false;
  }

  copyOut(): boolean {
    return false;
  }

  zeroOut(): boolean {
    return false;
  }

  mmap(...a: number[]): void {
    this.orders.push(`mmap ${a.join(' ')}`);
  }

  munmap(...a: number[]): void {
    this.orders.push(`munmap ${a.join(' ')}`);
  }

  mprotect(...a: number[]): void {
    this.orders.push(`mprotect ${a.join(' ')}`);
  }

  pkeyMprotect(...a: number[]): void {
    this.orders.push(`pkey_mprotect ${a.join(' ')}`);
  }

  mremap(...a: number[]): void {
    this.orders.push(`mremap ${a.join(' ')}`);
  }

  madvise(...a: number[]): void {
    this.orders.push(`madvise ${a.join(' ')}`);
  }

  populate(addr: number, len: number, write: boolean, mayFail: boolean): void {
    this.orders.push(`populate ${addr} ${len} ${write} ${mayFail}`);
  }

  membarrier(command: number): void {
    this.orders.push(`membarrier ${command}`);
  }

  compareExchange(addr: number, expected: number, value: number): void {
    const at = addr - this.space.base;
    if (this.space.bytes.readUInt32LE(at) === expected) this.space.bytes.writeUInt32LE(value, at);
  }

  clearSpace(): boolean {
    return false;
  }

  dropQueued(): void {}

  resumeSyscall(value: number): void {
    this.registers.set(RAX, value);
    this.returns.push(value);
    this.stopped = false;
  }

  resume(): void {
    this.returns.push('regs');
    this.stopped = false;
  }

  readonly account = new FakeAccount();

  runOrders(done: (result: number) => void): void {
    done(0);
  }

  fork(done: (result: Context | number) => void): void {
    const space = new FakeSpace(this.space.base, this.space.bytes.length);
    this.space.bytes.copy(space.bytes);
    done(this.copyInto(space));
  }

  spawn(done: (result: Context | number) => void): void {
    done(this.copyInto(this.space));
  }

  private copyInto(space: FakeSpace): FakeContext {
    const c = new FakeContext(this.platform, space);
    c.registers.copyFrom(this.registers);
    c.fp.set(this.fp);
    return c;
  }

  /** A test may say here what the guest has made of it. */
  readonly lent = { maskLo: 0, maskHi: 0, robustList: 0 };
  /** What the guest has now, null: nothing. */
  holds: typeof this.lent | null = null;

  lend(maskLo: number, maskHi: number, robustList: number): boolean {
    Object.assign(this.lent, { maskLo, maskHi, robustList });
    this.holds = this.lent;
    return true;
  }

  lendAnswer(): void {}

  reclaim(): void {
    this.holds = null;
  }

  readonly waits = false;

  interrupt(): void {
    this.interrupted = true;
    this.platform.interruptQueue.push(this);
  }

  exit(): void {
    this.exited = true;
    this.stopped = false;
    this.space.members.delete(this);
  }
}

export class FakePlatform implements Platform {
  readonly name = 'ptrace';
  events: PlatformEvents | null = null;
  readonly minAddr = 0x10000;
  readonly maxAddr = 0x7ffffffff000;
  readonly vvarStart = 0;
  readonly vdsoStart = 0;
  readonly vdsoEnd = 0;
  readonly interruptQueue: FakeContext[] = [];

  start(events: PlatformEvents): void {
    this.events = events;
  }

  newContext(): FakeContext {
    return new FakeContext(this, new FakeSpace());
  }

  namesChanged(): void {}

  createAddressSpace(done: (result: Context | number) => void): void {
    done(this.newContext());
  }

  /** Delivers the interrupts asked for. */
  poll(_timeoutNs: number, _wakeFd: number): boolean {
    for (const c of this.interruptQueue.splice(0)) {
      if (c.stopped || c.exited || c.space.dead) continue;
      c.stopped = true;
      this.events!.onInterrupt(c);
    }
    return false;
  }

  readonly callEntry = 0;

  needsTrap(): boolean {
    return true;
  }

  shutdown(): void {}

  stats(): Record<string, number> {
    return {};
  }
}
