/** Directories of tmpfs (mm/shmem.c, fs/libfs.c). */
import { EEXIST, ENOENT, ENOSPC, ENOTEMPTY } from '../../abi/errno.ts';
import { S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, modeToDt } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirFile, FIRST_ENTRY } from '../../vfs/dir-file.ts';
import type { DirEmit, FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { touchAtime } from '../../vfs/atime.ts';
import { currentTime } from '../../vfs/times.ts';
import { SHMEM_FL_INHERITED, TmpfsInode, TmpfsRegular, TmpfsSpecial, TmpfsSymlink } from './node.ts';
import type { TmpfsSuperBlock } from './super-block.ts';

// renameat2(2)
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

/** BOGO_DIRENT_SIZE: what an entry adds to a directory's size. */
const DIRENT_SIZE = 20;

interface Entry {
  readonly node: TmpfsInode;
  /** Own position: ascending in the order of the map, after FIRST_ENTRY. */
  readonly off: number;
}

export class TmpfsDir extends TmpfsInode {
  private readonly entries = new Map<string, Entry>();
  private nextOff = FIRST_ENTRY + 1;
  /** For ".." of getdents. */
  parent: TmpfsDir;

  constructor(sb: TmpfsSuperBlock, mode: number, uid: number, gid: number, parent?: TmpfsDir) {
    super(sb, S_IFDIR | (mode & 0o7777), uid, gid);
    this.nlink = 2;
    this.size = 2 * DIRENT_SIZE;
    this.parent = parent ?? this;
  }

  get count(): number {
    return this.entries.size;
  }

  *inodes(): Iterable<TmpfsInode> {
    for (const e of this.entries.values()) yield e.node;
  }

  names(): IterableIterator<string> {
    return this.entries.keys();
  }

  /** The newest first, as they are listed. */
  newestFirst(): [string, Entry][] {
    return Array.from(this.entries).reverse();
  }

  /** Whether the entry is still there. */
  has(name: string, entry: Entry): boolean {
    return this.entries.get(name) === entry;
  }

  override lookup(name: string): TmpfsInode | number {
    const e = this.entries.get(name);
    return e === undefined ? -ENOENT : e.node;
  }

  private put(name: string, node: TmpfsInode): void {
    this.entries.set(name, { node, off: this.nextOff++ });
    this.size += DIRENT_SIZE;
    if (node.isDir) {
      this.nlink++;
      (node as TmpfsDir).parent = this;
    }
    this.mtime = this.ctime = currentTime();
  }

  private take(name: string, node: TmpfsInode): void {
    this.entries.delete(name);
    this.size -= DIRENT_SIZE;
    if (node.isDir) this.nlink--;
    this.mtime = this.ctime = currentTime();
  }

  /** Adds a new inode under `name`, charged. */
  private add<T extends TmpfsInode>(name: string, make: () => T): T | number {
    if (this.entries.has(name)) return -EEXIST;
    if (!this.sb.chargeInode()) return -ENOSPC;
    const node = make();
    node.fileFlags = this.fileFlags & SHMEM_FL_INHERITED;
    const r = this.handDownAcl(node);
    if (r < 0) return r;
    this.put(name, node);
    return node;
  }

  override create(name: string, mode: number, uid: number, gid: number): TmpfsRegular | number {
    return this.add(name, () => new TmpfsRegular(this.sb, mode, uid, gid));
  }

  override mkdir(name: string, mode: number, uid: number, gid: number): TmpfsDir | number {
    return this.add(name, () => new TmpfsDir(this.sb, mode, uid, gid, this));
  }

  override symlink(name: string, target: string, uid: number, gid: number): TmpfsSymlink | number {
    if (!this.sb.chargeTarget(target.length)) return -ENOSPC;
    const made = this.add(name, () => new TmpfsSymlink(this.sb, target, uid, gid));
    if (typeof made === 'number') this.sb.unchargeTarget(target.length);
    return made;
  }

  override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): TmpfsInode | number {
    return this.add(name, () => {
      if ((mode & S_IFMT) === S_IFREG) return new TmpfsRegular(this.sb, mode, uid, gid);
      const node = new TmpfsSpecial(this.sb, mode, uid, gid);
      node.rdev = rdev;
      return node;
    });
  }

  override tmpfile(mode: number, uid: number, gid: number): TmpfsRegular | number {
    if (!this.sb.chargeInode()) return -ENOSPC;
    const node = new TmpfsRegular(this.sb, mode, uid, gid);
    node.nlink = 0;
    node.fileFlags = this.fileFlags & SHMEM_FL_INHERITED;
    const r = this.handDownAcl(node);
    return r < 0 ? r : node;
  }

  /** 0, or −ENOSPC and the new object is gone. */
  private handDownAcl(node: TmpfsInode): number {
    if (this.defaultAcl === null || node.isSymlink) return 0;
    const r = node.inheritAcl(this.defaultAcl);
    if (r < 0) {
      node.nlink = 0;
      node.evict();
    }
    return r;
  }

  override link(name: string, inode: Inode): number {
    if (this.entries.has(name)) return -EEXIST;
    // Names count as inodes do, but for the first one of a file from O_TMPFILE (shmem_link).
    if (inode.nlink > 0 && !this.sb.chargeInode()) return -ENOSPC;
    inode.nlink++;
    inode.ctime = currentTime();
    this.put(name, inode as TmpfsInode);
    return 0;
  }

  override unlink(name: string, inode: Inode): number {
    this.take(name, inode as TmpfsInode);
    if (inode.nlink > 1) this.sb.unchargeInode();
    inode.nlink--;
    inode.ctime = currentTime();
    if (inode.nlink === 0 && !inode.inUse) inode.evict();
    return 0;
  }

  override rmdir(name: string, inode: Inode): number {
    const dir = inode as TmpfsDir;
    if (dir.entries.size > 0) return -ENOTEMPTY;
    this.take(name, dir);
    dir.nlink = 0;
    dir.ctime = currentTime();
    if (!dir.inUse) dir.evict();
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
    const to = newDir as TmpfsDir;
    const node = inode as TmpfsInode;
    if ((flags & RENAME_EXCHANGE) !== 0) {
      const other = target as TmpfsInode;
      this.take(oldName, node);
      to.take(newName, other);
      this.put(oldName, other);
      to.put(newName, node);
      node.ctime = other.ctime = currentTime();
      return 0;
    }
    if (target !== null) {
      if (target.isDir && (target as TmpfsDir).entries.size > 0) return -ENOTEMPTY;
      const r = target.isDir ? to.rmdir(newName, target) : to.unlink(newName, target);
      if (r < 0) return r;
    }
    this.take(oldName, node);
    to.put(newName, node);
    node.ctime = currentTime();
    if ((flags & RENAME_WHITEOUT) !== 0) this.mknod(oldName, S_IFCHR, 0, 0, 0);
    return 0;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription | number {
    return new TmpfsDirDescription(path, this, flags);
  }
}

/** A position is that of the entry listed last: older ones follow. Entries made meanwhile are not seen, as on Linux (offset_iterate_dir). */
class TmpfsDirDescription extends DirFile {
  private readonly dir: TmpfsDir;
  /** What there was when the listing began, valid while nobody seeks. */
  private list: [string, Entry][] | null = null;
  private next = 0;
  private listPos = 0;

  constructor(path: Path, dir: TmpfsDir, flags: number) {
    super(path, dir, flags);
    this.dir = dir;
  }

  override accessed(): void {
    touchAtime(this);
  }

  protected override prepare(): number {
    touchAtime(this);
    if (this.pos <= FIRST_ENTRY) this.list = null;
    return 0;
  }

  protected override get parentIno(): number {
    return this.dir.parent.ino;
  }

  protected override emitEntries(_t: CallContext, emit: DirEmit): void {
    if (this.list === null || this.listPos !== this.pos) {
      this.list = this.dir.newestFirst();
      this.next = 0;
    }
    const { list } = this;
    for (; this.next < list.length; this.next++) {
      const [name, e] = list[this.next]!;
      const listed = this.pos > FIRST_ENTRY && e.off >= this.pos;
      if (listed || !this.dir.has(name, e)) continue;
      if (!emit(name, e.node.ino, modeToDt(e.node.mode), e.off)) break;
      this.pos = e.off;
    }
    this.listPos = this.pos;
  }
}
