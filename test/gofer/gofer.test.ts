/** The gofer as a process: races on the host, hostile trees, death. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as E from '../../sentry/abi/errno.ts';
import { GOFER_READ } from '../../sentry/gofer-api/gofer-api.ts';
import type { GoferAttr, GoferMount } from '../../sentry/gofer-api/gofer-api.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { write } from '../../sentry/host/sys.ffi.ts';
import { type GoferProcess, startGofer } from '../lib/gofer.ts';

const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;

let top: string;
let served: string;
let gofer: GoferProcess;
let root: GoferAttr;
const helpers: ChildProcess[] = [];

beforeEach(() => {
  top = fs.mkdtempSync(join(tmpdir(), 'gofer-tree-'));
  served = join(top, 'served');
  fs.mkdirSync(served);
  fs.mkdirSync(join(top, 'outside'));
  fs.writeFileSync(join(top, 'outside/secret'), 'secret');
});

afterEach(async () => {
  for (const h of helpers.splice(0)) h.kill('SIGKILL');
  await gofer.stop();
  // fs.rmSync uses whole paths, too long for the deep tree.
  execFileSync('rm', ['-rf', top]);
});

function start(): void {
  gofer = startGofer([{ path: served }]);
  expect(gofer.client.hello()).toBe(1);
  root = (gofer.client.attach(0) as GoferMount).root;
}

function walk(...names: string[]): GoferAttr | number {
  const out: GoferAttr[] = [];
  const r = gofer.client.walk(root.id, names, out);
  if (r < 0) return r;
  return r === names.length ? out[r - 1] : -E.ENOTDIR;
}

/** A host process that runs `body` (JavaScript, with `fs` and `dir`) for ever. */
function disturb(body: string): void {
  const script = `const fs=require('fs'),dir=${JSON.stringify(served)};for(;;){${body}}`;
  helpers.push(spawn(process.execPath, ['-e', script], { stdio: 'ignore' }));
}

function contentOf(fd: number): string {
  const text = fs.readFileSync(fd, 'latin1');
  fs.closeSync(fd);
  return text;
}

/** Repeats `look` for 3 s, or on a busy machine until everything was seen once; 30 s are too long. */
function watchRace(seen: () => boolean, look: () => void): void {
  const begin = Date.now();
  const passed = (ms: number): boolean => Date.now() - begin > ms;
  while (!passed(3000) || (!seen() && !passed(30_000))) look();
  expect(seen()).toBe(true);
}

test('an exchange of directory and symlink during walks never leads outside', () => {
  fs.mkdirSync(join(served, 'd'));
  fs.writeFileSync(join(served, 'd/secret'), 'inside');
  fs.symlinkSync('../outside', join(served, 'l'));
  start();
  disturb(
    'try{fs.renameSync(dir+"/d",dir+"/t");fs.renameSync(dir+"/l",dir+"/d");fs.renameSync(dir+"/t",dir+"/l");}catch{}',
  );
  let opened = 0;
  let links = 0;
  watchRace(
    () => opened > 0 && links > 0,
    () => {
      const out: GoferAttr[] = [];
      const n = gofer.client.walk(root.id, ['d', 'secret'], out);
      if (n === 1 && (out[0].mode & S_IFMT) === S_IFLNK) links++;
      if (n !== 2) return;
      const r = gofer.client.open(out[1].id, GOFER_READ);
      if (typeof r === 'number') {
        expect(r).toBe(-E.ESTALE);
        return;
      }
      expect(contentOf(r.hostFd)).toBe('inside');
      opened++;
    },
  );
  expect(gofer.lost).toEqual([]);
});

test('a file replaced by a symlink, FIFO or directory between walk and open is not opened', () => {
  start();
  fs.writeFileSync(join(served, 'f'), 'file');
  execFileSync('mkfifo', [join(served, 'fifo')]);
  disturb(
    'try{fs.writeFileSync(dir+"/n","file");fs.renameSync(dir+"/n",dir+"/f");' +
      'fs.symlinkSync("../outside/secret",dir+"/s");fs.renameSync(dir+"/s",dir+"/f");' +
      'fs.linkSync(dir+"/fifo",dir+"/p");fs.renameSync(dir+"/p",dir+"/f");}catch{}',
  );
  let opened = 0;
  watchRace(
    () => opened > 0,
    () => {
      const a = walk('f');
      if (typeof a === 'number') return;
      const r = gofer.client.open(a.id, GOFER_READ);
      if (typeof r === 'number') {
        expect([-E.ESTALE, -E.EACCES]).toContain(r);
        return;
      }
      expect(['file', '']).toContain(contentOf(r.hostFd));
      opened++;
    },
  );
  expect(gofer.lost).toEqual([]);
});

