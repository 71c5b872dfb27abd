/** Inodes of tmpfs that are not directories, and what all of them share: attributes, extended attributes. */
import { EINVAL, ENODATA, ENOSPC, ENOTTY, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE } from '../../abi/fcntl.ts';
import {
  FS_APPEND_FL,
  FS_IMMUTABLE_FL,
  FS_NOATIME_FL,
  FS_NODUMP_FL,
  STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE,
  STATX_ATTR_NODUMP,
} from '../../abi/file-attr.ts';
import { S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import { fstat } from '../../host/file-io.ffi.ts';
import { fcntl } from '../../host/sys.ffi.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode, type AttrChange, type Timestamp } from '../../vfs/inode.ts';
import {
  aclChmod,
  inherited,
  XATTR_ACL_ACCESS,
  XATTR_ACL_DEFAULT,
  type AclType,
  type PosixAcl,
} from '../../vfs/posix-acl.ts';
import { currentTime, isLater } from '../../vfs/times.ts';
import { SimpleXattrs, XATTR_CAPABILITY } from '../../vfs/xattr.ts';
import { FileContent } from './content.ts';
import { TmpfsFile } from './file.ts';
import type { TmpfsSuperBlock } from './super-block.ts';

/** Without FS_CASEFOLD_FL: there are no case-insensitive directories. */
const SHMEM_FL_USER_MODIFIABLE = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
export const SHMEM_FL_INHERITED = FS_NODUMP_FL | FS_NOATIME_FL;

/** Entries of all access control lists together: they lie in the heap, and every new object may inherit one. */
const ACL_ENTRIES_MAX = 524_288;
let aclEntries = 0;

function chargeAcl(count: number): boolean {
  if (count > 0 && aclEntries + count > ACL_ENTRIES_MAX) return false;
  aclEntries += count;
  return true;
}

export interface StackedState {
  /** The inode is freed. */
  release(): void;
}

export class TmpfsInode extends Inode {
  declare readonly sb: TmpfsSuperBlock;
  private xattrs: SimpleXattrs | null = null;
  /** What a file system stacked on this one remembers about the inode. */
  stacked: StackedState | null = null;
  private freed = false;
  private accessAcl: PosixAcl | null = null;
  protected defaultAcl: PosixAcl | null = null;

  constructor(sb: TmpfsSuperBlock, mode: number, uid: number, gid: number) {
    super(sb, sb.nextIno(), mode, uid, gid);
    this.atime = this.mtime = this.ctime = this.btime = currentTime();
  }

  override setAttr(change: AttrChange): number {
    if (change.size !== undefined) {
      const r = this.resize(change.size);
      if (r < 0) return r;
    }
    if (change.mode !== undefined) {
      this.mode = (this.mode & S_IFMT) | (change.mode & 0o7777);
      if (this.accessAcl !== null) this.accessAcl = aclChmod(this.accessAcl, this.mode);
    }
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime !== undefined) this.atime = change.atime;
    if (change.mtime !== undefined) this.mtime = change.mtime;
    this.ctime = change.ctime ?? currentTime();
    return 0;
  }

  protected resize(_size: number): number {
    return -EINVAL;
  }

  override get statxAttributes(): number {
    return this.sb.keepsFlags ? STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP : 0;
  }

  /** Symbolic links and special files have no operations for them. */
  override getFileFlags(): number {
    return this.sb.keepsFlags && (this.isRegular || this.isDir) ? this.fileFlags : -ENOTTY;
  }

  override setFileFlags(flags: number): number {
    if ((flags & ~SHMEM_FL_USER_MODIFIABLE) !== 0) return -EOPNOTSUPP;
    this.fileFlags = flags;
    this.ctime = currentTime();
    return 0;
  }

  override getXattr(name: string): Uint8Array | number {
    return this.xattrs === null ? -ENODATA : this.xattrs.get(name);
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    const r = (this.xattrs ??= new SimpleXattrs()).set(name, value, flags);
    if (r === 0) this.ctime = currentTime();
    return r;
  }

  override get hasFileCaps(): boolean {
    return this.xattrs !== null && typeof this.xattrs.get(XATTR_CAPABILITY) !== 'number';
  }

  override killFileCaps(): void {
    this.xattrs?.remove(XATTR_CAPABILITY);
  }

  override listXattr(): string[] {
    const names = this.xattrs === null ? [] : this.xattrs.list();
    if (this.defaultAcl !== null) names.unshift(XATTR_ACL_DEFAULT);
    if (this.accessAcl !== null) names.unshift(XATTR_ACL_ACCESS);
    return names;
  }

  override getAcl(type: AclType): PosixAcl | null | number {
    if (this.isSymlink) return -EOPNOTSUPP;
    return type === 'access' ? this.accessAcl : this.defaultAcl;
  }

  override setAcl(type: AclType, acl: PosixAcl | null, mode: number): number {
    const old = type === 'access' ? this.accessAcl : this.defaultAcl;
    if (!chargeAcl((acl?.length ?? 0) - (old?.length ?? 0))) return -ENOSPC;
    if (type === 'access') {
      this.accessAcl = acl;
      this.mayHaveAcl = acl !== null;
      this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
    } else {
      this.defaultAcl = acl;
    }
    this.ctime = currentTime();
    return 0;
  }

  /** simple_acl_create(): the object was made in a directory with the default list `acl`. 0 or −ENOSPC. */
  inheritAcl(acl: PosixAcl): number {
    const { access, byDefault } = inherited(acl, this.mode);
    if (!chargeAcl((access?.length ?? 0) + (byDefault?.length ?? 0))) return -ENOSPC;
    this.accessAcl = access;
    this.mayHaveAcl = access !== null;
    this.defaultAcl = byDefault;
    return 0;
  }

  override removeXattr(name: string): number {
    const r = this.xattrs === null ? -ENODATA : this.xattrs.remove(name);
    if (r === 0) this.ctime = currentTime();
    return r;
  }

  override evict(): void {
    if (this.nlink > 0 || this.freed) return;
    this.freed = true;
    this.sb.unchargeInode();
    this.xattrs?.clear();
    chargeAcl(-(this.accessAcl?.length ?? 0) - (this.defaultAcl?.length ?? 0));
    this.freeContent();
    this.stacked?.release();
  }

  protected freeContent(): void {}
}

