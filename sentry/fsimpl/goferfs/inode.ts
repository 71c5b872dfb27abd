/** Inodes of goferfs: attributes and how they stay up to date. */
import { makedev } from '../../abi/device.ts';
import { EIO, ENOENT, ESTALE } from '../../abi/errno.ts';
import { S_IFMT, S_IFSOCK } from '../../abi/stat.ts';
import {
  SETATTR_ATIME,
  SETATTR_GID,
  SETATTR_MODE,
  SETATTR_MTIME,
  SETATTR_SIZE,
  SETATTR_UID,
} from '../../gofer-api/gofer-api.ts';
import type { GoferAttr, GoferSetattr } from '../../gofer-api/gofer-api.ts';
import type { AttrChange, FileIdentity } from '../../vfs/inode.ts';
import { deviceNodeOf, dropDeviceNode, haveDeviceNodes, type DeviceNode } from './device-nodes.ts';
import type { DirNames } from './dir-names.ts';
import { joinFile, leaveFile } from './file-identity.ts';
import type { GoferSuperBlock } from './super-block.ts';
import { GoferXattrs } from './xattr.ts';

const found: GoferAttr[] = [];

export abstract class GoferInode extends GoferXattrs {
  /** Where the gofer finds it: the name it was last seen under. null: that name is gone, or the root. */
  parent: DirNames | null;
  name: string;
  /** Attributes fields may be out of date. */
  protected stale = false;
  /** Others may have changed owner or permissions: what a look-up gives has to be right about them. */
  suspect = false;
  /** Shared caching: the attributes came with a look-up that nobody has used yet. */
  protected fresh = true;
  /** Identity: host device and inode number, and the birth time that tells a new file from an old one of this number. */
  private readonly key: number | string;
  private birthSec: number;
  private birthNsec: number;
  /** The file's type on the host. */
  private readonly hostType: number;
  /** The device that a socket of the host stands for. */
  private readonly device: DeviceNode | null;
  /** The gofer's id: 0 until it is needed. */
  private id: number;
  /** What `identity` is known by; null: it is not known. */
  private identityKey: string | null = null;

  constructor(sb: GoferSuperBlock, attr: GoferAttr, parent: DirNames | null, name: string) {
    super(sb, sb.inoOf(attr), attr.mode, attr.uid, attr.gid);
    this.parent = parent;
    this.name = name;
    this.key = sb.keyOf(attr);
    this.birthSec = attr.btimeSec;
    this.birthNsec = attr.btimeNsec;
    this.id = attr.id;
    this.hostType = attr.mode & S_IFMT;
    const mayBeDevice = this.hostType === S_IFSOCK && haveDeviceNodes();
    this.device = mayBeDevice ? deviceNodeOf(sb.deviceKeyOf(this.key), attr) : null;
    this.apply(attr);
    this.forgetPermissions();
    if (attr.noXattr) this.knownWithoutXattr();
  }

  /** The gofer's id says so, whatever the time of birth is now. */
  isSame(attr: GoferAttr): boolean {
    const isIts = (attr.id !== 0 && attr.id === this.id) || this.hasBirth(attr);
    return isIts && this.hostType === (attr.mode & S_IFMT);
  }

  protected hasBirth(attr: GoferAttr): boolean {
    return this.birthSec === attr.btimeSec && this.birthNsec === attr.btimeNsec;
  }

  /** Others may see the file only where caching is shared. */
  override findIdentity(): FileIdentity {
    if (this.identityKey === null && !this.gofer.exclusive && this.inUse) {
      this.identityKey = this.fileKey();
      this.identity = joinFile(this.identityKey);
    }
    return this.identity;
  }

  /** Nobody uses the inode any more. */
  leaveIdentity(): void {
    if (this.identityKey === null) return;
    leaveFile(this.identityKey);
    this.identityKey = null;
    this.identity = this;
  }

  private fileKey(): string {
    return `${this.gofer.deviceKeyOf(this.key)}:${this.birthSec}:${this.birthNsec}`;
  }

  /**
   * Brings the fields up to date from a reply of the gofer. One about the gofer's id may have another time of birth: an overlay
   * of the host's has copied the file up.
   */
  apply(attr: GoferAttr): void {
    this.birthSec = attr.btimeSec;
    this.birthNsec = attr.btimeNsec;
    const { sec, nsec } = this.ctime;
    const changed = sec !== attr.ctimeSec || nsec !== attr.ctimeNsec;
    // Who is told of changes knows when the lists may be others (changedByOthers).
    if (changed && !this.gofer.exclusive && !this.isWatched()) this.forgetPermissions();
    const { device } = this;
    this.mode = device === null ? attr.mode : device.type | (attr.mode & 0o7777);
    this.uid = attr.uid;
    this.gid = attr.gid;
    this.nlink = attr.nlink;
    this.rdev = device === null ? makedev(attr.rdevMajor, attr.rdevMinor) : device.rdev;
    this.size = attr.size;
    this.blocks = attr.blocks;
    this.atime = { sec: attr.atimeSec, nsec: attr.atimeNsec };
    this.mtime = { sec: attr.mtimeSec, nsec: attr.mtimeNsec };
    this.ctime = { sec: attr.ctimeSec, nsec: attr.ctimeNsec };
    if (attr.hasBtime && this.btime === null) this.btime = { sec: attr.btimeSec, nsec: attr.btimeNsec };
    if (attr.id !== 0) this.id = attr.id;
    this.stale = false;
    this.suspect = false;
    this.fresh = true;
  }

