/** Directories of overlayfs: an upper directory, lower ones, or several merged (fs/overlayfs/namei.c, dir.c, readdir.c). */
import { EINVAL, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from '../../abi/errno.ts';
import { S_IFCHR, S_IFMT } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { RENAME_EXCHANGE, RENAME_WHITEOUT, type TmpfsDir } from '../tmpfs/directory.ts';
import type { TmpfsInode } from '../tmpfs/node.ts';
import { mergedEntries, OverlayDirFile } from './dir-file.ts';
import { OverlayInode } from './inode.ts';
import type { OverlaySuperBlock } from './super-block.ts';

/** Prefix of whiteouts in the layers of an OCI image, and the marker of a directory that hides the layers below. */
export const WH_PREFIX = '.wh.';
const WH_OPAQUE = '.wh..wh..opq';

export function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0;
}

/** A found inode that nobody wants: its file system may forget it. */
function discard(inode: Inode): void {
  inode.hold();
  inode.drop();
}

export class OverlayDir extends OverlayInode {
  readonly lowers: readonly Inode[];

  constructor(
    sb: OverlaySuperBlock,
    ino: number,
    upper: TmpfsInode | null,
    lowers: readonly Inode[],
    parent: OverlayDir | null,
    name: string,
  ) {
    super(sb, ino, upper, lowers[0] ?? null, parent, name);
    this.lowers = lowers;
    for (let i = 1; i < lowers.length; i++) lowers[i]!.hold();
  }

  private get upperDir(): TmpfsDir {
    return this.upper as TmpfsDir;
  }

  override pull(): void {
    super.pull();
    // "nlink for merged directories is always 1": nobody may count subdirectories by it.
    if (this.upper !== null && this.lower !== null) this.nlink = this.dead ? 0 : 1;
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    const image = this.sb.imageWhiteouts;
    if (image && name.startsWith(WH_PREFIX)) return -ENOENT;
    if (this.upper !== null) {
      const up = this.upperDir.lookup(name);
      if (typeof up !== 'number') return isWhiteout(up) ? -ENOENT : this.sb.forUpper(up, this, name);
    }
    const { lowers } = this;
    if (lowers.length === 1) {
      const found = lowers[0]!.lookup(name, t);
      if (typeof found === 'number') return found;
      return isWhiteout(found) ? -ENOENT : this.sb.forLower([found], this, name);
    }
    const found = this.findInLowers(name, t);
    return typeof found === 'number' ? found : this.sb.forLower(found, this, name);
  }

  /** The topmost lower object of that name, with the directories below it that it is merged with. */
  private findInLowers(name: string, t: CallContext | null): Inode[] | number {
    const found: Inode[] = [];
    for (const dir of this.lowers) {
      const r = dir.lookup(name, t);
      if (typeof r === 'number') {
        if (r !== -ENOENT && r !== -ENOTDIR) return r;
        if (exists(dir, WH_PREFIX + name)) break;
        continue;
      }
      if (isWhiteout(r) || (found.length > 0 && !r.isDir)) {
        discard(r);
        break;
      }
      found.push(r);
      if (!r.isDir || exists(r, WH_OPAQUE)) break;
    }
    return found.length === 0 ? -ENOENT : found;
  }

  /** True if a lower layer would show `name` here if the upper one did not hide it. */
  private lowerHas(name: string): boolean {
    if (this.lowers.length === 0) return false;
    const found = this.findInLowers(name, null);
    if (typeof found === 'number') return false;
    for (const inode of found) discard(inode);
    return true;
  }

  /** Copies the directory up and clears the way for a new `name`: 0 or −errno. */
  private prepare(name: string): number {
    if (this.sb.imageWhiteouts && name.startsWith(WH_PREFIX)) return -EPERM;
    const r = this.copyUp();
    if (r < 0) return r;
    const old = this.upperDir.lookup(name);
    if (typeof old !== 'number' && isWhiteout(old)) this.upperDir.unlink(name, old);
    return 0;
  }

  private finish(made: TmpfsInode | number, name: string): Inode | number {
    this.pull();
    return typeof made === 'number' ? made : this.sb.forUpper(made, this, name);
  }

  override create(name: string, mode: number, uid: number, gid: number): Inode | number {
    const r = this.prepare(name);
    return r < 0 ? r : this.finish(this.upperDir.create(name, mode, uid, gid), name);
  }

