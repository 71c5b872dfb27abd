/**
 * Inode: one file system object and its operations (include/linux/fs.h struct inode, inode_operations). File systems
 * subclass it and override what they support; the defaults are Linux's errors for "this file system cannot".
 * The VFS has checked names, permissions, mounts and read-only state before it calls an operation here.
 */
import { ECONNREFUSED, EINVAL, ENOTDIR, ENOTTY, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { FS_APPEND_FL, FS_IMMUTABLE_FL } from '../abi/file-attr.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { CallContext } from './call-context.ts';
import type { Path } from './dentry.ts';
import type { FileDescription } from './file-description.ts';
import { IN_DELETE_SELF, notifySelf } from './fsnotify.ts';
import type { FileLocks } from './locks.ts';
import type { AclType, PosixAcl } from './posix-acl.ts';
import { openSpecial } from './special.ts';
import type { SuperBlock } from './super-block.ts';

/** Fields of setAttr that are given. Times in {sec, nsec}. */
export interface AttrChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: Timestamp;
  mtime?: Timestamp;
  ctime?: Timestamp;
}

export interface Timestamp {
  readonly sec: number;
  readonly nsec: number;
}

export const EPOCH: Timestamp = { sec: 0, nsec: 0 };

/** What is the file's, and not on the host. */
export interface FileIdentity {
  locks: FileLocks | null;
  watches: unknown;
  boundSocket: unknown;
}

export abstract class Inode implements FileIdentity {
  readonly sb: SuperBlock;
  readonly ino: number;
  /** Type and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  nlink = 1;
  /** Device number of a device node, abi/device.ts makedev(). */
  rdev = 0;
  size = 0;
  /** 512-byte blocks. */
  blocks = 0;
  atime: Timestamp = EPOCH;
  mtime: Timestamp = EPOCH;
  ctime: Timestamp = EPOCH;
  /** Birth time or null where the file system has none. */
  btime: Timestamp | null = null;
  /** Byte-range locks, leases and flock state; made at first use by vfs/locks. */
  locks: FileLocks | null = null;
  /** inotify watches on this inode; made at first use by the inotify implementation. */
  watches: unknown = null;
  /** Bound AF_UNIX socket of an S_IFSOCK inode, set by socket/unix. */
  boundSocket: unknown = null;
  /**
   * What stands for the file: the inode, or what several inodes of it have in common. Mounts of one host tree, as containers of a
   * pod have them, have inodes of their own for one file; its locks, watches, bound socket, pipe and waiters for futexes are
   * kept here. It is the inode itself until `findIdentity` was called.
   */
  identity: FileIdentity = this;
  /** Made by O_TMPFILE without O_EXCL: may get a name although it has none (I_LINKABLE). */
  linkable = false;
  /** Directory that was removed: nothing can be made in it any more (S_DEAD). */
  dead = false;
  /** Open files that may write (> 0) or running executables that forbid writing (< 0): i_writecount, ETXTBSY. */
  writeCount = 0;
  /** F_SET_RW_HINT: how long what is written will live. */
  writeHint = 0;
  /** Open files that may only read: i_readcount, for leases. */
  readCount = 0;
  /** getAcl('access') may say more than the mode does. */
  mayHaveAcl = false;
  /** FS_*_FL that it has (i_flags): what the VFS enforces among them. */
  fileFlags = 0;
  /** Its last name is gone: when only watches refer to it, they are told. */
  orphan = false;
  /** References that are watches'. */
  watchRefs = 0;
  /** Dentries, open files and watches that refer to it. */
  private refs = 0;

  constructor(sb: SuperBlock, ino: number, mode: number, uid: number, gid: number) {
    this.sb = sb;
    this.ino = ino;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
  }

  hold(): this {
    this.refs++;
    return this;
  }

  /** Gives back a reference; with the last one the VFS knows the inode no more: evict(). */
  drop(): void {
    if (--this.refs === 0) {
      this.evict();
    } else if (this.orphan && this.refs === this.watchRefs) {
      this.orphan = false;
      notifySelf(IN_DELETE_SELF, this);
    }
  }

  /** Somebody begins to watch the inode: what others do to it has to be told, too. 0 or −errno. */
  beginWatch(): number {
    return 0;
  }

  endWatch(): void {}

  /** Who watches is being told of a change of ours, `mask` of the entry `name` or ('') of the inode: no news if others tell of it. */
  toldHere(_mask: number, _name: string): void {}

  /** The same of what nobody is told of (notifyNobody). */
  toldNobody(_mask: number, _name: string, _later: boolean): void {}

  get inUse(): boolean {
    return this.refs > 0;
  }

  /** Has been read (inode_operations.update_time). */
  accessed(now: Timestamp): void {
    this.atime = now;
  }

  /** file_update_time(): has been written to through a pipe's end. */
  modified(now: Timestamp): void {
    this.mtime = this.ctime = now;
  }

  /** chmod and chown have no say whoever asks (anon_inode_setattr). */
  get attributesFixed(): boolean {
    return false;
  }

  /** What /proc/PID/fd shows for a file without a path: `pipe:[12]`, `anon_inode:[eventfd]`. */
  get anonName(): string {
    return '';
  }

  get isDir(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  get isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }

  /** IS_IMMUTABLE(): neither contents nor attributes nor names change. */
  get isImmutable(): boolean {
    return (this.fileFlags & FS_IMMUTABLE_FL) !== 0;
  }

  /** IS_APPEND(): files only grow, directories only gain names. */
  get isAppendOnly(): boolean {
    return (this.fileFlags & FS_APPEND_FL) !== 0;
  }

  /** STATX_ATTR_* that the file system knows of. */
  get statxAttributes(): number {
    return 0;
  }

