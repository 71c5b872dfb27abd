import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EACCES, ENOENT, EPERM } from '../../abi/errno.ts';
import { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '../../abi/fcntl.ts';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL, FS_NODUMP_FL } from '../../abi/file-attr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { setFileFlags } from '../../vfs/file-attr.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import {
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  vfsLink,
  vfsMkdir,
  vfsRename,
  vfsRmdir,
  vfsSymlink,
  vfsUnlink,
} from '../../vfs/namei.ts';
import type { Inode } from '../../vfs/inode.ts';
import { MAY_EXEC, MAY_WRITE, inodePermission } from '../../vfs/permission.ts';
import { truncateInode, vfsOpen } from '../../vfs/open.ts';
import { TestContext } from '../../vfs/testing/context.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../vfs/walk.ts';
import type { TmpfsDir } from '../tmpfs/directory.ts';
import type { TmpfsRegular } from '../tmpfs/node.ts';
import { TmpfsSuperBlock } from '../tmpfs/super-block.ts';
import { OverlaySuperBlock } from './super-block.ts';

function fill(root: TmpfsDir): void {
  const put = (dir: TmpfsDir, name: string, text: string): TmpfsRegular => {
    const f = dir.create(name, 0o644, 0, 0) as TmpfsRegular;
    f.content.write(Buffer.from(text), 0, text.length, 0);
    f.size = text.length;
    return f;
  };
  const a = root.mkdir('a', 0o755, 0, 0) as TmpfsDir;
  const b = a.mkdir('b', 0o755, 0, 0) as TmpfsDir;
  put(a, 'f', 'lower f');
  put(b, 'f', 'lower b/f');
  const c = root.mkdir('c', 0o755, 0, 0) as TmpfsDir;
  put(c, 'g', 'lower c/g');
  root.link('h', put(root, 'f', 'two names'));
  root.symlink('s', 'a/f', 0, 0);
}

function open(t: TestContext, name: string, flags: number): FileDescription | number {
  return vfsOpen(t, t.fs.cwd, name, flags, 0o644);
}

function write(t: TestContext, name: string, flags: number, text: string): number {
  const f = open(t, name, flags);
  if (typeof f === 'number') return f;
  const n = f.write(t, Buffer.from(text), 0, text.length, 0);
  f.unref();
  return n;
}

function read(t: TestContext, name: string): string | number {
  const f = open(t, name, O_RDONLY);
  if (typeof f === 'number') return f;
  const buf = Buffer.alloc(100);
  const n = f.read(t, buf, 0, 100, 0);
  f.unref();
  return n < 0 ? n : buf.toString('latin1', 0, n);
}

function list(t: CallContext, f: FileDescription): string[] {
  const names: string[] = [];
  f.getdents(t, (name) => names.push(name) > 0);
  return names.sort();
}

/** The whole tree as text: names, types, modes, link counts of files, contents. */
function dump(t: TestContext, dir = ''): string[] {
  const f = open(t, dir === '' ? '/' : dir, O_RDONLY) as FileDescription;
  const out: string[] = [];
  for (const name of list(t, f)) {
    if (name === '.' || name === '..') continue;
    const path = `${dir}/${name}`;
    expect(walk(t, t.fs.root, path, 0)).toBe(0);
    const inode = nd.dentry.inode!;
    inode.refresh();
    const { mode } = inode;
    if (inode.isDir) out.push(`${path} ${mode.toString(8)}`, ...dump(t, path));
    else if (inode.isSymlink) out.push(`${path} -> ${inode.readlink(t)}`);
    else out.push(`${path} ${mode.toString(8)} ${inode.nlink} ${inode.size} ${read(t, path)}`);
  }
  f.unref();
  return out;
}

function plain(): TestContext {
  const sb = new TmpfsSuperBlock();
  fill(sb.root);
  return new TestContext(sb);
}

function overlaid(): TestContext {
  const lower = new TmpfsSuperBlock();
  fill(lower.root);
  return new TestContext(new OverlaySuperBlock([lower.root], new TmpfsSuperBlock()));
}

type Op = (t: TestContext) => number | string;

const path = fc.constantFrom(
  'a',
  'a/b',
  'a/f',
  'a/b/f',
  'c',
  'c/g',
  'f',
  'h',
  's',
  'n',
  'a/n',
  'c/n',
  'c/b',
  'c/b/f',
);
const stat: (t: TestContext, name: string, f: (i: ReturnType<typeof inodeOf>) => number) => number = (
  t,
  name,
  f,
) => (walk(t, t.fs.cwd, name, LOOKUP_FOLLOW) === 0 ? f(inodeOf()) : -ENOENT);
const inodeOf = (): NonNullable<typeof nd.dentry.inode> => nd.dentry.inode!;

