// The rings' positions and indices where the guest lies about them.
import { afterEach, expect, test } from 'vitest';
import { IORING_SETUP_NO_SQARRAY } from '../../sentry/abi/io-uring.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import * as R from './rings.ts';

const word = new HostBuffer(64);
let rings: R.Rings;
const sqe = new Uint32Array(R.SQE_WORDS);

function make(flags = 0, sq = 8, cq = 16): R.Rings {
  rings = R.Rings.create(flags, sq, cq) as R.Rings;
  return rings;
}

afterEach(() => rings.release());

const set = (at: number, value: number): void => rings.memory.writeU32(at, value);
const get = (at: number): number => rings.memory.readU32(at);

/** Puts `value` into the first word of entry `index`. */
function entry(index: number, value: number): void {
  word.u32.fill(value, 0, 16);
  rings.memory.write(rings.mapped(0x10000000) + index * 64, word, 0, 64);
}

test('entries are taken in the order of the index array, and copied', () => {
  make();
  for (let i = 0; i < 8; i++) {
    entry(i, 100 + i);
    set(rings.arrayAt + 4 * i, 7 - i);
  }
  set(R.SQ_TAIL, 3);
  expect(rings.submitted).toBe(3);
  const got = [3, 2, 1].map((left) => (rings.take(sqe, left) ? sqe[15] : null));
  expect(got).toEqual([107, 106, 105]);
  rings.endSubmission();
  expect(get(R.SQ_HEAD)).toBe(3);
  expect(rings.submitted).toBe(0);
});

test.each([8, 9, 0x7fffffff, 0x80000000, 0xffffffff])('index %d is none and counts as dropped', (index) => {
  make();
  set(rings.arrayAt, index);
  set(R.SQ_TAIL, 1);
  expect(rings.take(sqe, 1)).toBe(false);
  rings.endSubmission();
  expect(get(R.SQ_DROPPED)).toBe(1);
  expect(get(R.SQ_HEAD)).toBe(1);
});

test.each([9, 1000, 0x80000000, 0xffffffff])('a tail of %d means a full ring', (tail) => {
  make();
  set(R.SQ_TAIL, tail);
  expect(rings.submitted).toBe(8);
  for (let i = 8; i > 0; i--) expect(rings.take(sqe, i)).toBe(true);
  rings.endSubmission();
  expect(rings.sqHead).toBe(8);
});

test('heads, masks and sizes that the guest writes mean nothing', () => {
  make();
  for (const at of [R.SQ_HEAD, R.SQ_MASK, R.CQ_MASK, R.SQ_ENTRIES, R.CQ_ENTRIES, R.CQ_TAIL])
    set(at, 0xffffffff);
  set(R.SQ_TAIL, 2);
  set(rings.arrayAt, 0);
  set(rings.arrayAt + 4, 0);
  expect(rings.submitted).toBe(2);
  expect(rings.take(sqe, 2)).toBe(true);
  rings.endSubmission();
  expect(rings.post(1, 2, 3, 4)).toBe(true);
  rings.commit();
  expect(get(R.CQ_TAIL)).toBe(1);
  expect([get(R.CQES), get(R.CQES + 4), get(R.CQES + 8), get(R.CQES + 12)]).toEqual([1, 2, 3, 4]);
});

test('entries that change after they were fetched do not', () => {
  make(IORING_SETUP_NO_SQARRAY);
  entry(0, 1);
  entry(1, 2);
  set(R.SQ_TAIL, 2);
  expect(rings.take(sqe, 2)).toBe(true);
  expect(sqe[0]).toBe(1);
  entry(1, 99);
  expect(rings.take(sqe, 1)).toBe(true);
  expect(sqe[0]).toBe(2);
  rings.endSubmission();
  set(R.SQ_TAIL, 10);
  for (let i = 8; i > 0; i--) rings.take(sqe, i);
  expect(sqe[0]).toBe(99);
});

test('positions go on behind 2^32', () => {
  make(IORING_SETUP_NO_SQARRAY);
  rings.sqHead = 0xfffffffe;
  rings.cqTail = 0xfffffffe;
  set(R.SQ_TAIL, 1);
  set(R.CQ_HEAD, 0xfffffffe);
  expect(rings.submitted).toBe(3);
  for (let i = 3; i > 0; i--) expect(rings.take(sqe, i)).toBe(true);
  expect(rings.sqHead).toBe(1);
  for (let i = 0; i < 3; i++) rings.post(i, 0, 0, 0);
  rings.commit();
  expect(get(R.CQ_TAIL)).toBe(1);
  expect(rings.unseen).toBe(3);
});

test('what finds no room waits, and comes in its order', () => {
  make(0, 2, 4);
  for (let i = 0; i < 7; i++) rings.postAlways(i, 0, i, 0);
  rings.commit();
  expect(rings.unseen).toBe(4);
  expect(rings.hasOverflow).toBe(true);
  expect(get(R.SQ_FLAGS)).toBe(2);
  expect(rings.post(9, 0, 0, 0)).toBe(false);
  set(R.CQ_HEAD, 3);
  rings.flushOverflow();
  expect(rings.hasOverflow).toBe(false);
  expect(get(R.SQ_FLAGS)).toBe(0);
  const slots = [3, 0, 1, 2].map((slot) => get(R.CQES + 16 * slot));
  expect(slots).toEqual([3, 4, 5, 6]);
});

test('a head that lies makes the ring full, no more', () => {
  make(0, 2, 4);
  set(R.CQ_HEAD, 77);
  rings.postAlways(1, 0, 0, 0);
  expect(rings.unseen).toBe(4);
  expect(rings.hasOverflow).toBe(true);
  set(R.CQ_HEAD, 0);
  rings.flushOverflow();
  expect(rings.unseen).toBe(1);
});

test('two rings that post in turn keep their own', () => {
  const first = make();
  const second = R.Rings.create(0, 8, 16) as R.Rings;
  for (let i = 0; i < 3; i++) {
    first.post(i, 0, 0, 0);
    second.post(10 + i, 0, 0, 0);
  }
  first.commit();
  second.commit();
  const seen = (r: R.Rings): number[] => [0, 1, 2].map((i) => r.memory.readU32(R.CQES + 16 * i));
  expect([seen(first), seen(second)]).toEqual([
    [0, 1, 2],
    [10, 11, 12],
  ]);
  second.release();
});
