/** The platform tests: each drives guests through the interface of sentry/platform/platform.ts. Names are behaviours. */
import { close, clockNs, ftruncate, memfdCreate, pread, pwrite } from '../../sentry/host/sys.ffi.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import type { ArgCopy, Context, CopyPlan } from '../../sentry/platform/platform.ts';
import { arg, CODE, expectEqual, type Harness, RAX, RDI, RIP, RSP, type Thread } from './harness.ts';

const S: ArgCopy = { kind: 'string' };
export const copyPlan: CopyPlan = new Map<number, readonly ArgCopy[]>([
  [2, [S]],
  [487, [S, S]],
  [488, [null, { kind: 'inBuf', lenArg: 2, unit: 1 }]],
  [489, [{ kind: 'in', size: 144 }]],
]);

/** Microseconds of host time that `run` takes. */
function time(run: () => void): number {
  const start = clockNs(1);
  run();
  return Math.round((clockNs(1) - start) / 1000);
}

/** Answers fork, spawn, wait and echo for all threads of the harness. */
export function serveProcesses(h: Harness): { threads: Thread[] } {
  const threads: Thread[] = [];
  const waiting: { ctx: Context; thread: Thread | null }[] = [];
  const alive = (t: Thread): boolean => t.exited === null && t.dead === null;
  const adopt = (parent: Context, ctx: Context): Thread => {
    const t = h.newThread(ctx);
    const p = parent.task as Thread;
    t.reports = p.reports;
    t.onFault = p.onFault;
    t.onOrderFailed = p.onOrderFailed;
    t.onSyscall = (c) => {
      base(c);
      wake();
    };
    threads.push(t);
    return t;
  };
  const wake = (): void => {
    for (let i = waiting.length - 1; i >= 0; i--) {
      const w = waiting[i]!;
      const over = w.thread === null ? threads.every((t) => t.ctx === w.ctx || !alive(t)) : !alive(w.thread);
      if (!over) continue;
      waiting.splice(i, 1);
      w.ctx.resumeSyscall(0);
    }
  };
  const base = (ctx: Context): void => {
    h.defaultSyscall(ctx);
  };
  h.extra = (ctx) => {
    switch (ctx.sysno) {
      case 57:
        ctx.fork((child) => {
          if (typeof child === 'number') return ctx.resumeSyscall(child);
          adopt(ctx, child);
          child.resumeSyscall(0);
          ctx.resumeSyscall(threads.length);
        });
        break;
      case 482: {
        const entry = arg(ctx, 0);
        const stack = arg(ctx, 1);
        ctx.spawn((child) => {
          if (typeof child === 'number') return ctx.resumeSyscall(child);
          adopt(ctx, child);
          const regs = child.regs();
          regs.set(RIP, entry);
          regs.set(RSP, stack);
          child.regsChanged();
          child.resume();
          ctx.resumeSyscall(threads.length);
        });
        break;
      }
      case 483: {
        const n = arg(ctx, 0);
        waiting.push({ ctx, thread: n === 0 ? null : threads[n - 1]! });
        wake();
        break;
      }
      case 484:
        ctx.resumeSyscall(arg(ctx, 0));
        break;
      default:
        ctx.resumeSyscall(-38);
    }
  };
  return { threads };
}

function memfdWith(words: number[]): number {
  const fd = memfdCreate('test', 1);
  ftruncate(fd, 8192);
  const buf = new HostBuffer(64);
  words.forEach((w, i) => (buf.u32[i] = w));
  pwrite(fd, buf.addr, 4 * words.length, 0);
  return fd;
}

