/** Directories of overlayfs: an upper directory, lower ones, or several merged (fs/overlayfs/namei.c, dir.c, readdir.c). */
import { EIO, ENOENT, ENOTEMPTY, EPERM, EXDEV } from '../../abi/errno.ts';
import { S_IFCHR, S_IFMT } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { TmpfsInode } from '../tmpfs/node.ts';
import { mergedEntries, OverlayDirFile, upperEntries } from './dir-file.ts';
import { OverlayInode } from './inode.ts';
import { discard, findLowers, WH_PREFIX, type LowerDirs } from './lookup.ts';
import { renameInUpper } from './rename.ts';
import type { OverlaySuperBlock } from './super-block.ts';

export class OverlayDir extends OverlayInode {
  readonly lowers: readonly Inode[];
  /** The layers of `lowers`, topmost 0; empty in the container's root. */
  readonly layerIds: readonly number[];
  /** Names of lower files that have several: each is a file of its own in a guest's overlay, which copies them one by one. */
  private links: Map<string, OverlayInode> | null = null;

  constructor(
    sb: OverlaySuperBlock,
    ino: number,
    upper: Inode | null,
    found: LowerDirs,
    parent: OverlayDir | null,
    name: string,
  ) {
    super(sb, ino, upper, found.inodes[0] ?? null, parent, name);
    this.lowers = found.inodes;
    this.layerIds = found.layers;
    for (let i = 1; i < this.lowers.length; i++) this.lowers[i]!.hold();
    this.pull();
  }

  /** Once it has been copied up. */
  get upperDir(): Inode {
    return this.upper!;
  }

  /** Directories of several layers (OVL_TYPE_MERGE). */
  private get isMerged(): boolean {
    return this.upper !== null ? this.lower !== null : this.sb.guest !== null && this.lowers.length > 1;
  }

  override pull(): void {
    super.pull();
    // "nlink for merged directories is always 1": nobody may count subdirectories by it. (The constructor comes here early.)
    if ((this.lowers as readonly Inode[] | undefined) !== undefined && this.isMerged)
      this.nlink = this.dead ? 0 : 1;
  }

  linkNamed(name: string, lower: Inode): OverlayInode {
    const { sb } = this;
    const known = this.links?.get(name);
    if (known?.lower === lower && known.upper === null && known.parent === this && known.name === name)
      return known;
    const made = new OverlayInode(sb, sb.inoOfLower(lower), null, lower, this, name);
    (this.links ??= new Map()).set(name, made);
    return made;
  }

  forgetLink(node: OverlayInode): void {
    if (this.links?.get(node.name) === node) this.links.delete(node.name);
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    const { sb } = this;
    if (sb.imageWhiteouts && name.startsWith(WH_PREFIX)) return -ENOENT;
    if (this.upper !== null) {
      const up = this.upper.lookup(name, t);
      if (typeof up !== 'number') {
        if (sb.isWhiteout(up)) return -ENOENT;
        return sb.guest !== null && up.isDir ? this.lookupMerged(name, up, t) : sb.forUpper(up, this, name);
      }
      if (up !== -ENOENT) return up;
    }
    const { lowers } = this;
    if (sb.guest === null && lowers.length === 1) {
      const found = lowers[0]!.lookup(name, t);
      if (typeof found === 'number') return found;
      return sb.isWhiteout(found) ? -ENOENT : sb.forLower({ inodes: [found], layers: [] }, this, name);
    }
    const found = findLowers(this, name, t);
    return typeof found === 'number' ? found : sb.forLower(found, this, name);
  }

  /** A guest's upper directory: with what the lower layers have of that name, unless it says that they do not count. */
  private lookupMerged(name: string, up: Inode, t: CallContext | null): Inode | number {
    const opaque = this.lowers.length === 0 || this.sb.guest!.markers.isOpaque(up);
    const found = opaque ? NOTHING : findLowers(this, name, t, up);
    if (typeof found !== 'number') return this.sb.forUpper(up, this, name, found);
    return found === -ENOENT ? this.sb.forUpper(up, this, name, NOTHING) : found;
  }

  /** True if a lower layer would show `name` here if the upper one did not hide it. */
  lowerHas(name: string): boolean {
    if (this.lowers.length === 0) return false;
    const found = findLowers(this, name, null);
    if (typeof found === 'number') return false;
    for (const inode of found.inodes) discard(inode);
    return true;
  }

  /** Copies the directory up and clears the way for a new `name`: 0, 1 if there was a whiteout, or −errno. */
  prepare(name: string): number {
    if (this.sb.imageWhiteouts && name.startsWith(WH_PREFIX)) return -EPERM;
    const r = this.copyUp();
    if (r < 0) return r;
    const old = this.upperDir.lookup(name, null);
    if (typeof old === 'number' || !this.sb.isWhiteout(old)) return 0;
    this.upperDir.unlink(name, old);
    return 1;
  }

