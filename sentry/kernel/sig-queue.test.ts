// Property test: a SigQueue behaves as a list per signal, in the order that signal(7) gives.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SIGBUS, SIGFPE, SIGILL, SIGRTMIN, SIGSEGV, SIGSYS, SIGTRAP } from '../abi/signal.ts';
import { sigInfoUser, type SigInfo } from './sig-info.ts';
import { SigQueue } from './sig-queue.ts';
import { SigSet } from './sig-set.ts';

const SYNCHRONOUS = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS];
/** Of all kinds, and at the edges of the words. */
const SIGNALS = [1, 2, SIGILL, SIGBUS, 9, SIGSEGV, 17, 19, SIGSYS, 32, 33, SIGRTMIN, SIGRTMIN + 1, 63, 64];

const signal = fc.constantFrom(...SIGNALS);
const set = fc.subarray(SIGNALS).map((s) => SigSet.of(...s));
const op = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), sig: signal, lost: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ kind: fc.constant('take' as const), mask: set }),
  fc.record({ kind: fc.constant('flush' as const), set }),
);

/** What is pending of each signal: details in order, without those that were lost to RLIMIT_SIGPENDING. */
type Model = Map<number, SigInfo[]>;

function nextOf(m: Model, mask: SigSet): number {
  const open = [...m.keys()].filter((s) => !mask.has(s)).sort((a, b) => a - b);
  return open.find((s) => SYNCHRONOUS.includes(s)) ?? open[0] ?? 0;
}

test('equals a list per signal', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 80 }), (ops) => {
      const q = new SigQueue();
      const m: Model = new Map();
      let serial = 1;
      for (const o of ops) {
        if (o.kind === 'push') {
          // legacy_queue(): the sender looks first.
          if (o.sig < SIGRTMIN && q.has(o.sig)) continue;
          const info = o.lost === 0 ? null : sigInfoUser(o.sig, 0, serial++, 0);
          q.push(o.sig, info);
          m.set(o.sig, [...(m.get(o.sig) ?? []), ...(info === null ? [] : [info])]);
        } else if (o.kind === 'take') {
          const sig = q.next(o.mask.lo, o.mask.hi);
          expect(sig).toBe(nextOf(m, o.mask));
          if (sig === 0) continue;
          const rest = m.get(sig)!;
          const first = rest.shift();
          const taken = q.take(sig);
          if (first === undefined) expect(taken).toEqual(sigInfoUser(sig, 0, 0, 0));
          else expect(taken).toBe(first);
          if (rest.length === 0) m.delete(sig);
        } else {
          const freed: SigInfo[] = [];
          q.flush(o.set.lo, o.set.hi, (info) => freed.push(info));
          const gone = [...m.keys()].filter((s) => o.set.has(s));
          expect(new Set(freed)).toEqual(new Set(gone.flatMap((s) => m.get(s)!)));
          for (const s of gone) m.delete(s);
        }
        expect(SIGNALS.filter((s) => q.has(s))).toEqual(SIGNALS.filter((s) => m.has(s)));
        expect(q.length).toBe([...m.values()].flat().length);
      }
    }),
    { numRuns: 200 },
  );
});
