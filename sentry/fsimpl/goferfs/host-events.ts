/**
 * What others do to host files that guests watch (inotify(7), F_NOTIFY of fcntl(2)): a second inotify instance of the gofer's,
 * made when a guest first watches something of a shared tree, with a watch for each such inode.
 *
 * The host tells of the sandbox's changes, too. Guests hear of those here (vfs/fsnotify.ts), and each time the host's event is
 * taken out (`own`): it was queued before the call that made the change returned. What was queued before it is others' and is
 * told first, so that guests hear of everything in the order in which it happened.
 */
import { EACCES, EEXIST, EMFILE, ENFILE, ENOENT, ENOSPC, EOPNOTSUPP, ESTALE } from '../../abi/errno.ts';
import type { GoferClient } from '../../gofer-api/gofer-api.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { HOST_EPOLLIN, hostPoller } from '../../host/poller.ffi.ts';
import { close, read } from '../../host/sys.ffi.ts';
import * as N from '../../vfs/fsnotify.ts';
import { outsideEvent, outsideLost, outsideEnd } from '../inotify/inode-watch.ts';
import type { DirNames } from './dir-names.ts';
import type { GoferInode } from './inode.ts';
import { eachEvent, type HostEvent } from './inotify-events.ts';

/** What the host tells (GUEST_MASK of the gofer's). */
const TOLD =
  N.IN_MODIFY | N.IN_ATTRIB | N.IN_CLOSE_WRITE | N.IN_MOVED_FROM | N.IN_MOVED_TO | N.IN_CREATE | N.IN_DELETE |
  N.IN_DELETE_SELF | N.IN_MOVE_SELF; // prettier-ignore
/** Watches count against a limit that all programs of a host user share (fs.inotify.max_user_watches). */
const WATCHES_MAX = 16_384;
/** How much is taken in one go: others may make events as fast as they are read. */
const BUFFER_SIZE = 64 * 1024;
const READS_MAX = 16;
/** Renames of which one half was told, and closes that the host has not told of. */
const OPEN_ENDS_MAX = 1024;

interface Watched {
  readonly watch: number;
  /** Guests (one for all of them), and directories in it that guests watch. */
  users: number;
  /** Of a directory that guests watch: there its removal is told, the gofer's descriptor of it keeps the host from telling. */
  parent: DirNames | null;
  /** Whose `parent` it is. */
  readonly children: Set<GoferInode>;
}

const buffer = new HostBuffer(BUFFER_SIZE);
const instances = new WeakMap<GoferClient, HostEvents>();
const active = new Set<HostEvents>();

function takeAll(): void {
  for (const e of active) e.take();
}

export class HostEvents {
  private readonly client: GoferClient;
  private fd = -1;
  private readonly watched = new Map<GoferInode, Watched>();
  private readonly byWatch = new Map<number, GoferInode[]>();
  private readonly pending: HostEvent[] = [];
  /** Cookies here by cookies there, of renames whose second half is to come. */
  private readonly cookies = new Map<number, number>();
  /** Closes of ours that the host tells of when guests' mappings have ended, by watch and name. */
  private readonly owed = new Map<string, number>();
  /** Others have changed its attributes: perhaps the number of its names. */
  private touched: GoferInode | null = null;
  /** Files without a name that guests have open. */
  private readonly nameless = new Set<GoferInode>();
  private readonly queue = (e: HostEvent): void => {
    if (this.byWatch.has(e.watch) || (e.mask & N.IN_Q_OVERFLOW) !== 0) this.pending.push(e);
  };

  private constructor(client: GoferClient) {
    this.client = client;
  }

  /** Those of a gofer, one for all its mounts. */
  static of(client: GoferClient): HostEvents {
    let events = instances.get(client);
    if (events === undefined) instances.set(client, (events = new HostEvents(client)));
    return events;
  }

  /** A guest watches `inode`: 0 or −errno of inotify_add_watch(2). */
  begin(inode: GoferInode): number {
    const r = this.retain(inode);
    // Where nobody else can be: a sealed mount, a file without a name.
    if (r === -EOPNOTSUPP || (r === -ESTALE && inode.parent === null)) return 0;
    if (r < 0) return errnoOf(r);
    const above = this.watchAbove(inode);
    if (above >= 0 || above === -EACCES) return 0;
    this.release(inode);
    return errnoOf(above);
  }

  end(inode: GoferInode): void {
    if (!this.watched.has(inode)) return;
    this.leaveAbove(inode);
    this.nameless.delete(inode);
    this.release(inode);
  }

  /** `inode`, which a guest watches, was found under another name. */
  moved(inode: GoferInode): void {
    const w = this.watched.get(inode);
    if (w === undefined || w.parent === inode.parent) return;
    this.leaveAbove(inode);
    this.watchAbove(inode);
  }

