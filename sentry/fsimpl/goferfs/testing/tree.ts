/** A directory of the host in goferfs, with the gofer in the same process: what the tests of goferfs have in common. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { RemoteGofer } from '../../../../gofer/client/client.ts';
import { LoopChannel } from '../../../../gofer/client/loop-channel.ts';
import { InodeTable } from '../../../../gofer/server/inode-table.ts';
import { makeServer } from '../../../../gofer/server/make-server.ts';
import { setDentryLimit, DENTRY_CACHE_MAX } from '../../../vfs/dentry.ts';
import type { FileDescription } from '../../../vfs/file-description.ts';
import type { Inode } from '../../../vfs/inode.ts';
import { TestContext } from '../../../vfs/testing/context.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../../vfs/walk.ts';
import type { GoferDir } from '../directory.ts';
import { GoferSuperBlock } from '../super-block.ts';

/** On the host. */
export let dir: string;
export let channel: LoopChannel;
/** What the gofer knows. */
export let table: InodeTable;
export let sb: GoferSuperBlock;
export let t: TestContext;
/** The directory as the sandbox sees it. */
export let root: GoferDir;

/** A sandbox that sees the directory, by caches of its own. */
export function start(exclusive: boolean): void {
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

/** Gives each test of the file an empty directory. */
export function useTree(): void {
  beforeEach(() => {
    dir = fs.mkdtempSync(join(tmpdir(), 'goferfs-'));
  });

  afterEach(() => {
    setDentryLimit(DENTRY_CACHE_MAX);
    fs.rmSync(dir, { recursive: true, force: true });
  });
}

/** Messages that `f` needs. */
export function messages(f: () => void): number {
  const before = channel.requests;
  f();
  return channel.requests - before;
}

export function find(name: string): Inode | number {
  const r = walk(t, t.fs.root, name, LOOKUP_FOLLOW);
  return r < 0 ? r : nd.dentry.inode!;
}

/** stat(2) */
export function stat(name: string): Inode {
  const inode = find(name);
  if (typeof inode === 'number') throw new Error(`${name}: errno ${-inode}`);
  expect(inode.refresh()).toBe(0);
  return inode;
}

export function open(name: string, flags: number): FileDescription {
  const inode = find(name);
  if (typeof inode === 'number') throw new Error(`${name}: errno ${-inode}`);
  const f = inode.open(t, nd.path(), flags);
  if (typeof f === 'number') throw new Error(`open ${name}: errno ${-f}`);
  return f;
}

export function read(f: FileDescription, pos = 0): string {
  const b = Buffer.alloc(1000);
  const n = f.read(t, b, 0, b.length, pos);
  return n < 0 ? `errno ${-n}` : b.toString('latin1', 0, n);
}

export function write(f: FileDescription, text: string, pos = 0): number {
  return f.write(t, Buffer.from(text, 'latin1'), 0, text.length, pos);
}

export function list(f: FileDescription): string[] {
  const names: string[] = [];
  expect(f.getdents(t, (name) => names.push(name) > 0)).toBe(0);
  return names.sort();
}
