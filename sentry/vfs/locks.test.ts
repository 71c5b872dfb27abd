import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EAGAIN, EDEADLK } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.ts';
import { blockOwner, FileLocks, findConflict, setFlock, setRecordLock, unblockOwner } from './locks.ts';
import type { Inode } from './inode.ts';

const SIZE = 20;
const owners = [{}, {}, {}];

/** Per byte, what each owner holds. */
type Model = number[][];

function allowed(m: Model, owner: number, type: number, start: number, end: number): boolean {
  for (let b = start; b < end; b++) {
    for (let o = 0; o < owners.length; o++) {
      if (o === owner || m[b]![o] === F_UNLCK) continue;
      if (type === F_WRLCK || m[b]![o] === F_WRLCK) return false;
    }
  }
  return true;
}

const request = fc.record({
  owner: fc.nat(2),
  type: fc.constantFrom(F_RDLCK, F_WRLCK, F_UNLCK),
  start: fc.nat(SIZE - 1),
  len: fc.integer({ min: 1, max: SIZE }),
});

describe('record locks', () => {
  test('agree with a table of bytes', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const locks = new FileLocks(null as unknown as Inode);
        const m: Model = Array.from({ length: SIZE }, () => owners.map(() => F_UNLCK));
        for (const { owner, type, start, len } of requests) {
          const end = Math.min(SIZE, start + len);
          const r = setRecordLock(locks, { owner: owners[owner]!, type, start, end, pid: null, file: locks });
          const ok = type === F_UNLCK || allowed(m, owner, type, start, end);
          expect(r).toBe(ok ? 0 : -EAGAIN);
          if (ok) for (let b = start; b < end; b++) m[b]![owner] = type;
        }
        for (let b = 0; b < SIZE; b++) {
          owners.forEach((owner, o) => {
            for (const type of [F_RDLCK, F_WRLCK]) {
              expect(findConflict(locks, owner, type, b, b + 1) === null).toBe(allowed(m, o, type, b, b + 1));
            }
          });
        }
        // One owner's locks neither overlap nor touch with the same type.
        const sorted = [...locks.records];
        for (const a of sorted) {
          for (const b of sorted) {
            if (a === b || a.owner !== b.owner) continue;
            expect(a.end <= b.start || b.end <= a.start).toBe(true);
            if (a.type === b.type) expect(a.end !== b.start).toBe(true);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a circle of waiters is a deadlock', () => {
    const [a, b, c] = owners as [object, object, object];
    expect(blockOwner(a, b)).toBe(0);
    expect(blockOwner(b, c)).toBe(0);
    expect(blockOwner(c, a)).toBe(-EDEADLK);
    unblockOwner(a);
    expect(blockOwner(c, a)).toBe(0);
    unblockOwner(b);
    unblockOwner(c);
  });
});

test('flock: shared or exclusive, per open file', () => {
  const locks = new FileLocks(null as unknown as Inode);
  const [a, b] = owners as [object, object];
  expect(setFlock(locks, a, F_RDLCK)).toBe(0);
  expect(setFlock(locks, b, F_RDLCK)).toBe(0);
  expect(setFlock(locks, b, F_WRLCK)).toBe(-EAGAIN);
  // The failed conversion has lost the shared lock.
  expect(setFlock(locks, a, F_WRLCK)).toBe(0);
  expect(setFlock(locks, a, F_UNLCK)).toBe(0);
  expect(locks.flocks).toEqual([]);
});