  private watchAbove(inode: GoferInode): number {
    const { parent } = inode;
    if (!inode.isDir || parent === null) return 0;
    const r = this.retain(parent);
    if (r < 0) return r;
    parent.hold();
    this.watched.get(parent)!.children.add(inode);
    this.watched.get(inode)!.parent = parent;
    return 0;
  }

  private leaveAbove(inode: GoferInode): void {
    const w = this.watched.get(inode);
    const parent = w?.parent ?? null;
    if (w === undefined || parent === null) return;
    w.parent = null;
    this.watched.get(parent)!.children.delete(inode);
    this.release(parent);
    parent.drop();
  }

  private retain(inode: GoferInode): number {
    const old = this.watched.get(inode);
    if (old !== undefined) {
      old.users++;
      return 0;
    }
    if (this.watched.size >= WATCHES_MAX) return -ENOSPC;
    const id = inode.goferId();
    if (id < 0) return id;
    if (this.fd < 0) this.fd = this.client.openEvents(true);
    const begun = this.fd < 0 ? this.fd : this.client.watch(id, '', true);
    if (typeof begun === 'number') return begun;
    const { watch } = begun;
    if (this.watched.size === 0) this.start();
    this.watched.set(inode, { watch, users: 1, parent: null, children: new Set() });
    const same = this.byWatch.get(watch);
    if (same === undefined) this.byWatch.set(watch, [inode]);
    else same.push(inode);
    return 0;
  }

  private release(inode: GoferInode): void {
    const w = this.watched.get(inode)!;
    if (--w.users > 0) return;
    this.watched.delete(inode);
    const same = this.byWatch.get(w.watch)!;
    if (same.length === 1) this.byWatch.delete(w.watch);
    else same.splice(same.indexOf(inode), 1);
    this.client.unwatch(inode.goferId());
    if (this.watched.size === 0) this.stop();
  }

  private start(): void {
    // What was left of watches of the past.
    this.read();
    active.add(this);
    N.setOutside(takeAll);
    hostPoller().add(this.fd, HOST_EPOLLIN, () => this.take());
  }

  private stop(): void {
    hostPoller().remove(this.fd);
    active.delete(this);
    if (active.size === 0) N.setOutside(null);
    this.pending.length = 0;
    this.cookies.clear();
    this.owed.clear();
  }

  /** Tells guests what has happened up to now. */
  take(): void {
    this.read();
    this.tell(this.pending.length);
  }

  private read(): void {
    for (let i = 0; i < READS_MAX; i++) {
      const n = read(this.fd, buffer.addr, buffer.size);
      if (n <= 0) return;
      eachEvent(buffer, n, this.queue);
      // A buffer that was not filled was all there was.
      if (n < buffer.size - 512) return;
    }
  }

  /**
   * Guests are being told of a change made here, `mask` of `name` in `inode` or of itself (''): the host's event of it is no
   * news, what was before it is.
   */
  own(inode: GoferInode, mask: number, name: string): void {
    const w = this.watched.get(inode);
    if (w === undefined || (mask & TOLD) === 0) return;
    this.read();
    for (let left = mask & TOLD; left !== 0; left &= left - 1) {
      const bit = left & -left;
      const at = this.lastOf(w.watch, bit, name);
      if (at < 0) continue;
      this.pending.splice(at, 1);
      // A new file gets its owner and mode.
      if (bit === N.IN_CREATE) this.drop(at, w.watch, N.IN_ATTRIB, name);
      this.tell(at);
    }
  }

  /** The host tells of something that guests need not hear of; `later`: it will. */
  silence(inode: GoferInode, mask: number, name: string, later: boolean): void {
    const w = this.watched.get(inode);
    if (w === undefined) return;
    if (!later) {
      this.read();
      const at = this.lastOf(w.watch, mask, name);
      if (at >= 0) this.pending.splice(at, 1);
    } else if (this.owed.size < OPEN_ENDS_MAX) {
      const key = `${w.watch}/${name}`;
      this.owed.set(key, (this.owed.get(key) ?? 0) + 1);
    }
  }

  /** The close of a descriptor since there were `before` events: see `closeUnheard`. */
  private dropClose(before: number, name: string): boolean {
    this.read();
    const told = (e: HostEvent, i: number): boolean => i >= before && (e.mask & N.IN_CLOSE_WRITE) !== 0;
    const own = this.pending.findIndex((e, i) => told(e, i) && e.name === '');
    if (own >= 0) this.pending.splice(own, 1);
    // A file of several names was opened by any of them.
    let named = this.pending.findIndex((e, i) => told(e, i) && e.name === name);
    if (named < 0) named = this.pending.findIndex((e, i) => told(e, i) && e.name !== '');
    if (named >= 0) this.pending.splice(named, 1);
    return own >= 0 || named >= 0;
  }

  /**
   * Closes `fd`, which could write to a file that its inode knows as `name`: guests heard of the closing of theirs. False: the
   * host has told nothing, nobody watches or it is mapped.
   */
  static closeUnheard(fd: number, name: string): boolean {
    for (const e of active) e.read();
    const before = Array.from(active, (e) => e.pending.length);
    close(fd);
    const dropped = (e: HostEvents, i: number): boolean => e.dropClose(before[i]!, name);
    const all = [...active];
    if (all.filter(dropped).length > 0) return true;
    for (const e of all) e.settle();
    return all.filter(dropped).length > 0;
  }

