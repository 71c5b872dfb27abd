/**
 * Hostile guests (group numbers of the threat list in SECURITY.md): whatever a guest does to itself and to its shared
 * pages, the sentry lives, its peers do not notice, and the culprit ends with the status given here or goes on.
 */
import { clockNs, hostSyscall } from '../../sentry/host/sys.ffi.ts';
import type { Context } from '../../sentry/platform/platform.ts';
import { arg, expectEqual, type Harness, type Thread } from '../platform/harness.ts';
import { serveProcesses } from '../platform/cases.ts';

const SIGSYS = 31;
const SIGILL = 4;
const SIGKILL = 9;
/** uretprobe and uprobe pass every filter (kernel/seccomp.c) and do nothing outside a probe: SIGILL, ENXIO. */
const UPROBES = new Set([335, 336]);

/** A well-behaved guest in its own space; `check` fails if its calls are not answered within 100 ms. */
class Peer {
  private calls = 0;
  private readonly h: Harness;
  private readonly t: Thread;

  constructor(h: Harness) {
    this.h = h;
    this.t = h.load('getppid');
    this.t.onSyscall = (ctx) => {
      this.calls++;
      ctx.resumeSyscall(1);
    };
    this.t.ctx.resume();
  }

  check(): void {
    const from = this.calls;
    const start = clockNs(1);
    this.h.run(() => this.calls > from + 10, 5000, 'the peer');
    const ms = (clockNs(1) - start) / 1e6;
    if (ms > 1000) throw new Error(`the peer waited ${ms} ms`);
    expectEqual(this.t.dead, null, 'peer');
  }
}

/** Starts hostile.c with an act. */
function perform(h: Harness, act: number, param = 0): Thread {
  const t = h.load('hostile');
  const inner = h.extra;
  const usual = t.onSyscall;
  t.onSyscall = (ctx) => {
    if (ctx.sysno === 2) ctx.resumeSyscall(arg(ctx, 0) === 0 ? act : param);
    else usual(ctx);
  };
  t.onOrderFailed = (ctx) => ctx.exit();
  t.onFault = (ctx, signo) => {
    t.dead = { signo, reason: 'fault' };
    ctx.exit();
  };
  h.extra = inner;
  t.ctx.resume();
  return t;
}

function ended(h: Harness, t: Thread, ms = 5000): { signo: number; reason: string } | number {
  h.run(() => t.dead !== null || t.exited !== null, ms, 'the end');
  return t.dead ?? t.exited!;
}

/** Lets `t` go on for a while; it may die. */
function rage(h: Harness, t: Thread, peer: Peer, ms: number): void {
  const until = clockNs(1) + ms * 1e6;
  while (clockNs(1) < until && t.dead === null) {
    h.platform.poll(1e7, -1);
    peer.check();
  }
  t.ctx.space.destroy();
  peer.check();
  // The platform still makes processes.
  const ctx = h.await<Context>((done) => h.platform.createAddressSpace(done));
  h.newThread(ctx);
  ctx.exit();
}

/** Numbers that the filter lets through from the stub's instruction, in some form. */
const LISTED = new Set([3, 9, 10, 11, 15, 24, 25, 28, 56, 60, 158, 202, 219, 231, 329, 334]);

