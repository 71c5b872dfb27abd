/**
 * The inodes the sentry knows, by id, and the O_PATH descriptors kept for them. A descriptor is opened when it is
 * first needed and closed again when too many are open; it is then reopened by (parent, name) and must show the
 * same (device, inode number, birth time), else the inode is stale. Inodes that lost the name known here are
 * pinned: their descriptor is the only way to them.
 */
import { EMFILE, ENFILE, ENOENT, ENOTDIR, ESTALE, ELOOP, EXDEV } from '../../sentry/abi/errno.ts';
import { STATX } from '../protocol/attr.ts';
import type { ExportConfig } from './config.ts';
import {
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  closeFd,
  fstatfs,
  openBeneath,
  statfsBuffer,
  statxBuffer,
  statxFd,
} from '../host/fs.ffi.ts';

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

const PATH_FLAGS = O_PATH | O_NOFOLLOW | O_CLOEXEC;
/** Longest chain of directories that is reopened; beyond it (or in a circle of stale names) the inode is stale. */
const REOPEN_DEPTH_MAX = 65536;

export interface ServerMount {
  readonly index: number;
  readonly readOnly: boolean;
  readonly hostSockets: boolean;
  readonly resolve: number;
  root: ServerInode | null;
  /** An overlay of the host's: what it copies up, directories above included, gets another time of birth. */
  isOverlay: boolean;
  /** Host mounts by id: true if their files are served. Those of others are sealed. */
  readonly hostMounts: Map<string, boolean>;
}

export function newMount(index: number, config: Omit<ExportConfig, 'path'>): ServerMount {
  const { readOnly, crossMounts, hostSockets } = config;
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return {
    index,
    readOnly,
    hostSockets,
    resolve: crossMounts ? resolve : resolve | RESOLVE_NO_XDEV,
    root: null,
    isOverlay: false,
    hostMounts: new Map(),
  };
}

/**
 * File systems of the host's kernel (include/uapi/linux/magic.h): what they show is the host's state, not files, and
 * reading or writing it has effects. Where one is mounted below a served tree, it is sealed.
 */
const KERNEL_FILE_SYSTEMS = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0x62656570, // configfs
  0xcafe4a11, // bpf
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x1cd1, // devpts
  0x19800202, // mqueue
  0x6165676c, // pstore
  0xde5e81e4, // efivarfs
  0x42494e4d, // binfmt_misc
  0xf97cff8c, // selinuxfs
  0x6e736673, // nsfs
  0x0187, // autofs
  0x65735543, // fusectl
]);

const OVERLAYFS_SUPER_MAGIC = 0x794c7630;

export type WatchKind = 'cacheWatch' | 'guestWatch';

export interface ServerInode {
  id: number;
  readonly key: string;
  readonly mount: ServerMount;
  /** File type bits of st_mode: they never change for one inode. */
  readonly type: number;
  readonly birth: string;
  parent: ServerInode | null;
  name: string;
  /** O_PATH descriptor, or −1. */
  fd: number;
  pinned: boolean;
  /** Root of a host mount that is not served: looks like an empty directory (or a file that cannot be opened). */
  readonly sealed: boolean;
  /** inotify watch descriptors, or −1: for what the sentry caches, and for guests. */
  cacheWatch: number;
  guestWatch: number;
  newer: ServerInode | null;
  older: ServerInode | null;
}

export class InodeTable {
  /** Told of an inode that is forgotten. */
  onForget: (node: ServerInode) => void = () => undefined;
  private readonly byId = new Map<number, ServerInode>();
  private readonly byKey = new Map<string, ServerInode>();
  private nextId = 1;
  // Inodes with an evictable descriptor, most recently used first.
  private newest: ServerInode | null = null;
  private oldest: ServerInode | null = null;
  private openCount = 0;
  private readonly openMax: number;
  private readonly inodeMax: number;

  constructor(openMax: number, inodeMax: number) {
    this.openMax = Math.max(16, openMax);
    this.inodeMax = inodeMax;
  }

  get size(): number {
    return this.byId.size;
  }