/** FIFOs, sockets, device nodes: opening them is not tmpfs's business. */
export class TmpfsSpecial extends TmpfsInode {}

export class TmpfsSymlink extends TmpfsInode {
  private readonly target: string;

  constructor(sb: TmpfsSuperBlock, target: string, uid: number, gid: number) {
    super(sb, S_IFLNK | 0o777, uid, gid);
    this.target = target;
    this.size = target.length;
  }

  protected override freeContent(): void {
    this.sb.unchargeTarget(this.size);
  }

  override readlink(): string {
    return this.target;
  }
}

export class TmpfsRegular extends TmpfsInode {
  readonly content: FileContent;
  /** F_SEAL_*; a file that is not from memfd_create(2) cannot be sealed (F_SEAL_SEAL). */
  seals = F_SEAL_SEAL;
  /** Modification time of the memfd as known so far; null while no shared mapping can change it. */
  private hostMtime: Timestamp | null = null;

  constructor(sb: TmpfsSuperBlock, mode: number, uid: number, gid: number) {
    super(sb, S_IFREG | (mode & 0o7777), uid, gid);
    this.content = new FileContent(sb);
  }

  override refresh(): number {
    this.content.recount();
    this.blocks = this.content.pages * (PAGE_SIZE / 512);
    if (this.hostMtime !== null) this.takeHostMtime();
    return 0;
  }

  override setAttr(change: AttrChange): number {
    // Stores through mappings were before this change.
    if (this.hostMtime !== null) this.takeHostMtime();
    const r = super.setAttr(change);
    if (change.size !== undefined && this.hostMtime !== null) this.hostMtime = this.memfdMtime();
    return r;
  }

  /** There is a shared mapping through which guests may store. */
  mapWritable(): void {
    this.hostMtime ??= this.memfdMtime();
  }

  /** The content was changed by a call. */
  changed(): void {
    this.mtime = this.ctime = currentTime();
    if (this.hostMtime !== null) this.hostMtime = this.memfdMtime();
  }

  private memfdMtime(): Timestamp | null {
    const st = fstat(this.content.hostFd);
    return typeof st === 'number' ? null : st.mtime;
  }

  /** The first store to a page through a mapping changes the times (file_update_time() of the fault): the memfd's are the host's. */
  private takeHostMtime(): void {
    const now = this.memfdMtime();
    if (now === null || this.hostMtime === null || !isLater(now, this.hostMtime)) return;
    this.hostMtime = now;
    if (isLater(now, this.mtime)) this.mtime = now;
    if (isLater(now, this.ctime)) this.ctime = now;
  }

  protected override resize(size: number): number {
    if (size < this.content.size && (this.seals & F_SEAL_SHRINK) !== 0) return -EPERM;
    if (size > this.content.size && (this.seals & F_SEAL_GROW) !== 0) return -EPERM;
    const r = this.content.truncate(size);
    if (r < 0) return r;
    this.size = size;
    this.mtime = currentTime();
    return 0;
  }

  /** True if the seals forbid changing bytes. */
  get writeSealed(): boolean {
    return (this.seals & F_SEAL_WRITE) !== 0;
  }

  /** Has the host refuse as well; −EBUSY while a shared writable mapping exists. */
  sealHost(seals: number): number {
    const fd = this.content.hostFd;
    return fd < 0 ? 0 : fcntl(fd, F_ADD_SEALS, seals);
  }

  override open(_t: CallContext, path: Path | null, flags: number): FileDescription | number {
    return new TmpfsFile(path, this, flags);
  }

  protected override freeContent(): void {
    this.content.release();
  }
}
