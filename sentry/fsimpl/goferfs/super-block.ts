/**
 * goferfs: host files as the sentry's file system. One super block per mount of the gofer.
 *
 * Two ways of caching. *exclusive*: nobody else changes the tree, so attributes, names, absent names and listings are
 * kept until this sandbox changes them. *shared*: others may. A directory that is used is watched (host-watcher.ts), and
 * what is cached of it counts until an event says otherwise; without a watch each look-up of a name asks the gofer. In both, an open file's data goes through the donated host fd, which all opens of an inode
 * share, and the attributes of a file with a host fd come from fstat(2) on it.
 */
import { EIO } from '../../abi/errno.ts';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { GoferAttr, GoferClient } from '../../gofer-api/gofer-api.ts';
import type { Inode } from '../../vfs/inode.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';
import type { DirNames } from './dir-names.ts';
import { GoferDir } from './directory.ts';
import { HostEvents } from './host-events.ts';
import { HostFdCache } from './host-fd-cache.ts';
import { HostWatcher } from './host-watcher.ts';
import type { GoferInode } from './inode.ts';
import { GoferLink } from './link.ts';
import { Listings } from './listings.ts';
import { GoferRegular } from './regular.ts';

/** Distance between the inode numbers of host devices under one export. */
const DEVICE_INO = 2 ** 36;

export class GoferSuperBlock extends SuperBlock {
  readonly fsType = 'gofer';
  override readonly revalidates: boolean;
  readonly client: GoferClient;
  readonly exclusive: boolean;
  readonly fds = new HostFdCache();
  readonly listed = new Listings();
  /** Tells of changes by others; null in exclusive caching. */
  readonly watcher: HostWatcher | null;
  /** Tells guests of them; null in exclusive caching. */
  readonly events: HostEvents | null;
  private rootInode: GoferInode | null = null;
  private readonly inodes = new Map<number | string, GoferInode>();
  private rootDevMajor = 0;
  private rootDevMinor = 0;
  /** Host devices met besides the root's. */
  private readonly devices: number[] = [];

  private constructor(client: GoferClient, exclusive: boolean) {
    super();
    this.client = client;
    this.exclusive = exclusive;
    this.revalidates = !exclusive;
    this.watcher = exclusive ? null : HostWatcher.of(client);
    this.events = exclusive ? null : HostEvents.of(client);
  }

  /** Mounts export `index` of the gofer. */
  static attach(client: GoferClient, index: number, exclusive: boolean): GoferSuperBlock | number {
    const mount = client.attach(index);
    if (typeof mount === 'number') return mount;
    const sb = new GoferSuperBlock(client, exclusive);
    sb.readOnly = mount.readOnly;
    sb.rootDevMajor = mount.root.devMajor;
    sb.rootDevMinor = mount.root.devMinor;
    sb.rootInode = sb.inodeFor(mount.root, null, '');
    return sb;
  }

  get root(): Inode {
    return this.rootInode!;
  }

  /** Inodes known now, for tests. */
  get inodeCount(): number {
    return this.inodes.size;
  }

  /** The inode with these attributes, which were just found under `name` of `parent`. */
  inodeFor(attr: GoferAttr, parent: DirNames | null, name: string): GoferInode {
    const key = this.keyOf(attr);
    const old = this.inodes.get(key);
    if (old !== undefined && old.isSame(attr)) {
      old.foundAs(parent, name);
      old.apply(attr);
      return old;
    }
    const inode = this.newInode(attr, parent, name);
    this.inodes.set(key, inode);
    return inode;
  }

  /**
   * Like inodeFor, for attributes from a listing, which may be older than what is known and carry no id. null if that is
   * not enough: files with several links are found by id only.
   */
  inodeForListed(attr: GoferAttr, parent: DirNames, name: string): GoferInode | null {
    const type = attr.mode & S_IFMT;
    if (type !== S_IFDIR && attr.nlink !== 1) return null;
    const key = this.keyOf(attr);
    if (this.inodes.has(key)) return null;
    const inode = this.newInode(attr, parent, name);
    this.inodes.set(key, inode);
    return inode;
  }

  private newInode(attr: GoferAttr, parent: DirNames | null, name: string): GoferInode {
    switch (attr.mode & S_IFMT) {
      case S_IFDIR:
        return new GoferDir(this, attr, parent, name);
      case S_IFREG:
        return new GoferRegular(this, attr, parent, name);
      default:
        return new GoferLink(this, attr, parent, name);
    }
  }

  /** What identifies an inode of the host: its number, with the device where that is another one. */
  keyOf(a: GoferAttr): number | string {
    if (a.devMajor === this.rootDevMajor && a.devMinor === this.rootDevMinor) return a.ino;
    return `${a.devMajor}:${a.devMinor}:${a.ino}`;
  }

  /** The same with the device in any case: it is the file's in every export of every gofer. */
  deviceKeyOf(key: number | string): string {
    return typeof key === 'string' ? key : `${this.rootDevMajor}:${this.rootDevMinor}:${key}`;
  }

  /**
   * Inode number that the guest sees. An export may span host file systems (the roots of several have number 2): each but
   * the first has a range of its own, or find(1) would take a mount point for its ancestor.
   */
  inoOf(a: GoferAttr): number {
    if (a.devMajor === this.rootDevMajor && a.devMinor === this.rootDevMinor) return a.ino;
    if (a.ino >= DEVICE_INO) return a.ino;
    const device = a.devMajor * 0x100000 + a.devMinor;
    let n = this.devices.indexOf(device);
    if (n < 0) n = this.devices.push(device) - 1;
    return a.ino + (n + 1) * DEVICE_INO;
  }

  /** The gofer has found an inode that was not looked for: its id is given back, unless that is in use. */
  dismiss(attr: GoferAttr): void {
    const known = this.inodes.get(this.keyOf(attr));
    if (known?.isSame(attr) === true) known.apply(attr);
    else this.client.forget(attr.id);
  }

  /** The VFS knows `inode` no more. */
  forget(inode: GoferInode, key: number | string): void {
    if (this.inodes.get(key) === inode) this.inodes.delete(key);
  }

  override statfs(): StatFs | number {
    const id = this.rootInode!.goferId();
    return id < 0 ? id : this.client.statfs(id);
  }

  override options(): string {
    return '';
  }

  override sync(): number {
    return this.client.alive ? 0 : -EIO;
  }

  override release(): void {
    this.fds.closeIdle(0);
    this.rootInode?.leaveIdentity();
  }
}
