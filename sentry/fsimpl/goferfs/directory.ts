/** Directories of goferfs: look-ups, changes, and listings kept in exclusive caching. */
import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EXDEV } from '../../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFMT, S_IFSOCK, modeToDt } from '../../abi/stat.ts';
import { GOFER_RDWR } from '../../gofer-api/gofer-api.ts';
import type { GoferAttr, GoferDirent, GoferOpened } from '../../gofer-api/gofer-api.ts';
import { isReadNoted } from '../../vfs/atime.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirFile, FIRST_ENTRY } from '../../vfs/dir-file.ts';
import type { DirEmit, FileDescription } from '../../vfs/file-description.ts';
import { IN_ATTRIB, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO } from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { currentTime } from '../../vfs/times.ts';
import { deviceNodeAt, haveDeviceNodes, keepDeviceNode } from './device-nodes.ts';
import { IN_NAMES, type WatchedDir } from './host-watcher.ts';
import { GoferInode } from './inode.ts';
import { GoferRegular } from './regular.ts';

const RENAME_EXCHANGE = 2;
/** After so many absent names the whole directory is listed, so that further ones need no message. */
const MISSES_BEFORE_LISTING = 3;
/** Longer listings are not kept. */
const LISTING_MAX = 32_768;

const found: GoferAttr[] = [];
let tmpfiles = 0;

/** Look-ups after which a shared directory is watched. */
const USES_BEFORE_WATCH = 2;
/** Names of a watched directory that are kept. */
const KNOWN_MAX = 32_768;
const UNTRIED = -1;
const NO_WATCH = -2;

export class GoferDir extends GoferInode implements WatchedDir {
  /** Shared caching: inotify watch, UNTRIED or NO_WATCH. */
  private watch = UNTRIED;
  private uses = 0;
  private opened = false;
  /** Names looked up since the watch began; null: known to be absent. */
  private readonly known = new Map<string, GoferInode | null>();
  /** All names, once they were read and if changes are heard of; null if not known. */
  private listing: Map<string, GoferDirent> | null = null;
  private counted = 0;
  /** Types and numbers in `listing` are not to be shown. */
  private unsure = false;
  private misses = 0;

  override lookup(name: string, _t: CallContext | null): Inode | number {
    if (!this.gofer.exclusive) {
      const known = this.lookupKnown(name);
      if (known !== undefined) return known ?? -ENOENT;
    }
    if (this.listing !== null) {
      const entry = this.listing.get(name);
      if (entry === undefined) return -ENOENT;
      if (entry.attr !== null) {
        // Attributes of a listing count once: from now on the inode knows better.
        const listed = this.gofer.inodeForListed(entry.attr, this, name);
        entry.attr = null;
        if (listed !== null) {
          this.learn(name, listed);
          return listed;
        }
      }
    }
    const id = this.goferId();
    if (id < 0) return id;
    found.length = 0;
    const r = this.gofer.client.walk(id, [name], found);
    if (r === -ENOENT) {
      this.learn(name, null);
      this.missed();
    }
    if (r < 0) return r;
    const inode = this.gofer.inodeFor(found[0], this, name);
    this.learn(name, inode);
    return inode;
  }

  /** What is known of a name in a watched directory: an inode, null if it is absent, undefined if nothing. */
  private lookupKnown(name: string): GoferInode | null | undefined {
    if (this.watch === UNTRIED && ++this.uses >= USES_BEFORE_WATCH) this.startWatch();
    if (this.watch < 0) return undefined;
    this.gofer.watcher!.poll();
    const inode = this.known.get(name);
    return inode?.suspect === true ? undefined : inode;
  }

  private learn(name: string, inode: GoferInode | null): void {
    if (this.watch < 0) return;
    if (inode === null) this.gofer.watcher!.countAbsent();
    if (this.known.size >= KNOWN_MAX) {
      // A Map keeps insertion order: the oldest goes.
      for (const oldest of this.known.keys()) {
        this.known.delete(oldest);
        break;
      }
    }
    this.known.set(name, inode);
  }

