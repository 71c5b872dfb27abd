/**
 * A minimal kernel for the platform tests: it drives a Platform directly, with flat guests at a fixed address. Run by
 * run.ts in a process that is the zygote's parent.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { R10, R8, R9, RAX, RDI, RDX, RIP, RSI, RSP } from '../../sentry/arch/regs.ts';
import { clockNs } from '../../sentry/host/sys.ffi.ts';
import type { Context, Platform, PlatformEvents } from '../../sentry/platform/platform.ts';

export { R10, R8, R9, RAX, RDI, RDX, RIP, RSI, RSP };

export const CODE = 0x400000;
export const STACK = 0x10000000;
export const STACK_SIZE = 0x10000;
export const T_REPORT = 480;
const MAP_PRIVATE_ANON = 0x22;
const here = import.meta.dirname;

const binary = (name: string): string => `${here}/../../dist/guests/${name}.bin`;

/** Compiles all guests to flat binaries. Not in the process that runs a platform: it has children of its own. */
export function buildGuests(): void {
  mkdirSync(`${here}/../../dist/guests`, { recursive: true });
  for (const file of readdirSync(`${here}/guests`)) {
    if (file.endsWith('.c')) compileGuest(file.slice(0, -2));
  }
}

function compileGuest(name: string): void {
  execFileSync('cc', [
    '-O1',
    '-ffreestanding',
    '-fno-pic',
    '-mno-red-zone',
    '-nostdlib',
    '-static',
    '-fno-stack-protector',
    '-fcf-protection=none',
    '-fno-asynchronous-unwind-tables',
    '-Wl,--build-id=none',
    '-Wl,--oformat=binary',
    `-Wl,-T,${here}/guests/guest.ld`,
    '-o',
    binary(name),
    `${here}/guests/${name}.c`,
  ]);
}

type Handler = (ctx: Context) => void;

/** What a test knows of a guest thread; hangs on ctx.task. */
export interface Thread {
  ctx: Context;
  onSyscall: Handler;
  onFault: (ctx: Context, signo: number, code: number, addr: number, trap: number, error: number) => void;
  onInterrupt: Handler;
  onOrderFailed: (ctx: Context, index: number, errno: number) => void;
  dead: { signo: number; reason: string } | null;
  reports: number[];
  exited: number | null;
}

export function arg(ctx: Context, i: number): number {
  return ctx.args[2 * i + 1]! * 0x100000000 + ctx.args[2 * i]!;
}

export class Harness {
  readonly platform: Platform;
  readonly scratch = new Uint8Array(65536);
  /** Called for syscalls that the default handler does not know. */
  extra: Handler = (ctx) => ctx.resumeSyscall(-38);

  constructor(platform: Platform) {
    this.platform = platform;
    const thread = (ctx: Context): Thread => ctx.task as Thread;
    const events: PlatformEvents = {
      onKeyDenied: () => {},
      onSyscall: (ctx) => thread(ctx).onSyscall(ctx),
      onFault: (ctx, signo, code, addr, trap, error) =>
        thread(ctx).onFault(ctx, signo, code, addr, trap, error),
      onInterrupt: (ctx) => thread(ctx).onInterrupt(ctx),
      onOrderFailed: (ctx, index, errno) => thread(ctx).onOrderFailed(ctx, index, errno),
      onDeath: (ctx, signo, reason) => {
        thread(ctx).dead = { signo, reason };
      },
    };
    platform.start(events);
  }

  /** Polls until `done`; fails after `ms`. */
  run(done: () => boolean, ms = 10_000, what = 'the condition'): void {
    const deadline = clockNs(1) + ms * 1e6;
    while (!done()) {
      if (clockNs(1) > deadline) throw new Error(`timeout waiting for ${what}`);
      this.platform.poll(1e8, -1);
    }
  }

  /** The same for a callback's result. */
  await<T>(start: (done: (result: T | number) => void) => void, ms = 10_000): T {
    let result: T | number | undefined;
    start((r) => {
      result = r;
    });
    this.run(() => result !== undefined, ms, 'a result');
    if (typeof result === 'number' && result < 0) throw new Error(`errno ${-result}`);
    return result as T;
  }

  newThread(ctx: Context): Thread {
    const t: Thread = {
      ctx,
      onSyscall: (c) => this.defaultSyscall(c),
      onFault: (c, signo, _code, addr) => {
        throw new Error(
          `guest fault ${signo} at ${addr.toString(16)}, rip ${c.regs().get(RIP).toString(16)}`,
        );
      },
      onInterrupt: (c) => c.resume(),
      onOrderFailed: (_c, index, errno) => {
        throw new Error(`order ${index} failed: ${errno}`);
      },
      dead: null,
      reports: [],
      exited: null,
    };
    ctx.task = t;
    return t;
  }

  /** A new address space with `name` loaded, about to run. */
  load(name: string): Thread {
    const ctx = this.await<Context>((done) => this.platform.createAddressSpace(done));
    const t = this.newThread(ctx);
    const code = readFileSync(binary(name));
    const size = Math.ceil(code.length / 4096) * 4096 + 0x10000;
    ctx.mmap(CODE, size, 7, MAP_PRIVATE_ANON, -1, 0);
    ctx.mmap(STACK - STACK_SIZE, STACK_SIZE, 3, MAP_PRIVATE_ANON, -1, 0);
    this.await<number>((done) => ctx.runOrders(done));
    if (ctx.space.write(CODE, code, 0, code.length) !== code.length)
      throw new Error('guest code not written');
    const regs = ctx.regs();
    regs.words.fill(0, 0, 30);
    regs.set(RIP, CODE);
    regs.set(RSP, STACK);
    ctx.regsChanged();
    ctx.resetFpState();
    return t;
  }

  start(name: string): Thread {
    const t = this.load(name);
    t.ctx.resume();
    return t;
  }

  /** Calls that most guests need: report a number, exit; everything else goes to `extra`. */
  defaultSyscall(ctx: Context): void {
    const t = ctx.task as Thread;
    if (ctx.sysno === T_REPORT) {
      t.reports.push(arg(ctx, 0));
      ctx.resumeSyscall(0);
    } else if (ctx.sysno === 60) {
      t.exited = arg(ctx, 0);
      ctx.exit();
    } else {
      this.extra(ctx);
    }
  }

  finish(t: Thread, ms = 10_000): number {
    this.run(() => t.exited !== null || t.dead !== null, ms, 'exit');
    if (t.dead !== null) throw new Error(`guest died of ${t.dead.signo}: ${t.dead.reason}`);
    return t.exited!;
  }
}

export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const a = JSON.stringify(actual);
  const e = JSON.stringify(expected);
  if (a !== e) throw new Error(`${what}: ${a}, expected ${e}`);
}
