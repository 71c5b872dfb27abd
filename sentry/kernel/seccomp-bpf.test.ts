import { expect, test } from 'vitest';
import { loadSeccomp, runSeccomp, SECCOMP_DATA_SIZE } from './seccomp-bpf.ts';

type Insn = [code: number, jt: number, jf: number, k: number];

function assemble(...insns: Insn[]): Buffer {
  const b = Buffer.alloc(8 * insns.length);
  insns.forEach(([code, jt, jf, k], i) => {
    b.writeUInt16LE(code, 8 * i);
    b[8 * i + 2] = jt;
    b[8 * i + 3] = jf;
    b.writeUInt32LE(k >>> 0, 8 * i + 4);
  });
  return b;
}

const RET: Insn = [0x06, 0, 0, 0];

test('a filter on the number needs to know nothing else', () => {
  const p = loadSeccomp(assemble([0x20, 0, 0, 0], [0x15, 0, 1, 39], [0x06, 0, 0, 7], [0x06, 0, 0, 9]))!;
  const data = new Uint32Array(16);
  data[0] = 39;
  expect(runSeccomp(p, data, 2)).toBe(7);
  data[0] = 40;
  expect(runSeccomp(p, data, 2)).toBe(9);
});

test('a look at an argument is not constant', () => {
  const p = loadSeccomp(assemble([0x20, 0, 0, 16], [0x16, 0, 0, 0]))!;
  const data = new Uint32Array(16);
  data[4] = 0xfedcba98;
  expect(runSeccomp(p, data, 2)).toBe(null);
  expect(runSeccomp(p, data)).toBe(0xfedcba98);
});

test('arithmetic is of 32 bits', () => {
  const p = loadSeccomp(
    assemble(
      [0x00, 0, 0, 0xffffffff],
      [0x04, 0, 0, 2],
      [0x07, 0, 0, 0],
      [0x24, 0, 0, 0x80000001],
      [0x0c, 0, 0, 0],
      [0x16, 0, 0, 0],
    ),
  )!;
  expect(runSeccomp(p, new Uint32Array(16))).toBe((Math.imul(1, 0x80000001) + 1) >>> 0);
});

test('division by a zero X ends with 0', () => {
  const p = loadSeccomp(assemble([0x00, 0, 0, 5], [0x01, 0, 0, 0], [0x3c, 0, 0, 0], [0x06, 0, 0, 1]))!;
  expect(runSeccomp(p, new Uint32Array(16))).toBe(0);
});

test('malformed programs are refused', () => {
  expect(loadSeccomp(assemble([0x20, 0, 0, SECCOMP_DATA_SIZE], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x20, 0, 0, 2], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x05, 0, 0, 1], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x05, 0, 0, 0xffffffff], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x15, 1, 0, 0], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x60, 0, 0, 16], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x34, 0, 0, 0], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x28, 0, 0, 0], RET))).toBe(null);
  expect(loadSeccomp(assemble([0x20, 0, 0, 0]))).toBe(null);
  expect(loadSeccomp(Buffer.alloc(0))).toBe(null);
});