  override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
    const r = this.prepare(name);
    return r < 0 ? r : this.finish(this.upperDir.mkdir(name, mode, uid, gid), name);
  }

  override symlink(name: string, target: string, uid: number, gid: number): Inode | number {
    const r = this.prepare(name);
    return r < 0 ? r : this.finish(this.upperDir.symlink(name, target, uid, gid), name);
  }

  override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): Inode | number {
    if ((mode & S_IFMT) === S_IFCHR && rdev === 0) return -EPERM;
    const r = this.prepare(name);
    return r < 0 ? r : this.finish(this.upperDir.mknod(name, mode, rdev, uid, gid), name);
  }

  override tmpfile(mode: number, uid: number, gid: number): Inode | number {
    const r = this.copyUp();
    if (r < 0) return r;
    const made = this.upperDir.tmpfile(mode, uid, gid);
    if (typeof made === 'number') return made;
    const node = this.sb.forUpper(made, this, '');
    node.parent = null;
    return node;
  }

  override link(name: string, inode: Inode): number {
    const node = inode as OverlayInode;
    const r = node.copyUp();
    if (r < 0) return r;
    const p = this.prepare(name);
    if (p < 0) return p;
    const linked = this.upperDir.link(name, node.upper!);
    if (linked === 0 && node.parent === null) {
      node.parent = this;
      node.name = name;
    }
    node.pull();
    this.pull();
    return linked;
  }

  override unlink(name: string, inode: Inode): number {
    return this.remove(name, inode as OverlayInode);
  }

  override rmdir(name: string, inode: Inode): number {
    const dir = inode as OverlayDir;
    const empty = dir.clearWhiteouts();
    return empty < 0 ? empty : this.remove(name, dir);
  }

  /** 0 if nothing is visible in the directory, whose whiteouts are gone then; −ENOTEMPTY. */
  private clearWhiteouts(): number {
    const entries = mergedEntries(null, this);
    if (typeof entries === 'number') return entries;
    if (entries.length > 0) return -ENOTEMPTY;
    if (this.upper === null) return 0;
    for (const hidden of [...this.upperDir.names()]) {
      const w = this.upperDir.lookup(hidden);
      if (typeof w !== 'number') this.upperDir.unlink(hidden, w);
    }
    return 0;
  }

  private remove(name: string, node: OverlayInode): number {
    const r = this.copyUp();
    if (r < 0) return r;
    const up = this.upperDir.lookup(name);
    if (typeof up !== 'number') {
      const gone = up.isDir ? this.upperDir.rmdir(name, up) : this.upperDir.unlink(name, up);
      if (gone < 0) return gone;
      if (this.lowerHas(name)) this.whiteOut(name);
    } else {
      this.whiteOut(name);
      this.takeLowerName(node);
    }
    this.nameGone(name, node);
    return 0;
  }

  private whiteOut(name: string): void {
    this.upperDir.mknod(name, S_IFCHR, 0, 0, 0);
  }

  /** A name that only a lower layer has was hidden: one link less. */
  private takeLowerName(node: OverlayInode): void {
    if (node.isDir) return;
    if (node.upper !== null) node.upper.nlink--;
    else this.sb.loseName(node.ino);
  }

  private nameGone(name: string, node: OverlayInode): void {
    if (node.isDir) node.dead = true;
    if (node.parent === this && node.name === name) node.parent = null;
    node.pull();
    if (node.isDir) node.nlink = 0;
    this.pull();
  }

  /** Makes sure that the upper directory has `name`, which may be a lower hard link of an inode that was copied up. */
  private ensureUpperName(name: string, node: OverlayInode): number {
    if (node.upper === null && (node.parent !== this || node.name !== name)) {
      node.parent = this;
      node.name = name;
    }
    const r = node.copyUp();
    if (r < 0) return r;
    if (typeof this.upperDir.lookup(name) !== 'number') return 0;
    const linked = this.upperDir.link(name, node.upper!);
    if (linked === 0) node.upper!.nlink--;
    return linked;
  }

  override rename(
    oldName: string,
    inode: Inode,
    newDir: Inode,
    newName: string,
    target: Inode | null,
    flags: number,
  ): number {
    if (!(newDir instanceof OverlayDir) || newDir.sb !== this.sb) return -EXDEV;
    if ((flags & RENAME_WHITEOUT) !== 0) return -EINVAL;
    const node = inode as OverlayInode;
    const other = target as OverlayInode | null;
    let r = this.copyUp();
    if (r === 0) r = newDir.copyUp();
    if (r === 0) r = this.ensureUpperName(oldName, node);
    if (r < 0) return r;
    if ((flags & RENAME_EXCHANGE) !== 0) return this.exchange(oldName, node, newDir, newName, other!);
    r = newDir.makeWay(newName, other);
    if (r < 0) return r;
    const uncovered = this.lowerHas(oldName);
    const replaced = newDir.upperDir.lookup(newName);
    r = this.upperDir.rename(
      oldName,
      node.upper!,
      newDir.upperDir,
      newName,
      typeof replaced === 'number' ? null : replaced,
      0,
    );
    if (r < 0) return r;
    if (uncovered) this.whiteOut(oldName);
    if (other !== null) newDir.nameGone(newName, other);
    node.parent = newDir;
    node.name = newName;
    node.pull();
    this.pull();
    newDir.pull();
    return 0;
  }

  /** What has the name now gives way: whiteouts go, an empty directory may be replaced. */
  private makeWay(name: string, target: OverlayInode | null): number {
    if (this.sb.imageWhiteouts && name.startsWith(WH_PREFIX)) return -EPERM;
    if (target instanceof OverlayDir) {
      const empty = target.clearWhiteouts();
      if (empty < 0) return empty;
    }
    const up = this.upperDir.lookup(name);
    if (typeof up === 'number') {
      if (target !== null) this.takeLowerName(target);
    } else if (isWhiteout(up)) {
      this.upperDir.unlink(name, up);
    }
    return 0;
  }

  private exchange(
    oldName: string,
    node: OverlayInode,
    newDir: OverlayDir,
    newName: string,
    other: OverlayInode,
  ): number {
    let r = newDir.ensureUpperName(newName, other);
    if (r < 0) return r;
    r = this.upperDir.rename(oldName, node.upper!, newDir.upperDir, newName, other.upper!, RENAME_EXCHANGE);
    if (r < 0) return r;
    node.parent = newDir;
    node.name = newName;
    other.parent = this;
    other.name = oldName;
    for (const n of [node, other, this, newDir]) n.pull();
    return 0;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription | number {
    return new OverlayDirFile(path, this, flags);
  }

  override evict(): void {
    super.evict();
    for (let i = 1; i < this.lowers.length; i++) this.lowers[i]!.drop();
  }
}

function exists(dir: Inode, name: string): boolean {
  if (!dir.isDir) return false;
  const r = dir.lookup(name, null);
  if (typeof r === 'number') return false;
  discard(r);
  return true;
}
