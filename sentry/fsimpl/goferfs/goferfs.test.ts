import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RemoteGofer } from '../../../gofer/client/client.ts';
import { LoopChannel } from '../../../gofer/client/loop-channel.ts';
import { InodeTable } from '../../../gofer/server/inode-table.ts';
import { makeServer } from '../../../gofer/server/make-server.ts';
import { makedev } from '../../abi/device.ts';
import * as E from '../../abi/errno.ts';
import { O_APPEND, O_NOATIME, O_RDONLY, O_RDWR, O_WRONLY, SEEK_END } from '../../abi/fcntl.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import { fcntl } from '../../host/sys.ffi.ts';
import { setDentryLimit, DENTRY_CACHE_MAX } from '../../vfs/dentry.ts';
import type { FileDescription, MapSource } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { locksOf } from '../../vfs/locks.ts';
import { TestContext } from '../../vfs/testing/context.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../vfs/walk.ts';
import type { GoferDir } from './directory.ts';
import type { GoferInode } from './inode.ts';
import { GoferSuperBlock } from './super-block.ts';

let dir: string;
let channel: LoopChannel;
let table: InodeTable;
let sb: GoferSuperBlock;
let t: TestContext;
let root: GoferDir;

function start(exclusive: boolean): void {
  table = new InodeTable(64, 10_000);
  channel = new LoopChannel(
    makeServer([{ path: dir, readOnly: false, crossMounts: true, hostSockets: false }], table),
  );
  const client = new RemoteGofer(channel, () => undefined);
  client.hello();
  sb = GoferSuperBlock.attach(client, 0, exclusive) as GoferSuperBlock;
  t = new TestContext(sb);
  root = sb.root as GoferDir;
}

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'goferfs-'));
});

afterEach(() => {
  setDentryLimit(DENTRY_CACHE_MAX);
  fs.rmSync(dir, { recursive: true, force: true });
});

/** Messages that `f` needs. */
function messages(f: () => void): number {
  const before = channel.requests;
  f();
  return channel.requests - before;
}

function find(name: string): Inode | number {
  const r = walk(t, t.fs.root, name, LOOKUP_FOLLOW);
  return r < 0 ? r : nd.dentry.inode!;
}

/** stat(2) */
function stat(name: string): Inode {
  const inode = find(name);
  if (typeof inode === 'number') throw new Error(`${name}: errno ${-inode}`);
  expect(inode.refresh()).toBe(0);
  return inode;
}

function open(name: string, flags: number): FileDescription {
  const inode = find(name);
  if (typeof inode === 'number') throw new Error(`${name}: errno ${-inode}`);
  const f = inode.open(t, nd.path(), flags);
  if (typeof f === 'number') throw new Error(`open ${name}: errno ${-f}`);
  return f;
}

function read(f: FileDescription, pos = 0): string {
  const b = Buffer.alloc(1000);
  const n = f.read(t, b, 0, b.length, pos);
  return n < 0 ? `errno ${-n}` : b.toString('latin1', 0, n);
}

function write(f: FileDescription, text: string, pos = 0): number {
  return f.write(t, Buffer.from(text, 'latin1'), 0, text.length, pos);
}

function list(f: FileDescription): string[] {
  const names: string[] = [];
  expect(f.getdents(t, (name) => names.push(name) > 0)).toBe(0);
  return names.sort();
}

