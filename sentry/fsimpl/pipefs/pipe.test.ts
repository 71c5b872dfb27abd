// The ring buffer against a model that keeps a list of segments.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EAGAIN } from '../../abi/errno.ts';
import { Pipe, PIPE_BUF } from './pipe.ts';

interface ModelSegment {
  packet: boolean;
  bytes: number[];
}

class Model {
  segments: ModelSegment[] = [];
  capacity = 65536;

  get used(): number {
    return this.segments.reduce((n, s) => n + s.bytes.length, 0);
  }

  write(bytes: number[]): number {
    const free = this.capacity - this.used;
    if (free === 0 || (bytes.length <= PIPE_BUF && free < bytes.length)) return -EAGAIN;
    const n = Math.min(free, bytes.length);
    const last = this.segments.at(-1);
    if (last !== undefined && !last.packet) last.bytes = last.bytes.concat(bytes.slice(0, n));
    else this.segments.push({ packet: false, bytes: bytes.slice(0, n) });
    return n;
  }

  writePacket(bytes: number[]): number {
    let done = 0;
    while (done < bytes.length && this.capacity - this.used >= PIPE_BUF) {
      if (this.segments.length >= 16 && this.segments.some((s) => s.packet)) break;
      const n = Math.min(PIPE_BUF, bytes.length - done);
      this.segments.push({ packet: true, bytes: bytes.slice(done, done + n) });
      done += n;
    }
    return done > 0 || bytes.length === 0 ? done : -EAGAIN;
  }

  read(len: number): number[] {
    const out: number[] = [];
    while (out.length < len && this.segments.length > 0) {
      const s = this.segments[0]!;
      if (s.packet && out.length > 0) break;
      const part = s.bytes.slice(0, len - out.length);
      out.push(...part);
      if (s.packet || part.length === s.bytes.length) this.segments.shift();
      else s.bytes = s.bytes.slice(part.length);
      if (s.packet) break;
    }
    return out;
  }
}

const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 4090, max: 4100 }), fc.integer({ min: 1, max: 70000 })); // prettier-ignore
const step = fc.record({ op: fc.constantFrom('write', 'write', 'read', 'read', 'packet', 'peek'), n: size });

test('behaves as a list of segments', () => {
  let counter = 0;
  const runs = fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, packets) => {
    const pipe = new Pipe();
    const model = new Model();
    const out = new Uint8Array(70000);
    for (const { op, n } of steps) {
      const bytes = Array.from({ length: n }, () => counter++ & 0xff);
      if (op === 'write') expect(pipe.write(Uint8Array.from(bytes), 0, n)).toBe(model.write(bytes));
      else if (op === 'packet' && packets) {
        expect(pipe.writePackets(Uint8Array.from(bytes), 0, n)).toBe(model.writePacket(bytes));
      } else if (op === 'read') {
        const want = model.read(n);
        expect(pipe.read(out, 0, n)).toBe(want.length);
        expect(Buffer.compare(out.subarray(0, want.length), Buffer.from(want))).toBe(0);
      } else if (op === 'peek') {
        const all = model.segments.flatMap((s) => s.bytes).slice(0, n);
        expect(pipe.peek(0, out, 0, n)).toBe(all.length);
        expect(Buffer.compare(out.subarray(0, all.length), Buffer.from(all))).toBe(0);
      }
      expect(pipe.used).toBe(model.used);
    }
  });
  fc.assert(runs, { numRuns: 40 });
});

test('capacity changes keep the content', () => {
  const pipe = new Pipe();
  expect(pipe.write(new Uint8Array(5000).fill(7), 0, 5000)).toBe(5000);
  expect(pipe.setCapacity(4096, false)).toBeLessThan(0);
  expect(pipe.setCapacity(100000, false)).toBe(131072);
  expect(pipe.setCapacity(2 ** 21, false)).toBe(-1);
  expect(pipe.write(new Uint8Array(131072).fill(8), 0, 131072)).toBe(131072 - 5000);
  const out = new Uint8Array(6000);
  expect(pipe.read(out, 0, 6000)).toBe(6000);
  expect([out[0], out[4999], out[5000]]).toEqual([7, 7, 8]);
});
