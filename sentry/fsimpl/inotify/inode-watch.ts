/** Watches on inodes: who is told of the events of an object and of a directory's entries (fs/notify/mark.c). */
import { IN_DELETE_SELF, IN_UNMOUNT, setNotifyListener } from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';

export interface InodeWatch {
  readonly inode: Inode;
  /** An event on the inode, or on its entry `name`. */
  report(mask: number, cookie: number, name: string): void;
  /** The object is gone: the watch removes itself. */
  objectGone(): void;
}

const watchesOf = (inode: Inode): Set<InodeWatch> | null =>
  inode.findIdentity().watches as Set<InodeWatch> | null;
let count = 0;

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

/** Begins to tell `w`, which has a hold of its inode from now on. */
export function addInodeWatch(w: InodeWatch): void {
  w.inode.hold();
  w.inode.watchRefs++;
  const file = w.inode.findIdentity();
  file.watches ??= new Set<InodeWatch>();
  (file.watches as Set<InodeWatch>).add(w);
  if (count++ === 0) setNotifyListener(onEvent);
}

export function removeInodeWatch(w: InodeWatch): void {
  const set = watchesOf(w.inode);
  if (set?.delete(w) !== true) return;
  if (set.size === 0) w.inode.identity.watches = null;
  if (--count === 0) setNotifyListener(null);
  w.inode.watchRefs--;
  w.inode.drop();
}