describe('exclusive', () => {
  test('what was looked up, listed or opened once needs no message again', () => {
    fs.mkdirSync(join(dir, 'd'));
    fs.writeFileSync(join(dir, 'd/f'), 'hello');
    start(true);
    expect(messages(() => stat('d/f'))).toBe(2);
    expect(stat('d/f').size).toBe(5);
    const f = open('d/f', O_RDONLY);
    expect(read(f)).toBe('hello');
    f.unref();
    expect(
      messages(() => {
        stat('d/f');
        for (let i = 0; i < 3; i++) {
          const g = open('d/f', O_RDONLY);
          expect(read(g)).toBe('hello');
          g.unref();
        }
      }),
    ).toBe(0);
    expect(messages(() => expect(find('d/none')).toBe(-E.ENOENT))).toBe(1);
    expect(messages(() => expect(find('d/none')).toBe(-E.ENOENT))).toBe(0);
  });

  test('many absent names cost one listing', () => {
    fs.mkdirSync(join(dir, 'd'));
    fs.writeFileSync(join(dir, 'd/f'), 'hello');
    start(true);
    find('d');
    expect(
      messages(() => {
        for (let i = 0; i < 100; i++) expect(find(`d/none${i}`)).toBe(-E.ENOENT);
      }),
    ).toBe(4);
    expect(stat('d/f').size).toBe(5);
  });

  test('a listing brings the attributes of its files', () => {
    fs.mkdirSync(join(dir, 'd'));
    for (let i = 0; i < 50; i++) fs.writeFileSync(join(dir, `d/f${i}`), 'x'.repeat(i));
    fs.linkSync(join(dir, 'd/f7'), join(dir, 'd/g7'));
    start(true);
    const d = open('d', O_RDONLY);
    expect(list(d).length).toBe(53);
    d.unref();
    expect(
      messages(() => {
        for (let i = 0; i < 50; i++) if (i !== 7) expect(stat(`d/f${i}`).size).toBe(i);
      }),
    ).toBe(0);
    expect(stat('d/f7')).toBe(stat('d/g7'));
    const f = open('d/f9', O_RDONLY);
    expect(read(f)).toBe('x'.repeat(9));
    f.unref();
  });

  test('writes, appends and truncations show in the attributes', () => {
    fs.writeFileSync(join(dir, 'f'), 'hello');
    start(true);
    const before = stat('f').mtime;
    const f = open('f', O_RDWR);
    expect(write(f, 'J')).toBe(1);
    const a = open('f', O_WRONLY | O_APPEND);
    expect(write(a, '!!')).toBe(2);
    expect(a.hostReadFd).toBe(f.hostReadFd);
    expect(read(f)).toBe('Jello!!');
    expect(stat('f').size).toBe(7);
    expect(stat('f').mtime.sec).toBeGreaterThanOrEqual(before.sec);
    expect(f.seek(t, -1, SEEK_END)).toBe(6);
    expect(f.truncate(t, 2)).toBe(0);
    expect(stat('f').size).toBe(2);
    expect(f.allocate(t, 0, 0, 8192, 0)).toBe(8192);
    expect(stat('f').size).toBe(8192);
    expect(stat('f').blocks).toBeGreaterThanOrEqual(16);
    expect(f.fsync(false)).toBe(0);
    f.unref();
    a.unref();
    expect(fs.statSync(join(dir, 'f')).size).toBe(8192);
  });

  test('mappings get host fds with just the rights they need', () => {
    fs.writeFileSync(join(dir, 'f'), 'hello');
    start(true);
    const f = open('f', O_RDWR);
    const rights = (m: MapSource | number): number => fcntl((m as MapSource).hostFd, 3, 0) & 3;
    expect(rights(f.mapSource(false, 3, 0, 4096))).toBe(0);
    expect(rights(f.mapSource(true, 1, 0, 4096))).toBe(0);
    expect(rights(f.mapSource(true, 3, 0, 4096))).toBe(2);
    const r = open('f', O_RDONLY);
    expect(r.mapSource(true, 3, 0, 4096)).toBe(-E.EACCES);
    f.unref();
    r.unref();
  });

  test('names are made, moved and removed', () => {
    start(true);
    const uid = process.getuid!();
    const gid = process.getgid!();
    const f = root.create('f', 0o640, uid, gid) as Inode;
    expect(fs.statSync(join(dir, 'f')).mode & 0o777).toBe(0o640);
    const d = root.mkdir('d', 0o755, uid, gid) as GoferDir;
    root.symlink('l', 'd/f', uid, gid);
    expect(root.link('h', f)).toBe(0);
    expect(f.nlink).toBe(2);
    expect(root.rename('f', f, d, 'f', null, 0)).toBe(0);
    expect(stat('l')).toBe(f);
    expect(root.unlink('h', f)).toBe(0);
    expect(stat('d/f').nlink).toBe(1);
    expect(find('f')).toBe(-E.ENOENT);
    expect(root.rmdir('d', d)).toBe(-E.ENOTEMPTY);
    expect(d.unlink('f', f)).toBe(0);
    expect(root.rmdir('d', d)).toBe(0);
    expect(fs.readdirSync(dir)).toEqual(['l']);
    const fifo = root.mknod('p', 0o010644, 0, uid, gid) as Inode;
    expect(fifo.mode).toBe(0o010644);
  });

  test('a removed open file keeps its contents', () => {
    fs.writeFileSync(join(dir, 'f'), 'hello');
    start(true);
    const f = open('f', O_RDWR);
    expect(root.unlink('f', f.inode)).toBe(0);
    f.path!.dentry.drop();
    expect(f.inode.refresh()).toBe(0);
    expect(f.inode.nlink).toBe(0);
    expect(write(f, 'J')).toBe(1);
    expect(read(f)).toBe('Jello');
    expect(find('f')).toBe(-E.ENOENT);
    f.unref();
  });

  test('the host can execute what was written, closed and made executable, in either order', () => {
    fs.writeFileSync(join(dir, 'early'), '');
    fs.writeFileSync(join(dir, 'late'), '');
    start(true);
    for (const name of ['early', 'late']) {
      const f = open(name, O_RDWR);
      expect(write(f, '#!/bin/sh\n')).toBe(10);
      if (name === 'early') f.inode.setAttr({ mode: 0o755 });
      f.unref();
      if (name === 'late') expect(f.inode.setAttr({ mode: 0o755 })).toBe(0);
      expect(spawnSync(join(dir, name)).status).toBe(0);
    }
  });

  test('unnamed files', () => {
    start(true);
    const inode = root.tmpfile(0o600, process.getuid!(), process.getgid!()) as Inode;
    expect(fs.readdirSync(dir)).toEqual([]);
    const f = inode.open(t, { mount: t.fs.root.mount, dentry: t.fs.root.dentry }, O_RDWR) as FileDescription;
    expect(write(f, 'abc')).toBe(3);
    expect(read(f)).toBe('abc');
    expect(root.link('named', inode)).toBe(0);
    expect(fs.readFileSync(join(dir, 'named'), 'latin1')).toBe('abc');
    expect(find('named')).toBe(inode);
    expect(inode.nlink).toBe(1);
    expect(root.unlink('named', inode)).toBe(0);
    expect(fs.readdirSync(dir)).toEqual([]);
    f.unref();
  });

  test('listings follow our own changes, and rm -r while reading works', () => {
    for (let i = 0; i < 20; i++) fs.writeFileSync(join(dir, `f${i}`), '');
    start(true);
    const d = open('.', O_RDONLY);
    const names: string[] = [];
    d.getdents(t, (name) => names.length < 5 && names.push(name) > 0);
    const removed = names.filter((n) => !n.startsWith('.'));
    for (const name of removed) {
      expect(root.unlink(name, find(name) as Inode)).toBe(0);
      nd.dentry.markDeleted();
    }
    d.getdents(t, (name) => names.push(name) > 0);
    expect(new Set(names).size).toBe(22);
    root.create('new', 0o644, process.getuid!(), process.getgid!());
    expect(messages(() => expect(find(removed[0])).toBe(-E.ENOENT))).toBe(0);
    d.pos = 0;
    expect(messages(() => expect(list(d).length).toBe(20))).toBe(0);
    d.unref();
  });

  test('what a listing brought is opened by one message and known to have no attributes', () => {
    for (const name of ['a', 'b']) fs.writeFileSync(join(dir, name), name);
    start(true);
    const d = open('.', O_RDONLY);
    list(d);
    d.unref();
    const a = find('a') as Inode;
    const hasXattr = root.setXattr('user.x', Buffer.from('y'), 0) === 0;
    if (hasXattr) {
      expect(messages(() => expect(a.getXattr('user.x')).toBe(-E.ENODATA))).toBe(0);
      expect(messages(() => expect(a.listXattr()).toEqual([]))).toBe(0);
    }
    expect(messages(() => expect(read(open('a', O_RDONLY))).toBe('a'))).toBe(1);
    if (!hasXattr) return;
    expect(a.setXattr('user.x', Buffer.from('y'), 0)).toBe(0);
    expect(a.getXattr('user.x')).toEqual(Buffer.from('y'));
    expect(a.listXattr()).toEqual(['user.x']);
  });

  test('a listed file that has become another known one is stale, and that one stays', () => {
    for (const name of ['a', 'b']) fs.writeFileSync(join(dir, name), name);
    start(true);
    const d = open('.', O_RDONLY);
    list(d);
    d.unref();
    const b = open('b', O_RDONLY);
    const a = find('a') as Inode;
    fs.renameSync(join(dir, 'b'), join(dir, 'a'));
    expect(a.open(t, nd.path(), O_RDONLY)).toBe(-E.ESTALE);
    (sb.client as RemoteGofer).flushForgotten();
    expect(b.inode.setAttr({ mode: 0o600 })).toBe(0);
    b.unref();
  });

  test('dropped dentries forget inodes, host fds and ids', () => {
    for (let i = 0; i < 300; i++) fs.writeFileSync(join(dir, `f${i}`), 'x');
    start(true);
    setDentryLimit(20);
    const fdsBefore = fs.readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) {
        const f = open(`f${i}`, O_RDONLY);
        expect(read(f)).toBe('x');
        f.unref();
      }
    }
    expect(sb.inodeCount).toBeLessThan(200);
    (sb.client as RemoteGofer).flushForgotten();
    expect(table.size).toBeLessThan(200);
    expect(fs.readdirSync('/proc/self/fd').length - fdsBefore).toBeLessThan(200);
  });
});

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

