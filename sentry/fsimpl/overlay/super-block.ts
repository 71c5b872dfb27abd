/**
 * overlayfs: lower layers under one upper layer (fs/overlayfs, Documentation/filesystems/overlayfs.rst). There are two kinds:
 *
 * - The container's root: its upper tmpfs belongs to the overlay alone, so what the layers of a directory are is remembered in the
 *   upper inode itself (`stacked`) instead of in extended attributes: a renamed directory keeps its lower layers, a new one has
 *   none, and hard links survive copying up. It passes for a file system of its own: guests may make whiteouts and set any
 *   attribute in it, so that it can be the upper layer of theirs. Lower layers may have the OCI image form, `.wh.NAME` files.
 * - Overlays that guests mount (mount.ts): everything is stored in the upper layer as Linux stores it (markers.ts), which is a
 *   directory that guests see, too.
 *
 * A whiteout is a character device 0/0.
 */
import { S_IFCHR, S_IFMT } from '../../abi/stat.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { Mount } from '../../vfs/mount.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';
import type { StackedState, TmpfsInode } from '../tmpfs/node.ts';
import { TmpfsSuperBlock } from '../tmpfs/super-block.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import { OverlayDir } from './directory.ts';
import { OverlayInode } from './inode.ts';
import { sameLayers, type LowerDirs } from './lookup.ts';
import type { Markers } from './markers.ts';
import { forgetStaleName } from './real-names.ts';

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

/** What a guest's overlay is made of. The mounts are the overlay's own, seen nowhere. */
export interface GuestLayers {
  readonly lowers: readonly Mount[];
  /** null: read-only. */
  readonly upper: Mount | null;
  /** What it keeps besides: the work directory, layers for data only. */
  readonly others: readonly Mount[];
  readonly markers: Markers;
  /** Directories with lower layers can be renamed. */
  readonly redirects: boolean;
  /** Redirections in the layers are followed. */
  readonly followsRedirects: boolean;
  /** Who mounted it: whose ids the copies can have. */
  readonly userNs: UserNamespace | null;
  /** As in /proc/mounts, each with a comma before it. */
  readonly options: string;
  /** Whose the whiteouts are. */
  readonly uid: number;
  readonly gid: number;
  /** How many overlays lie over each other, with this one. */
  readonly stackDepth: number;
}

export class OverlaySuperBlock extends SuperBlock {
  readonly fsType = 'overlay';
  readonly root: OverlayDir;
  override readonly revalidates: boolean;
  /** True if lower directories may hold `.wh.` marker files. */
  readonly imageWhiteouts: boolean;
  /** null: the container's root. */
  readonly guest: GuestLayers | null;
  private readonly upperSb: SuperBlock | null;
  /** The file systems of the layers, each once. */
  private readonly layers: readonly SuperBlock[];
  /** Overlay inodes in use, by the real inode they stand for. */
  private readonly byReal = new Map<Inode, OverlayInode>();
  /** Upper inodes of copied-up files that have more names, by inode number: other lower names lead to them. */
  private readonly index = new Map<number, TmpfsInode>();
  /** Names that whiteouts took from lower files with several, by inode number. */
  private readonly lost = new Map<number, number>();
  private below: StatFs | null = null;

  /** The container's root: `lowers` are the roots of the layers, topmost first; `upper` must be fresh. Or a guest's. */
  constructor(layers: readonly Inode[] | GuestLayers, upper?: TmpfsSuperBlock) {
    super();
    this.guest = 'upper' in layers ? layers : null;
    const lowers = 'upper' in layers ? layers.lowers.map((m) => m.root.inode!) : layers;
    const top = this.guest === null ? upper!.root : (this.guest.upper?.root.inode ?? null);
    this.upperSb = top?.sb ?? null;
    const sbs = [...lowers, ...(this.guest === null || top === null ? [] : [top])].map((l) => l.sb);
    this.layers = sbs.filter((sb, i) => sbs.indexOf(sb) === i);
    this.revalidates = lowers.some((l) => l.sb.revalidates) || (top?.sb.revalidates ?? false);
    this.imageWhiteouts = this.guest === null && lowers.length > 1;
    const below = lowers[0];
    let ino: number;
    if (this.guest === null) {
      if (below !== undefined) {
        top!.setAttr({ mode: below.mode & 0o7777, uid: below.uid, gid: below.gid, mtime: below.mtime });
      }
      ino = below === undefined ? UPPER_INO + top!.ino : this.inoOfLower(below);
      (top as TmpfsInode).stacked = new UpperState(this, ino, lowers);
    } else {
      ino = top === null ? this.inoOfLower(below!) : this.inoOfUpper(top);
      this.readOnly = top === null;
    }
    const found: LowerDirs = { inodes: lowers, layers: lowers.map((_, i) => i) };
    this.root = new OverlayDir(this, ino, top, found, null, '');
    this.root.hold();
    this.byReal.set(top ?? below!, this.root);
  }

  /** Where nameless copies are made. */
  get upperRoot(): Inode {
    return this.root.upper!;
  }

  /** What the layers have as a whiteout. */
  isWhiteout(real: Inode): boolean {
    if ((real.mode & S_IFMT) !== S_IFCHR || real.rdev !== 0) return false;
    // In the container's root guests may have made their own.
    return this.guest !== null || real.sb !== this.upperSb || (real as TmpfsInode).stacked === null;
  }