export const hostileCases: Record<string, (h: Harness) => void> = {
  'group 1: every unlisted call from the stub dies of SIGSYS': (h) => {
    const peer = new Peer(h);
    const numbers: number[] = [];
    for (let nr = 0; nr < 470; nr++) if (!LISTED.has(nr)) numbers.push(nr);
    for (let nr = 0; nr < 470; nr += 13) numbers.push(nr + 0x40000000);
    for (const nr of numbers) {
      const t = perform(h, 1, nr);
      const end = ended(h, t);
      const signo = typeof end === 'object' ? end.signo : end;
      if (!(UPROBES.has(nr) && (signo === SIGILL || signo === 0))) expectEqual(signo, SIGSYS, `call ${nr}`);
      if (nr % 50 === 0) peer.check();
    }
    // Bad arguments of listed calls.
    for (const nr of [9, 10, 25, 28, 56, 158, 3]) {
      const end = ended(h, perform(h, 1, nr));
      const dies = nr !== 10 && nr !== 28; // mprotect(…, 0, 0) and madvise(…, 0, 0) are fine
      expectEqual(typeof end === 'object' ? end.signo : end, dies ? SIGSYS : 0, `call ${nr}`);
    }
  },

  'group 1: int 0x80 in place of the stub kills only itself': (h) => {
    const peer = new Peer(h);
    const t = perform(h, 9);
    const end = ended(h, t);
    expectEqual(typeof end, 'object', 'died');
    peer.check();
  },

  'group 2: rewriting all slots': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    for (let i = 0; i < 6; i++) rage(h, perform(h, 3, 0), peer, 300);
  },

  'group 2: flipping bits of the control lines': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    for (let i = 0; i < 6; i++) rage(h, perform(h, 3, 1), peer, 300);
  },

  'group 2: rewriting the data windows': (h) => {
    serveProcesses(h);
    const inner = h.extra;
    const buf = Buffer.alloc(4096);
    h.extra = (ctx) => {
      // Decode what was fetched: from a private copy.
      for (let i = 0; i < 2; i++) {
        const n = ctx.prefetched(arg(ctx, i), buf, 0, 4096);
        if (n > 0) buf.toString('utf8', 0, n);
      }
      if (ctx.sysno === 490) ctx.copyOut(arg(ctx, 0), buf, 0, 100);
      inner(ctx);
    };
    const peer = new Peer(h);
    for (let i = 0; i < 4; i++) rage(h, perform(h, 3, 2), peer, 500);
  },

  'group 2: flood of the pending word': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    rage(h, perform(h, 3, 3), peer, 500);
  },

  'group 2: forged traps of a running thread': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    for (let i = 0; i < 4; i++) rage(h, perform(h, 11), peer, 200);
  },

  'group 2: calls of patched text under a scribbler': (h) => {
    serveProcesses(h);
    const inner = h.extra;
    let completed = 0;
    h.extra = (ctx) => {
      // Every second one is asked for its whole state.
      if (!ctx.partial || ++completed % 2 === 0) inner(ctx);
      else
        ctx.complete((r) => {
          if (r !== 0) return;
          ctx.regs();
          ctx.getFpState(Buffer.alloc(8192));
          inner(ctx);
        });
    };
    const peer = new Peer(h);
    for (const kind of [4, 0, 1, 2, 3, 3, 1]) rage(h, perform(h, 14, kind), peer, 300);
    if (completed < 100) throw new Error(`only ${completed} calls without a trap`);
  },

  'group 2: forged calls of patched text': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    const end = ended(h, perform(h, 15));
    expectEqual(typeof end === 'object' ? end.signo : end, SIGKILL, 'death');
    peer.check();
  },

  'group 2: jumps into the middle of the entry for patched text': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    for (let offset = 1; offset < 260; offset += 3) rage(h, perform(h, 16, offset), peer, 5);
  },

  'group 2: the entry for patched text rewritten': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    for (let step = 0; step < 8; step++) rage(h, perform(h, 17, step), peer, 50);
  },

  'group 2: threads that deny themselves all memory': (h) => {
    serveProcesses(h);
    const inner = h.extra;
    let calls = 0;
    h.extra = (ctx) => {
      if (ctx.sysno === 110) {
        calls++;
        ctx.resumeSyscall(1);
      } else inner(ctx);
    };
    const peer = new Peer(h);
    for (let kind = 0; kind < 9; kind++) {
      const t = perform(h, 18, kind);
      const { hasKeys } = t.ctx.space;
      calls = 0;
      for (let i = 0; i < 20 && kind === 6; i++) {
        t.ctx.interrupt();
        peer.check();
      }
      rage(h, t, peer, 300);
      const answered = kind < 5 && (kind < 2 || kind === 4 || h.platform.callEntry !== 0);
      if (hasKeys && answered && (calls < 10 || t.dead !== null))
        throw new Error(`act ${kind}: ${calls} calls`);
    }
  },

  'group 2: keys on the memory of the platform': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    for (let what = 0; what < 3; what++) rage(h, perform(h, 19, what), peer, 200);
  },

  'group 3: rogue clones and mappings get EPERM': (h) => {
    const peer = new Peer(h);
    const t = perform(h, 2, 2500);
    expectEqual(ended(h, t, 30_000), 0, 'exit status');
    expectEqual(t.reports, [0], 'calls let through');
    peer.check();
    const refused = h.platform.stats()['refused']!;
    if (refused < 10_000) throw new Error(`only ${refused} refusals`);
  },

  'group 3: flood of sleeps': (h) => {
    const peer = new Peer(h);
    rage(h, perform(h, 8), peer, 500);
  },

  'group 5: the leader thread leaves by itself': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    rage(h, perform(h, 4), peer, 300);
  },

  'group 5: all threads leave by themselves': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    const t = perform(h, 5);
    const end = ended(h, t);
    expectEqual(typeof end === 'object' ? end.signo : end, SIGKILL, 'death');
    peer.check();
  },

  'group 5: children that end by themselves': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    rage(h, perform(h, 12), peer, 1000);
  },

  'group 5: stopped and continued by the host': (h) => {
    const t = h.load('getppid');
    let n = 0;
    t.onSyscall = (ctx) => {
      n++;
      ctx.resumeSyscall(1);
    };
    t.ctx.resume();
    const pid = (t.ctx.space as unknown as { pid: number }).pid;
    for (let i = 0; i < 30; i++) {
      hostSyscall(62, pid, 19, 0, 0, 0, 0);
      h.platform.poll(2e6, -1);
      hostSyscall(62, pid, 18, 0, 0, 0, 0);
      const from = n;
      h.run(() => n > from + 100, 5000, 'calls after SIGCONT');
    }
  },

  'group 6: a thread that blocks everything and spins is killed': (h) => {
    const peer = new Peer(h);
    const t = perform(h, 6, 0);
    h.platform.poll(1e7, -1);
    const until = clockNs(1) + 3e8;
    while (clockNs(1) < until) peer.check();
    t.ctx.interrupt();
    const start = clockNs(1);
    while (t.dead === null && clockNs(1) < start + 6e9) peer.check();
    expectEqual(t.dead?.signo, SIGKILL, 'death');
    const ms = (clockNs(1) - start) / 1e6;
    if (ms < 1500 || ms > 5000) throw new Error(`killed after ${ms} ms`);
  },

  'group 6: frozen processes do not hold up others': (h) => {
    const peer = new Peer(h);
    const t = h.start('spin');
    h.run(() => t.reports.length === 1);
    const pid = (t.ctx.space as unknown as { pid: number }).pid;
    hostSyscall(62, pid, 19, 0, 0, 0, 0);
    for (let i = 0; i < 20; i++) peer.check();
    t.ctx.space.destroy();
    h.run(() => hostSyscall(62, pid, 0, 0, 0, 0, 0) < 0, 3000, 'the end of a stopped process');
  },

  'group 6: orders that are never carried out': (h) => {
    serveProcesses(h);
    const peer = new Peer(h);
    rage(h, perform(h, 13), peer, 500);
  },

  'group 7: publish pages stay read-only': (h) => {
    const t = perform(h, 7);
    expectEqual(ended(h, t), 0, 'exit status');
    expectEqual(t.reports[0]! >= 2 ** 64 - 4096, true, 'mprotect fails');
  },

  'group 7: forged frames for rt_sigreturn': (h) => {
    const peer = new Peer(h);
    for (let kind = 1; kind < 16; kind++) {
      const t = perform(h, 6, kind);
      rage(h, t, peer, 50);
    }
  },

  'group 7: the area is unmapped': (h) => {
    const peer = new Peer(h);
    const end = ended(h, perform(h, 10));
    expectEqual(typeof end, 'object', 'died');
    peer.check();
  },
};
