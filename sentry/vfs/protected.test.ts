import { afterEach, expect, test } from 'vitest';
import { EACCES, EPERM } from '../abi/errno.ts';
import { O_CREAT, O_RDONLY, O_RDWR } from '../abi/fcntl.ts';
import { TmpfsDir } from '../fsimpl/tmpfs/directory.ts';
import { TmpfsSuperBlock } from '../fsimpl/tmpfs/super-block.ts';
import { vfsLink } from './namei.ts';
import { vfsOpen } from './open.ts';
import { PROTECTIONS, setProtection } from './protected.ts';
import { TestContext } from './testing/context.ts';
import { LOOKUP_FOLLOW, nd, walk } from './walk.ts';

const OWNER = 1000;
const OTHER = 2000;

/** A sticky directory of root's with a file and a link of OWNER's. */
function setup(dirMode = 0o1777): TestContext {
  const sb = new TmpfsSuperBlock();
  const dir = sb.root.mkdir('t', dirMode, 0, 0) as TmpfsDir;
  dir.create('f', 0o666, OWNER, OWNER);
  dir.create('secret', 0o600, OWNER, OWNER);
  dir.symlink('l', 'f', OWNER, OWNER);
  sb.root.mkdir('mine', 0o777, OTHER, OTHER);
  return new TestContext(sb);
}

afterEach(() => PROTECTIONS.forEach((n) => setProtection(n, 0)));

const follow = (t: TestContext): number => walk(t, t.fs.cwd, 't/l', LOOKUP_FOLLOW);

test('links of strangers in sticky directories are not followed', () => {
  const t = setup();
  t.as(OTHER, OTHER);
  expect(follow(t)).toBe(0);
  setProtection('symlinks', 1);
  expect(follow(t)).toBe(-EACCES);
  expect(walk(t, t.fs.cwd, 't/l', 0)).toBe(0);
  expect(vfsOpen(t, t.fs.cwd, 't/l', O_CREAT | O_RDONLY, 0o600)).toBe(-EACCES);
  t.as(OWNER, OWNER);
  expect(follow(t)).toBe(0);
  t.as(OTHER, OTHER);
  expect(follow(t)).toBe(-EACCES);
});

test('links in directories that are not sticky are', () => {
  const t = setup(0o777);
  setProtection('symlinks', 1);
  t.as(OTHER, OTHER);
  expect(follow(t)).toBe(0);
});

test('hard links need an owner, or a file that may be read and written', () => {
  const t = setup();
  t.as(OTHER, OTHER);
  const link = (name: string, to: string): number => {
    expect(walk(t, t.fs.cwd, name, 0)).toBe(0);
    return vfsLink(t, nd.dentry.inode!, nd.mount, nd.dentry, t.fs.cwd, to);
  };
  expect(link('t/secret', 'mine/a')).toBe(0);
  setProtection('hardlinks', 1);
  expect(link('t/secret', 'mine/b')).toBe(-EPERM);
  expect(link('t/l', 'mine/b')).toBe(-EPERM);
  expect(link('t/f', 'mine/b')).toBe(0);
  t.as(OWNER, OWNER);
  expect(link('t/secret', 'mine/c')).toBe(0);
});

test('O_CREAT does not open files of strangers in sticky directories', () => {
  const open = (t: TestContext): boolean =>
    typeof vfsOpen(t, t.fs.cwd, 't/f', O_CREAT | O_RDWR, 0o600) !== 'number';
  const t = setup();
  t.as(OTHER, OTHER);
  expect(open(t)).toBe(true);
  setProtection('regular', 1);
  expect(open(t)).toBe(false);
  expect(typeof vfsOpen(t, t.fs.cwd, 't/f', O_RDWR, 0)).not.toBe('number');
  const group = setup(0o1775);
  group.as(OTHER, OTHER);
  expect(open(group)).toBe(true);
  setProtection('regular', 2);
  expect(open(group)).toBe(false);
  group.as(OWNER, OWNER);
  expect(open(group)).toBe(true);
});