  private startWatch(): void {
    const watcher = this.gofer.watcher!;
    this.watch = NO_WATCH;
    if (watcher.room < 0) return;
    // One message, whether the gofer knows the directory already or by its name only.
    const named = !this.hasId && this.parent !== null;
    const id = named ? this.parent!.goferId() : this.goferId();
    const begun = id < 0 ? id : this.gofer.client.watch(id, named ? this.name : '', false);
    if (typeof begun === 'number' || !this.isKnownAs(begun.attr)) return;
    // What was known before may have changed unheard.
    this.apply(begun.attr);
    this.watch = begun.watch;
    watcher.began(this, begun.watch);
  }

  /** Who has opened it will list it. */
  protected override fetch(): number {
    if (this.opened && !this.hasId && !this.gofer.exclusive && this.watch === UNTRIED) {
      this.startWatch();
      if (this.watch >= 0) return 0;
    }
    return super.fetch();
  }

  /** True if events would tell of changes to `inode`. */
  covers(inode: GoferInode): boolean {
    return this.watch >= 0 && this.known.get(inode.name) === inode;
  }

  protected override isWatched(): boolean {
    return this.watch >= 0;
  }

  /** `inode` is not used any more. */
  forgetKnown(inode: GoferInode): void {
    if (this.known.get(inode.name) === inode) this.known.delete(inode.name);
  }

  hostChanged(mask: number, name: string): void {
    if (name === '') {
      this.changedByOthers((mask & IN_ATTRIB) !== 0);
      return;
    }
    const inode = this.known.get(name);
    if ((mask & IN_NAMES) !== 0) {
      this.stale = true;
      this.known.delete(name);
      this.dropListing();
    } else {
      const entry = this.listing?.get(name);
      if (entry !== undefined) entry.attr = null;
    }
    if (inode !== undefined && inode !== null) inode.changedByOthers((mask & (IN_ATTRIB | IN_NAMES)) !== 0);
  }

  distrust(watchGone: boolean): void {
    if (watchGone) this.watch = NO_WATCH;
    for (const inode of this.known.values()) inode?.changedByOthers(true);
    this.known.clear();
    this.dropListing();
    this.changedByOthers(true);
  }

  /** True if the directory cannot change unheard. */
  private get trusted(): boolean {
    return this.gofer.exclusive || this.watch >= 0;
  }

  private missed(): void {
    if (!this.trusted || this.listing !== null) return;
    if (++this.misses < MISSES_BEFORE_LISTING) return;
    this.misses = 0;
    this.readListing(false);
  }

  /** Reads the directory; keeps the result if nobody else can change it. */
  readListing(withAttrs: boolean): GoferDirent[] | number {
    const id = this.goferId();
    if (id < 0) return id;
    const entries = this.gofer.client.readdir(id, withAttrs && this.trusted);
    if (typeof entries === 'number') return entries;
    if (haveDeviceNodes()) this.showDevices(entries);
    if (!this.trusted) return entries;
    this.dropListing();
    if (entries.length > LISTING_MAX) {
      // Nor read again because of absent names.
      this.misses = -Infinity;
      return entries;
    }
    this.keepListing(entries);
    return entries;
  }

  private showDevices(entries: readonly GoferDirent[]): void {
    const socket = modeToDt(S_IFSOCK);
    for (const e of entries) {
      if (e.type !== socket) continue;
      const device = deviceNodeAt(this.gofer.deviceKeyOf(e.attr === null ? e.ino : this.gofer.keyOf(e.attr)));
      if (device !== null) e.type = modeToDt(device.type);
    }
  }

  private keepListing(entries: readonly GoferDirent[]): void {
    const map = new Map<string, GoferDirent>();
    for (const e of entries) map.set(e.name, e);
    this.listing = map;
    this.unsure = false;
    this.counted = entries.length;
    this.gofer.countListing(this, this.counted);
  }

  /** The kept listing as an array, or a new one. `noted`: the host keeps the time of its reading it. */
  entries(noted: boolean): GoferDirent[] | number {
    if (!this.gofer.exclusive) {
      if (this.watch === UNTRIED) this.startWatch();
      this.gofer.watcher!.poll();
    }
    if (this.listing === null || this.unsure) {
      const list = this.readListing(true);
      if (noted) this.stale = true;
      return list;
    }
    return Array.from(this.listing.values());
  }

  dropListing(): void {
    if (this.listing === null) return;
    this.listing = null;
    this.gofer.uncountListing(this, this.counted);
  }

  /** The host tells of a change that was made by us, and is known. */
  private expectEvent(mask: number, name: string): void {
    if (this.watch >= 0) this.gofer.watcher!.expect(this, this.watch, mask, name);
  }