  /** A guest's whiteout in the container's root: a device like any other there. */
  showWhiteout(up: TmpfsInode): void {
    up.stacked = new UpperState(this, UPPER_INO + up.ino, []);
  }

  inoOfLower(lower: Inode): number {
    const layer = this.layers.indexOf(lower.sb);
    return layer <= 0 ? lower.ino : lower.ino + layer * LAYER_INO;
  }

  inoOfUpper(up: Inode): number {
    if (this.guest !== null) {
      const origin = this.guest.markers.originOf(up);
      return origin >= 0 ? origin : this.inoOfLower(up);
    }
    const { stacked } = up as TmpfsInode;
    return stacked instanceof UpperState ? stacked.ino : UPPER_INO + up.ino;
  }

  /** The overlay inode of an object of the upper layer; `found` says what a directory of a guest's overlay is merged with. */
  forUpper(up: Inode, parent: OverlayDir, name: string, found: LowerDirs | null = null): OverlayInode {
    const known = this.byReal.get(up);
    if (known !== undefined && (found === null || sameLayers(known as OverlayDir, found))) {
      known.parent = parent;
      known.name = name;
      return known;
    }
    const ino = this.inoOfUpper(up);
    let lowers = found ?? NO_LOWERS;
    if (this.guest === null) {
      const { stacked } = up as TmpfsInode;
      if (stacked instanceof UpperState) lowers = { inodes: stacked.lowers, layers: [] };
    }
    const made = up.isDir
      ? new OverlayDir(this, ino, up, lowers, parent, name)
      : new OverlayInode(this, ino, up, null, parent, name);
    this.byReal.set(up, made);
    if (made.lower !== null) this.byReal.set(made.lower, made);
    return made;
  }

  /** True if copying up separates the names of a file. */
  breaksLinks(lower: Inode): boolean {
    return this.guest !== null && this.guest.upper !== null && !lower.isDir && lower.nlink > 1;
  }

  /** The overlay inode of an object that only lower layers have: one file, or directories to be merged. */
  forLower(found: LowerDirs, parent: OverlayDir, name: string): OverlayInode {
    const lower = found.inodes[0]!;
    if (this.breaksLinks(lower)) return parent.linkNamed(name, lower);
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

  /** `up` has become the upper object of `node`: in the container's root it keeps number, layers and link count. */
  copiedUp(node: OverlayInode, up: Inode): void {
    if (this.guest !== null) {
      if (node.isDir || node.lower!.nlink === 1) this.guest.markers.setOrigin(up, node.ino);
      const dir = node.parent?.upper ?? null;
      if (dir !== null) this.markImpure(dir);
      return;
    }
    const own = up as TmpfsInode;
    const lowers = node instanceof OverlayDir ? node.lowers : [];
    own.stacked = new UpperState(this, node.ino, lowers);
    if (node.isDir) return;
    const names = node.nlink;
    // Without a known name the object is made nameless; the names that the lower layer has lead to it by the index.
    if (names > 1 || (names > 0 && node.parent === null)) {
      own.nlink = names;
      this.index.set(node.ino, own);
    }
  }

  /** The directory has entries that are copies: what it lists has other numbers than the overlay shows. */
  markImpure(up: Inode): void {
    const { markers } = this.guest!;
    if (!markers.has(up, 'impure')) markers.set(up, 'impure', 'y');
  }

  /** A name of an upper directory means something else now: whoever looks at the layer itself must see that. */
  upperChanged(dir: OverlayDir, name: string): void {
    if (this.guest !== null) forgetStaleName(this.guest.upper!.root, dir, name);
  }

  dropIndex(ino: number): void {
    this.index.delete(ino);
  }

  lostNames(ino: number): number {
    return this.lost.size === 0 ? 0 : (this.lost.get(ino) ?? 0);
  }

  loseName(ino: number): void {
    if (this.guest === null) this.lost.set(ino, this.lostNames(ino) + 1);
  }

  /** In the container's root what the topmost layer holds is used, what the upper one has room for is free. */
  override statfs(): StatFs | number {
    if (this.guest !== null) {
      const real = (this.upperSb ?? this.layers[0]!).statfs();
      return typeof real === 'number' ? real : { ...real, type: OVERLAYFS_MAGIC };
    }
    const up = this.upperSb!.statfs() as StatFs;
    const below = this.statfsBelow();
    if (below === null) return { ...up, type: OVERLAYFS_MAGIC };
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

  /** Nobody changes the topmost layer, so it is asked once; null without one. */
  private statfsBelow(): StatFs | null {
    if (this.below === null) {
      const below = this.layers[0]?.statfs();
      if (below !== undefined && typeof below !== 'number') this.below = below;
    }
    return this.below;
  }

  override options(): string {
    return this.guest === null ? ',lowerdir=/,upperdir=/upper,workdir=/work' : this.guest.options;
  }

  override release(): void {
    if (this.guest !== null) {
      this.root.drop();
      for (const m of [...this.guest.lowers, this.guest.upper, ...this.guest.others]) m?.release();
      return;
    }
    this.upperSb!.release();
    for (const sb of this.layers) sb.release();
  }
}

const NO_LOWERS: LowerDirs = { inodes: [], layers: [] };
