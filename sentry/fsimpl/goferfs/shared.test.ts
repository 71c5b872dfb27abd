import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as E from '../../abi/errno.ts';
import { O_APPEND, O_RDONLY, O_RDWR, O_WRONLY } from '../../abi/fcntl.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { GoferDir } from './directory.ts';
import {
  dir,
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
  list,
} from './testing/tree.ts';

useTree();

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