  /** To be called before something is kept with the identity, or looked for there. */
  findIdentity(): FileIdentity {
    return this.identity;
  }

  /** Brings the attribute fields up to date (remote and generated files). 0 or −errno. */
  refresh(): number {
    return 0;
  }

  // Directories. Names are valid single components.

  /** Child inode or −ENOENT. `t` is null for look-ups of the kernel itself. */
  lookup(_name: string, _t: CallContext | null): Inode | number {
    return -ENOTDIR;
  }

  /**
   * Makes a regular file. `mode` has the umask applied; owner is the caller's fsuid/fsgid (setgid directories: the VFS decides).
   * `flags`: those of the open(2) that it is made for, and that will open it next.
   */
  create(_name: string, _mode: number, _uid: number, _gid: number, _flags?: number): Inode | number {
    return -EPERM;
  }

  mkdir(_name: string, _mode: number, _uid: number, _gid: number): Inode | number {
    return -EPERM;
  }

  symlink(_name: string, _target: string, _uid: number, _gid: number): Inode | number {
    return -EPERM;
  }

  /** FIFO, socket or device node: type in `mode`. */
  mknod(_name: string, _mode: number, _rdev: number, _uid: number, _gid: number): Inode | number {
    return -EPERM;
  }

  /** Hard link to `inode` (same super block, not a directory). 0 or −errno. */
  link(_name: string, _inode: Inode): number {
    return -EPERM;
  }

  /** Unnamed regular file in this directory (O_TMPFILE): nlink 0. */
  tmpfile(_mode: number, _uid: number, _gid: number): Inode | number {
    return -EOPNOTSUPP;
  }

  /** Removes the non-directory `inode` known as `name`. */
  unlink(_name: string, _inode: Inode): number {
    return -EPERM;
  }

  rmdir(_name: string, _inode: Inode): number {
    return -EPERM;
  }

  /**
   * Moves `oldName` (`inode`) of this directory to `newName` of `newDir`, replacing `target` if not null. `flags` are
   * renameat2(2)'s. The VFS has checked types, emptiness is checked here.
   */
  rename(
    _oldName: string,
    _inode: Inode,
    _newDir: Inode,
    _newName: string,
    _target: Inode | null,
    _flags: number,
  ): number {
    return -EPERM;
  }

  // Symbolic links.

  /** A connection to the socket outside of the sandbox that this file is: its host descriptor, or −errno. */
  connectOutside(_type: number): number {
    return -ECONNREFUSED;
  }

  readlink(_t: CallContext | null): string | number {
    return -EINVAL;
  }

  /** Magic links (/proc/self/fd/N, exe, cwd, root): where they lead, or null for ordinary ones that go by readlink. */
  followMagic(_t: CallContext): Path | number | null {
    return null;
  }

  // All.

  /**
   * Opens the object; `flags` are open(2)'s without creation flags. `path` is where it was found. Permissions are checked.
   * File systems override it for regular files and directories and leave the rest to this default: device nodes and FIFOs go
   * to their implementations wherever they lie.
   */
  open(t: CallContext, path: Path, flags: number): FileDescription | number {
    return openSpecial(t, path, this, flags);
  }

  /** Changes attributes; permissions are checked by the VFS. Updates the fields. */
  setAttr(_change: AttrChange): number {
    return -EPERM;
  }

  /** fileattr_get(): FS_*_FL, −ENOTTY where the file has none. */
  getFileFlags(): number {
    return -ENOTTY;
  }

  /** fileattr_set(): the caller may. −EOPNOTSUPP for flags that the file system cannot keep. */
  setFileFlags(_flags: number): number {
    return -ENOTTY;
  }

  /** Permission check beyond mode bits (e.g. /proc/PID): 0 to go on with mode bits, 1: granted, or −EACCES. */
  permission(_t: CallContext, _mask: number): number {
    return 0;
  }

  /** Extended attributes: names are byte strings with their namespace prefix, values private copies. */
  getXattr(_name: string): Uint8Array | number {
    return -EOPNOTSUPP;
  }

  /** `flags`: XATTR_CREATE 1, XATTR_REPLACE 2. */
  setXattr(_name: string, _value: Uint8Array, _flags: number): number {
    return -EOPNOTSUPP;
  }

  /** setXattr() of a name that nobody has a handler for, or of none: `error`, once it has been noticed. */
  xattrRefused(error: number): number {
    return error;
  }

  /** Running it gives capabilities, as far as is known. */
  get hasFileCaps(): boolean {
    return false;
  }

  /** cap_inode_killpriv(): it was changed, so what it gave it gives no more. */
  killFileCaps(): void {}

  listXattr(): string[] | number {
    return [];
  }

  /** Those that listxattr(2) counts for callers without a buffer; `listed`: what it lists. */
  countedXattrs(listed: readonly string[]): readonly string[] {
    return listed;
  }

  removeXattr(_name: string): number {
    return -EOPNOTSUPP;
  }

  /** get_inode_acl(): the list, null if there is none, −EOPNOTSUPP where the file system keeps none. */
  getAcl(_type: AclType): PosixAcl | null | number {
    return -EOPNOTSUPP;
  }

  /** set_acl(): a valid list or null, and for 'access' the permission bits that go with it. 0 or −errno. */
  setAcl(_type: AclType, _acl: PosixAcl | null, _mode: number): number {
    return -EOPNOTSUPP;
  }

  /** set_acl() of no list. */
  removeAcl(type: AclType): number {
    return this.setAcl(type, null, this.mode & 0o7777);
  }

  /**
   * Neither a cached dentry nor an open file refers to the inode any more. Frees contents if nlink is 0; remote file systems
   * forget their handle. The object may be returned by a later lookup again.
   */
  evict(): void {}
}
