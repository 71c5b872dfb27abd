/** What is known of the names in a directory of goferfs: by look-ups, listings, and what the host tells of changes. */
import { ENOENT, ESTALE } from '../../abi/errno.ts';
import { S_IFSOCK, modeToDt } from '../../abi/stat.ts';
import type { GoferAttr, GoferDirent } from '../../gofer-api/gofer-api.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { IN_ATTRIB, IN_CREATE, IN_MOVED_TO } from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { currentTime } from '../../vfs/times.ts';
import { deviceNodeAt, haveDeviceNodes } from './device-nodes.ts';
import { GoferDirFile } from './dir-file.ts';
import { IN_NAMES, type WatchedDir } from './host-watcher.ts';
import { GoferInode } from './inode.ts';

/** After so many absent names the whole directory is listed, so that further ones need no message. */
const MISSES_BEFORE_LISTING = 3;
/** Longer listings are not kept. */
const LISTING_MAX = 32_768;
/** Look-ups after which a shared directory is watched. */
const USES_BEFORE_WATCH = 2;
/** Names of a watched directory that are kept. */
const KNOWN_MAX = 32_768;
const UNTRIED = -1;
const NO_WATCH = -2;

const found: GoferAttr[] = [];

export abstract class DirNames extends GoferInode implements WatchedDir {
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
      this.gofer.listed.lookedUp++;
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
    const entries = this.fetchListing(withAttrs && this.trusted && this.gofer.listed.wantAttrs);
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

  private fetchListing(withAttrs: boolean): GoferDirent[] | number {
    const { client } = this.gofer;
    const named = !this.hasId && this.parent !== null;
    const id = named ? this.parent!.goferId() : this.goferId();
    if (id < 0) return id;
    if (!named) return client.readdir(id, withAttrs);
    const r = client.readdirName(id, this.name, withAttrs);
    if (typeof r === 'number') return r === -ENOENT ? -ESTALE : r;
    if (!this.isKnownAs(r.attr)) return -ESTALE;
    this.apply(r.attr);
    return r.entries;
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
    this.gofer.listed.count(this, this.counted);
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
    this.gofer.listed.uncount(this, this.counted);
  }

  /** The host tells of a change that was made by us, and is known. */
  protected expectEvent(mask: number, name: string): void {
    if (this.watch >= 0) this.gofer.watcher!.expect(this, this.watch, mask, name);
  }

  /** A name was made here. What others did to it since then comes after what is learnt. */
  protected madeHere(name: string, inode: GoferInode): void {
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

  protected removed(name: string): void {
    this.listing?.delete(name);
    this.learn(name, null);
    this.invalidate();
  }

  /** A new directory, watched since it was empty. */
  protected begun(watch: number): void {
    if (watch >= 0) {
      this.watch = watch;
      this.gofer.watcher!.began(this, watch);
    } else if (!this.gofer.exclusive) return;
    this.keepListing([]);
  }

  /**
   * A name has moved here. If others moved something over it at once, the host joins the two events (inotify(7)): that there is
   * something is all that is known.
   */
  protected movedHere(name: string, inode: GoferInode): void {
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
  override nameRemoved(dir: DirNames, name: string): void {
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
