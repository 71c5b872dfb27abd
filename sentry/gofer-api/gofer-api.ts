/**
 * What the sentry wants from a file server. The sentry has no file system of its own: every host file is reached
 * through one GoferClient. All calls are synchronous and return a value or −errno; after the connection is lost
 * every call returns −EIO. Names are byte strings (latin1).
 */

/** One inode as the gofer sees it. A fresh object per reply: the receiver may keep it. */
export interface GoferAttr {
  /** Identity of the inode for later calls; 0 in directory listings, where nothing is registered. */
  id: number;
  /** File type and permission bits, as st_mode. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Host device, for identity: (devMajor, devMinor, ino) is the same for all hard links of a file. */
  devMajor: number;
  devMinor: number;
  /** Inode number; host numbers of 2^53 and more are folded into 53 bits. */
  ino: number;
  size: number;
  /** 512-byte units. */
  blocks: number;
  blksize: number;
  rdevMajor: number;
  rdevMinor: number;
  atimeSec: number;
  atimeNsec: number;
  mtimeSec: number;
  mtimeNsec: number;
  ctimeSec: number;
  ctimeNsec: number;
  /** Birth time; meaningful if `hasBtime`. */
  btimeSec: number;
  btimeNsec: number;
  hasBtime: boolean;
  /** Listings and new directories only: it is known to have no extended attributes. */
  noXattr: boolean;
  /** Host mount id: differs where a mount boundary was crossed. */
  mntId: number;
}

export interface GoferDirent {
  name: string;
  /** DT_* of dirent.h. */
  type: number;
  ino: number;
  /** Present if attributes were asked for and the entry still existed. */
  attr: GoferAttr | null;
}

export interface GoferStatfs {
  type: number;
  bsize: number;
  frsize: number;
  namelen: number;
  flags: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
}

/** An open host file: the fd belongs to the receiver, who closes it. */
export interface GoferOpened {
  attr: GoferAttr;
  hostFd: number;
}

export interface GoferNewDir {
  attr: GoferAttr;
  /** The watch of a directory that was empty when it began; −1: none. */
  watch: number;
}

export interface GoferWatch {
  attr: GoferAttr;
  watch: number;
}

export interface GoferLinkTarget {
  attr: GoferAttr;
  target: string;
}

export interface GoferListedDir {
  attr: GoferAttr;
  entries: GoferDirent[];
}

export interface GoferMount {
  root: GoferAttr;
  readOnly: boolean;
  /** File system type of the root, as statfs f_type. */
  fsType: number;
}

/** Access of an open. The donated fd has exactly these rights. */
export const GOFER_READ = 0;
export const GOFER_WRITE = 1;
export const GOFER_RDWR = 2;
/** OR with an access: cut the file to length 0. */
export const GOFER_TRUNC = 4;
/** OR with an access: reads leave the time of access alone (O_NOATIME), if the host lets the gofer. */
export const GOFER_NOATIME = 8;

// Which fields of GoferSetattr count.
export const SETATTR_MODE = 1;
export const SETATTR_UID = 2;
export const SETATTR_GID = 4;
export const SETATTR_SIZE = 8;
export const SETATTR_ATIME = 16;
export const SETATTR_MTIME = 32;

export interface GoferSetattr {
  valid: number;
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atimeSec?: number;
  atimeNsec?: number;
  mtimeSec?: number;
  mtimeNsec?: number;
}

/** Owner and permissions of a new inode. */
export interface GoferNewInode {
  mode: number;
  uid: number;
  gid: number;
}

/** Most names in one walk. */
export const GOFER_WALK_MAX = 32;

export interface GoferClient {
  /** False once the gofer is gone. */
  readonly alive: boolean;
  /** Socket to watch for hang-up (EPOLLHUP, EPOLLRDHUP); then call `checkAlive`. */
  readonly pollFd: number;
  /** Looks at the connection without waiting and reports its loss; true if it stands. */
  checkAlive(): boolean;

  attach(mount: number): GoferMount | number;
  /**
   * Walks `names` from directory `dir`, never through a symbolic link. Attributes of each component found are
   * appended to `out`. Returns how many were found, or −errno of the first one. Stops behind the first component
   * that is not a directory.
   */
  walk(dir: number, names: readonly string[], out: GoferAttr[]): number;
  getattr(id: number): GoferAttr | number;
  /** Regular files only: others are −EACCES. */
  open(id: number, access: number): GoferOpened | number;
  /** The same of a name: walk and open in one. */
  openName(dir: number, name: string, access: number): GoferOpened | number;
  readlink(id: number): string | number;
  /** The same of a name, with attributes that tell which link it is; no id comes along. */
  readlinkName(dir: number, name: string): GoferLinkTarget | number;
  /** The whole directory without "." and "..". */
  readdir(id: number, withAttrs: boolean): GoferDirent[] | number;
  /** The same of a name: walk and readdir in one. */
  readdirName(dir: number, name: string, withAttrs: boolean): GoferListedDir | number;
  /** Makes a regular file, which must not exist, and opens it. */
  create(dir: number, name: string, node: GoferNewInode, access: number): GoferOpened | number;
  /** Makes a regular file without a name and opens it; −EOPNOTSUPP where the host's file system cannot. */
  tmpfile(dir: number, node: GoferNewInode): GoferOpened | number;
  /** `watch`: the new directory is to be watched from its beginning. */
  mkdir(dir: number, name: string, node: GoferNewInode, watch: boolean): GoferNewDir | number;
  /** FIFO or socket placeholder; `node.mode` holds the type. Devices are −EPERM. */
  mknod(dir: number, name: string, node: GoferNewInode): GoferAttr | number;
  symlink(dir: number, name: string, target: string, uid: number, gid: number): GoferAttr | number;
  link(id: number, dir: number, name: string): GoferAttr | number;
  unlink(dir: number, name: string, isDir: boolean): number;
  /** `flags`: RENAME_NOREPLACE and RENAME_EXCHANGE. */
  rename(oldDir: number, oldName: string, newDir: number, newName: string, flags: number): number;
  setattr(id: number, change: GoferSetattr): GoferAttr | number;
  fsync(id: number, dataOnly: boolean): number;
  statfs(id: number): GoferStatfs | number;
  /** Extended attributes: user.* only. Others are −EOPNOTSUPP. Values are byte strings. */
  getxattr(id: number, name: string): string | number;
  setxattr(id: number, name: string, value: string, flags: number): number;
  listxattr(id: number): string[] | number;
  removexattr(id: number, name: string): number;
  /**
   * Descriptor on which changes of what is watched can be read (inotify(7), nonblocking); the caller's. One for all
   * mounts, and another for what guests watch. −errno if the host cannot tell.
   */
  openEvents(forGuests: boolean): number;
  /**
   * Watches a directory (for guests: any inode) until its id is forgotten. Watch descriptor of its events, or −errno: ask each
   * time. For guests also where only changes by this host are told. `name`: an entry of `id` instead. The attributes are
   * those after the watch began.
   */
  watch(id: number, name: string, forGuests: boolean): GoferWatch | number;
  /** Guests watch it no more. */
  unwatch(id: number): void;
  /** A non-blocking AF_UNIX socket of this type, connected to the socket that the file is; the caller's. */
  connect(id: number, type: number): number;
  /** The sentry needs `id` no longer. Sent in batches. */
  forget(id: number): void;
  close(): void;
}
