import { expect, test } from 'vitest';
import { TmpfsSuperBlock } from '../fsimpl/tmpfs/super-block.ts';
import {
  attachMount,
  cloneTree,
  detachMount,
  makeMount,
  MOUNT_MAX,
  setPropagation,
} from './mount-namespace.ts';
import { MS_PRIVATE, MS_SHARED, MS_SLAVE, type Mount } from './mount.ts';
import { vfsMkdir } from './namei.ts';
import { propagationFields } from './propagation.ts';
import { TestContext } from './testing/context.ts';
import { LOOKUP_DIRECTORY, nd, walk } from './walk.ts';
import { ENOSPC } from '../abi/errno.ts';
import type { Path } from './dentry.ts';

function setUp(...dirs: string[]): { t: TestContext; at: (name: string) => Path } {
  const t = new TestContext(new TmpfsSuperBlock());
  for (const d of dirs) expect(vfsMkdir(t, t.fs.root, d, 0o755)).toBe(0);
  const at = (name: string): Path => {
    expect(walk(t, t.fs.root, name, LOOKUP_DIRECTORY)).toBe(0);
    return nd.path();
  };
  return { t, at };
}

const tmpfs = (): Mount => makeMount(new TmpfsSuperBlock(), 0, 'none');

test('numbers of groups are given back and used again', () => {
  const a = tmpfs();
  const b = tmpfs();
  setPropagation(a, MS_SHARED);
  const first = propagationFields(a);
  expect(first).toMatch(/^ shared:\d+$/);
  setPropagation(b, MS_SHARED);
  expect(propagationFields(b)).not.toBe(first);
  setPropagation(a, MS_PRIVATE);
  expect(propagationFields(a)).toBe('');
  setPropagation(a, MS_SHARED);
  expect(propagationFields(a)).toBe(first);
});

test('the slaves of a group that ends become those of its master', () => {
  const { t, at } = setUp('/a', '/b', '/c');
  const a = tmpfs();
  expect(attachMount(a, at('/a'))).toBe(0);
  setPropagation(a, MS_SHARED);
  const b = cloneTree(at('/a'), false);
  expect(attachMount(b, at('/b'))).toBe(0);
  setPropagation(b, MS_SLAVE);
  setPropagation(b, MS_SHARED);
  const c = cloneTree(at('/b'), false);
  expect(attachMount(c, at('/c'))).toBe(0);
  setPropagation(c, MS_SLAVE);
  expect(c.master).toBe(b.group);
  setPropagation(b, MS_PRIVATE);
  expect(c.master).toBe(a.group);
  expect(t.ns.count).toBe(4);
});

test('copies count: a mount whose copies find no room is refused, and nothing is left of it', () => {
  const { t, at } = setUp('/a', '/b');
  const a = tmpfs();
  expect(attachMount(a, at('/a'))).toBe(0);
  setPropagation(a, MS_SHARED);
  expect(attachMount(cloneTree(at('/a'), false), at('/b'))).toBe(0);
  expect(vfsMkdir(t, t.fs.root, '/a/x', 0o755)).toBe(0);
  t.ns.count = MOUNT_MAX - 1;
  expect(attachMount(tmpfs(), at('/a/x'))).toBe(-ENOSPC);
  t.ns.count = MOUNT_MAX - 2;
  const x = tmpfs();
  expect(attachMount(x, at('/a/x'))).toBe(0);
  expect(t.ns.count).toBe(MOUNT_MAX);
  expect(at('/b/x').mount.group).toBe(x.group);
  expect(detachMount(x, false)).toBe(0);
  expect(t.ns.count).toBe(MOUNT_MAX - 2);
  expect(at('/b/x').mount.root).not.toBe(at('/b/x').dentry);
});