  /** Has an answer of the gofer's: it closes what it has sent with the last one before it takes the next message. */
  private settle(): void {
    const [inode] = this.watched.keys();
    if (inode !== undefined) this.client.getattr(inode.goferId());
  }

  private lastOf(watch: number, bit: number, name: string): number {
    return this.pending.findLastIndex((e) => e.watch === watch && (e.mask & bit) !== 0 && e.name === name);
  }

  /** Drops all such events from the `from`th on. */
  private drop(from: number, watch: number, bit: number, name: string): void {
    for (let at = this.lastOf(watch, bit, name); at >= from; at = this.lastOf(watch, bit, name))
      this.pending.splice(at, 1);
  }

  private isOwed(e: HostEvent): boolean {
    if (this.owed.size === 0 || (e.mask & N.IN_CLOSE_WRITE) === 0) return false;
    const key = `${e.watch}/${e.name}`;
    const n = this.owed.get(key);
    if (n === undefined) return false;
    if (n > 1) this.owed.set(key, n - 1);
    else this.owed.delete(key);
    return true;
  }

  /** Tells the first `count` events. */
  private tell(count: number): void {
    for (; count > 0 && this.pending.length > 0; count--) {
      const e = this.pending.shift()!;
      // That something was moved over it is told first.
      if ((e.mask & N.IN_MOVE_SELF) === 0) this.lookAtTouched();
      if ((e.mask & N.IN_Q_OVERFLOW) !== 0) {
        for (const inode of [...this.watched.keys()]) outsideLost(inode);
        continue;
      }
      const inodes = this.byWatch.get(e.watch);
      if (inodes === undefined || this.isOwed(e)) continue;
      const cookie = e.cookie === 0 ? 0 : this.cookieOf(e);
      for (const inode of [...inodes]) {
        if (e.name === '') this.happenedTo(inode, e.mask);
        else this.happenedIn(inode, e.mask, cookie, e.name);
      }
    }
    this.lookAtTouched();
  }

  /** Here, too, the gofer's descriptors keep the host from telling that the last name is gone. */
  private lookAtTouched(): void {
    const inode = this.touched;
    this.touched = null;
    if (inode !== null && this.watched.has(inode) && inode.isNameless()) this.gone(inode);
  }

  /** Both halves of a rename have one cookie, and no rename of the sandbox's has it. */
  private cookieOf(e: HostEvent): number {
    const known = this.cookies.get(e.cookie);
    if (known !== undefined) {
      this.cookies.delete(e.cookie);
      return known;
    }
    const cookie = N.nextCookie();
    if (this.cookies.size >= OPEN_ENDS_MAX) this.cookies.clear();
    if ((e.mask & N.IN_MOVED_FROM) !== 0) this.cookies.set(e.cookie, cookie);
    return cookie;
  }

  private happenedIn(dir: GoferInode, mask: number, cookie: number, name: string): void {
    if ((mask & N.IN_ISDIR) !== 0 && (mask & (N.IN_DELETE | N.IN_MOVED_FROM)) !== 0) {
      for (const child of [...(this.watched.get(dir)?.children ?? [])]) {
        if (child.name !== name) continue;
        if ((mask & N.IN_DELETE) !== 0) this.gone(child);
        else this.leaveAbove(child);
      }
    }
    outsideEvent(dir, mask & (TOLD | N.IN_ISDIR), cookie, name);
  }

  private happenedTo(inode: GoferInode, mask: number): void {
    if ((mask & N.IN_DELETE_SELF) !== 0) {
      this.gone(inode);
      return;
    }
    outsideEvent(inode, mask & (TOLD | N.IN_ISDIR | N.IN_UNMOUNT), 0, '');
    if ((mask & (N.IN_UNMOUNT | N.IN_IGNORED)) !== 0) outsideEnd(inode);
    if ((mask & N.IN_ATTRIB) === 0) return;
    this.lookAtTouched();
    this.touched = inode;
  }

  /** The last name is gone, and with it the watches unless somebody has the file open, or mounted. */
  private gone(inode: GoferInode): void {
    if (inode.orphan || inode === inode.gofer.root) return;
    if (inode.isOpen) {
      this.nameless.add(inode);
      return;
    }
    outsideEvent(inode, N.IN_DELETE_SELF, 0, '');
    outsideEnd(inode);
  }

  /** No guest has `inode` open any more. */
  closed(inode: GoferInode): void {
    if (this.nameless.delete(inode)) this.gone(inode);
  }
}

function errnoOf(r: number): number {
  if (r === -ESTALE) return -ENOENT;
  return r === -EMFILE || r === -ENFILE || r === -EEXIST ? -ENOSPC : r;
}