const op: fc.Arbitrary<{ text: string; run: Op }> = fc.oneof(
  path.map((p) => ({
    text: `write ${p}`,
    run: (t: TestContext) => write(t, p, O_WRONLY | O_CREAT | O_TRUNC, 'new'),
  })),
  path.map((p) => ({ text: `append ${p}`, run: (t: TestContext) => write(t, p, O_RDWR | O_APPEND, '++') })),
  path.map((p) => ({
    text: `excl ${p}`,
    run: (t: TestContext) => write(t, p, O_WRONLY | O_CREAT | O_EXCL, 'x'),
  })),
  path.map((p) => ({ text: `read ${p}`, run: (t: TestContext) => read(t, p) })),
  path.map((p) => ({ text: `mkdir ${p}`, run: (t: TestContext) => vfsMkdir(t, t.fs.cwd, p, 0o777) })),
  path.map((p) => ({ text: `unlink ${p}`, run: (t: TestContext) => vfsUnlink(t, t.fs.cwd, p) })),
  path.map((p) => ({ text: `rmdir ${p}`, run: (t: TestContext) => vfsRmdir(t, t.fs.cwd, p) })),
  path.map((p) => ({ text: `symlink ${p}`, run: (t: TestContext) => vfsSymlink(t, 'a/b/f', t.fs.cwd, p) })),
  path.map((p) => ({
    text: `chmod ${p}`,
    run: (t: TestContext) => stat(t, p, (i) => i.setAttr({ mode: 0o700 })),
  })),
  path.map((p) => ({
    text: `truncate ${p}`,
    run: (t: TestContext) => stat(t, p, (i) => (i.isRegular ? truncateInode(t, i, 3) : 0)),
  })),
  fc.tuple(path, path).map(([p, q]) => ({
    text: `link ${p} ${q}`,
    run: (t: TestContext) => stat(t, p, (i) => vfsLink(t, i, nd.mount, nd.dentry, t.fs.cwd, q)),
  })),
  fc.tuple(path, path, fc.constantFrom(0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE)).map(([p, q, flags]) => ({
    text: `rename ${p} ${q} ${flags}`,
    run: (t: TestContext) => vfsRename(t, t.fs.cwd, p, t.fs.cwd, q, flags),
  })),
);

describe('overlay', () => {
  test('looks and behaves like one file system whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 25 }), (ops) => {
        const a = plain();
        const b = overlaid();
        expect(dump(b)).toEqual(dump(a));
        for (const { text, run } of ops) expect([text, run(b)]).toEqual([text, run(a)]);
        expect(dump(b)).toEqual(dump(a));
      }),
      { numRuns: 150 },
    );
  });

  test('the lower layer stays as it was', () => {
    const lower = new TmpfsSuperBlock();
    fill(lower.root);
    const t = new TestContext(new OverlaySuperBlock([lower.root], new TmpfsSuperBlock()));
    const before = dump(new TestContext(lower));
    write(t, 'a/f', O_WRONLY, 'changed');
    vfsRename(t, t.fs.cwd, 'a', t.fs.cwd, 'moved', 0);
    vfsUnlink(t, t.fs.cwd, 'f');
    expect(read(t, 'moved/f')).toBe('changed');
    expect(read(t, 'moved/b/f')).toBe('lower b/f');
    expect(dump(new TestContext(lower))).toEqual(before);
  });

  test('a file opened for reading sees what is written after its copy-up', () => {
    const t = overlaid();
    const f = open(t, 'a/f', O_RDONLY) as FileDescription;
    const ino = f.inode.ino;
    write(t, 'a/f', O_WRONLY, 'UPPER');
    const buf = Buffer.alloc(7);
    expect(f.read(t, buf, 0, 7, 0)).toBe(7);
    expect(buf.toString()).toBe('UPPER f');
    expect(f.inode.ino).toBe(ino);
    expect(walk(t, t.fs.cwd, 'a/f', 0)).toBe(0);
    expect(nd.dentry.inode!.ino).toBe(ino);
    f.unref();
  });

  test('holes stay holes', () => {
    const lower = new TmpfsSuperBlock();
    const f = lower.root.create('sparse', 0o644, 0, 0) as TmpfsRegular;
    f.content.write(Buffer.from('start'), 0, 5, 0);
    f.content.truncate(10_000_000);
    f.content.write(Buffer.from('middle'), 0, 6, 5_000_000);
    f.size = f.content.size;
    const t = new TestContext(new OverlaySuperBlock([lower.root], new TmpfsSuperBlock()));
    expect(write(t, 'sparse', O_WRONLY, 'S')).toBe(1);
    expect(walk(t, t.fs.cwd, 'sparse', 0)).toBe(0);
    const inode = nd.dentry.inode!;
    inode.refresh();
    expect(inode.size).toBe(10_000_000);
    expect(inode.blocks).toBeLessThan(1000);
    const g = open(t, 'sparse', O_RDONLY) as FileDescription;
    const buf = Buffer.alloc(6);
    g.read(t, buf, 0, 6, 5_000_000);
    expect(buf.toString()).toBe('middle');
    g.read(t, buf, 0, 6, 0);
    expect(buf.toString()).toBe('Start\0');
    g.unref();
  });

  test('image layers: whiteout files and opaque directories', () => {
    const bottom = new TmpfsSuperBlock();
    fill(bottom.root);
    const top = new TmpfsSuperBlock();
    const a = top.root.mkdir('a', 0o755, 0, 0) as TmpfsDir;
    a.create('.wh.f', 0o644, 0, 0);
    a.create('new', 0o644, 0, 0);
    const c = top.root.mkdir('c', 0o755, 0, 0) as TmpfsDir;
    c.create('.wh..wh..opq', 0o644, 0, 0);
    const t = new TestContext(new OverlaySuperBlock([top.root, bottom.root], new TmpfsSuperBlock()));
    expect(dump(t).map((l) => l.split(' ')[0])).toEqual([
      '/a',
      '/a/b',
      '/a/b/f',
      '/a/new',
      '/c',
      '/f',
      '/h',
      '/s',
    ]);
    expect(read(t, 'a/f')).toBe(-ENOENT);
    expect(read(t, 'c/g')).toBe(-ENOENT);
  });
});

