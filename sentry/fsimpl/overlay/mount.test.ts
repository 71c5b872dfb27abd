import { describe, expect, test } from 'vitest';
import { EINVAL, EIO, ENOENT, EOVERFLOW } from '../../abi/errno.ts';
import { O_CREAT, O_RDONLY, O_WRONLY } from '../../abi/fcntl.ts';
import { S_IFCHR, S_IFMT } from '../../abi/stat.ts';
import { IdMap } from '../../auth/id-map.ts';
import { UserNamespace } from '../../auth/credentials.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { fileSystemType } from '../../vfs/fs-types.ts';
import { attachMount, makeMount, type MountNamespace } from '../../vfs/mount-namespace.ts';
import { vfsMkdir, vfsMknod, vfsRmdir, vfsUnlink } from '../../vfs/namei.ts';
import { vfsOpen } from '../../vfs/open.ts';
import { TestContext } from '../../vfs/testing/context.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../vfs/walk.ts';
import { TmpfsSuperBlock } from '../tmpfs/super-block.ts';
import { registerOverlay } from './mount.ts';
import { OverlaySuperBlock } from './super-block.ts';

registerOverlay();

/** A container whose root is an overlay in memory over an empty layer. */
function container(): TestContext {
  const t = new TestContext(new OverlaySuperBlock([new TmpfsSuperBlock().root], new TmpfsSuperBlock()));
  for (const d of ['l', 'l/d', 'u', 'w', 'm']) expect(vfsMkdir(t, t.fs.cwd, d, 0o755)).toBe(0);
  write(t, 'l/f', 'lower');
  write(t, 'l/d/x', 'x');
  return t;
}

function write(t: TestContext, name: string, text: string): number {
  const f = vfsOpen(t, t.fs.cwd, name, O_CREAT | O_WRONLY, 0o644);
  if (typeof f === 'number') return f;
  const n = f.write(t, Buffer.from(text), 0, text.length, 0);
  f.unref();
  return n;
}

function read(t: TestContext, name: string): string | number {
  const f = vfsOpen(t, t.fs.cwd, name, O_RDONLY, 0);
  if (typeof f === 'number') return f;
  const buf = Buffer.alloc(100);
  const n = f.read(t, buf, 0, 100, 0);
  f.unref();
  return n < 0 ? n : buf.toString('latin1', 0, n);
}

function list(t: TestContext, name: string): string[] {
  const f = vfsOpen(t, t.fs.cwd, name, O_RDONLY, 0) as FileDescription;
  const names: string[] = [];
  f.getdents(t, (n) => names.push(n) > 0);
  f.unref();
  return names.filter((n) => n !== '.' && n !== '..').sort();
}

function mountOverlay(t: TestContext, data: string): number {
  const sb = fileSystemType('overlay')!.mount(t, 'o', 0, data);
  if (typeof sb === 'number') return sb;
  expect(walk(t, t.fs.cwd, 'm', LOOKUP_FOLLOW)).toBe(0);
  return attachMount(makeMount(sb, 0, 'o'), nd.path());
}

const DATA = 'lowerdir=l,upperdir=u,workdir=w';

function unmount(ns: MountNamespace): void {
  const m = ns.mounts().at(-1)!;
  m.detach();
  m.release();
}

