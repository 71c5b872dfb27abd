import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TmpfsSuperBlock } from '../fsimpl/tmpfs/super-block.ts';
import { attachMount, detachMount, makeMount } from './mount-namespace.ts';
import { vfsMkdir, vfsMknod, vfsRename, vfsRmdir, vfsSymlink, vfsUnlink } from './namei.ts';
import { TestContext } from './testing/context.ts';
import { treeChanged, treeGeneration } from './walk-cache.ts';
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, LOOKUP_NO_MAGICLINKS, nd, relyOnWalk, walk } from './walk.ts';

const NAMES = [
  'a',
  'a/b',
  'a/b/f',
  'a/f',
  'l',
  'l/f',
  'l/b',
  'l/b/f',
  'f',
  'a/../f',
  'a/./b',
  '/a/b/f',
  '/l/f',
  'b/f',
];
const name = fc.constantFrom(...NAMES);

type Step = (t: TestContext) => void;

const step: fc.Arbitrary<Step> = fc.oneof(
  name.map((n) => (t: TestContext) => void vfsMkdir(t, t.fs.cwd, n, 0o755)),
  name.map((n) => (t: TestContext) => void vfsMknod(t, t.fs.cwd, n, 0o100644, 0)),
  name.map((n) => (t: TestContext) => void vfsUnlink(t, t.fs.cwd, n)),
  name.map((n) => (t: TestContext) => void vfsRmdir(t, t.fs.cwd, n)),
  fc.tuple(name, name).map(
    ([n, to]) =>
      (t: TestContext) =>
        void vfsSymlink(t, to, t.fs.cwd, n),
  ),
  fc.tuple(name, name).map(
    ([n, m]) =>
      (t: TestContext) =>
        void vfsRename(t, t.fs.cwd, n, t.fs.cwd, m, 0),
  ),
  fc.tuple(name, name).map(
    ([n, m]) =>
      (t: TestContext) =>
        void vfsRename(t, t.fs.cwd, n, t.fs.cwd, m, 2),
  ),
  fc.tuple(name, fc.constantFrom(0o755, 0o700)).map(([n, mode]) => (t: TestContext) => {
    if (walk(t, t.fs.cwd, n, LOOKUP_FOLLOW) !== 0) return;
    nd.dentry.inode!.setAttr({ mode });
    treeChanged();
  }),
  fc.constantFrom(0, 1000).map((id) => (t: TestContext) => t.as(id, id)),
  name.map((n) => (t: TestContext) => {
    if (walk(t, t.fs.cwd, n, LOOKUP_FOLLOW | LOOKUP_DIRECTORY) !== 0) return;
    const at = nd.path();
    const sb = new TmpfsSuperBlock();
    sb.root.create('f', 0o644, 0, 0);
    if (at.dentry !== at.mount.root) attachMount(makeMount(sb, 0, ''), at);
  }),
  name.map((n) => (t: TestContext) => {
    if (walk(t, t.fs.cwd, n, LOOKUP_FOLLOW) === 0 && nd.mount.parent !== null) detachMount(nd.mount, true);
  }),
  name.map((n) => (t: TestContext) => {
    if (walk(t, t.fs.cwd, n, LOOKUP_FOLLOW | LOOKUP_DIRECTORY) === 0) t.fs.setCwd(nd.path());
  }),
);

test('a remembered name leads where a walk of it leads', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const sb = new TmpfsSuperBlock();
      const t = new TestContext(sb);
      for (const s of steps) {
        s(t);
        for (const n of NAMES) {
          for (const flags of [0, LOOKUP_FOLLOW, LOOKUP_FOLLOW | LOOKUP_DIRECTORY]) {
            // A flag that the cache does not know makes a real walk; there are no magic links here.
            const r = walk(t, t.fs.cwd, n, flags | LOOKUP_NO_MAGICLINKS);
            const { mount, dentry } = nd;
            for (let again = 0; again < 2; again++) {
              expect([n, flags, walk(t, t.fs.cwd, n, flags)]).toEqual([n, flags, r]);
              if (r === 0) expect(nd.mount === mount && nd.dentry === dentry).toBe(true);
            }
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('what somebody relies on holds until the generation of the tree changes', () => {
  const absolute = ['/a', '/a/b', '/a/b/f', '/a/f', '/l', '/l/b', '/l/b/f', '/f'];
  /** What readlink(2) depends on: errno, or whether it is a link. */
  const found = (t: TestContext, n: string): number | boolean => {
    const r = walk(t, t.fs.cwd, n, LOOKUP_NO_MAGICLINKS);
    return r !== 0 ? r : nd.dentry.inode!.isSymlink;
  };
  let held = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const t = new TestContext(new TmpfsSuperBlock());
      const relied = new Map<string, { creds: unknown; answer: number | boolean; generation: number }>();
      for (const s of steps) {
        s(t);
        for (const [n, { creds, answer, generation }] of relied) {
          if (generation !== treeGeneration() || creds !== t.creds) continue;
          held++;
          expect([n, found(t, n)]).toEqual([n, answer]);
        }
        for (const n of absolute) {
          walk(t, t.fs.cwd, n, 0);
          if (!relyOnWalk(t, n)) continue;
          relied.set(n, { creds: t.creds, answer: found(t, n), generation: treeGeneration() });
        }
      }
    }),
    { numRuns: 100 },
  );
  expect(held).toBeGreaterThan(0);
});

test('names that somebody relies on are not kept for ever', () => {
  const t = new TestContext(new TmpfsSuperBlock());
  const before = treeGeneration();
  for (let i = 0; i < 20_000; i++) {
    const name = `/absent${i}`;
    walk(t, t.fs.cwd, name, 0);
    relyOnWalk(t, name);
  }
  expect(treeGeneration()).toBeGreaterThan(before);
});
