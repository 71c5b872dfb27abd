/** Cases in which host processes of guests are killed, stopped or left by their first thread. On every platform. */
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import type { Context } from '../../sentry/platform/platform.ts';
import { serveProcesses } from './cases.ts';
import { expectEqual, type Harness, RIP } from './harness.ts';

const SYS_kill = 62;
const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;

/** Host process id of a space: both platforms know it, the interface does not. */
const hostPid = (ctx: Context): number => (ctx.space as unknown as { pid: number }).pid;

export const deathCases: Record<string, (h: Harness) => void> = {
  'a process killed by the host is reported once for each of its threads': (h) => {
    const { threads } = serveProcesses(h);
    const t = h.load('threads');
    let calls = 0;
    const inner = h.extra;
    h.extra = (ctx) => {
      calls++;
      inner(ctx);
    };
    t.ctx.resume();
    h.run(() => calls > 500);
    hostSyscall(SYS_kill, hostPid(t.ctx), SIGKILL, 0, 0, 0, 0);
    const everybody = [t, ...threads].filter((one) => one.exited === null);
    h.run(() => everybody.every((one) => one.dead !== null || one.exited !== null), 30_000, 'all deaths');
    expectEqual(t.dead?.signo, SIGKILL, 'signal');
    expectEqual(t.ctx.space.dead, true, 'space');
    const bytes = new Uint8Array(8);
    expectEqual(t.ctx.space.read(0x400000, bytes, 0, 8), -14, 'read of a dead space');
    // Whatever the kernel still does with a dead context is without effect.
    t.ctx.interrupt();
    t.ctx.exit();
    t.ctx.space.destroy();
  },

  'a stopped context whose process is killed reports it and fails orders': (h) => {
    const t = h.load('getppid');
    hostSyscall(SYS_kill, hostPid(t.ctx), SIGKILL, 0, 0, 0, 0);
    let result = 1;
    t.ctx.mmap(0x2000000, 4096, 3, 0x22, -1, 0);
    t.ctx.runOrders((r) => (result = r));
    h.run(() => t.dead !== null, 5000, 'the death');
    expectEqual(t.dead?.signo, SIGKILL, 'signal');
    if (result >= 0 && result !== 1) throw new Error(`orders of a dead process: ${result}`);
  },

  'the first thread may leave before the others': (h) => {
    const { threads } = serveProcesses(h);
    const t = h.start('leader');
    h.run(() => t.exited !== null && threads[0]?.reports.length === 1, 10_000, 'the first report');
    const other = threads[0]!;
    const word = new Uint8Array([2, 0, 0, 0]);
    expectEqual(other.ctx.space.write(other.reports[0]!, word, 0, 4), 4, 'write to a space without leader');
    h.run(() => other.exited !== null || other.dead !== null);
    expectEqual([other.exited, other.dead, other.reports[1]], [4, null, 2], 'the other thread');
  },

  'stopping and continuing by the host goes unnoticed': (h) => {
    const t = h.load('getppid');
    let calls = 0;
    t.onSyscall = (ctx) => {
      calls++;
      if (calls % 50 === 0) hostSyscall(SYS_kill, hostPid(ctx), SIGSTOP, 0, 0, 0, 0);
      if (calls % 50 === 0) hostSyscall(SYS_kill, hostPid(ctx), SIGCONT, 0, 0, 0, 0);
      ctx.resumeSyscall(1);
    };
    t.ctx.resume();
    h.run(() => calls >= 2000, 20_000, 'calls');
    expectEqual(t.dead, null, 'dead');
  },

  'interrupts and calls may cross': (h) => {
    const t = h.load('getppid');
    let calls = 0;
    let interrupts = 0;
    t.onSyscall = (ctx) => {
      calls++;
      ctx.resumeSyscall(calls);
      ctx.interrupt();
      if (calls % 3 === 0) ctx.interrupt();
    };
    t.onInterrupt = (ctx) => {
      interrupts++;
      if (ctx.regs().get(RIP) < 0x400000) throw new Error('rip');
      ctx.resume();
    };
    t.ctx.resume();
    h.run(() => calls >= 2000, 20_000, 'calls');
    expectEqual(t.dead, null, 'dead');
    if (interrupts === 0) throw new Error('no interrupt took effect');
  },
};
