/** Processes, waiting and signals through the syscall table, on the fake platform. */
import { beforeEach, expect, test } from 'vitest';
import { EAGAIN, ECHILD, EINTR, EINVAL, ENOSYS, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import {
  SA_NODEFER,
  SA_RESTART,
  SA_RESTORER,
  SA_SIGINFO,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
  SIGKILL,
  SIGSEGV,
  SIGSTOP,
  SIGTERM,
  SIGUSR1,
  SIGUSR2,
  SIG_IGN,
} from '../sentry/abi/signal.ts';
import { WCONTINUED, WNOHANG, WUNTRACED } from '../sentry/abi/wait.ts';
import { R15, RAX, RDI, RDX, RIP, RSI, RSP } from '../sentry/arch/regs.ts';
import { parseTmpfsOptions, type TmpfsOptions } from '../sentry/fsimpl/tmpfs/options.ts';
import { TmpfsSuperBlock } from '../sentry/fsimpl/tmpfs/super-block.ts';
import { ctxOf, testGuest, type TestGuest } from '../sentry/kernel/testing/guest.ts';
import type { FakeContext } from '../sentry/platform/fake.ts';
import { makeSyscallTable } from './table.ts';

const NR = {
  rt_sigaction: 13,
  rt_sigprocmask: 14,
  rt_sigreturn: 15,
  pause: 34,
  getpid: 39,
  clone: 56,
  fork: 57,
  vfork: 58,
  exit: 60,
  wait4: 61,
  kill: 62,
  setpgid: 109,
  getppid: 110,
  setsid: 112,
  rt_sigtimedwait: 128,
  rt_sigqueueinfo: 129,
  gettid: 186,
  exit_group: 231,
  tgkill: 234,
};
const ADDR = 0x10000;
const STACK = 0x20000;
const HANDLER = 0x7777;
const CLONE_THREAD_FLAGS = 0x50f00;

let g: TestGuest;
let ctx: FakeContext;

beforeEach(() => {
  const options = parseTmpfsOptions('');
  if (typeof options === 'number') throw new Error('tmpfs');
  g = testGuest(makeSyscallTable(), new TmpfsSuperBlock(options));
  ctx = g.ctx;
  ctx.registers.set(RSP, STACK);
  ctx.registers.set(RIP, 0x4002);
});

function u32(c: FakeContext, addr: number): number {
  return c.space.bytes.readUInt32LE(addr - c.space.base);
}

function setAction(c: FakeContext, sig: number, handler: number, flags: number): void {
  const b = c.space.bytes;
  b.fill(0, 0x100, 0x120);
  b.writeUInt32LE(handler, 0x100);
  b.writeUInt32LE((flags | SA_RESTORER) >>> 0, 0x108);
  b.writeUInt32LE(0x6666, 0x110);
  expect(c.syscall(NR.rt_sigaction, sig, ADDR + 0x100, 0, 8)).toBe(0);
}

function mask(c: FakeContext, how: number, ...signals: number[]): void {
  c.space.bytes.fill(0, 0x100, 0x108);
  let lo = 0;
  for (const s of signals) lo |= 1 << (s - 1);
  c.space.bytes.writeUInt32LE(lo >>> 0, 0x100);
  expect(c.syscall(NR.rt_sigprocmask, how, ADDR + 0x100, 0, 8)).toBe(0);
}

/** fork: the child's context. */
function fork(c: FakeContext): { tid: number; child: FakeContext } {
  const tid = c.syscall(NR.fork) as number;
  expect(tid).toBeGreaterThan(1);
  const child = ctxOf(g, tid);
  expect(child.returned).toBe(0);
  return { tid, child };
}

test('init is process 1 without a parent', () => {
  expect(ctx.syscall(NR.getpid)).toBe(1);
  expect(ctx.syscall(NR.gettid)).toBe(1);
  expect(ctx.syscall(NR.getppid)).toBe(0);
});

test('fork, exit and wait4', () => {
  const { tid, child } = fork(ctx);
  expect(child.syscall(NR.getppid)).toBe(1);
  expect(ctx.syscall(NR.wait4, -1, ADDR, WNOHANG, 0)).toBe(0);
  child.syscall(NR.exit_group, 7);
  g.kernel.runQueue.run();
  expect(child.exited || child.space.dead).toBe(true);
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(7 << 8);
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(-ECHILD);
});

test('wait4 blocks until a child ends', () => {
  const { tid, child } = fork(ctx);
  const before = ctx.returns.length;
  ctx.syscall(NR.wait4, tid, ADDR, 0, 0);
  expect(ctx.returns.length).toBe(before);
  child.syscall(NR.exit, 3);
  g.kernel.runQueue.run();
  expect(ctx.returned).toBe(tid);
});

test('a fatal signal ends the process with that status', () => {
  const { tid } = fork(ctx);
  expect(ctx.syscall(NR.kill, tid, SIGTERM)).toBe(0);
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(SIGTERM);
});

test('vfork holds the parent until the child is gone', () => {
  const before = ctx.returns.length;
  ctx.syscall(NR.vfork);
  expect(ctx.returns.length).toBe(before);
  const child = ctxOf(g, 2);
  expect(child.space).toBe(ctx.space);
  child.syscall(NR.exit_group, 0);
  g.kernel.runQueue.run();
  expect(ctx.returned).toBe(2);
  expect(ctx.space.dead).toBe(false);
});

test('threads share the process; exit_group takes all of them', () => {
  const { tid: pid, child } = fork(ctx);
  const tid = child.syscall(NR.clone, CLONE_THREAD_FLAGS, ADDR + 0x8000, 0, 0, 0) as number;
  const thread = ctxOf(g, tid);
  expect(thread.registers.get(RSP)).toBe(ADDR + 0x8000);
  expect(thread.syscall(NR.getpid)).toBe(pid);
  expect(thread.syscall(NR.gettid)).toBe(tid);
  thread.syscall(NR.exit_group, 1);
  g.kernel.runQueue.run();
  expect(child.space.dead).toBe(true);
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(pid);
  expect(u32(ctx, ADDR)).toBe(1 << 8);
});

test('the process ends with its last thread, not with its leader', () => {
  const { tid: pid, child } = fork(ctx);
  const tid = child.syscall(NR.clone, CLONE_THREAD_FLAGS, ADDR + 0x8000, 0, 0, 0) as number;
  const thread = ctxOf(g, tid);
  child.syscall(NR.exit, 5);
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, WNOHANG, 0)).toBe(0);
  thread.syscall(NR.exit, 6);
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(pid);
  expect(u32(ctx, ADDR)).toBe(6 << 8);
});

