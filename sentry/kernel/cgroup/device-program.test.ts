import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EACCES, EINVAL } from '../../abi/errno.ts';
import { checkDeviceProgram, runDeviceProgram, type DeviceProgram } from './device-program.ts';

const insn = (code: number, dst: number, src: number, off: number, imm: number): Buffer => {
  const b = Buffer.alloc(8);
  b[0] = code;
  b[1] = dst | (src << 4);
  b.writeInt16LE(off, 2);
  b.writeInt32LE(imm, 4);
  return b;
};
const exit = insn(0x95, 0, 0, 0, 0);
const mov = (dst: number, imm: number): Buffer => insn(0xb4, dst, 0, 0, imm);
const check = (...insns: Buffer[]): DeviceProgram | number => checkDeviceProgram(Buffer.concat(insns));

/** As runc makes them: reading and making of character device 1:3 is allowed, all else is not. */
const runcLike = [
  insn(0x69, 2, 1, 0, 0), // r2 = *(u16 *)(r1 + 0)
  insn(0x61, 3, 1, 0, 0), // r3 = *(u32 *)(r1 + 0)
  insn(0x74, 3, 0, 0, 16), // w3 >>= 16
  insn(0x61, 4, 1, 4, 0),
  insn(0x61, 5, 1, 8, 0),
  insn(0x55, 2, 0, 7, 2), // type is not 2: next
  insn(0xbc, 1, 3, 0, 0), // w1 = w3
  insn(0x54, 1, 0, 0, 3), // w1 &= 3
  insn(0x5d, 1, 3, 4, 0), // r1 != r3: next
  insn(0x55, 4, 0, 3, 1), // major
  insn(0x55, 5, 0, 2, 3), // minor
  mov(0, 1),
  exit,
  mov(0, 0),
  exit,
];

describe('programs for devices', () => {
  test('allow what they say', () => {
    const p = check(...runcLike) as DeviceProgram;
    expect(runDeviceProgram(p, 2, 2, 1, 3)).toBe(true);
    expect(runDeviceProgram(p, 2, 3, 1, 3)).toBe(true);
    expect(runDeviceProgram(p, 2, 4, 1, 3)).toBe(false);
    expect(runDeviceProgram(p, 2, 2, 1, 5)).toBe(false);
    expect(runDeviceProgram(p, 2, 2, 4, 3)).toBe(false);
    expect(runDeviceProgram(p, 1, 2, 1, 3)).toBe(false);
  });

  test('that could do anything else are refused', () => {
    expect(check()).toBe(-EINVAL);
    expect(check(mov(0, 1))).toBe(-EINVAL); // no exit
    expect(check(exit)).toBe(-EACCES); // r0 is nothing
    expect(check(mov(0, 1), exit, exit)).toBe(-EINVAL); // unreachable
    expect(check(mov(0, 1), insn(0x05, 0, 0, -2, 0), exit)).toBe(-EINVAL); // backwards
    expect(check(mov(0, 1), insn(0x05, 0, 0, 9, 0), exit)).toBe(-EINVAL); // out of range
    expect(check(insn(0x85, 0, 0, 0, 1), exit)).toBeLessThan(0); // a call
    expect(check(insn(0x61, 0, 1, 12, 0), exit)).toBe(-EACCES); // behind the context
    expect(check(insn(0x61, 0, 1, 2, 0), exit)).toBe(-EACCES); // unaligned
    expect(check(insn(0x71, 0, 1, 4, 0), exit)).toBe(-EACCES); // a part of major
    expect(check(insn(0x61, 0, 2, 0, 0), exit)).toBe(-EACCES); // not the context
    expect(check(insn(0xbf, 0, 1, 0, 0), exit)).toBe(-EACCES); // the context as a result
    expect(check(insn(0x07, 1, 0, 0, 4), insn(0x61, 0, 1, 0, 0), exit)).toBe(-EACCES); // arithmetic on it
    expect(check(insn(0x63, 10, 0, -4, 0), mov(0, 1), exit)).toBeLessThan(0); // a store
    expect(check(insn(0x55, 1, 0, 0, 0), mov(0, 1), exit)).toBe(-EACCES); // compared
    // Set on one way only.
    expect(check(insn(0x61, 2, 1, 0, 0), insn(0x15, 2, 0, 1, 0), mov(0, 1), exit)).toBe(-EACCES);
  });

  test('compute like 64-bit registers', () => {
    const ops = [0x00, 0x10, 0x40, 0x50, 0xa0];
    const op64 = (op: number, a: bigint, b: bigint): bigint =>
      BigInt.asUintN(
        64,
        op === 0x00 ? a + b : op === 0x10 ? a - b : op === 0x40 ? a | b : op === 0x50 ? a & b : a ^ b,
      );
    const value = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(
        value,
        value,
        fc.constantFrom(...ops),
        fc.integer({ min: 0, max: 63 }),
        value,
        (a, b, op, n, c) => {
          const p = check(
            insn(0xb7, 2, 0, 0, a), // r2 = a, with its sign
            insn(0x07 | op, 2, 0, 0, b),
            insn(0x67, 2, 0, 0, n), // <<=
            insn(0x77, 2, 0, 0, 63 - n), // >>=
            mov(0, 1),
            insn(0x25, 2, 0, 1, c), // if r2 > c
            mov(0, 0),
            exit,
          );
          const shifted = BigInt.asUintN(
            64,
            op64(op, BigInt.asUintN(64, BigInt(a)), BigInt.asUintN(64, BigInt(b))) << BigInt(n),
          );
          const r2 = shifted >> BigInt(63 - n);
          expect(runDeviceProgram(p as DeviceProgram, 1, 1, 0, 0)).toBe(r2 > BigInt.asUintN(64, BigInt(c)));
        },
      ),
    );
  });
});
