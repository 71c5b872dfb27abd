/**
 * Inodes of overlayfs: an object of the topmost layer that has it, moved to the upper layer (copied up) at the first change
 * (fs/overlayfs). The fields are copies of the real inode's, brought up to date by pull().
 */
import { EIO, ENODATA, ENOTTY, EOPNOTSUPP, EROFS } from '../../abi/errno.ts';
import { O_ACCMODE, O_NOATIME, O_RDWR, O_WRONLY } from '../../abi/fcntl.ts';
import { STATX_ATTR_APPEND, STATX_ATTR_IMMUTABLE } from '../../abi/file-attr.ts';
import { panic } from '../../lib/assert.ts';
import { touchInodeAtime } from '../../vfs/atime.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode, type AttrChange, type Timestamp } from '../../vfs/inode.ts';
import type { AclType, PosixAcl } from '../../vfs/posix-acl.ts';
import { copyToUpper } from './copy-up.ts';
import type { OverlayDir } from './directory.ts';
import { OverlayFile } from './file.ts';
import { openInLayer } from './no-path.ts';
import type { OverlaySuperBlock } from './super-block.ts';

export class OverlayInode extends Inode {
  declare readonly sb: OverlaySuperBlock;
  upper: Inode | null;
  /** The object in a lower layer, the topmost one of a merged directory; null if there never was one. */
  readonly lower: Inode | null;
  /** A name it has; null once unlinked, or for the root. */
  parent: OverlayDir | null;
  name: string;

  constructor(
    sb: OverlaySuperBlock,
    ino: number,
    upper: Inode | null,
    lower: Inode | null,
    parent: OverlayDir | null,
    name: string,
  ) {
    const real = upper ?? lower;
    if (real === null) panic('overlay inode without a layer');
    super(sb, ino, real.mode, real.uid, real.gid);
    this.upper = upper;
    this.lower = lower;
    this.parent = parent;
    this.name = name;
    upper?.hold();
    lower?.hold();
    this.pull();
  }

  get real(): Inode {
    return this.upper ?? this.lower!;
  }

  /** Copies the real inode's fields. */
  pull(): void {
    const r = this.upper ?? this.lower!;
    this.mode = r.mode;
    this.uid = r.uid;
    this.gid = r.gid;
    this.nlink = this.upper !== null ? r.nlink : r.nlink - this.sb.lostNames(this.ino);
    this.rdev = r.rdev;
    this.size = r.size;
    this.blocks = r.blocks;
    this.atime = r.atime;
    this.mtime = r.mtime;
    this.ctime = r.ctime;
    this.btime = r.btime;
    this.mayHaveAcl = r.mayHaveAcl;
    this.fileFlags = r.fileFlags;
  }

  /** ovl_update_time(): a lower file stays as it is. */
  override accessed(now: Timestamp): void {
    if (this.upper === null) return;
    this.upper.accessed(now);
    this.atime = now;
  }

  /** file_accessed() of an open file. Not for a layer of another overlay, which is nowhere. */
  readBy(f: FileDescription): void {
    const path = f.path as Path | null;
    if (path === null || this.upper === null || (f.flags & O_NOATIME) !== 0) return;
    touchInodeAtime(path.mount, this.upper);
  }

  /** S_NOCMTIME */
  override modified(): void {}

  override refresh(): number {
    const r = this.real.refresh();
    if (r < 0) return r;
    this.pull();
    return 0;
  }

  /** Directories of the path that have no upper yet, topmost first, then this. */
  private notInUpper(): OverlayInode[] {
    if (this.upper !== null) return [];
    const chain: OverlayInode[] = [this];
    // Not by recursion: a guest chooses how deep directories are.
    for (let at = this.parent; at !== null && at.upper === null; at = at.parent) chain.push(at);
    return chain.reverse();
  }

  /** Makes sure that the upper layer has the object: 0 or −errno. `withData` false: its contents will be cut off. */
  copyUp(withData = true): number {
    if (this.upper !== null) return 0;
    if (this.sb.readOnly || this.sb.root.upper!.sb.readOnly) return -EROFS;
    for (const node of this.notInUpper()) {
      const up = copyToUpper(node, withData || node !== this);
      if (typeof up === 'number') return up;
      node.adoptUpper(up);
    }
    return this.upper === null ? -EIO : 0;
  }

