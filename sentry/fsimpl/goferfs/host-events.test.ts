/** What guests that watch host files hear of others' changes, and of the sandbox's own, once. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RemoteGofer } from '../../../gofer/client/client.ts';
import { LoopChannel } from '../../../gofer/client/loop-channel.ts';
import { InodeTable } from '../../../gofer/server/inode-table.ts';
import { makeServer } from '../../../gofer/server/make-server.ts';
import { ENOSPC } from '../../abi/errno.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import * as N from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { addInodeWatch, removeInodeWatch, type InodeWatch } from '../inotify/inode-watch.ts';
import type { GoferDir } from './directory.ts';
import { eachEvent, type HostEvent } from './inotify-events.ts';
import { GoferSuperBlock } from './super-block.ts';

let dir: string;
let channel: LoopChannel;
let client: RemoteGofer;
let root: GoferDir;
let heard: string[];
const watches: InodeWatch[] = [];
const owner = { uid: process.getuid!(), gid: process.getgid!() };

/** Attaches the tree, as a container does. */
function attach(): GoferDir {
  const mounts = [{ path: dir, readOnly: false, crossMounts: true, hostSockets: false }];
  channel = new LoopChannel(makeServer(mounts, new InodeTable(64, 10_000)));
  client = new RemoteGofer(channel, () => undefined);
  client.hello();
  const sb = GoferSuperBlock.attach(client, 0, false) as GoferSuperBlock;
  sb.root.hold();
  return sb.root as GoferDir;
}

function watch(inode: Inode, label: string): number {
  const w: InodeWatch = {
    inode,
    report: (mask, cookie, name) =>
      heard.push(
        `${label} ${mask.toString(16)} ${name}${cookie === 0 ? '' : ` =${cookie - N.nextCookie()}`}`,
      ),
    objectGone: () => {
      heard.push(`${label} gone`);
      removeInodeWatch(w);
    },
    lost: () => heard.push(`${label} lost`),
  };
  const r = addInodeWatch(w);
  if (r === 0) watches.push(w);
  return r;
}

/** What has been heard of since the last time. */
function news(): string[] {
  N.notifyOutside();
  return heard.splice(0);
}

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'host-events-'));
  heard = [];
  root = attach();
});

afterEach(() => {
  for (const w of watches.splice(0)) removeInodeWatch(w);
  expect(N.outsideTells()).toBe(false);
  fs.rmSync(dir, { recursive: true, force: true });
});

test('what others do is told, what the sandbox does is told once and after it', () => {
  expect(watch(root, 'd')).toBe(0);
  fs.mkdirSync(join(dir, 'theirs'));
  root.mkdir('ours', 0o750, owner.uid, owner.gid);
  N.notifyName(N.IN_CREATE, root, 'ours', true);
  expect(heard).toEqual(['d 40000100 theirs', 'd 40000100 ours']);
  fs.renameSync(join(dir, 'theirs'), join(dir, 'ours'));
  expect(
    news()
      .slice(2)
      .map((s) => s.replace(/=.*/, '=')),
  ).toEqual(['d 40000040 theirs =', 'd 40000080 ours =']);
});

test('a file that others remove is gone when nobody has it open', () => {
  fs.writeFileSync(join(dir, 'f'), '');
  const f = root.lookup('f', null) as Inode;
  expect(watch(f, 'f')).toBe(0);
  fs.linkSync(join(dir, 'f'), join(dir, 'g'));
  fs.unlinkSync(join(dir, 'f'));
  expect(news()).toEqual(['f 4 ']);
  fs.unlinkSync(join(dir, 'g'));
  expect(news()).toEqual(['f 4 ', 'f 400 ', 'f gone']);
});

test('each export of a tree hears of changes once', () => {
  const second = attach();
  watch(root, 'first');
  watch(second, 'second');
  fs.mkdirSync(join(dir, 'a'));
  expect(news().sort()).toEqual(['first 40000100 a', 'second 40000100 a']);
  second.mkdir('b', 0o755, owner.uid, owner.gid);
  N.notifyName(N.IN_CREATE, second, 'b', true);
  expect(news().sort()).toEqual(['first 40000100 b', 'second 40000100 b']);
});

test('nothing is asked of the gofer while nobody watches, and a watch that cannot be had is an error', () => {
  const before = channel.requests;
  fs.mkdirSync(join(dir, 'a'));
  expect(news()).toEqual([]);
  expect(channel.requests).toBe(before);
  client.watch = () => -ENOSPC;
  expect(watch(root, 'd')).toBe(-ENOSPC);
  expect(root.watchRefs).toBe(0);
});

test('what the host has lost is told', () => {
  watch(root, 'd');
  // fs.inotify.max_queued_events is 16384 by default.
  for (let i = 0; i < 6000; i++) {
    fs.writeFileSync(join(dir, 'n'), '');
    fs.unlinkSync(join(dir, 'n'));
  }
  expect(news()).toContain('d lost');
});

test('events of any form are read within their bounds', () => {
  const buffer = new HostBuffer(1024);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 1024 }),
      fc.array(fc.nat(300), { maxLength: 8 }),
      (bytes, sizes) => {
        buffer.bytes.fill(0xff);
        buffer.bytes.set(bytes);
        // Lengths that lead on make later events likely.
        let at = 0;
        for (const size of sizes) {
          if (at + 16 > 1024) break;
          buffer.view.setUint32(at + 12, size, true);
          at += 16 + size;
        }
        const events: HostEvent[] = [];
        eachEvent(buffer, bytes.length, (e) => events.push(e));
        expect(events.length).toBeLessThanOrEqual(64);
        for (const e of events) expect(e.name.length).toBeLessThanOrEqual(272);
      },
    ),
  );
});
