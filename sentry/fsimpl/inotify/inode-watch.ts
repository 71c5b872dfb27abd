/** Watches on inodes: who is told of the events of an object and of a directory's entries (fs/notify/mark.c). */
import {
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_UNMOUNT,
  setNotifyListener,
  setUnmountListener,
} from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { SuperBlock } from '../../vfs/super-block.ts';

export interface InodeWatch {
  readonly inode: Inode;
  /** An event on the inode, or on its entry `name`. */
  report(mask: number, cookie: number, name: string): void;
  /** The object is gone: the watch removes itself. */
  objectGone(): void;
}

const watchesOf = (inode: Inode): Set<InodeWatch> | null =>
  inode.findIdentity().watches as Set<InodeWatch> | null;
/** All there are. */
const all = new Set<InodeWatch>();

/** Tells watches of `inode` and of the directory `dir` what happened. */
function onEvent(mask: number, inode: Inode | null, dir: Inode | null, name: string, cookie: number): void {
  const ofDir = dir === null ? null : watchesOf(dir);
  if (ofDir !== null) for (const w of [...ofDir]) w.report(mask, cookie, name);
  const own = inode === null ? null : watchesOf(inode);
  if (own === null) return;
  for (const w of [...own]) {
    w.report(mask, cookie, '');
    if ((mask & (IN_DELETE_SELF | IN_UNMOUNT)) !== 0) w.objectGone();
  }
}

/** fsnotify_unmount_inodes(): inodes that were made last are gone first. */
function onUnmount(sb: SuperBlock): void {
  const gone = [...all].filter((w) => w.inode.sb === sb).sort((a, b) => b.inode.ino - a.inode.ino);
  for (const w of gone) {
    w.report(w.inode.isDir ? IN_UNMOUNT | IN_ISDIR : IN_UNMOUNT, 0, '');
    w.objectGone();
  }
}

function listen(on: boolean): void {
  setNotifyListener(on ? onEvent : null);
  setUnmountListener(on ? onUnmount : null);
}

/** Begins to tell `w`, which has a hold of its inode from now on. */
export function addInodeWatch(w: InodeWatch): void {
  w.inode.hold();
  w.inode.watchRefs++;
  const file = w.inode.findIdentity();
  file.watches ??= new Set<InodeWatch>();
  (file.watches as Set<InodeWatch>).add(w);
  if (all.size === 0) listen(true);
  all.add(w);
}

export function removeInodeWatch(w: InodeWatch): void {
  const set = watchesOf(w.inode);
  if (set?.delete(w) !== true) return;
  if (set.size === 0) w.inode.identity.watches = null;
  all.delete(w);
  if (all.size === 0) listen(false);
  w.inode.watchRefs--;
  w.inode.drop();
}