  protected adoptUpper(up: Inode): void {
    this.upper = up;
    up.hold();
    // One of several names of a lower file is a file of its own from now on.
    if (this.sb.breaksLinks(this.lower!)) (this as { ino: number }).ino = this.sb.inoOfUpper(up);
    this.sb.addReal(up, this);
    this.pull();
  }

  override setAttr(change: AttrChange): number {
    const r = this.copyUp(change.size !== 0);
    if (r < 0) return r;
    const done = this.upper!.setAttr(change);
    this.pull();
    return done;
  }

  override get statxAttributes(): number {
    return this.real.statxAttributes | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
  }

  override getFileFlags(): number {
    const flags = this.real.getFileFlags();
    // What the lower file system lacks the upper one has.
    return flags === -ENOTTY && (this.isRegular || this.isDir) ? 0 : flags;
  }

  override setFileFlags(flags: number): number {
    const r = this.copyUp();
    if (r < 0) return r;
    const done = this.upper!.setFileFlags(flags);
    this.pull();
    return done;
  }

  override readlink(t: CallContext | null): string | number {
    return this.real.readlink(t);
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    if (!this.isRegular) return super.open(t, path, flags);
    // Access mode 3 neither reads nor writes (OPEN_FMODE).
    if ((flags & O_ACCMODE) === O_WRONLY || (flags & O_ACCMODE) === O_RDWR) {
      const r = this.copyUp();
      if (r < 0) return r;
    }
    const real = openInLayer(t, this.real, flags);
    if (typeof real === 'number') return real;
    return new OverlayFile(path, this, flags, real);
  }

  /** What the layers call an attribute. */
  private realName(name: string): string {
    const { guest } = this.sb;
    return guest === null ? name : guest.markers.escaped(name);
  }

  override getXattr(name: string): Uint8Array | number {
    const value = this.real.getXattr(this.realName(name));
    // What the lower file system of the root lacks the upper one has.
    return value === -EOPNOTSUPP && this.sb.guest === null ? -ENODATA : value;
  }

  override get hasFileCaps(): boolean {
    return this.upper?.hasFileCaps ?? false;
  }

  override killFileCaps(): void {
    this.upper?.killFileCaps();
  }

  override listXattr(): string[] | number {
    const names = this.real.listXattr();
    const { guest } = this.sb;
    return guest === null || typeof names === 'number' ? names : guest.markers.visible(names);
  }

  /** ovl_listxattr() filters what it has only: its own and trusted ones count for everybody. */
  override countedXattrs(listed: readonly string[]): readonly string[] {
    const names = this.sb.guest === null ? listed : this.real.listXattr();
    return typeof names === 'number' ? listed : names;
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    const r = this.copyUp();
    if (r < 0) return r;
    const done = this.upper!.setXattr(this.realName(name), value, flags);
    this.pull();
    return done;
  }

  /** ovl_xattr_set(): the layer refuses. */
  override xattrRefused(error: number): number {
    const r = this.copyUp();
    return r < 0 ? r : error;
  }

  override removeXattr(name: string): number {
    const real = this.realName(name);
    const had = this.getXattr(name);
    if (typeof had === 'number') return had;
    const r = this.copyUp();
    if (r < 0) return r;
    const done = this.upper!.removeXattr(real);
    this.pull();
    return done;
  }

  override getAcl(type: AclType): PosixAcl | null | number {
    const acl = this.real.getAcl(type);
    this.mayHaveAcl = this.real.mayHaveAcl;
    // What the lower file system lacks the upper one has.
    return acl === -EOPNOTSUPP && !this.isSymlink ? null : acl;
  }

  override setAcl(type: AclType, acl: PosixAcl | null, mode: number): number {
    const r = this.copyUp();
    if (r < 0) return r;
    const done = this.upper!.setAcl(type, acl, mode);
    this.pull();
    return done;
  }

  /** ovl_set_or_remove_acl(): a lower file has to have one. */
  override removeAcl(type: AclType): number {
    const had = this.upper === null ? this.getAcl(type) : 0;
    if (typeof had === 'number' && had < 0) return had;
    return had === null ? -ENODATA : super.removeAcl(type);
  }

  override evict(): void {
    this.sb.forget(this);
    this.parent?.forgetLink(this);
    const { upper, lower } = this;
    upper?.drop();
    lower?.drop();
  }
}
