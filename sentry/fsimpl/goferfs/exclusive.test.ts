import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RemoteGofer } from '../../../gofer/client/client.ts';
import * as E from '../../abi/errno.ts';
import { O_APPEND, O_RDONLY, O_RDWR, O_WRONLY, SEEK_END } from '../../abi/fcntl.ts';
import { fcntl } from '../../host/sys.ffi.ts';
import { setDentryLimit } from '../../vfs/dentry.ts';
import type { FileDescription, MapSource } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { nd } from '../../vfs/walk.ts';
import type { GoferDir } from './directory.ts';
import {
  dir,
  table,
  sb,
  t,
  root,
  start,
  useTree,
  messages,
  find,
  stat,
  open,
  read,
  write,
  list,
} from './testing/tree.ts';

useTree();

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

  test('listings bring no attributes when nobody asks for them, and do again', () => {
    for (let i = 0; i < 5; i++) {
      fs.mkdirSync(join(dir, `d/${i}`), { recursive: true });
      for (let j = 0; j < 30; j++) fs.writeFileSync(join(dir, `d/${i}/f${j}`), '');
    }
    start(true);
    const listed = (path: string): void => {
      const d = open(path, O_RDONLY);
      expect(list(d).length).toBeGreaterThan(5);
      d.unref();
    };
    const statAll = (i: number): void => {
      for (let j = 0; j < 30; j++) stat(`d/${i}/f${j}`);
    };
    listed('d');
    // Each is found and listed in one message.
    for (let i = 0; i < 4; i++) expect(messages(() => listed(`d/${i}`))).toBe(1);
    expect(messages(() => statAll(3))).toBe(30);
    for (let i = 0; i < 3; i++) statAll(i);
    listed('d/4');
    expect(messages(() => statAll(4))).toBe(0);
  });
});
