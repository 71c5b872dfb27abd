// The ring of pages against a model that keeps a list of them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EAGAIN } from '../../abi/errno.ts';
import { Pipe, PIPE_BUF } from './pipe.ts';

interface ModelPage {
  kind: 'stream' | 'packet' | 'spliced';
  /** Where in the page the first byte lies. */
  at: number;
  bytes: number[];
}

class Model {
  pages: ModelPage[] = [];
  readonly max: number;

  constructor(max: number) {
    this.max = max;
  }

  get used(): number {
    return this.pages.reduce((n, p) => n + p.bytes.length, 0);
  }

  write(bytes: number[], kind: ModelPage['kind'], lead = 0): number {
    let done = 0;
    const part = bytes.length % PIPE_BUF;
    const last = this.pages.at(-1);
    if (kind !== 'spliced' && part > 0 && last?.kind === 'stream') {
      if (last.at + last.bytes.length + part <= PIPE_BUF) {
        last.bytes.push(...bytes.slice(0, part));
        done = part;
      }
    }
    for (let at = lead; done < bytes.length && this.pages.length < this.max; at = 0) {
      const piece = bytes.slice(done, done + PIPE_BUF - at);
      this.pages.push({ kind, at, bytes: piece });
      done += piece.length;
    }
    return done || -EAGAIN;
  }

  read(len: number): number[] {
    const out: number[] = [];
    while (out.length < len && this.pages.length > 0) {
      const p = this.pages[0]!;
      const part = p.bytes.splice(0, len - out.length);
      p.at += part.length;
      out.push(...part);
      if (p.kind === 'packet' || p.bytes.length === 0) this.pages.shift();
      if (p.kind === 'packet') break;
    }
    return out;
  }

  pass(to: Model, len: number, take: boolean): number {
    let done = 0;
    for (let i = 0; done < len && i < this.pages.length && to.pages.length < to.max; take || i++) {
      const p = this.pages[i]!;
      const bytes = p.bytes.slice(0, len - done);
      const whole = take && bytes.length === p.bytes.length;
      to.pages.push({ kind: whole || p.kind === 'packet' ? p.kind : 'spliced', at: p.at, bytes });
      done += bytes.length;
      if (whole) this.pages.shift();
      else if (take) {
        p.bytes.splice(0, bytes.length);
        p.at += bytes.length;
      }
    }
    return done;
  }
}

const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 4090, max: 4100 }), fc.integer({ min: 1, max: 70000 })); // prettier-ignore
const op = fc.constantFrom(
  'write',
  'write',
  'read',
  'read',
  'packet',
  'splice',
  'peek',
  'move',
  'tee',
  'other',
);
const step = fc.record({ op, n: size, lead: fc.constantFrom(0, 100, 4095) });

test('behaves as a list of pages', () => {
  let counter = 0;
  const runs = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const pipes = [new Pipe(), new Pipe()];
    pipes[1]!.setCapacity(4 * PIPE_BUF, false);
    const models = [new Model(16), new Model(4)];
    const out = new Uint8Array(70000);
    for (const { op, n, lead } of steps) {
      const [pipe, other] = pipes as [Pipe, Pipe];
      const [model, otherModel] = models as [Model, Model];
      const bytes = Array.from({ length: n }, () => counter++ & 0xff);
      const from = Uint8Array.from(bytes);
      if (op === 'write') expect(pipe.write(from, 0, n)).toBe(model.write(bytes, 'stream'));
      else if (op === 'packet') expect(pipe.write(from, 0, n, true)).toBe(model.write(bytes, 'packet'));
      else if (op === 'splice') expect(pipe.give(from, 0, n, lead)).toBe(model.write(bytes, 'spliced', lead));
      else if (op === 'move') expect(pipe.passTo(other, n, true)).toBe(model.pass(otherModel, n, true));
      else if (op === 'tee') expect(pipe.passTo(other, n, false)).toBe(model.pass(otherModel, n, false));
      else if (op === 'read') {
        const want = model.read(n);
        expect(pipe.read(out, 0, n)).toBe(want.length);
        expect(Buffer.compare(out.subarray(0, want.length), Buffer.from(want))).toBe(0);
      } else if (op === 'peek') {
        const all = model.pages.flatMap((p) => p.bytes).slice(0, n);
        expect(pipe.peek(out, 0, n)).toBe(all.length);
        expect(Buffer.compare(out.subarray(0, all.length), Buffer.from(all))).toBe(0);
      } else {
        pipes.reverse();
        models.reverse();
      }
      expect([pipe.used, pipe.pages]).toEqual([model.used, model.pages.length]);
    }
    for (const p of pipes) p.release();
  });
  fc.assert(runs, { numRuns: 60 });
});

test('capacity changes keep the content', () => {
  const pipe = new Pipe();
  expect(pipe.write(new Uint8Array(5000).fill(7), 0, 5000)).toBe(5000);
  expect(pipe.setCapacity(4096, false)).toBeLessThan(0);
  expect(pipe.setCapacity(100000, false)).toBe(131072);
  expect(pipe.setCapacity(2 ** 21, false)).toBe(-1);
  expect(pipe.write(new Uint8Array(131072).fill(8), 0, 131072)).toBe(131072 - 8192);
  const out = new Uint8Array(6000);
  expect(pipe.read(out, 0, 6000)).toBe(6000);
  expect([out[0], out[4999], out[5000]]).toEqual([7, 7, 8]);
});
