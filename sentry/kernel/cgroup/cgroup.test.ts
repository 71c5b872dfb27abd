import { expect, test } from 'vitest';
import { controllerBit, PIDS } from '../../abi/cgroup.ts';
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC, EOPNOTSUPP } from '../../abi/errno.ts';
import type { Cgroup } from './cgroup.ts';
import { CgroupHierarchies } from './hierarchy.ts';

const MEMORY = controllerBit('memory');

function tree(): { all: CgroupHierarchies; root: Cgroup; a: Cgroup; b: Cgroup } {
  const all = new CgroupHierarchies();
  const { root } = all.unified;
  const a = root.mkdir('a') as Cgroup;
  return { all, root, a, b: a.mkdir('b') as Cgroup };
}

test('groups come and go; limits of depth and number', () => {
  const { root, a, b } = tree();
  expect(root.mkdir('a')).toBe(-EEXIST);
  expect(root.mkdir('x\ny')).toBe(-EINVAL);
  expect(a.rmdir()).toBe(-EBUSY);
  root.maxDepth = 2;
  expect(b.mkdir('c')).toBe(-EAGAIN);
  root.maxDepth = Infinity;
  root.maxDescendants = 2;
  expect(b.mkdir('c')).toBe(-EAGAIN);
  expect(b.rmdir()).toBe(0);
  expect(root.descendants).toBe(1);
});

test('a container has so many groups', () => {
  const { root } = tree();
  let n = 0;
  while (typeof root.mkdir(`g${n}`) !== 'number') n++;
  expect(root.mkdir('more')).toBe(-ENOSPC);
  expect(n).toBe(8190);
});

test('who is in a group is told up the tree', () => {
  const { all, root, a, b } = tree();
  const told: string[] = [];
  for (const g of [root, a, b]) g.listener = (name) => told.push(`${g.name}:${name}`);
  const set = all.initial.with(b);
  set.enter();
  expect(told).toEqual(['b:cgroup.events', 'a:cgroup.events', ':cgroup.events']);
  set.enter();
  set.leave();
  expect(told.length).toBe(3);
  expect(b.rmdir()).toBe(-EBUSY);
  set.leave();
  expect([root.populated, a.populated, b.populated]).toEqual([false, false, false]);
});

test('sets of the same groups are one while somebody is in them', () => {
  const { all, a } = tree();
  const set = all.initial.with(a);
  set.enter();
  expect(all.initial.with(a)).toBe(set);
  expect(set.with(all.unified.root).key).toBe(all.initial.key);
  set.leave();
  expect(all.sets.size).toBe(0);
});

test('no internal processes: controllers go to children of groups without tasks', () => {
  const { all, root, a, b } = tree();
  expect(a.control(PIDS, 0)).toBe(-ENOENT);
  expect(root.control(PIDS | MEMORY, 0)).toBe(0);
  const set = all.initial.with(a);
  set.enter();
  expect(a.control(MEMORY, 0)).toBe(-EBUSY);
  set.leave();
  expect(a.control(MEMORY, 0)).toBe(0);
  expect(a.vetMigration()).toBe(-EBUSY);
  expect(b.vetMigration()).toBe(0);
  expect(root.control(0, MEMORY)).toBe(-EBUSY);
  b.setValue('memory.max', '4096');
  expect(a.control(0, MEMORY)).toBe(0);
  expect(b.value('memory.max')).toBeUndefined();
});

test('threaded groups', () => {
  const { all, root, a, b } = tree();
  expect(root.control(PIDS | MEMORY, 0)).toBe(0);
  expect(b.makeThreaded()).toBe(0);
  expect([a.type, b.type]).toEqual(['domain threaded', 'threaded']);
  expect((a.mkdir('c') as Cgroup).type).toBe('domain invalid');
  expect(a.control(MEMORY, 0)).toBe(-EOPNOTSUPP);
  expect(a.children.get('c')!.vetMigration()).toBe(-EOPNOTSUPP);
  const set = all.initial.with(b);
  set.enter();
  expect(a.control(PIDS, 0)).toBe(0);
  expect(b.controllers).toBe(PIDS);
  set.leave();
});

test('limits of tasks count for all groups above', () => {
  const { root, a, b } = tree();
  a.pidsMax = 2;
  expect(b.tryChargePid()).toBe(0);
  expect(b.tryChargePid()).toBe(0);
  expect(b.tryChargePid()).toBe(-EAGAIN);
  expect([root.pids, a.pids, b.pids]).toEqual([2, 2, 2]);
  expect([root.pidsEvents, a.pidsEvents, b.pidsEvents]).toEqual([1, 1, 0]);
  expect([a.pidsEventsLocal, root.pidsEventsLocal]).toEqual([1, 0]);
  b.chargePids(-2);
  expect([root.pids, a.pidsPeak]).toEqual([0, 2]);
});

test('names are those of the namespace', () => {
  const { root, a, b } = tree();
  expect([b.pathFrom(root), b.pathFrom(a), b.pathFrom(b)]).toEqual(['/a/b', '/b', '/']);
  expect(a.pathFrom(b)).toBe('/..');
  const c = root.mkdir('c') as Cgroup;
  expect(c.pathFrom(b)).toBe('/../../c');
});

test('hierarchies of version 1: everybody is in their topmost group, controllers are in one hierarchy', () => {
  const all = new CgroupHierarchies();
  all.initial.enter();
  all.initial.pids.chargePids(1);
  const h = all.make('x', PIDS);
  if (typeof h === 'number') throw new Error(String(h));
  expect(h.label).toBe('pids,name=x');
  expect(all.unified.root.control(PIDS, 0)).toBe(-ENOENT);
  expect([h.root.populated, h.root.pids]).toEqual([true, 1]);
  const g = h.root.mkdir('g') as Cgroup;
  const set = all.initial.with(g);
  set.enter();
  all.initial.leave();
  expect(set.pids).toBe(g);
  expect(set.groupIn(all.unified)).toBe(all.unified.root);
  set.leave();
  expect(h.root.populated).toBe(false);
  g.rmdir();
  all.unmounted(h);
  expect([h.gone, all.unified.root.control(PIDS, 0)]).toEqual([true, 0]);
});