test('orphans go to init, which may ignore SIGCHLD', () => {
  const { child } = fork(ctx);
  const { tid: grandTid, child: grand } = fork(child);
  child.syscall(NR.exit_group, 0);
  g.kernel.runQueue.run();
  expect(grand.syscall(NR.getppid)).toBe(1);
  setAction(ctx, SIGCHLD, SIG_IGN, 0);
  grand.syscall(NR.exit_group, 0);
  g.kernel.runQueue.run();
  expect(g.kernel.pidNs.find(grandTid)).toBe(null);
});

test('a handler gets its frame and sigreturn restores everything', () => {
  setAction(ctx, SIGUSR1, HANDLER, SA_SIGINFO);
  ctx.registers.set(R15, 0x123456789);
  ctx.fp[0] = 0x42;
  ctx.syscall(NR.kill, 1, SIGUSR1);
  expect(ctx.returned).toBe('regs');
  const sp = ctx.registers.get(RSP);
  expect(sp % 16).toBe(8);
  expect(sp).toBeLessThan(STACK - 128);
  expect(ctx.registers.get(RIP)).toBe(HANDLER);
  expect(ctx.registers.get(RDI)).toBe(SIGUSR1);
  expect(u32(ctx, ctx.registers.get(RSI))).toBe(SIGUSR1);
  expect(ctx.registers.get(RDX)).toBe(sp + 8);
  expect(u32(ctx, sp)).toBe(0x6666);
  expect(g.init.sigMask.has(SIGUSR1)).toBe(true);
  const fpstate = u32(ctx, sp + 8 + 40 + 184);
  expect(fpstate % 64).toBe(0);
  expect(ctx.fp[0]).toBe(0);
  ctx.registers.set(R15, 0);
  ctx.registers.set(RSP, sp + 8);
  ctx.syscall(NR.rt_sigreturn);
  expect(ctx.returned).toBe('regs');
  expect(ctx.registers.get(R15)).toBe(0x123456789);
  expect(ctx.registers.get(RSP)).toBe(STACK);
  expect(ctx.registers.get(RIP)).toBe(0x4002);
  expect(ctx.registers.get(RAX)).toBe(0);
  expect(ctx.fp[0]).toBe(0x42);
  expect(g.init.sigMask.isEmpty).toBe(true);
});

