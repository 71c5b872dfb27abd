import { expect, test } from 'vitest';
import { EEXIST, EINVAL, ELOOP, ENOENT } from '../../abi/errno.ts';
import { EPOLLIN, EPOLLOUT } from '../../waiter/wait-queue.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EventFile } from '../eventfd/eventfd.ts';
import { EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EpollFile } from './epoll-file.ts';

const none = null as unknown as CallContext;
const buf = new Uint8Array(8);

function events(ep: EpollFile): number[][] {
  const got: number[][] = [];
  ep.collect(16, (e, lo) => got.push([e, lo]));
  return got;
}

test('level-triggered items come again, edge-triggered ones once per wake-up', () => {
  const ep = new EpollFile();
  const level = new EventFile(0, false, 0);
  const edge = new EventFile(0, false, 0);
  expect(ep.add(3, level, EPOLLIN, 1, 0)).toBe(0);
  expect(ep.add(4, edge, EPOLLIN | EPOLLET, 2, 0)).toBe(0);
  expect(ep.add(3, level, EPOLLIN, 1, 0)).toBe(-EEXIST);
  expect(events(ep)).toEqual([]);
  level.signal(1, 0);
  edge.signal(1, 0);
  expect(events(ep)).toEqual([
    [EPOLLIN, 1],
    [EPOLLIN, 2],
  ]);
  expect(events(ep)).toEqual([[EPOLLIN, 1]]);
  edge.signal(1, 0);
  expect(events(ep)).toEqual([
    [EPOLLIN, 1],
    [EPOLLIN, 2],
  ]);
  level.read(none, buf, 0, 8);
  expect(ep.poll()).toBe(0);
  expect(ep.delete(3, level)).toBe(0);
  expect(ep.delete(3, level)).toBe(-ENOENT);
});

test('one-shot items are silent until modified', () => {
  const ep = new EpollFile();
  const f = new EventFile(1, false, 0);
  ep.add(3, f, EPOLLIN | EPOLLONESHOT, 7, 0);
  expect(events(ep)).toEqual([[EPOLLIN, 7]]);
  f.signal(1, 0);
  expect(events(ep)).toEqual([]);
  expect(ep.modify(3, f, EPOLLIN | EPOLLOUT, 8, 0)).toBe(0);
  expect(events(ep)).toEqual([[EPOLLIN | EPOLLOUT, 8]]);
});

test('a closed file leaves', () => {
  const ep = new EpollFile();
  const f = new EventFile(1, false, 0);
  ep.add(3, f, EPOLLIN, 7, 0);
  f.unref();
  expect(ep.size).toBe(0);
  expect(events(ep)).toEqual([]);
  const g = new EventFile(1, false, 0);
  ep.add(3, g, EPOLLIN, 8, 0);
  ep.unref();
  g.unref();
});

test('nesting passes readiness on and is bounded', () => {
  const eps = Array.from({ length: 6 }, () => new EpollFile());
  const f = new EventFile(0, false, 0);
  eps[0]!.add(9, f, EPOLLIN, 1, 0);
  for (let i = 1; i <= 4; i++) expect(eps[i]!.add(9, eps[i - 1]!, EPOLLIN, i, 0)).toBe(0);
  expect(eps[5]!.add(9, eps[4]!, EPOLLIN, 5, 0)).toBe(-ELOOP);
  expect(eps[0]!.add(10, eps[3]!, EPOLLIN, 5, 0)).toBe(-ELOOP);
  expect(eps[1]!.add(10, f, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 5, 0)).toBe(-EINVAL);
  expect(eps[4]!.poll()).toBe(0);
  f.signal(1, 0);
  expect(eps[4]!.poll() & EPOLLIN).toBe(EPOLLIN);
  f.read(none, buf, 0, 8);
  expect(eps[4]!.poll()).toBe(0);
});