  /** A name was made here. What others did to it since then comes after what is learnt. */
  private madeHere(name: string, inode: GoferInode): void {
    this.added(name, inode);
    this.expectEvent(IN_CREATE, name);
    this.gofer.watcher?.settle();
  }

  /** A name has come to exist here. */
  private added(name: string, inode: GoferInode): void {
    this.listing?.set(name, { name, type: modeToDt(inode.mode), ino: inode.ino, attr: null });
    this.learn(name, inode);
    this.invalidate();
  }

  private removed(name: string): void {
    this.listing?.delete(name);
    this.learn(name, null);
    this.invalidate();
  }

  override create(name: string, mode: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const node = { mode: mode & 0o7777, uid, gid };
    const r = this.gofer.client.create(id, name, node, GOFER_RDWR);
    return typeof r === 'number' ? r : this.created(name, r);
  }

  private created(name: string, r: GoferOpened): GoferRegular {
    // The gofer and its client have made sure that it is a regular file.
    const inode = this.gofer.inodeFor(r.attr, this, name) as GoferRegular;
    inode.adoptWritable(r.hostFd);
    this.madeHere(name, inode);
    return inode;
  }

  override tmpfile(mode: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const node = { mode: mode & 0o7777, uid, gid };
    const unnamed = this.gofer.client.tmpfile(id, node);
    if (typeof unnamed !== 'number') {
      const inode = this.gofer.inodeFor(unnamed.attr, null, '') as GoferRegular;
      inode.adoptWritable(unnamed.hostFd);
      return inode;
    }
    if (unnamed !== -EOPNOTSUPP) return unnamed;
    // A file system of the host without O_TMPFILE: a file that has lost its name when it is returned.
    for (;;) {
      const name = `.tmpfile-${tmpfiles++}`;
      const r = this.gofer.client.create(id, name, node, GOFER_RDWR);
      if (r === -EEXIST) continue;
      if (typeof r === 'number') return r;
      const inode = this.created(name, r);
      const removed = this.unlink(name, inode);
      return removed < 0 ? removed : inode;
    }
  }