test('pause ends with EINTR after a handler; SA_RESTART repeats wait4', () => {
  setAction(ctx, SIGUSR1, HANDLER, 0);
  setAction(ctx, SIGUSR2, HANDLER, SA_RESTART | SA_NODEFER);
  const { child } = fork(ctx);
  ctx.syscall(NR.pause);
  child.syscall(NR.kill, 1, SIGUSR1);
  g.kernel.runQueue.run();
  const sp = ctx.registers.get(RSP);
  // rax in the frame's sigcontext
  expect(ctx.space.bytes.readInt32LE(sp + 8 + 40 + 13 * 8 - ADDR)).toBe(-EINTR);
  ctx.registers.set(RSP, sp + 8);
  ctx.syscall(NR.rt_sigreturn);
  ctx.registers.set(RIP, 0x4002);
  ctx.syscall(NR.wait4, -1, ADDR, 0, 0);
  child.syscall(NR.kill, 1, SIGUSR2);
  g.kernel.runQueue.run();
  const frame = ctx.registers.get(RSP);
  expect(u32(ctx, frame + 8 + 40 + 13 * 8)).toBe(NR.wait4);
  expect(u32(ctx, frame + 8 + 40 + 16 * 8)).toBe(0x4000);
});

test('blocked signals stay pending until unblocked, lowest number first', () => {
  setAction(ctx, SIGUSR1, HANDLER, 0);
  setAction(ctx, SIGUSR2, HANDLER + 1, 0);
  mask(ctx, 0, SIGUSR1, SIGUSR2);
  expect(ctx.syscall(NR.kill, 1, SIGUSR2)).toBe(0);
  expect(ctx.syscall(NR.kill, 1, SIGUSR1)).toBe(0);
  expect(ctx.returned).toBe(0);
  mask2(1, SIGUSR1, SIGUSR2);
  // Frames stack: the one delivered last runs first.
  expect(ctx.registers.get(RIP)).toBe(HANDLER + 1);
});

function mask2(how: number, ...signals: number[]): void {
  let lo = 0;
  for (const s of signals) lo |= 1 << (s - 1);
  ctx.space.bytes.writeUInt32LE(lo >>> 0, 0x100);
  ctx.syscall(NR.rt_sigprocmask, how, ADDR + 0x100, 0, 8);
}

test('real-time signals queue with their values, standard ones do not', () => {
  mask(ctx, 0, SIGUSR1);
  ctx.space.bytes.fill(0, 0x100, 0x108);
  ctx.space.bytes.writeUInt32LE(1 << 7, 0x104);
  expect(ctx.syscall(NR.rt_sigprocmask, 0, ADDR + 0x100, 0, 8)).toBe(0);
  for (let i = 0; i < 3; i++) {
    ctx.space.bytes.writeInt32LE(-1, 0x208);
    ctx.space.bytes.writeInt32LE(i, 0x218);
    expect(ctx.syscall(NR.rt_sigqueueinfo, 1, 40, ADDR + 0x200)).toBe(0);
    expect(ctx.syscall(NR.kill, 1, SIGUSR1)).toBe(0);
  }
  for (let i = 0; i < 3; i++) {
    expect(ctx.syscall(NR.rt_sigtimedwait, ADDR + 0x100, ADDR + 0x300, 0, 8)).toBe(40);
    expect(u32(ctx, ADDR + 0x318)).toBe(i);
  }
  ctx.space.bytes.writeUInt32LE(1 << (SIGUSR1 - 1), 0x100);
  expect(ctx.syscall(NR.rt_sigtimedwait, ADDR + 0x100, ADDR + 0x300, 0, 8)).toBe(SIGUSR1);
  ctx.space.bytes.fill(0, 0x400, 0x410);
  expect(ctx.syscall(NR.rt_sigtimedwait, ADDR + 0x100, ADDR + 0x300, ADDR + 0x400, 8)).toBe(-EAGAIN);
  expect(g.kernel.pendingByUid.size).toBe(0);
});

