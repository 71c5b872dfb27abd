/** Directories of goferfs: how they are changed. */
import { EEXIST, EINVAL, EOPNOTSUPP, EXDEV } from '../../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFMT, S_IFSOCK } from '../../abi/stat.ts';
import { GOFER_RDWR } from '../../gofer-api/gofer-api.ts';
import type { GoferAttr, GoferOpened } from '../../gofer-api/gofer-api.ts';
import { IN_DELETE, IN_MOVED_FROM } from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { keepDeviceNode } from './device-nodes.ts';
import { DirNames } from './dir-names.ts';
import { GoferInode } from './inode.ts';
import type { GoferRegular } from './regular.ts';

const RENAME_EXCHANGE = 2;

let tmpfiles = 0;

export class GoferDir extends DirNames {
  override create(name: string, mode: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const node = { mode: mode & 0o7777, uid, gid };
    const r = this.gofer.client.create(id, name, node, GOFER_RDWR);
    return typeof r === 'number' ? r : this.created(name, r);
  }

  private created(name: string, r: GoferOpened): GoferRegular {
    // The gofer and its client have made sure that it is a regular file.
    const inode = this.gofer.inodeFor(r.attr, this, name) as GoferRegular;
    inode.adoptWritable(r.hostFd);
    this.madeHere(name, inode);
    return inode;
  }

  override tmpfile(mode: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const node = { mode: mode & 0o7777, uid, gid };
    const unnamed = this.gofer.client.tmpfile(id, node);
    if (typeof unnamed !== 'number') {
      const inode = this.gofer.inodeFor(unnamed.attr, null, '') as GoferRegular;
      inode.adoptWritable(unnamed.hostFd);
      return inode;
    }
    if (unnamed !== -EOPNOTSUPP) return unnamed;
    // A file system of the host without O_TMPFILE: a file that has lost its name when it is returned.
    for (;;) {
      const name = `.tmpfile-${tmpfiles++}`;
      const r = this.gofer.client.create(id, name, node, GOFER_RDWR);
      if (r === -EEXIST) continue;
      if (typeof r === 'number') return r;
      const inode = this.created(name, r);
      const removed = this.unlink(name, inode);
      return removed < 0 ? removed : inode;
    }
  }

  override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const watcher = this.gofer.watcher;
    const watches = watcher !== null && watcher.room === 0;
    const r = this.gofer.client.mkdir(id, name, { mode: mode & 0o7777, uid, gid }, watches);
    if (typeof r === 'number') return r;
    const inode = this.gofer.inodeFor(r.attr, this, name);
    // Before any event of it is looked at.
    if (inode instanceof GoferDir) inode.begun(r.watch);
    this.madeHere(name, inode);
    return inode;
  }

  override symlink(name: string, target: string, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    return this.made(name, this.gofer.client.symlink(id, name, target, uid, gid));
  }

  override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const { client } = this.gofer;
    const type = mode & S_IFMT;
    if (type !== S_IFCHR && type !== S_IFBLK)
      return this.made(name, client.mknod(id, name, { mode, uid, gid }));
    const attr = client.mknod(id, name, { mode: S_IFSOCK | (mode & 0o7777), uid, gid });
    if (typeof attr === 'number') return attr;
    const kept = keepDeviceNode(this.gofer.deviceKeyOf(this.gofer.keyOf(attr)), attr, mode, rdev);
    if (kept === 0) return this.made(name, attr);
    client.unlink(id, name, false);
    client.forget(attr.id);
    return kept;
  }

  private made(name: string, attr: GoferAttr | number): Inode | number {
    if (typeof attr === 'number') return attr;
    const inode = this.gofer.inodeFor(attr, this, name);
    this.madeHere(name, inode);
    return inode;
  }

  override link(name: string, inode: Inode): number {
    if (!(inode instanceof GoferInode) || inode.gofer !== this.gofer) return -EXDEV;
    const target = inode.goferId();
    if (target < 0) return target;
    const id = this.goferId();
    if (id < 0) return id;
    const attr = this.gofer.client.link(target, id, name);
    if (typeof attr === 'number') return attr;
    inode.foundAs(this, name);
    inode.apply(attr);
    this.madeHere(name, inode);
    return 0;
  }

  override unlink(name: string, inode: Inode): number {
    return this.removeName(name, inode, false);
  }

  override rmdir(name: string, inode: Inode): number {
    return this.removeName(name, inode, true);
  }

  private removeName(name: string, inode: Inode, isDir: boolean): number {
    const id = this.goferId();
    if (id < 0) return id;
    const r = this.gofer.client.unlink(id, name, isDir);
    if (r < 0) return r;
    this.removed(name);
    (inode as GoferInode).nameRemoved(this, name);
    this.expectEvent(IN_DELETE, name);
    this.gofer.watcher?.settle();
    return 0;
  }

  override rename(
    oldName: string,
    inode: Inode,
    newDir: Inode,
    newName: string,
    target: Inode | null,
    flags: number,
  ): number {
    if (!(newDir instanceof GoferDir) || newDir.gofer !== this.gofer) return -EXDEV;
    if ((flags & ~3) !== 0) return -EINVAL;
    const id = this.goferId();
    if (id < 0) return id;
    const newId = newDir.goferId();
    if (newId < 0) return newId;
    const r = this.gofer.client.rename(id, oldName, newId, newName, flags);
    if (r < 0) return r;
    const moved = inode as GoferInode;
    const other = target as GoferInode | null;
    // rename(2) of two links of one file does nothing.
    if (moved === other) return 0;
    this.removed(oldName);
    if (other !== null && flags === RENAME_EXCHANGE) {
      other.foundAs(this, oldName);
      other.invalidate();
      this.movedHere(oldName, other);
      newDir.expectEvent(IN_MOVED_FROM, newName);
    } else if (other !== null) {
      other.nameRemoved(newDir, newName);
    }
    moved.foundAs(newDir, newName);
    moved.invalidate();
    newDir.movedHere(newName, moved);
    this.expectEvent(IN_MOVED_FROM, oldName);
    this.gofer.watcher?.settle();
    return 0;
  }
}
