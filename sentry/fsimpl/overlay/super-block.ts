/**
 * overlayfs: read-only lower layers under one upper layer in memory (fs/overlayfs, Documentation/filesystems/overlayfs.rst).
 *
 * The upper tmpfs belongs to the overlay alone, so what the layers of a directory are is remembered in the upper inode itself
 * (`stacked`) instead of in extended attributes: a renamed directory keeps its lower layers, a new one has none. A whiteout
 * is a character device 0/0 in the upper layer; lower layers may also have the OCI image form, `.wh.NAME` files.
 */
import type { Inode } from '../../vfs/inode.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';
import type { TmpfsDir } from '../tmpfs/directory.ts';
import type { StackedState, TmpfsInode } from '../tmpfs/node.ts';
import type { TmpfsSuperBlock } from '../tmpfs/super-block.ts';
import { OverlayDir } from './directory.ts';
import { OverlayInode } from './inode.ts';

export const OVERLAYFS_MAGIC = 0x794c7630;

/** Inode numbers of the upper layer start here, far above those of host file systems. */
const UPPER_INO = 2 ** 48;
/** Distance between the inode numbers of lower layers. */
const LAYER_INO = 2 ** 44;

/** What the upper inode of a copied-up or new object remembers. */
class UpperState implements StackedState {
  readonly ino: number;
  /** Lower layers of a directory, topmost first. */
  readonly lowers: readonly Inode[];
  private readonly sb: OverlaySuperBlock;

  constructor(sb: OverlaySuperBlock, ino: number, lowers: readonly Inode[]) {
    this.sb = sb;
    this.ino = ino;
    this.lowers = lowers;
    for (const l of lowers) l.hold();
  }

  release(): void {
    this.sb.dropIndex(this.ino);
    for (const l of this.lowers) l.drop();
  }
}

export class OverlaySuperBlock extends SuperBlock {
  readonly fsType = 'overlay';
  readonly root: OverlayDir;
  override readonly revalidates: boolean;
  /** True if lower directories may hold `.wh.` marker files. */
  readonly imageWhiteouts: boolean;
  private readonly upperSb: TmpfsSuperBlock;
  private readonly layers: readonly SuperBlock[];
  /** Overlay inodes in use, by the real inode they stand for. */
  private readonly byReal = new Map<Inode, OverlayInode>();
  /** Upper inodes of copied-up files that have more names, by inode number: other lower names lead to them. */
  private readonly index = new Map<number, TmpfsInode>();
  /** Names that whiteouts took from lower files with several, by inode number. */
  private readonly lost = new Map<number, number>();

  /** `lowers` are the roots of the layers, topmost first; `upper` must be fresh. */
  constructor(lowers: readonly Inode[], upper: TmpfsSuperBlock) {
    super();
    this.upperSb = upper;
    const sbs = lowers.map((l) => l.sb);
    this.layers = sbs.filter((sb, i) => sbs.indexOf(sb) === i);
    this.revalidates = this.layers.some((sb) => sb.revalidates);
    this.imageWhiteouts = lowers.length > 1;
    const top = upper.root;
    const below = lowers[0];
    if (below !== undefined) {
      top.setAttr({ mode: below.mode & 0o7777, uid: below.uid, gid: below.gid, mtime: below.mtime });
    }
    const ino = below === undefined ? UPPER_INO + top.ino : this.inoOfLower(below);
    top.stacked = new UpperState(this, ino, lowers);
    this.root = new OverlayDir(this, ino, top, lowers, null, '');
    this.root.hold();
    this.byReal.set(top, this.root);
  }

  get upperRoot(): TmpfsDir {
    return this.upperSb.root;
  }

  inoOfLower(lower: Inode): number {
    const layer = this.layers.indexOf(lower.sb);
    return layer <= 0 ? lower.ino : lower.ino + layer * LAYER_INO;
  }