test('SIGSTOP stops, SIGCONT continues, the parent hears of both', () => {
  const { tid, child } = fork(ctx);
  ctx.syscall(NR.kill, tid, SIGSTOP);
  g.kernel.turn(0, -1);
  expect(child.stopped).toBe(true);
  expect(ctx.syscall(NR.wait4, -1, ADDR, WUNTRACED, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe((SIGSTOP << 8) | 0x7f);
  ctx.syscall(NR.kill, tid, SIGCONT);
  g.kernel.turn(0, -1);
  expect(child.stopped).toBe(false);
  expect(ctx.syscall(NR.wait4, -1, ADDR, WCONTINUED, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(0xffff);
});

test('SIGKILL reaches a stopped process', () => {
  const { tid } = fork(ctx);
  ctx.syscall(NR.kill, tid, SIGSTOP);
  g.kernel.turn(0, -1);
  ctx.syscall(NR.kill, tid, SIGKILL);
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(SIGKILL);
});

test('a fault becomes SIGSEGV, fatal without a handler', () => {
  const { tid, child } = fork(ctx);
  child.fault(SIGSEGV, 1, 8, 14, 4);
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(SIGSEGV);
});

test('a handler without room for its frame kills with SIGSEGV', () => {
  const { tid, child } = fork(ctx);
  setAction(child, SIGUSR1, HANDLER, 0);
  child.registers.set(RSP, 0x500);
  ctx.syscall(NR.kill, tid, SIGUSR1);
  g.kernel.turn(0, -1);
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(SIGSEGV);
});

test('sessions and process groups', () => {
  expect(ctx.syscall(NR.setsid)).toBe(-EPERM);
  const { tid, child } = fork(ctx);
  expect(ctx.syscall(NR.setpgid, tid, tid)).toBe(0);
  expect(child.syscall(NR.setsid)).toBe(-EPERM);
  const { tid: t2, child: c2 } = fork(ctx);
  expect(c2.syscall(NR.setsid)).toBe(t2);
  expect(ctx.syscall(NR.setpgid, t2, tid)).toBe(-EPERM);
  expect(ctx.syscall(NR.kill, -tid, 0)).toBe(0);
  expect(ctx.syscall(NR.kill, -9999, 0)).toBe(-ESRCH);
  expect(ctx.syscall(NR.kill, tid, 65)).toBe(-EINVAL);
});

test('the death of the host process is the death of that guest process only', () => {
  const { tid, child } = fork(ctx);
  g.kernel.onDeath(child, SIGKILL, 'test');
  g.kernel.runQueue.run();
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(SIGKILL);
});

test("init's end is the sandbox's", () => {
  let ended = -1;
  g.kernel.onExit = (status) => (ended = status);
  const { child } = fork(ctx);
  ctx.syscall(NR.exit_group, 9);
  g.kernel.runQueue.run();
  expect(ended).toBe(9 << 8);
  expect(child.space.dead).toBe(true);
});

test('an exception in a handler costs the guest process, not the sandbox', () => {
  const reports: string[] = [];
  const table = makeSyscallTable();
  table[500] = {
    nr: 500,
    name: 'broken',
    fn: () => {
      throw new Error('bug');
    },
    args: [],
    support: 'full',
  };
  g = testGuest(table, new TmpfsSuperBlock(parseTmpfsOptions('') as TmpfsOptions));
  g.kernel.report = (line) => reports.push(line);
  ctx = g.ctx;
  const { tid, child } = fork(ctx);
  child.syscall(500);
  g.kernel.runQueue.run();
  expect(reports[0]).toContain('broken: Error: bug');
  expect(ctx.syscall(NR.wait4, -1, ADDR, 0, 0)).toBe(tid);
  expect(u32(ctx, ADDR)).toBe(SIGKILL);
});

test('calls without a row answer ENOSYS and are counted by name', () => {
  expect(ctx.syscall(180)).toBe(-ENOSYS);
  expect(ctx.syscall(505)).toBe(-ENOSYS);
  expect([...g.kernel.unimplemented]).toEqual([
    ['nfsservctl', 1],
    ['syscall_505', 1],
  ]);
});

test('orphaned groups with stopped members get SIGHUP and SIGCONT', () => {
  const { child: shell } = fork(ctx);
  expect(shell.syscall(NR.setsid)).toBeGreaterThan(0);
  const { tid, child: job } = fork(shell);
  shell.syscall(NR.setpgid, tid, tid);
  setAction(job, SIGHUP, HANDLER, 0);
  ctx.syscall(NR.kill, tid, SIGSTOP);
  g.kernel.turn(0, -1);
  expect(g.kernel.pidNs.findGroup(tid)!.stopped).toBe(true);
  shell.syscall(NR.exit_group, 0);
  g.kernel.turn(0, -1);
  expect(g.kernel.pidNs.findGroup(tid)!.stopped).toBe(false);
  expect(job.registers.get(RIP)).toBe(HANDLER);
  expect(job.syscall(NR.getppid)).toBe(1);
});