  private finish(made: Inode | number, name: string): Inode | number {
    this.pull();
    this.sb.upperChanged(this, name);
    if (typeof made === 'number') return made;
    return this.sb.forUpper(made, this, name, made.isDir && this.sb.guest !== null ? NOTHING : null);
  }

  override create(name: string, mode: number, uid: number, gid: number): Inode | number {
    const r = this.prepare(name);
    return r < 0 ? r : this.finish(this.upperDir.create(name, mode, uid, gid), name);
  }

  override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
    const { guest } = this.sb;
    const r = this.prepare(name);
    if (r < 0) return r;
    if (r > 0 && guest !== null && !guest.markers.usable) {
      this.whiteOut(name);
      return -EIO;
    }
    const made = this.upperDir.mkdir(name, mode, uid, gid);
    // Without a lower one of that name it only saves looking for it (ovl_allow_offline_changes).
    const opaque = r > 0 || (this.isMerged && guest?.redirects === true);
    if (guest !== null && opaque && typeof made !== 'number') guest.markers.set(made, 'opaque', 'y');
    return this.finish(made, name);
  }

  override symlink(name: string, target: string, uid: number, gid: number): Inode | number {
    const r = this.prepare(name);
    return r < 0 ? r : this.finish(this.upperDir.symlink(name, target, uid, gid), name);
  }

  override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): Inode | number {
    const whiteout = (mode & S_IFMT) === S_IFCHR && rdev === 0;
    if (whiteout && this.sb.guest !== null) return -EPERM;
    const r = this.prepare(name);
    if (r < 0) return r;
    const made = this.upperDir.mknod(name, mode, rdev, uid, gid);
    if (whiteout && typeof made !== 'number') this.sb.showWhiteout(made as TmpfsInode);
    return this.finish(made, name);
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
    this.sb.upperChanged(this, name);
    this.noteCopy(node);
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
  clearWhiteouts(): number {
    const entries = mergedEntries(null, this);
    if (typeof entries === 'number') return entries;
    if (entries.length > 0) return -ENOTEMPTY;
    if (this.upper === null) return 0;
    const { guest } = this.sb;
    const whiteouts = upperEntries(this);
    // They would be replaced by an opaque directory (ovl_clear_empty).
    if (whiteouts.length > 0 && guest !== null && this.lowers.length > 0 && !guest.markers.usable)
      return -EIO;
    for (const [hidden, w] of whiteouts) this.upper.unlink(hidden, w);
    return 0;
  }

  private remove(name: string, node: OverlayInode): number {
    const r = this.copyUp();
    if (r < 0) return r;
    const up = this.upperDir.lookup(name, null);
    if (typeof up !== 'number') {
      const gone = up.isDir ? this.upperDir.rmdir(name, up) : this.upperDir.unlink(name, up);
      if (gone < 0) return gone;
      if (up.isDir) up.dead = true;
      if (this.lowerHas(name)) this.whiteOut(name);
    } else {
      this.whiteOut(name);
      this.takeLowerName(node);
    }
    this.sb.upperChanged(this, name);
    this.nameGone(name, node);
    return 0;
  }

  whiteOut(name: string): void {
    const { guest } = this.sb;
    const made = this.upperDir.mknod(name, S_IFCHR, 0, guest?.uid ?? 0, guest?.gid ?? 0);
    if (guest !== null && typeof made !== 'number') discard(made);
  }

  /** A name that only a lower layer has was hidden: one link less. */
  takeLowerName(node: OverlayInode): void {
    if (node.isDir) return;
    if (node.upper !== null) node.upper.nlink--;
    else this.sb.loseName(node.ino);
  }

  nameGone(name: string, node: OverlayInode): void {
    if (node.isDir) node.dead = true;
    if (node.parent === this && node.name === name) {
      this.forgetLink(node);
      node.parent = null;
    }
    node.pull();
    if (node.isDir) node.nlink = 0;
    this.pull();
  }

  /** A copy of a lower object has got a name here. */
  noteCopy(node: OverlayInode): void {
    const { guest } = this.sb;
    if (guest !== null && guest.markers.originOf(node.upper!) >= 0) this.sb.markImpure(this.upperDir);
  }

  /** Makes sure that the upper directory has `name`, which may be a lower hard link of an inode that was copied up. */
  ensureUpperName(name: string, node: OverlayInode): number {
    if (node.upper === null && (node.parent !== this || node.name !== name)) {
      node.parent = this;
      node.name = name;
    }
    const r = node.copyUp();
    if (r < 0) return r;
    if (typeof this.upperDir.lookup(name, null) !== 'number') return 0;
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
    return renameInUpper(
      this,
      oldName,
      inode as OverlayInode,
      newDir,
      newName,
      target as OverlayInode | null,
      flags,
    );
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription | number {
    return new OverlayDirFile(path, this, flags);
  }

  override evict(): void {
    super.evict();
    for (let i = 1; i < this.lowers.length; i++) this.lowers[i]!.drop();
  }
}

const NOTHING: LowerDirs = { inodes: [], layers: [] };