test('symlinks, magic links and mounted procfs are not followed', () => {
  fs.symlinkSync('/etc/passwd', join(served, 'abs'));
  fs.symlinkSync('../outside', join(served, 'up'));
  start();
  expect(walk('abs')).toMatchObject({ mode: S_IFLNK | 0o777 });
  expect(walk('up', 'secret')).toBe(-E.ENOTDIR);
  if (process.getuid!() !== 0) return;
  const proc = join(served, 'proc');
  fs.mkdirSync(proc);
  execFileSync('mount', ['-t', 'proc', 'proc', proc]);
  try {
    // The kernel's own file systems are not served: an empty directory.
    const mounted = walk('proc') as GoferAttr;
    expect(mounted.mode & S_IFMT).toBe(0o040000);
    expect(walk('proc', 'self')).toBe(-E.ENOTDIR);
    expect(gofer.client.walk(mounted.id, ['self'], [])).toBe(-E.ENOENT);
    expect(gofer.client.readdir(mounted.id, true)).toEqual([]);
    expect(gofer.client.getattr(mounted.id)).toMatchObject({ ino: mounted.ino });
    expect(gofer.client.mkdir(mounted.id, 'x', { mode: 0o755, uid: 0, gid: 0 }, false)).toBe(-E.EROFS);
    const entry = gofer.client.readdir(root.id, true);
    expect(entry).toContainEqual(expect.objectContaining({ name: 'proc', attr: null }));
  } finally {
    execFileSync('umount', [proc]);
  }
});

test('mounts of ordinary file systems are crossed only if they may be', async () => {
  start();
  if (process.getuid!() !== 0) return;
  const mnt = join(served, 'mnt');
  fs.mkdirSync(mnt);
  execFileSync('mount', ['-t', 'tmpfs', 'none', mnt]);
  try {
    fs.writeFileSync(join(mnt, 'f'), 'x');
    expect(walk('mnt', 'f')).toMatchObject({ size: 1 });
    await gofer.stop();
    gofer = startGofer([{ path: served, crossMounts: false }]);
    gofer.client.hello();
    root = (gofer.client.attach(0) as GoferMount).root;
    expect(walk('mnt', 'f')).toBe(-E.ENOTDIR);
    expect(gofer.client.readdir((walk('mnt') as GoferAttr).id, true)).toEqual([]);
  } finally {
    await gofer.stop();
    execFileSync('umount', [mnt]);
  }
});

test('deep trees', () => {
  const depth = 600;
  fs.mkdirSync(join(served, 'deep'));
  const script = `cd ${join(served, 'deep')} && for i in $(seq ${depth}); do mkdir ddddddddddddddd && cd ddddddddddddddd; done; echo -n x > leaf`;
  execFileSync('bash', ['-c', script]);
  start();
  let at = walk('deep') as GoferAttr;
  for (let i = 0; i < depth; i += 30) {
    const out: GoferAttr[] = [];
    expect(gofer.client.walk(at.id, Array<string>(30).fill('ddddddddddddddd'), out)).toBe(30);
    at = out[29];
  }
  const out: GoferAttr[] = [];
  expect(gofer.client.walk(at.id, ['leaf'], out)).toBe(1);
  expect(out[0].size).toBe(1);
});

test('a hard link to a file outside is that file and nothing more', () => {
  fs.linkSync(join(top, 'outside/secret'), join(served, 'h'));
  start();
  const h = walk('h') as GoferAttr;
  expect(h.nlink).toBe(2);
  const r = gofer.client.open(h.id, GOFER_READ);
  if (typeof r === 'number') throw new Error(`errno ${-r}`);
  expect(contentOf(r.hostFd)).toBe('secret');
});

test('a killed gofer gives EIO and is reported once', async () => {
  start();
  gofer.child.kill('SIGKILL');
  await gofer.ended;
  expect(gofer.client.checkAlive()).toBe(false);
  expect(walk('x')).toBe(-E.EIO);
  expect(gofer.client.getattr(root.id)).toBe(-E.EIO);
  expect(gofer.lost).toEqual(['the file server closed the connection']);
});

test('a gofer that is killed in the middle of a call gives EIO', async () => {
  start();
  gofer.child.kill('SIGSTOP');
  setTimeout(() => undefined, 0);
  const killer = spawn('bash', ['-c', `sleep 0.5; kill -9 ${gofer.child.pid}`]);
  expect(walk('x')).toBe(-E.EIO);
  expect(gofer.lost).toEqual(['the file server does not answer']);
  killer.kill();
  expect(await gofer.ended).toBe('SIGKILL');
});

test('a malformed request ends the gofer with a message', async () => {
  start();
  const junk = new HostBuffer(64);
  junk.u32[0] = 64;
  junk.u32[1] = 99;
  expect(write(gofer.socket, junk.addr, 64)).toBe(64);
  expect(await gofer.ended).toBe(1);
  expect(gofer.stderr).toBe('gofer: unknown operation 99\n');
});

test('the end of the sentry is the end of the gofer', async () => {
  start();
  gofer.client.close();
  expect(await gofer.ended).toBe(0);
});