  /** Evictable descriptors that are open now. */
  get openFds(): number {
    return this.openCount;
  }

  get(id: number): ServerInode | undefined {
    return this.byId.get(id);
  }

  /** Registers the root of a mount with its descriptor, which stays open for good. */
  addRoot(mount: ServerMount, fd: number): ServerInode | number {
    const r = statxFd(fd);
    if (r < 0) return r;
    mount.hostMounts.set(statxMount(), true);
    mount.isOverlay = fstatfs(fd) >= 0 && statfsBuffer.u32[0] === OVERLAYFS_SUPER_MAGIC;
    const root = this.intern(mount, null, '', false);
    if (typeof root === 'number') return root;
    root.fd = fd;
    root.pinned = true;
    mount.root = root;
    return root;
  }

  /**
   * True if the inode in statxBuffer, `name` in directory `dirFd`, lies on a host mount that is not served. The buffer
   * is as before afterwards.
   */
  isSealed(mount: ServerMount, dirFd: number, name: string): boolean {
    const id = statxMount();
    let served = mount.hostMounts.get(id);
    if (served === undefined) {
      served = false;
      if ((mount.resolve & RESOLVE_NO_XDEV) === 0) {
        const fd = this.openName(mount, dirFd, name);
        if (fd >= 0) {
          served = fstatfs(fd) >= 0 && !KERNEL_FILE_SYSTEMS.has(statfsBuffer.u32[0]);
          closeFd(fd);
        }
      }
      mount.hostMounts.set(id, served);
    }
    return !served;
  }

  /** The registered inode whose attributes are in statxBuffer, if there is one. */
  find(mount: ServerMount): ServerInode | undefined {
    const node = this.byKey.get(statxKey(mount));
    return node !== undefined && node.birth === statxBirth(mount) ? node : undefined;
  }

  /** The inode whose attributes are in statxBuffer, registered under its newest name. */
  intern(
    mount: ServerMount,
    parent: ServerInode | null,
    name: string,
    sealed: boolean,
  ): ServerInode | number {
    const key = statxKey(mount);
    const birth = statxBirth(mount);
    const type = statxBuffer.view.getUint16(STATX.mode, true) & S_IFMT;
    const old = this.byKey.get(key);
    if (old !== undefined && old.birth === birth && old.type === type && old.sealed === sealed) {
      if (old.parent !== null && parent !== null) {
        old.parent = parent;
        old.name = name;
        if (old.pinned) this.unpin(old);
      }
      return old;
    }
    if (this.byId.size >= this.inodeMax) return -ENFILE;
    const node: ServerInode = {
      id: this.takeId(),
      key,
      mount,
      type,
      birth,
      parent,
      name,
      fd: -1,
      pinned: false,
      sealed,
      cacheWatch: -1,
      guestWatch: -1,
      newer: null,
      older: null,
    };
    this.byId.set(node.id, node);
    this.byKey.set(key, node);
    return node;
  }

  /** Gives `fd`, an O_PATH descriptor of `node`, to the table. */
  adopt(node: ServerInode, fd: number): void {
    if (node.fd >= 0) {
      closeFd(fd);
      this.touch(node);
      return;
    }
    node.fd = fd;
    if (node.pinned) return;
    this.linkNewest(node);
    this.shrink(this.openMax);
  }

  /** O_PATH descriptor of `node`, valid until the next call; −errno if it cannot be had. */
  fdOf(node: ServerInode): number {
    if (node.sealed) return -EXDEV;
    if (node.fd >= 0) {
      this.touch(node);
      return node.fd;
    }
    const chain: ServerInode[] = [];
    let at: ServerInode = node;
    while (at.fd < 0) {
      if (at.parent === null || chain.length >= REOPEN_DEPTH_MAX) return -ESTALE;
      chain.push(at);
      at = at.parent;
    }
    for (let i = chain.length - 1; i >= 0; i--) {
      const r = this.reopen(chain[i]);
      if (r < 0) return r;
    }
    return node.fd;
  }

