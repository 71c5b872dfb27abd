/** Extended attributes and access control lists of goferfs, and what is remembered of them. */
import { ENODATA, EOPNOTSUPP, ERANGE } from '../../abi/errno.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import { Inode } from '../../vfs/inode.ts';
import {
  XATTR_ACL,
  aclFromXattr,
  aclToXattr,
  aclTypeOf,
  type AclType,
  type PosixAcl,
} from '../../vfs/posix-acl.ts';
import { XATTR_CAPABILITY } from '../../vfs/xattr.ts';
import type { GoferSuperBlock } from './super-block.ts';

export abstract class GoferXattrs extends Inode {
  readonly gofer: GoferSuperBlock;
  /** security.capability as last seen; undefined: not asked for. */
  private fileCaps: Uint8Array | number | undefined = undefined;
  /** Access control lists as last seen; undefined: not asked for. */
  private readonly acls: Record<AclType, PosixAcl | null | number | undefined> = {
    access: undefined,
    default: undefined,
  };
  /** It has no extended attributes, as the last listing said. */
  private noXattr = false;

  constructor(sb: GoferSuperBlock, ino: number, mode: number, uid: number, gid: number) {
    super(sb, ino, mode, uid, gid);
    this.gofer = sb;
  }

  /** The id by which the gofer knows the inode, or −errno. */
  abstract goferId(): number;

  /** The attributes have changed on the host through something we did. */
  abstract invalidate(): void;

  /** A listing has said so. */
  protected knownWithoutXattr(): void {
    this.noXattr = true;
    this.mayHaveAcl = false;
  }

  override getXattr(name: string): Uint8Array | number {
    const offered = name === XATTR_CAPABILITY || name.startsWith('user.') || aclTypeOf(name) !== null;
    if (this.noXattr && offered) return -ENODATA;
    // Asked for at each execve.
    if (name === XATTR_CAPABILITY) return (this.fileCaps ??= this.fetchXattr(name));
    return this.fetchXattr(name);
  }

  private fetchXattr(name: string): Uint8Array | number {
    const id = this.goferId();
    if (id < 0) return id;
    const value = this.gofer.client.getxattr(id, name);
    return typeof value === 'number' ? value : Buffer.from(value, 'latin1');
  }

  override get hasFileCaps(): boolean {
    return typeof this.fileCaps === 'object';
  }

  /** The host has done it. */
  override killFileCaps(): void {
    this.fileCaps = undefined;
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    const id = this.goferId();
    if (id < 0) return id;
    if (value.length > 65536) return -ERANGE;
    const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
    const r = this.gofer.client.setxattr(id, name, text, flags);
    if (r < 0) return r;
    this.noXattr = false;
    this.invalidate();
    return r;
  }

  override listXattr(): string[] | number {
    if (this.noXattr) return [];
    const id = this.goferId();
    return id < 0 ? id : this.gofer.client.listxattr(id);
  }

  override removeXattr(name: string): number {
    const id = this.goferId();
    if (id < 0) return id;
    const r = this.gofer.client.removexattr(id, name);
    if (r >= 0) this.invalidate();
    return r;
  }

  /** The host's lists and capabilities may be others than what was last seen. */
  protected forgetPermissions(): void {
    this.acls.access = this.acls.default = undefined;
    this.fileCaps = undefined;
    this.noXattr = false;
    this.mayHaveAcl = (this.mode & S_IFMT) !== S_IFLNK;
  }

  override getAcl(type: AclType): PosixAcl | null | number {
    const known = this.acls[type];
    if (known !== undefined) return known;
    const acl = this.fetchAcl(type);
    if (typeof acl !== 'number' || acl === -EOPNOTSUPP) this.acls[type] = acl;
    if (type === 'access' && (acl === null || acl === -EOPNOTSUPP)) this.mayHaveAcl = false;
    return acl;
  }

  private fetchAcl(type: AclType): PosixAcl | null | number {
    if ((this.mode & S_IFMT) === S_IFLNK) return -EOPNOTSUPP;
    if (type === 'default' && !this.isDir) return null;
    const value = this.getXattr(XATTR_ACL[type]);
    if (typeof value !== 'number') return aclFromXattr(null, value);
    return value === -ENODATA ? null : value;
  }

  override setAcl(type: AclType, acl: PosixAcl | null, mode: number): number {
    const name = XATTR_ACL[type];
    // The gofer opens regular files and directories only: others have their mode alone, as where there are no lists.
    const kind = this.mode & S_IFMT;
    if (kind !== S_IFREG && kind !== S_IFDIR) {
      if (acl !== null) return -EOPNOTSUPP;
      return type === 'access' && (this.mode & 0o7777) !== mode ? this.setAttr({ mode }) : 0;
    }
    let r = acl === null ? this.removeXattr(name) : this.setXattr(name, aclToXattr(null, acl), 0);
    if (r === -ENODATA) r = 0;
    if (r < 0) return r;
    this.forgetPermissions();
    if (type !== 'access') return 0;
    const seen = this.refresh();
    if (seen < 0) return seen;
    return (this.mode & 0o7777) === mode ? 0 : this.setAttr({ mode });
  }
}