  override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const watcher = this.gofer.watcher;
    const watches = watcher !== null && watcher.room === 0;
    const r = this.gofer.client.mkdir(id, name, { mode: mode & 0o7777, uid, gid }, watches);
    if (typeof r === 'number') return r;
    const inode = this.gofer.inodeFor(r.attr, this, name);
    // Before any event of it is looked at.
    if (inode instanceof GoferDir) inode.begun(r.watch);
    this.madeHere(name, inode);
    return inode;
  }

  /** A new directory, watched since it was empty. */
  private begun(watch: number): void {
    if (watch >= 0) {
      this.watch = watch;
      this.gofer.watcher!.began(this, watch);
    } else if (!this.gofer.exclusive) return;
    this.keepListing([]);
  }

  override symlink(name: string, target: string, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    return this.made(name, this.gofer.client.symlink(id, name, target, uid, gid));
  }

  override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): Inode | number {
    const id = this.goferId();
    if (id < 0) return id;
    const { client } = this.gofer;
    const type = mode & S_IFMT;
    if (type !== S_IFCHR && type !== S_IFBLK)
      return this.made(name, client.mknod(id, name, { mode, uid, gid }));
    const attr = client.mknod(id, name, { mode: S_IFSOCK | (mode & 0o7777), uid, gid });
    if (typeof attr === 'number') return attr;
    const kept = keepDeviceNode(this.gofer.deviceKeyOf(this.gofer.keyOf(attr)), attr, mode, rdev);
    if (kept === 0) return this.made(name, attr);
    client.unlink(id, name, false);
    client.forget(attr.id);
    return kept;
  }

  private made(name: string, attr: GoferAttr | number): Inode | number {
    if (typeof attr === 'number') return attr;
    const inode = this.gofer.inodeFor(attr, this, name);
    this.madeHere(name, inode);
    return inode;
  }

  override link(name: string, inode: Inode): number {
    if (!(inode instanceof GoferInode) || inode.gofer !== this.gofer) return -EXDEV;
    const target = inode.goferId();
    if (target < 0) return target;
    const id = this.goferId();
    if (id < 0) return id;
    const attr = this.gofer.client.link(target, id, name);
    if (typeof attr === 'number') return attr;
    inode.foundAs(this, name);
    inode.apply(attr);
    this.madeHere(name, inode);
    return 0;
  }

  override unlink(name: string, inode: Inode): number {
    return this.removeName(name, inode, false);
  }

  override rmdir(name: string, inode: Inode): number {
    return this.removeName(name, inode, true);
  }

  private removeName(name: string, inode: Inode, isDir: boolean): number {
    const id = this.goferId();
    if (id < 0) return id;
    const r = this.gofer.client.unlink(id, name, isDir);
    if (r < 0) return r;
    this.removed(name);
    (inode as GoferInode).nameRemoved(this, name);
    this.expectEvent(IN_DELETE, name);
    this.gofer.watcher?.settle();
    return 0;
  }

  override rename(
    oldName: string,
    inode: Inode,
    newDir: Inode,
    newName: string,
    target: Inode | null,
    flags: number,
  ): number {
    if (!(newDir instanceof GoferDir) || newDir.gofer !== this.gofer) return -EXDEV;
    if ((flags & ~3) !== 0) return -EINVAL;
    const id = this.goferId();
    if (id < 0) return id;
    const newId = newDir.goferId();
    if (newId < 0) return newId;
    const r = this.gofer.client.rename(id, oldName, newId, newName, flags);
    if (r < 0) return r;
    const moved = inode as GoferInode;
    const other = target as GoferInode | null;
    // rename(2) of two links of one file does nothing.
    if (moved === other) return 0;
    this.removed(oldName);
    if (other !== null && flags === RENAME_EXCHANGE) {
      other.foundAs(this, oldName);
      other.invalidate();
      this.movedHere(oldName, other);
      newDir.expectEvent(IN_MOVED_FROM, newName);
    } else if (other !== null) {
      other.nameRemoved(newDir, newName);
    }
    moved.foundAs(newDir, newName);
    moved.invalidate();
    newDir.movedHere(newName, moved);
    this.expectEvent(IN_MOVED_FROM, oldName);
    this.gofer.watcher?.settle();
    return 0;
  }

  /**
   * A name has moved here. If others moved something over it at once, the host joins the two events (inotify(7)): that there is
   * something is all that is known.
   */
  private movedHere(name: string, inode: GoferInode): void {
    this.added(name, inode);
    if (this.gofer.exclusive) return;
    this.expectEvent(IN_MOVED_TO, name);
    this.known.delete(name);
    this.unsure = true;
  }

  override open(_t: CallContext, path: Path, _flags: number): FileDescription | number {
    this.fresh = false;
    this.opened = true;
    return new GoferDirFile(path, this, _flags);
  }

  /** Directory sizes and link counts change with their contents: a removed one keeps what it had. */
  override nameRemoved(dir: GoferDir, name: string): void {
    super.nameRemoved(dir, name);
    this.dropListing();
    this.ctime = currentTime();
    this.stale = false;
  }

  override evict(): void {
    this.dropListing();
    this.known.clear();
    if (this.watch >= 0) this.gofer.watcher!.unwatch(this, this.watch);
    this.watch = UNTRIED;
    super.evict();
  }
}

/** An open directory. Its position is the index of the entry plus FIRST_ENTRY. */
class GoferDirFile extends DirFile {
  private readonly dir: GoferDir;
  private list: GoferDirent[] | null = null;

  constructor(path: Path, dir: GoferDir, flags: number) {
    super(path, dir, flags);
    this.dir = dir;
  }

  protected override prepare(): number {
    if (this.dir.dead) return -ENOENT;
    if (this.list !== null && this.pos !== 0) return 0;
    const list = this.dir.entries(isReadNoted(this));
    if (typeof list === 'number') return list;
    this.list = list;
    return 0;
  }

  protected override emitEntries(_t: CallContext, emit: DirEmit): void {
    const list = this.list!;
    while (this.pos - FIRST_ENTRY < list.length) {
      const e = list[this.pos - FIRST_ENTRY]!;
      if (!emit(e.name, e.ino, e.type, this.pos + 1)) return;
      this.pos++;
    }
  }

  override fsync(dataOnly: boolean): number {
    const id = this.dir.goferId();
    return id < 0 ? id : this.dir.gofer.client.fsync(id, dataOnly);
  }
}