describe('shared', () => {
  test('changes of others are seen', () => {
    fs.writeFileSync(join(dir, 'f'), 'one');
    start(false);
    expect(stat('f').size).toBe(3);
    const f = open('f', O_RDONLY);
    fs.writeFileSync(join(dir, 'f'), 'three');
    expect(stat('f').size).toBe(5);
    expect(read(f)).toBe('three');
    fs.writeFileSync(join(dir, 'g'), 'other');
    const old = stat('f');
    fs.renameSync(join(dir, 'g'), join(dir, 'f'));
    expect(stat('f')).not.toBe(old);
    expect(read(f)).toBe('three');
    f.unref();
    fs.unlinkSync(join(dir, 'f'));
    expect(find('f')).toBe(-E.ENOENT);
    fs.writeFileSync(join(dir, 'h'), '');
    const d = open('.', O_RDONLY);
    expect(list(d)).toEqual(['.', '..', 'h']);
    fs.writeFileSync(join(dir, 'i'), '');
    d.pos = 0;
    expect(list(d)).toEqual(['.', '..', 'h', 'i']);
    d.unref();
  });

  test('what is watched needs no message until others change it', () => {
    fs.mkdirSync(join(dir, 'd'));
    fs.writeFileSync(join(dir, 'd/f'), 'one');
    start(false);
    const quiet = (f: () => void): void => expect(messages(f)).toBe(0);
    for (let i = 0; i < 3; i++) {
      stat('d/f');
      find('d/none');
      stat('d');
    }
    quiet(() => {
      expect(stat('d/f').size).toBe(3);
      expect(find('d/none')).toBe(-E.ENOENT);
      stat('d');
    });
    fs.appendFileSync(join(dir, 'd/f'), 'two');
    expect(stat('d/f').size).toBe(6);
    fs.chmodSync(join(dir, 'd/f'), 0o600);
    expect((find('d/f') as Inode).mode & 0o777).toBe(0o600);
    fs.writeFileSync(join(dir, 'd/none'), '');
    expect(stat('d/none').size).toBe(0);
    fs.renameSync(join(dir, 'd/none'), join(dir, 'd/f'));
    expect(find('d/none')).toBe(-E.ENOENT);
    expect(stat('d/f').size).toBe(0);
    fs.chmodSync(join(dir, 'd'), 0o700);
    expect((find('d') as Inode).mode & 0o777).toBe(0o700);
    fs.renameSync(join(dir, 'd'), join(dir, 'e'));
    expect(find('d/f')).toBe(-E.ENOENT);
    expect(stat('e/f').size).toBe(0);
    fs.mkdirSync(join(dir, 'd'));
    expect(find('d/f')).toBe(-E.ENOENT);
    fs.rmSync(join(dir, 'd'), { recursive: true });
    expect(find('d')).toBe(-E.ENOENT);
    for (let i = 0; i < 3; i++) stat('e/f');
    quiet(() => stat('e/f'));
  });

  test('our own changes are right at once, too', () => {
    start(false);
    const [uid, gid] = [process.getuid!(), process.getgid!()];
    const d = root.mkdir('d', 0o755, uid, gid) as GoferDir;
    for (let i = 0; i < 3; i++) expect(find('d/x')).toBe(-E.ENOENT);
    const x = d.create('x', 0o644, uid, gid) as Inode;
    expect(find('d/x')).toBe(x);
    const f = open('d/x', O_RDWR);
    for (let i = 0; i < 10; i++) {
      write(f, 'ab', i * 2);
      expect(stat('d/x').size).toBe(i * 2 + 2);
    }
    f.unref();
    expect(stat('d/x').size).toBe(20);
    expect(d.rename('x', x, root, 'y', null, 0)).toBe(0);
    expect(find('d/x')).toBe(-E.ENOENT);
    expect(stat('y').size).toBe(20);
    expect(root.unlink('y', find('y') as Inode)).toBe(0);
    expect(find('y')).toBe(-E.ENOENT);
  });

  test('our own changes need one message each', () => {
    start(false);
    const [uid, gid] = [process.getuid!(), process.getgid!()];
    for (let i = 0; i < 3; i++) find('none');
    const d = root.mkdir('d', 0o755, uid, gid) as GoferDir;
    const one = (f: () => void): void => expect(messages(f)).toBe(1);
    const quiet = (f: () => void): void => expect(messages(f)).toBe(0);
    quiet(() => expect(find('d')).toBe(d));
    for (let i = 0; i < 10; i++) {
      quiet(() => expect(find(`d/f${i}`)).toBe(-E.ENOENT));
      one(() => d.create(`f${i}`, 0o644, uid, gid));
      quiet(() => expect(stat(`d/f${i}`).nlink).toBe(1));
    }
    one(() => expect(d.unlink('f3', find('d/f3') as Inode)).toBe(0));
    // A new directory is known to have no default access control list.
    quiet(() => expect(d.getAcl('default')).toBeNull());
    quiet(() => expect(find('d/f3')).toBe(-E.ENOENT));
    one(() => d.symlink('l', 'f1', uid, gid));
    one(() => d.mkdir('e', 0o755, uid, gid));
    one(() => d.rename('f4', find('d/f4') as Inode, d, 'f5', find('d/f5') as Inode, 0));
    one(() => expect(typeof find('d/f5')).toBe('object'));
    quiet(() => {
      for (const gone of ['d/f3', 'd/f4', 'd/e/x']) expect(find(gone)).toBe(-E.ENOENT);
    });
    one(() => d.rename('e', find('d/e') as Inode, root, 'e', null, 0));
    quiet(() => expect(find('d/e')).toBe(-E.ENOENT));
    const f = open('d', O_RDONLY);
    const names = ['.', '..', 'f0', 'f1', 'f2', 'f5', 'f6', 'f7', 'f8', 'f9', 'l'];
    expect(list(f)).toEqual(names);
    f.pos = 0;
    quiet(() => expect(list(f)).toEqual(names));
    f.unref();
  });

  test('what others do right after a change of ours counts', () => {
    start(false);
    const [uid, gid] = [process.getuid!(), process.getgid!()];
    const d = root.mkdir('d', 0o755, uid, gid) as GoferDir;
    fs.writeFileSync(join(dir, 'other'), 'other');
    const { client } = sb;
    /** The next call of `method`, and then `change`, before the sentry looks. */
    const then = (method: 'create' | 'unlink' | 'rename' | 'mkdir', change: () => void): void => {
      const call = client[method].bind(client) as (...args: unknown[]) => unknown;
      Object.assign(client, {
        [method]: (...args: unknown[]) => {
          const r = call(...args);
          change();
          Reflect.deleteProperty(client, method);
          return r;
        },
      });
    };
    then('create', () => fs.unlinkSync(join(dir, 'd/a')));
    d.create('a', 0o644, uid, gid);
    expect(find('d/a')).toBe(-E.ENOENT);
    then('unlink', () => fs.writeFileSync(join(dir, 'd/b'), 'theirs'));
    d.unlink('b', d.create('b', 0o644, uid, gid) as Inode);
    expect(stat('d/b').size).toBe(6);
    then('unlink', () => fs.writeFileSync(join(dir, 'd/b'), 'again'));
    d.unlink('b', find('d/b') as Inode);
    expect(stat('d/b').size).toBe(5);
    then('rename', () => fs.renameSync(join(dir, 'other'), join(dir, 'd/c')));
    d.rename('b', find('d/b') as Inode, d, 'c', null, 0);
    expect(stat('d/c').size).toBe(5);
    then('mkdir', () => fs.writeFileSync(join(dir, 'd/e/x'), 'x'));
    d.mkdir('e', 0o755, uid, gid);
    expect(stat('d/e/x').size).toBe(1);
    const f = open('d', O_RDONLY);
    expect(list(f)).toEqual(['.', '..', 'c', 'e']);
    f.unref();
  });

  test('listings of watched directories follow others', () => {
    for (let i = 0; i < 10; i++) fs.writeFileSync(join(dir, `f${i}`), 'x');
    start(false);
    const d = open('.', O_RDONLY);
    expect(list(d).length).toBe(12);
    expect(messages(() => Array.from({ length: 10 }, (_, i) => stat(`f${i}`)))).toBe(0);
    fs.appendFileSync(join(dir, 'f3'), 'yz');
    expect(stat('f3').size).toBe(3);
    fs.unlinkSync(join(dir, 'f4'));
    fs.writeFileSync(join(dir, 'g'), '');
    d.pos = 0;
    expect(list(d)).toContain('g');
    expect(find('f4')).toBe(-E.ENOENT);
    d.pos = 0;
    expect(messages(() => expect(list(d).length).toBe(12))).toBe(0);
    d.unref();
  });

  test('lost events mean that nothing is trusted', () => {
    fs.writeFileSync(join(dir, 'f'), 'one');
    start(false);
    for (let i = 0; i < 3; i++) stat('f');
    // fs.inotify.max_queued_events is 16384 by default.
    for (let i = 0; i < 9000; i++) {
      fs.writeFileSync(join(dir, 'n'), '');
      fs.unlinkSync(join(dir, 'n'));
    }
    fs.appendFileSync(join(dir, 'f'), 'two');
    expect(stat('f').size).toBe(6);
    fs.appendFileSync(join(dir, 'f'), 'two');
    expect(stat('f').size).toBe(9);
  });

  test('several links of a file are never trusted', () => {
    fs.mkdirSync(join(dir, 'unwatched'));
    fs.writeFileSync(join(dir, 'f'), 'one');
    fs.linkSync(join(dir, 'f'), join(dir, 'unwatched/f'));
    start(false);
    for (let i = 0; i < 4; i++) stat('f');
    fs.appendFileSync(join(dir, 'unwatched/f'), 'two');
    expect(stat('f').size).toBe(6);
  });

  test('appends go to the end that others made', () => {
    fs.writeFileSync(join(dir, 'f'), 'one');
    start(false);
    const f = open('f', O_WRONLY | O_APPEND);
    fs.appendFileSync(join(dir, 'f'), 'two');
    expect(write(f, 'three')).toBe(5);
    expect(fs.readFileSync(join(dir, 'f'), 'utf8')).toBe('onetwothree');
    f.unref();
  });
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
  const quiet = open('f', O_RDONLY | O_NOATIME);
  const plain = open('f', O_RDONLY);
  expect(read(quiet)).toBe('text');
  expect(atime()).toBe(1000);
  expect(read(plain)).toBe('text');
  expect(atime()).toBeGreaterThan(1000);
  quiet.unref();
  plain.unref();
});