  /** A walk has found the inode here. */
  foundAs(parent: DirNames | null, name: string): void {
    if (parent === null) return;
    this.parent = parent;
    this.name = name;
    if (this.watchRefs > 0) this.gofer.events?.moved(this);
  }

  override beginWatch(): number {
    return this.gofer.events?.begin(this) ?? 0;
  }

  override endWatch(): void {
    this.gofer.events?.end(this);
  }

  override toldHere(mask: number, name: string): void {
    this.gofer.events?.own(this, mask, name);
  }

  override toldNobody(mask: number, name: string, later: boolean): void {
    this.gofer.events?.silence(this, mask, name, later);
  }

  /** Open files refer to it. */
  get isOpen(): boolean {
    return false;
  }

  /** The host has no name for it any more. */
  isNameless(): boolean {
    return this.fetch() === 0 && this.nlink === 0;
  }

  override goferId(): number {
    if (this.id !== 0) return this.id;
    // Directories that children were found in have an id, so this goes one level deep.
    const { parent } = this;
    if (parent === null) return -ESTALE;
    const dir = parent.goferId();
    if (dir < 0) return dir;
    found.length = 0;
    const r = this.gofer.client.walk(dir, [this.name], found);
    if (r < 0) return r === -ENOENT ? -ESTALE : r;
    const attr = found[0];
    if (!this.isKnownAs(attr)) return -ESTALE;
    this.apply(attr);
    return attr.id;
  }

  protected get hasId(): boolean {
    return this.id !== 0;
  }

  /** True if `attr`, found under the inode's name, is this inode. */
  protected isKnownAs(attr: GoferAttr): boolean {
    if (this.isIdentified(attr)) return true;
    this.gofer.dismiss(attr);
    return false;
  }

  protected isIdentified(attr: GoferAttr): boolean {
    return this.gofer.keyOf(attr) === this.key && this.isSame(attr);
  }

  override invalidate(): void {
    this.stale = true;
    this.fresh = false;
  }

  /** Shared caching: a change by others would be heard of. */
  protected isWatched(): boolean {
    return this.nlink === 1 && this.parent !== null && this.parent.covers(this);
  }

  /** `suspect`: owner and permissions, else size and times only. */
  changedByOthers(suspect: boolean): void {
    this.stale = true;
    if (!suspect) return;
    this.suspect = true;
    this.forgetPermissions();
  }

  override refresh(): number {
    if (this.gofer.exclusive) {
      if (!this.stale) return 0;
    } else if (this.isWatched()) {
      this.gofer.watcher!.poll();
      if (!this.stale && this.isWatched()) return 0;
    } else if (this.fresh && !this.stale) {
      this.fresh = false;
      return 0;
    }
    return this.fetch();
  }

  /** Gets the attributes from the host. */
  protected fetch(): number {
    // Removed, and the gofer never had to know it: nothing changes it any more.
    if (this.id === 0 && this.parent === null) return 0;
    if (this.id === 0) {
      const id = this.goferId();
      return Math.min(id, 0);
    }
    const attr = this.gofer.client.getattr(this.id);
    if (typeof attr === 'number') return attr;
    if (this.gofer.keyOf(attr) !== this.key) return -EIO;
    this.apply(attr);
    this.fresh = false;
    return 0;
  }

  /** One of the inode's names was removed: `name` in `dir`. */
  nameRemoved(dir: DirNames, name: string): void {
    if (this.parent === dir && this.name === name) this.parent = null;
    if (this.nlink > 0) this.nlink--;
    if (this.isDir) this.nlink = 0;
    if (this.device !== null && this.nlink === 0) dropDeviceNode(this.gofer.deviceKeyOf(this.key));
    this.invalidate();
  }

  override setAttr(change: AttrChange): number {
    const request: GoferSetattr = { valid: 0 };
    if (change.mode !== undefined) {
      request.valid |= SETATTR_MODE;
      request.mode = change.mode & 0o7777;
    }
    if (change.uid !== undefined) {
      request.valid |= SETATTR_UID;
      request.uid = change.uid;
    }
    if (change.gid !== undefined) {
      request.valid |= SETATTR_GID;
      request.gid = change.gid;
    }
    if (change.size !== undefined) {
      request.valid |= SETATTR_SIZE;
      request.size = change.size;
    }
    if (change.atime !== undefined) {
      request.valid |= SETATTR_ATIME;
      request.atimeSec = change.atime.sec;
      request.atimeNsec = change.atime.nsec;
    }
    if (change.mtime !== undefined) {
      request.valid |= SETATTR_MTIME;
      request.mtimeSec = change.mtime.sec;
      request.mtimeNsec = change.mtime.nsec;
    }
    // ctime cannot be set on a host: what changes it comes along with other changes.
    if (request.valid === 0) return 0;
    const id = this.goferId();
    if (id < 0) return id;
    const attr = this.gofer.client.setattr(id, request);
    if (typeof attr === 'number') return attr;
    this.apply(attr);
    if ((request.valid & (SETATTR_MODE | SETATTR_UID | SETATTR_GID)) !== 0) this.forgetPermissions();
    return 0;
  }

  override evict(): void {
    this.leaveIdentity();
    if (this.gofer.root === this) return;
    this.parent?.forgetKnown(this);
    this.gofer.forget(this, this.key);
    if (this.id === 0) return;
    this.gofer.client.forget(this.id);
    this.id = 0;
    this.parent = null;
  }
}
