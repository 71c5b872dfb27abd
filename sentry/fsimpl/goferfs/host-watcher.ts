/**
 * Changes that others make in shared trees, as inotify events (inotify(7)) of the directories that are watched. An event is
 * queued before the change's system call returns: after `poll` what is cached of a watched directory is as good as new.
 */
import { EAGAIN, ENOSPC } from '../../abi/errno.ts';
import type { GoferClient } from '../../gofer-api/gofer-api.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { read } from '../../host/sys.ffi.ts';
import {
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
} from '../../vfs/fsnotify.ts';
import { eachEvent, type HostEvent } from './inotify-events.ts';

/** Events about a name, not about what it leads to. */
export const IN_NAMES = IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE;

export interface WatchedDir {
  /** Something happened to `name` in the directory, or to itself ('' ). */
  hostChanged(mask: number, name: string): void;
  /** Events were lost or the watch is gone. */
  distrust(watchGone: boolean): void;
}

/** A change of ours whose event is due. */
interface OwnChange {
  readonly dir: WatchedDir;
  readonly watch: number;
  readonly mask: number;
  readonly name: string;
}

/** Watches count against a limit that all programs of a host user share (fs.inotify.max_user_watches). */
const WATCHES_MAX = 2048;
/** A guest can ask for any number of names that are not there. */
const ABSENT_MAX = 65536;

const buffer = new HostBuffer(16 * 1024);
const watchers = new WeakMap<GoferClient, HostWatcher>();

export class HostWatcher {
  private readonly fd: number;
  private readonly dirs = new Map<number, WatchedDir[]>();
  private count = 0;
  private absent = 0;
  private readonly own: OwnChange[] = [];

  private constructor(client: GoferClient) {
    this.fd = client.openEvents(false);
  }

  /** The watcher of a gofer, one for all its mounts. */
  static of(client: GoferClient): HostWatcher {
    let watcher = watchers.get(client);
    if (watcher === undefined) {
      watcher = new HostWatcher(client);
      watchers.set(client, watcher);
    }
    return watcher;
  }

  /** 0 if one more directory can be watched, else −errno. */
  get room(): number {
    if (this.fd < 0) return this.fd;
    return this.count >= WATCHES_MAX ? -ENOSPC : 0;
  }

  /** The gofer has begun to watch `dir`. */
  began(dir: WatchedDir, watch: number): void {
    const same = this.dirs.get(watch);
    if (same === undefined) this.dirs.set(watch, [dir]);
    else same.push(dir);
    this.count++;
  }

  /** `dir` is not interested any more; the gofer ends the watch when the directory's id is forgotten. */
  unwatch(dir: WatchedDir, watch: number): void {
    const same = this.dirs.get(watch);
    const at = same?.indexOf(dir) ?? -1;
    if (same === undefined || at < 0) return;
    this.count--;
    if (same.length === 1) this.dirs.delete(watch);
    else same.splice(at, 1);
  }

  /** A watched directory remembers one more absent name. Too many of them, and everything is forgotten. */
  countAbsent(): void {
    if (++this.absent <= ABSENT_MAX) return;
    this.distrustAll();
  }

  /**
   * A change by `dir` itself has been made and is known there: its event says nothing new. One event only: if others
   * changed the name too, there are more.
   */
  expect(dir: WatchedDir, watch: number, mask: number, name: string): void {
    this.own.push({ dir, watch, mask, name });
  }

  /** Takes in what has happened up to now, the events of `expect` among it: they were queued before the gofer answered. */
  settle(): void {
    this.poll();
    this.own.length = 0;
  }

  /** Whose change of a name the event tells of, if it is one of ours. */
  private takeOwn(watch: number, mask: number, name: string): WatchedDir | null {
    for (let i = 0; i < this.own.length; i++) {
      const o = this.own[i]!;
      if (o.watch !== watch || (mask & IN_NAMES) !== o.mask || o.name !== name) continue;
      this.own.splice(i, 1);
      return o.dir;
    }
    return null;
  }

  /** Takes in what has happened. */
  poll(): void {
    if (this.fd < 0) return;
    for (;;) {
      const n = read(this.fd, buffer.addr, buffer.size);
      if (n === -EAGAIN) return;
      if (n <= 0) {
        this.distrustAll();
        return;
      }
      eachEvent(buffer, n, this.taken);
      // A buffer that was not filled was all there was.
      if (n < buffer.size - 512) return;
    }
  }

  private readonly taken = ({ watch, mask, name }: HostEvent): void => {
    const dirs = this.dirs.get(watch);
    if ((mask & IN_Q_OVERFLOW) !== 0) this.distrustAll();
    else if (dirs !== undefined) this.deliver(dirs, watch, mask, name);
  };

  private deliver(dirs: readonly WatchedDir[], watch: number, mask: number, name: string): void {
    const gone = (mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF)) !== 0;
    const knows = this.own.length > 0 ? this.takeOwn(watch, mask, name) : null;
    for (const dir of gone ? [...dirs] : dirs) {
      if (dir === knows) continue;
      if (!gone) dir.hostChanged(mask, name);
      else {
        this.unwatch(dir, watch);
        dir.distrust(true);
      }
    }
  }

  private distrustAll(): void {
    this.absent = 0;
    for (const dirs of this.dirs.values()) for (const dir of dirs) dir.distrust(false);
  }
}