describe('an overlay whose upper layer is in the container’s root', () => {
  test('stores whiteouts, opaque directories and copies where they can be seen', () => {
    const t = container();
    expect(mountOverlay(t, DATA)).toBe(0);
    expect(read(t, 'm/f')).toBe('lower');
    expect(read(t, 'u/f')).toBe(-ENOENT);
    expect(write(t, 'm/f', 'UPPER')).toBe(5);
    expect(read(t, 'u/f')).toBe('UPPER');
    expect(read(t, 'l/f')).toBe('lower');
    expect(vfsUnlink(t, t.fs.cwd, 'm/f')).toBe(0);
    expect(walk(t, t.fs.cwd, 'u/f', 0)).toBe(0);
    expect(nd.dentry.inode!.mode & S_IFMT).toBe(S_IFCHR);
    expect(vfsUnlink(t, t.fs.cwd, 'm/d/x')).toBe(0);
    expect(vfsRmdir(t, t.fs.cwd, 'm/d')).toBe(0);
    expect(vfsMkdir(t, t.fs.cwd, 'm/d', 0o700)).toBe(0);
    expect(list(t, 'm/d')).toEqual([]);
    expect(walk(t, t.fs.cwd, 'u/d', 0)).toBe(0);
    expect(nd.dentry.inode!.getXattr('trusted.overlay.opaque')).toEqual(Buffer.from('y'));
    unmount(t.ns);
    expect(list(t, 'u')).toEqual(['d', 'f']);
    expect(mountOverlay(t, DATA)).toBe(0);
    expect(list(t, 'm')).toEqual(['d']);
    expect(list(t, 'm/d')).toEqual([]);
  });

  test('a whiteout that a guest makes in the root is a device there, and hides in an overlay', () => {
    const t = container();
    expect(vfsMknod(t, t.fs.cwd, 'u/f', S_IFCHR | 0o600, 0)).toBe(0);
    expect(list(t, 'u')).toEqual(['f']);
    expect(mountOverlay(t, DATA)).toBe(0);
    expect(list(t, 'm')).toEqual(['d']);
    expect(vfsMknod(t, t.fs.cwd, 'm/white', S_IFCHR | 0o600, 0)).toBeLessThan(0);
    expect(vfsUnlink(t, t.fs.cwd, 'u/f')).toBe(0);
    expect(list(t, 'u')).toEqual([]);
  });

  test('the layers live on while it is mounted, and no longer', () => {
    const t = container();
    const { sb } = t.ns.root;
    const before = sb.mounts;
    expect(mountOverlay(t, DATA)).toBe(0);
    expect(sb.mounts).toBe(before + 3);
    expect(mountOverlay(t, `${DATA},nonsense`)).toBe(-EINVAL);
    expect(mountOverlay(t, 'lowerdir=l:none,upperdir=u,workdir=w')).toBe(-ENOENT);
    expect(sb.mounts).toBe(before + 3);
    unmount(t.ns);
    expect(sb.mounts).toBe(before);
  });
});

describe('mounted in a user namespace', () => {
  function inNamespace(): TestContext {
    const t = container();
    write(t, 'l/strange', 's');
    expect(walk(t, t.fs.cwd, 'l/strange', 0)).toBe(0);
    nd.dentry.inode!.setAttr({ uid: 7, gid: 7 });
    const ns = new UserNamespace(t.creds.userNs, 0);
    const map = new IdMap([{ containerID: 0, hostID: 0, size: 1 }]);
    ns.uidMap = ns.gidMap = map;
    const creds = t.creds.clone();
    (creds as { userNs: UserNamespace }).userNs = ns;
    t.creds = creds;
    return t;
  }

  test('files of strangers cannot be copied, and without userxattr nothing can be made opaque', () => {
    const t = inNamespace();
    expect(mountOverlay(t, `${DATA},redirect_dir=on`)).toBeLessThan(0);
    expect(mountOverlay(t, DATA)).toBe(0);
    expect(walk(t, t.fs.cwd, 'm/strange', 0)).toBe(0);
    expect(nd.dentry.inode!.setAttr({ mode: 0o600 })).toBe(-EOVERFLOW);
    expect(write(t, 'm/d/x', 'X')).toBe(1);
    expect(read(t, 'u/d/x')).toBe('X');
    expect(vfsUnlink(t, t.fs.cwd, 'm/f')).toBe(0);
    expect(vfsMkdir(t, t.fs.cwd, 'm/f', 0o755)).toBe(-EIO);
    expect(read(t, 'm/f')).toBe(-ENOENT);
  });
});