  /** O_PATH descriptor of a name in directory `dirFd`; the caller's. */
  openName(mount: ServerMount, dirFd: number, name: string): number {
    let fd = openBeneath(dirFd, name, PATH_FLAGS, 0, mount.resolve);
    if (fd === -EMFILE || fd === -ENFILE) {
      // The directory is the most recently used one and stays.
      this.shrink(Math.max(8, Math.floor(this.openCount / 2)));
      fd = openBeneath(dirFd, name, PATH_FLAGS, 0, mount.resolve);
    }
    return fd;
  }

  /** `node` loses the name known here: from now on only the descriptor leads to it. */
  pin(node: ServerInode): void {
    if (node.pinned) return;
    if (node.fd >= 0) this.unlinkLru(node);
    node.pinned = true;
  }

  forget(id: number): boolean {
    const node = this.byId.get(id);
    if (node === undefined) return false;
    // Roots stay.
    if (node.mount.root === node) return true;
    this.byId.delete(id);
    if (this.byKey.get(node.key) === node) this.byKey.delete(node.key);
    if (node.fd >= 0) {
      if (!node.pinned) this.unlinkLru(node);
      closeFd(node.fd);
      node.fd = -1;
    }
    this.onForget(node);
    // Children may still be reached through it, by name.
    node.pinned = false;
    return true;
  }

  private unpin(node: ServerInode): void {
    node.pinned = false;
    if (node.fd < 0) return;
    this.linkNewest(node);
    this.shrink(this.openMax);
  }

  private reopen(node: ServerInode): number {
    const parent = node.parent;
    if (parent === null) return -ESTALE;
    const fd = this.openName(node.mount, parent.fd, node.name);
    if (fd < 0) return fd === -ENOENT || fd === -ENOTDIR || fd === -ELOOP ? -ESTALE : fd;
    const r = statxFd(fd);
    if (r < 0 || statxKey(node.mount) !== node.key || statxBirth(node.mount) !== node.birth) {
      closeFd(fd);
      return r < 0 ? r : -ESTALE;
    }
    this.adopt(node, fd);
    return 0;
  }

  private takeId(): number {
    while (this.byId.has(this.nextId)) this.bumpId();
    const id = this.nextId;
    this.bumpId();
    return id;
  }

  private bumpId(): void {
    this.nextId = this.nextId === 0xffffffff ? 1 : this.nextId + 1;
  }

  private touch(node: ServerInode): void {
    if (node.pinned || this.newest === node) return;
    this.unlinkLru(node);
    this.linkNewest(node);
  }

  private linkNewest(node: ServerInode): void {
    node.older = this.newest;
    node.newer = null;
    if (this.newest !== null) this.newest.newer = node;
    else this.oldest = node;
    this.newest = node;
    this.openCount++;
  }

  private unlinkLru(node: ServerInode): void {
    if (node.newer !== null) node.newer.older = node.older;
    else this.newest = node.older;
    if (node.older !== null) node.older.newer = node.newer;
    else this.oldest = node.newer;
    node.newer = null;
    node.older = null;
    this.openCount--;
  }

  private shrink(max: number): void {
    while (this.openCount > max && this.oldest !== null) {
      const node = this.oldest;
      this.unlinkLru(node);
      closeFd(node.fd);
      node.fd = -1;
    }
  }
}

function statxKey(mount: ServerMount): string {
  const v = statxBuffer.view;
  const dev = v.getUint32(STATX.devMajor, true) * 0x100000000 + v.getUint32(STATX.devMinor, true);
  return `${mount.index}:${dev}:${v.getUint32(STATX.ino + 4, true)}:${v.getUint32(STATX.ino, true)}`;
}

function statxMount(): string {
  const v = statxBuffer.view;
  return `${v.getUint32(STATX.mntId + 4, true)}:${v.getUint32(STATX.mntId, true)}`;
}

/** Tells a new file from an old one whose inode number it got. */
function statxBirth(mount: ServerMount): string {
  if (mount.isOverlay) return '';
  const v = statxBuffer.view;
  return `${v.getUint32(STATX.btime, true)}.${v.getUint32(STATX.btime + 8, true)}`;
}