test('access control lists go along when an object is copied up, and are not handed to it by its directory', () => {
  const lower = new TmpfsSuperBlock();
  fill(lower.root);
  const acl = [
    { tag: 1, perm: 6, id: -1 },
    { tag: 2, perm: 7, id: 1001 },
    { tag: 4, perm: 4, id: -1 },
    { tag: 16, perm: 6, id: -1 },
    { tag: 32, perm: 0, id: -1 },
  ];
  const a = lower.root.lookup('a') as TmpfsDir;
  (a.lookup('f') as TmpfsRegular).setAcl('access', acl, 0o660);
  a.setAcl('default', acl, 0o755);
  const t = new TestContext(new OverlaySuperBlock([lower.root], new TmpfsSuperBlock()));
  const at = (name: string): Inode => {
    expect(walk(t, t.fs.root, name, LOOKUP_FOLLOW)).toBe(0);
    return nd.dentry.inode!;
  };
  for (const name of ['/a/f', '/a/b/f']) expect(at(name).setAttr({ mtime: { sec: 1, nsec: 0 } })).toBe(0);
  expect(at('/a/f').getAcl('access')).toEqual(acl);
  expect(at('/a/b/f').getAcl('access')).toBe(null);
  expect(at('/a/b').getAcl('default')).toBe(null);
  expect(at('/a').getAcl('default')).toEqual(acl);
  t.as(1001, 1001);
  expect(inodePermission(t, at('/a/f'), MAY_WRITE)).toBe(0);
  expect(inodePermission(t, at('/a/f'), MAY_EXEC)).toBe(-EACCES);
});

test('flags of files lie in the upper layer, are copied up, and forbid there what they say', () => {
  const lower = new TmpfsSuperBlock();
  fill(lower.root);
  const file = (lower.root.lookup('a') as TmpfsDir).lookup('f') as TmpfsRegular;
  expect(file.setFileFlags(FS_NOATIME_FL | FS_NODUMP_FL)).toBe(0);
  const t = new TestContext(new OverlaySuperBlock([lower.root], new TmpfsSuperBlock()));
  const at = (name: string): Inode => {
    expect(walk(t, t.fs.root, name, LOOKUP_FOLLOW)).toBe(0);
    return nd.dentry.inode!;
  };
  expect(at('/a/f').getFileFlags()).toBe(FS_NOATIME_FL | FS_NODUMP_FL);
  expect(at('/a/f').setAttr({ mode: 0o600 })).toBe(0);
  // FS_NODUMP_FL is not copied.
  expect(at('/a/f').getFileFlags()).toBe(FS_NOATIME_FL);
  expect(setFileFlags(t, at('/a/f'), FS_IMMUTABLE_FL)).toBe(0);
  expect(file.getFileFlags()).toBe(FS_NOATIME_FL | FS_NODUMP_FL);
  expect(write(t, '/a/f', O_WRONLY, 'x')).toBe(-EPERM);
  expect(vfsUnlink(t, t.fs.cwd, '/a/f')).toBe(-EPERM);
  expect(setFileFlags(t, at('/c'), FS_APPEND_FL)).toBe(0);
  expect(vfsUnlink(t, t.fs.cwd, '/c/g')).toBe(-EPERM);
  expect(write(t, '/c/new', O_WRONLY | O_CREAT, 'x')).toBe(1);
  t.as(1001, 1001);
  expect(setFileFlags(t, at('/c'), 0)).toBe(-EPERM);
});

test('the layers are asked once how full they are', () => {
  const lower = new TmpfsSuperBlock();
  let asked = 0;
  const statfs = lower.statfs.bind(lower);
  lower.statfs = () => {
    asked++;
    return statfs();
  };
  const sb = new OverlaySuperBlock([lower.root], new TmpfsSuperBlock());
  expect(sb.statfs()).toEqual(sb.statfs());
  expect(asked).toBe(1);
});