export const cases: Record<string, (h: Harness) => void> = {
  'round trip of a trapped call': (h) => {
    const t = h.load('getppid');
    let n = 0;
    t.onSyscall = (ctx) => {
      n++;
      ctx.resumeSyscall(1);
    };
    t.ctx.resume();
    const rounds = 100_000;
    h.run(() => n >= 20_000);
    const from = n;
    const us = time(() => h.run(() => n >= from + rounds, 60_000));
    console.log(`getppid: ${Math.round((us * 1000) / (n - from))} ns`);
  },

  'fork copies memory and registers, and both go on': (h) => {
    serveProcesses(h);
    const t = h.start('fork');
    const us = time(() => expectEqual(h.finish(t, 30_000), 7, 'exit status'));
    console.log(`fork+exit+wait: ${us / 500} µs`);
    expectEqual(t.reports.length, 500, 'reports');
    t.reports.forEach((v, i) => expectEqual(v, 101 + i, 'value in child'));
  },

  'calls without a trap': (h) => {
    if (h.platform.callEntry === 0) return;
    const t = h.load('patched');
    const seen: string[] = [];
    const buf = new Uint8Array(16);
    const note = (ctx: Context): void => {
      const regs = ctx.regs();
      seen.push(
        `${ctx.sysno} ${ctx.partial} ${regs.get(RDI) < 16 ? regs.get(RDI) : 0} ${regs.get(RIP) > 0x400000} ${regs.get(RSP) > 0x1000000}`,
      );
    };
    t.onOrderFailed = (ctx, index, errno) => {
      note(ctx);
      seen.push(`order ${index} ${errno}`);
      ctx.resumeSyscall(-errno);
    };
    h.extra = (ctx) => {
      note(ctx);
      if (ctx.sysno === 481) {
        ctx.munmap(0x600000, 1); // fine
        ctx.mprotect(1, 4096, 1); // not aligned: EINVAL
        ctx.resumeSyscall(0);
      } else if (ctx.sysno === 491) {
        ctx.complete((r) => {
          note(ctx);
          seen.push(`completed ${r} ${ctx.getFpState(new Uint8Array(8192)) > 512}`);
          ctx.regs().set(RAX, 77);
          ctx.regsChanged();
          ctx.resume();
        });
      } else {
        ctx.resumeSyscall(ctx.prefetched(arg(ctx, 1), buf, 0, 16));
      }
    };
    const usual = t.onSyscall;
    t.onSyscall = (ctx) => (ctx.sysno === 110 ? (note(ctx), ctx.resumeSyscall(5)) : usual(ctx));
    t.ctx.resume();
    expectEqual(h.finish(t, 10_000), 5, 'exit status');
    expectEqual(
      seen,
      [
        ...['110 false 0 true true', '110 true 0 true true'],
        ...['481 true 1 true true', '481 true 1 true true', 'order 1 22'],
        ...['491 true 0 true true', '491 false 0 true true', 'completed 0 true'],
        ...['487 true 0 true true', '110 true 0 true true'],
      ],
      'what was seen',
    );
    expectEqual(t.reports, [5, 2 ** 64 - 22, 77, 4], 'reports');
  },

  'threads share memory and their slots are reused': (h) => {
    serveProcesses(h);
    const t = h.start('threads');
    expectEqual(h.finish(t, 60_000), 9, 'exit status');
    expectEqual(t.reports, [16000], 'count');
  },

  'more processes than are commonly there': (h) => {
    const { threads } = serveProcesses(h);
    const inner = h.extra;
    const held: Context[] = [];
    h.extra = (ctx) => {
      if (ctx.sysno === 484 && held.length < 150) held.push(ctx);
      else if (ctx.sysno === 484) ctx.resumeSyscall(1);
      else inner(ctx);
    };
    const t = h.start('many');
    expectEqual(h.finish(t, 60_000), 0, 'exit status');
    h.run(() => held.length === 150, 60_000, 'all processes');
    for (const ctx of held) ctx.resumeSyscall(1);
    h.run(() => threads.every((x) => x.exited === 0), 60_000, 'their ends');
    expectEqual(threads.length, 150, 'processes');
  },

  'more threads than one chunk of slots holds': (h) => {
    serveProcesses(h);
    const t = h.start('crowd');
    expectEqual(h.finish(t, 60_000), 0, 'exit status');
    expectEqual(t.reports, [150], 'threads');
  },

  'files are mapped privately and shared': (h) => {
    const fd = memfdWith([1234, 1]);
    const t = h.load('memory');
    h.extra = (ctx) => {
      if (ctx.sysno === 481) {
        const shared = arg(ctx, 0) === 1;
        const at = shared ? 0x700000 : 0x600000;
        ctx.mmap(at, 4096, 3, shared ? 1 : 2, fd, 0);
        ctx.resumeSyscall(at);
      } else {
        ctx.munmap(arg(ctx, 0), 4096);
        ctx.resumeSyscall(0);
      }
    };
    t.ctx.resume();
    expectEqual(h.finish(t), 0, 'exit status');
    expectEqual(t.reports, [1234, 5, 1234], 'values read');
    const buf = new HostBuffer(8);
    pread(fd, buf.addr, 8, 0);
    expectEqual([...buf.u32], [1234, 77], 'file');
    close(fd);
  },

  'faults arrive with signal, code and address': (h) => {
    const t = h.load('faults');
    const seen: unknown[] = [];
    t.onFault = (ctx, signo, code, addr, trap) => {
      seen.push([signo, code, signo === 11 ? addr : 0, trap]);
      const regs = ctx.regs();
      // Skip the faulting instruction; int3 has been passed already.
      const length = { 11: addr === 0x1230 ? 11 : 2, 4: 2, 8: 2, 5: 0 }[signo] ?? 0;
      regs.set(RIP, regs.get(RIP) + length);
      ctx.regsChanged();
      ctx.resume();
    };
    const calls: number[] = [];
    h.extra = (ctx) => {
      calls.push(ctx.sysno);
      ctx.resumeSyscall(0);
    };
    t.ctx.resume();
    expectEqual(h.finish(t), 3, 'exit status');
    expectEqual(
      seen,
      [
        [11, 1, 0x1230, 14],
        [4, 2, 0, 6],
        [8, 1, 0, 0],
        [5, 128, 0, 3],
        [11, 128, 0, 13],
      ],
      'faults',
    );
    // int 0x80 is no 64-bit call; a vsyscall is one with its number.
    expectEqual(calls, [-1, 201], 'calls');
  },

  'a running guest can be interrupted, again and again': (h) => {
    const t = h.start('spin');
    h.run(() => t.reports.length === 1);
    let interrupts = 0;
    let last = 0;
    t.onInterrupt = (ctx) => {
      interrupts++;
      const word = new Uint8Array(8);
      ctx.space.read(t.reports[0]!, word, 0, 8);
      last = new DataView(word.buffer).getUint32(0, true);
      ctx.resume();
    };
    for (let i = 1; i <= 200; i++) {
      t.ctx.interrupt();
      t.ctx.interrupt();
      h.run(() => interrupts >= i, 5000, `interrupt ${i}`);
      if (i % 50 === 0) h.platform.poll(2e6, -1); // lets it run
    }
    expectEqual(interrupts, 200, 'interrupts');
    if (last === 0) throw new Error('the guest did not run');
    t.ctx.interrupt();
    h.run(() => interrupts > 200);
    t.ctx.space.destroy();
    expectEqual(t.ctx.space.dead, true, 'dead');
  },

  'arguments come along with the call and outputs go back': (h) => {
    const t = h.load('copy');
    const seen: unknown[] = [];
    const buf = Buffer.alloc(8192);
    const text = (ctx: Context, i: number): string => {
      const n = ctx.prefetched(arg(ctx, i), buf, 0, 4096);
      return buf.toString('latin1', 0, n);
    };
    h.extra = (ctx) => {
      switch (ctx.sysno) {
        case 2:
          seen.push(text(ctx, 0));
          break;
        case 487:
          seen.push([text(ctx, 0), text(ctx, 1)]);
          break;
        case 488: {
          const n = ctx.prefetched(arg(ctx, 1), buf, 0, 8192);
          seen.push([n, n === 4096 ? buf[4095] : 0]);
          expectEqual(ctx.prefetched(arg(ctx, 1) + 10, buf, 0, 4), n > 0 ? 4 : 0, 'inner range');
          break;
        }
        case 489:
          seen.push([ctx.prefetched(arg(ctx, 0), buf, 0, 8192), buf[0]]);
          break;
        case 490:
          buf.writeUInt32LE(0xdeadbeef);
          if (!ctx.copyOut(arg(ctx, 0), buf, 0, 2) || !ctx.copyOut(arg(ctx, 0) + 2, buf, 2, 2))
            throw new Error('copy-out refused');
      }
      ctx.resumeSyscall(7);
    };
    t.ctx.resume();
    expectEqual(h.finish(t), 0, 'exit status');
    const has = t.ctx.dataSize > 0 || seen[0] !== '';
    if (has) {
      const path = '/usr/share/a path\0';
      expectEqual(
        seen,
        [path, [path, 'share/a path\0'], [4096, 255], [144, 1], 'xy\0', '', '', [0, 0]],
        'inputs',
      );
    }
    expectEqual(t.reports, [7, 0xdeadbeef, 2 ** 64 - 14, 2 ** 64 - 14], 'outputs');
  },

  'FP state survives and can be read, changed and reset': (h) => {
    serveProcesses(h);
    const t = h.load('fp');
    const inner = h.extra;
    h.extra = (ctx) => {
      if (ctx.sysno !== 491) return inner(ctx);
      const image = new Uint8Array(8192);
      const size = ctx.getFpState(image);
      const view = new DataView(image.buffer);
      expectEqual(view.getUint32(160, true), 0x1111, 'xmm0 in the image');
      view.setUint32(160, 0x3333, true);
      expectEqual(ctx.setFpState(image, size), true, 'setFpState');
      expectEqual(ctx.setFpState(image, size - 8), false, 'setFpState of a short image');
      view.setUint32(464, 0, true);
      expectEqual(ctx.setFpState(image, size), false, 'setFpState of a bad image');
      ctx.resumeSyscall(0);
    };
    t.ctx.resume();
    expectEqual(h.finish(t), 0, 'exit status');
    expectEqual(t.reports, [0x1f80, 0x37f, 4, 30, 0x3333], 'values');
  },

  'a storm of calls, mappings, processes, threads and interrupts': (h) => {
    const { threads } = serveProcesses(h);
    const inner = h.extra;
    const fd = memfdWith([1234, 1]);
    const buf = Buffer.alloc(64);
    let next = 0x600000;
    h.extra = (ctx) => {
      switch (ctx.sysno) {
        case 2: {
          const n = ctx.prefetched(arg(ctx, 0), buf, 0, 64);
          return ctx.resumeSyscall(n === 0 || buf.toString('latin1', 0, n) === '/a/path\0' ? 7 : -1);
        }
        case 481: {
          const at = next;
          next += 0x1000;
          if (next >= 0x8000000) next = 0x600000;
          ctx.mmap(at, 4096, 1, arg(ctx, 0) === 1 ? 1 : 2, fd, 0);
          return ctx.resumeSyscall(at);
        }
        case 485:
          ctx.munmap(arg(ctx, 0), 4096);
          return ctx.resumeSyscall(0);
        case 490:
          buf.writeUInt32LE(0xdeadbeef);
          if (!ctx.copyOut(arg(ctx, 0), buf, 0, 4) && ctx.space.write(arg(ctx, 0), buf, 0, 4) !== 4)
            return ctx.resumeSyscall(-14);
          return ctx.resumeSyscall(7);
        default:
          return inner(ctx);
      }
    };
    const t = h.start('storm');
    threads.push(t);
    let seed = 12345;
    h.run(
      () => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        const victim = threads[(seed >>> 8) % threads.length]!;
        if (seed % 64 < 16 && victim.exited === null && victim.dead === null) victim.ctx.interrupt();
        return (
          threads.some((x) => x.exited !== null && x.exited !== 0) ||
          threads.every((x) => x.exited !== null || x.dead !== null)
        );
      },
      100_000,
      'the end of the storm',
    );
    for (const x of threads) expectEqual([x.exited, x.dead], [0, null], 'exit status');
    expectEqual(t.reports.length, 6, 'processes');
    close(fd);
  },

  'segment bases are set and read': (h) => {
    const t = h.load('segments');
    h.extra = (ctx) => {
      if (ctx.sysno === 492) ctx.setSegmentBase('fs', arg(ctx, 0));
      ctx.resumeSyscall(ctx.sysno === 493 ? ctx.segmentBase('fs') : 0);
    };
    t.ctx.resume();
    expectEqual(h.finish(t), 0, 'exit status');
    expectEqual(t.reports, [4711, 1, 4712], 'values');
  },

  'long lists of orders run in order, a failure stops them': (h) => {
    const t = h.load('getppid');
    for (let i = 0; i < 100; i++) t.ctx.mmap(0x2000000 + i * 8192, 4096, 3, 0x22, -1, 0);
    h.await<number>((done) => t.ctx.runOrders(done));
    const one = new Uint8Array([1]);
    for (let i = 0; i < 100; i++)
      expectEqual(t.ctx.space.write(0x2000000 + i * 8192, one, 0, 1), 1, `page ${i}`);
    expectEqual(t.ctx.space.write(0x2001000, one, 0, 1), -14, 'hole');
    for (let i = 0; i < 50; i++) t.ctx.munmap(0x2000000 + i * 8192, 4096);
    t.ctx.mprotect(0x3000000, 4096, 1); // ENOMEM: nothing is mapped there
    t.ctx.munmap(0x2000000 + 60 * 8192, 4096);
    let failed: [number, number] | null = null;
    t.onOrderFailed = (_ctx, index, errno) => {
      failed = [index, errno];
    };
    t.ctx.resume();
    h.run(() => failed !== null);
    expectEqual(failed, [50, 12], 'failure');
    expectEqual(t.ctx.stopped, true, 'stopped');
    expectEqual(t.ctx.space.write(0x2000000 + 49 * 8192, one, 0, 1), -14, 'unmapped before');
    expectEqual(t.ctx.space.write(0x2000000 + 60 * 8192, one, 0, 1), 1, 'still mapped after');
    let result = 1;
    t.ctx.mprotect(0x3000000, 4096, 1);
    t.ctx.runOrders((r) => (result = r));
    h.run(() => result !== 1);
    expectEqual(result, -12, 'result of runOrders');
  },

  'registers are read and written': (h) => {
    const t = h.load('getppid');
    let n = 0;
    t.onSyscall = (ctx) => {
      const regs = ctx.regs();
      expectEqual(regs.get(RAX), 110, 'rax is the number');
      if (regs.get(RIP) < CODE || regs.get(RIP) > CODE + 4096) throw new Error('rip');
      regs.set(RDI, -5);
      ctx.regsChanged();
      if (n++ === 0) ctx.resumeSyscall(1);
    };
    t.ctx.resume();
    h.run(() => n === 2);
    expectEqual(t.ctx.regs().get(RSP) > 0xf000000, true, 'rsp');
  },

  'spaces come and go by the hundred without a trace': (h) => {
    const before = h.platform.stats();
    const us = time(() => {
      for (let i = 0; i < 300; i++) {
        const ctx = h.await<Context>((done) => h.platform.createAddressSpace(done));
        h.newThread(ctx);
        ctx.exit();
        expectEqual(ctx.space.dead, true, 'dead');
      }
    });
    console.log(`address space: ${us / 300} µs`);
    h.run(() => h.platform.stats()['spaces']! <= before['spaces']! + 5, 5000, 'reaping');
  },
};
