import * as fs from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { makedev } from '../../abi/device.ts';
import * as E from '../../abi/errno.ts';
import { O_NOATIME, O_RDONLY, O_RDWR } from '../../abi/fcntl.ts';
import { PROT_READ } from '../../abi/mman.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { locksOf } from '../../vfs/locks.ts';
import type { GoferInode } from './inode.ts';
import {
  dir,
  channel,
  sb,
  root,
  start,
  useTree,
  messages,
  find,
  stat,
  open,
  read,
  write,
} from './testing/tree.ts';

useTree();

test.each([true, false])(
  'chown to its owner needs no message and changes the ctime (exclusive %s)',
  (exclusive) => {
    start(exclusive);
    const [uid, gid] = [process.getuid!(), process.getgid!()];
    for (let i = 0; i < 3; i++) find('none');
    const f = root.create('f', 0o644, uid, gid) as Inode;
    const ctime = (): bigint => fs.statSync(join(dir, 'f'), { bigint: true }).ctimeNs;
    const before = ctime();
    // The host's clock of time stamps ticks.
    for (const end = Date.now() + 20; Date.now() < end;);
    expect(messages(() => expect(f.setAttr({ uid, gid })).toBe(0))).toBe(0);
    expect(ctime()).toBeGreaterThan(before);
    expect(stat('f').ctime.nsec).toBe(Number(ctime() % 1_000_000_000n));
    // Set-id bits would be lost.
    expect(f.setAttr({ mode: 0o6755 })).toBe(0);
    expect(messages(() => f.setAttr({ uid }))).toBe(1);
    if (exclusive || uid !== 0) return;
    expect(f.setAttr({ mode: 0o644 })).toBe(0);
    find('f');
    fs.chownSync(join(dir, 'f'), 1, 1);
    expect(f.setAttr({ uid, gid })).toBe(0);
    expect(fs.statSync(join(dir, 'f')).uid).toBe(0);
  },
);

test('owners come from the gofer only: the sentry has other ids', () => {
  fs.writeFileSync(join(dir, 'f'), 'hello');
  start(true);
  const f = open('f', O_RDWR);
  const { uid } = stat('f');
  stat('f').uid = 4711;
  write(f, 'x');
  expect(stat('f').uid).toBe(4711);
  f.inode.uid = uid;
  f.unref();
});

test('a lost gofer is EIO for what is not cached', () => {
  fs.writeFileSync(join(dir, 'f'), 'one');
  start(true);
  const f = open('f', O_RDONLY);
  channel.broken = true;
  expect(find('g')).toBe(-E.EIO);
  expect(root.create('x', 0o644, 0, 0)).toBe(-E.EIO);
  expect(sb.statfs()).toBe(-E.EIO);
  expect(read(f)).toBe('one');
  f.unref();
});

describe('one file in several exports', () => {
  /** Inodes of the file by two gofers of a sandbox, in a caching of their own each. */
  function twice(exclusive: boolean): [Inode, Inode] {
    start(exclusive);
    const first = stat('f');
    start(exclusive);
    return [first, stat('f')];
  }

  beforeEach(() => fs.writeFileSync(join(dir, 'f'), 'one'));

  test('locks and the like are kept in one place', () => {
    const [a, b] = twice(false);
    expect(a.findIdentity()).toBe(b.findIdentity());
    expect(locksOf(a)).toBe(locksOf(b));
  });

  test('another file of this name is another file', () => {
    const [a] = twice(false);
    const file = a.findIdentity();
    fs.writeFileSync(join(dir, 'new'), 'two');
    fs.renameSync(join(dir, 'new'), join(dir, 'f'));
    expect(stat('f').findIdentity()).not.toBe(file);
  });

  test('what nobody uses any more is forgotten', () => {
    const [a, b] = twice(false);
    const file = a.findIdentity();
    b.findIdentity();
    a.evict();
    expect(a.identity).toBe(a);
    start(false);
    expect(stat('f').findIdentity()).toBe(file);
    find('f');
    b.evict();
    sb.root.evict();
    stat('f').evict();
    start(false);
    expect(stat('f').findIdentity()).not.toBe(file);
  });

  test('a tree that nobody else has is not looked for elsewhere', () => {
    const [a, b] = twice(true);
    expect([a.findIdentity(), b.findIdentity()]).toEqual([a, b]);
  });
});

describe('device nodes of guests', () => {
  const node = S_IFCHR | 0o640;
  const typeOf = (name: string): number | undefined => {
    const entries = root.entries(false);
    return typeof entries === 'number' ? entries : entries.find((e) => e.name === name)?.type;
  };

  for (const exclusive of [true, false]) {
    test(`are the sandbox's own, the host has a socket (${exclusive ? 'exclusive' : 'shared'})`, () => {
      start(exclusive);
      expect(typeof root.mknod('null', node, makedev(1, 3), process.getuid!(), process.getgid!())).toBe(
        'object',
      );
      expect(fs.lstatSync(join(dir, 'null')).isSocket()).toBe(true);
      expect(stat('null')).toMatchObject({ mode: node, rdev: makedev(1, 3), nlink: 1 });
      expect(typeOf('null')).toBe(2);
      expect(stat('null').setAttr({ mode: 0o600 })).toBe(0);
      expect(stat('null').mode).toBe(S_IFCHR | 0o600);
      expect(root.rename('null', stat('null'), root, 'other', null, 0)).toBe(0);
    });
  }

  test('are known under each name and by each attachment until the last name is gone', () => {
    start(true);
    root.mknod('a', node, makedev(1, 5), process.getuid!(), process.getgid!());
    const inode = stat('a') as GoferInode;
    expect(root.link('b', inode)).toBe(0);
    expect(root.unlink('a', inode)).toBe(0);
    start(false);
    expect(typeOf('b')).toBe(2);
    expect(stat('b')).toMatchObject({ mode: node, rdev: makedev(1, 5), nlink: 1 });
    expect(root.unlink('b', stat('b'))).toBe(0);
  });

  test('removed and made again by others, it is what the host says', () => {
    start(false);
    root.mknod('a', node, makedev(1, 5), process.getuid!(), process.getgid!());
    fs.rmSync(join(dir, 'a'));
    fs.writeFileSync(join(dir, 'a'), '');
    expect(stat('a').isRegular).toBe(true);
  });
});

test('O_NOATIME leaves the time of access alone, beside files that do not', () => {
  start(false);
  const file = join(dir, 'f');
  fs.writeFileSync(file, 'text');
  const atime = (): number => fs.statSync(file).atimeMs;
  fs.utimesSync(file, 1, 2);
  let quiet!: FileDescription;
  const asked = messages(() => {
    quiet = open('f', O_RDONLY | O_NOATIME);
    expect(read(quiet)).toBe('text');
    expect(quiet.mapSource(false, PROT_READ, 0, 4096)).toMatchObject({ hostFd: quiet.hostReadFd });
  });
  expect(asked).toBe(2);
  const plain = open('f', O_RDONLY);
  expect(atime()).toBe(1000);
  expect(read(plain)).toBe('text');
  expect(atime()).toBeGreaterThan(1000);
  quiet.unref();
  plain.unref();
});
