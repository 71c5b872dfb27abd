import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from '../abi/errno.ts';
import { TmpfsDir } from '../fsimpl/tmpfs/directory.ts';
import { TmpfsSuperBlock } from '../fsimpl/tmpfs/super-block.ts';
import { dentryCount, setDentryLimit, DENTRY_CACHE_MAX } from './dentry.ts';
import { attachMount, makeMount } from './mount-namespace.ts';
import { cwdName, pathName } from './path-name.ts';
import { TestContext } from './testing/context.ts';
import {
  LOOKUP_BENEATH,
  LOOKUP_DIRECTORY,
  LOOKUP_FOLLOW,
  LOOKUP_IN_ROOT,
  LOOKUP_NO_XDEV,
  LOOKUP_PARENT,
  nd,
  walk,
} from './walk.ts';

function setup(): { t: TestContext; root: TmpfsDir } {
  const sb = new TmpfsSuperBlock();
  const root = sb.root;
  const a = root.mkdir('a', 0o755, 0, 0) as TmpfsDir;
  const b = a.mkdir('b', 0o755, 0, 0) as TmpfsDir;
  b.create('f', 0o644, 0, 0);
  root.symlink('abs', '/a/b', 0, 0);
  root.symlink('rel', 'a/b/f', 0, 0);
  root.symlink('dangling', 'a/none', 0, 0);
  root.symlink('loop', 'loop', 0, 0);
  root.symlink('slash', 'a/b/f/', 0, 0);
  a.symlink('up', '../a/b', 0, 0);
  return { t: new TestContext(sb), root };
}

const at = (t: TestContext, name: string, flags = LOOKUP_FOLLOW): string | number => {
  const r = walk(t, t.fs.cwd, name, flags);
  return r < 0 ? r : pathName(nd.path(), t.fs.root);
};