  inoOfUpper(up: TmpfsInode): number {
    return up.stacked instanceof UpperState ? up.stacked.ino : UPPER_INO + up.ino;
  }

  /** The overlay inode of an object of the upper layer. */
  forUpper(up: TmpfsInode, parent: OverlayDir, name: string): OverlayInode {
    const known = this.byReal.get(up);
    if (known !== undefined) {
      known.parent = parent;
      known.name = name;
      return known;
    }
    const state = up.stacked instanceof UpperState ? up.stacked : null;
    const lowers = state === null ? [] : state.lowers;
    const ino = this.inoOfUpper(up);
    const made = up.isDir
      ? new OverlayDir(this, ino, up, lowers, parent, name)
      : new OverlayInode(this, ino, up, null, parent, name);
    this.byReal.set(up, made);
    if (made.lower !== null) this.byReal.set(made.lower, made);
    return made;
  }

  /** The overlay inode of an object that only lower layers have: one file, or directories to be merged. */
  forLower(found: readonly Inode[], parent: OverlayDir, name: string): OverlayInode {
    const lower = found[0]!;
    const known = this.byReal.get(lower);
    if (known !== undefined) {
      known.parent ??= parent;
      if (known.parent === parent) known.name = name;
      known.pull();
      return known;
    }
    const ino = this.inoOfLower(lower);
    const up = lower.nlink > 1 ? this.index.get(ino) : undefined;
    if (up !== undefined) return this.forUpper(up, parent, name);
    const made = lower.isDir
      ? new OverlayDir(this, ino, null, found, parent, name)
      : new OverlayInode(this, ino, null, lower, parent, name);
    this.byReal.set(lower, made);
    return made;
  }

  addReal(real: Inode, node: OverlayInode): void {
    this.byReal.set(real, node);
  }

  forget(node: OverlayInode): void {
    if (node.upper !== null && this.byReal.get(node.upper) === node) this.byReal.delete(node.upper);
    if (node.lower !== null && this.byReal.get(node.lower) === node) this.byReal.delete(node.lower);
  }

  /** `up` has become the upper object of `node`: it keeps number, layers and link count. */
  copiedUp(node: OverlayInode, up: TmpfsInode): void {
    const lowers = node instanceof OverlayDir ? node.lowers : [];
    up.stacked = new UpperState(this, node.ino, lowers);
    if (node.isDir) return;
    const names = node.nlink;
    // Without a known name the object is made nameless; the names that the lower layer has lead to it by the index.
    if (names > 1 || (names > 0 && node.parent === null)) {
      up.nlink = names;
      this.index.set(node.ino, up);
    }
  }

  dropIndex(ino: number): void {
    this.index.delete(ino);
  }

  lostNames(ino: number): number {
    return this.lost.size === 0 ? 0 : (this.lost.get(ino) ?? 0);
  }

  loseName(ino: number): void {
    this.lost.set(ino, this.lostNames(ino) + 1);
  }

  /** What the topmost layer holds is used, what the upper one has room for is free. */
  override statfs(): StatFs | number {
    const up = this.upperSb.statfs();
    const below = this.layers[0]?.statfs();
    if (below === undefined || typeof below === 'number') return { ...up, type: OVERLAYFS_MAGIC };
    if (up.blocks === 0) return { ...below, type: OVERLAYFS_MAGIC };
    const used = Math.ceil(((below.blocks - below.bfree) * below.bsize) / up.bsize);
    const limited = up.files > 0;
    return {
      ...up,
      type: OVERLAYFS_MAGIC,
      blocks: up.blocks + used,
      files: limited ? up.files + below.files - below.ffree : below.files,
      ffree: limited ? up.ffree : below.ffree,
    };
  }

  override options(): string {
    return ',lowerdir=/,upperdir=/upper,workdir=/work';
  }

  override release(): void {
    this.upperSb.release();
    for (const sb of this.layers) sb.release();
  }
}