describe('path walk', () => {
  test('resolves components, dots and slashes', () => {
    const { t } = setup();
    expect(at(t, '/')).toBe('/');
    expect(at(t, '/../..')).toBe('/');
    expect(at(t, 'a//b/./f')).toBe('/a/b/f');
    expect(at(t, 'a/b/../b/')).toBe('/a/b');
    expect(at(t, '')).toBe(-ENOENT);
    expect(at(t, 'a/x')).toBe(-ENOENT);
    expect(at(t, 'a/x/y')).toBe(-ENOENT);
    expect(at(t, 'a/b/f/y')).toBe(-ENOTDIR);
    expect(at(t, 'a/b/f/')).toBe(-ENOTDIR);
    expect(at(t, 'a/b/f/.')).toBe(-ENOTDIR);
    expect(at(t, 'a/b/f', LOOKUP_DIRECTORY)).toBe(-ENOTDIR);
    expect(at(t, 'x'.repeat(255))).toBe(-ENOENT);
    expect(at(t, 'x'.repeat(256))).toBe(-ENAMETOOLONG);
  });

  test('follows symbolic links as asked', () => {
    const { t } = setup();
    expect(at(t, 'abs/f')).toBe('/a/b/f');
    expect(at(t, 'abs', 0)).toBe('/abs');
    expect(at(t, 'abs/', 0)).toBe('/a/b');
    expect(at(t, 'rel')).toBe('/a/b/f');
    expect(at(t, 'a/up/f')).toBe('/a/b/f');
    expect(at(t, 'rel/')).toBe(-ENOTDIR);
    expect(at(t, 'slash')).toBe(-ENOTDIR);
    expect(at(t, 'dangling')).toBe(-ENOENT);
    expect(at(t, 'dangling', 0)).toBe('/dangling');
    expect(at(t, 'loop')).toBe(-ELOOP);
    expect(at(t, 'loop', 0)).toBe('/loop');
  });

  test('40 links are followed, 41 are not', () => {
    const { t, root } = setup();
    root.create('l0', 0o644, 0, 0);
    for (let i = 1; i <= 41; i++) root.symlink(`l${i}`, `l${i - 1}`, 0, 0);
    expect(at(t, 'l40')).toBe('/l0');
    expect(at(t, 'l41')).toBe(-ELOOP);
  });

  test('stops at the parent', () => {
    const { t } = setup();
    expect(at(t, 'a/b/new', LOOKUP_PARENT)).toBe('/a/b');
    expect(nd.last).toBe('new');
    expect(at(t, 'a/b/f/new', LOOKUP_PARENT)).toBe(-ENOTDIR);
    expect(at(t, 'a/new//', LOOKUP_PARENT)).toBe('/a');
    expect(nd.trailingSlash).toBe(true);
  });

  test('needs search permission on every directory', () => {
    const { t, root } = setup();
    (root.lookup('a') as TmpfsDir).setAttr({ mode: 0o700 });
    expect(at(t, 'a/b/f')).toBe('/a/b/f');
    t.as(1000, 1000);
    expect(at(t, 'a')).toBe('/a');
    expect(at(t, 'a/b')).toBe(-EACCES);
    expect(at(t, 'a/none')).toBe(-EACCES);
    expect(at(t, 'a/.')).toBe(-EACCES);
  });

  test('crosses mounts down and up', () => {
    const { t } = setup();
    walk(t, t.fs.cwd, 'a/b', 0);
    const other = new TmpfsSuperBlock();
    other.root.create('inside', 0o644, 0, 0);
    const m = makeMount(other, 0, 'other');
    expect(attachMount(m, nd.path())).toBe(0);
    expect(at(t, 'a/b/inside')).toBe('/a/b/inside');
    expect(at(t, 'a/b/f')).toBe(-ENOENT);
    expect(at(t, 'a/b/..')).toBe('/a');
    expect(at(t, 'a/b/inside', LOOKUP_NO_XDEV)).toBe(-EXDEV);
  });

  test('stays beneath or in the root as openat2 asks', () => {
    const { t } = setup();
    walk(t, t.fs.cwd, 'a', 0);
    const a = nd.path();
    expect(walk(t, a, 'b/../b/f', LOOKUP_BENEATH)).toBe(0);
    expect(walk(t, a, '../a', LOOKUP_BENEATH)).toBe(-EXDEV);
    expect(walk(t, a, '/b', LOOKUP_BENEATH)).toBe(-EXDEV);
    expect(walk(t, a, 'up/f', LOOKUP_BENEATH)).toBe(-EXDEV);
    expect(walk(t, a, '/../../b/f', LOOKUP_IN_ROOT)).toBe(0);
    expect(walk(t, a, 'up', LOOKUP_IN_ROOT | LOOKUP_FOLLOW)).toBe(-ENOENT);
  });

  test('names: deleted, unreachable', () => {
    const { t, root } = setup();
    walk(t, t.fs.cwd, 'a/b', 0);
    const b = nd.path();
    expect(cwdName(b, t.fs.root)).toBe('/a/b');
    walk(t, t.fs.cwd, 'abs', LOOKUP_FOLLOW);
    expect(cwdName(t.fs.root, b)).toBe('(unreachable)/');
    b.dentry.hold();
    (root.lookup('a') as TmpfsDir).rmdir('b', b.dentry.inode!);
    b.dentry.drop();
    expect(pathName(b, t.fs.root)).toBe('/a/b (deleted)');
    expect(cwdName(b, t.fs.root)).toBeNull();
  });

  test('the dentry cache is bounded and answers the same', () => {
    const { t, root } = setup();
    setDentryLimit(100);
    for (let i = 0; i < 500; i++) root.create(`n${i}`, 0o644, 0, 0);
    for (let i = 0; i < 500; i++) expect(at(t, `n${i}`)).toBe(`/n${i}`);
    for (let i = 0; i < 500; i++) expect(at(t, `none${i}`)).toBe(-ENOENT);
    expect(dentryCount()).toBeLessThan(400);
    setDentryLimit(DENTRY_CACHE_MAX);
  });

  test('agrees with a simple model on random trees and names', () => {
    const part = fc.constantFrom('a', 'b', 'f', '.', '..', 'abs', 'up', 'none', '');
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), fc.boolean(), (parts, rooted) => {
        const { t } = setup();
        const name = (rooted ? '/' : '') + parts.join('/');
        expect(at(t, name)).toBe(model(name));
      }),
    );
  });
});

/** realpath by text: every symbolic link of the fixture leads to a directory. */
function model(name: string): string | number {
  if (name === '') return -ENOENT;
  const kinds: Record<string, string> = {
    '/': 'd',
    '/a': 'd',
    '/a/b': 'd',
    '/a/b/f': 'f',
    '/abs': '/a/b',
    '/a/up': '/a/b',
  };
  let cur = '/';
  const parts = name.split('/');
  for (const p of parts.filter((x) => x !== '')) {
    if (kinds[cur] !== 'd') return -ENOTDIR;
    if (p === '.') continue;
    if (p === '..') {
      cur = cur === '/' ? '/' : cur.slice(0, cur.lastIndexOf('/')) || '/';
      continue;
    }
    const next = cur === '/' ? `/${p}` : `${cur}/${p}`;
    const kind = kinds[next];
    if (kind === undefined) return -ENOENT;
    cur = kind.startsWith('/') ? kind : next;
  }
  return parts[parts.length - 1] === '' && kinds[cur] !== 'd' ? -ENOTDIR : cur;
}
