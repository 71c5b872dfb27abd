/** Watches on inodes: who is told of the events of an object and of a directory's entries (fs/notify/mark.c). */
import {
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_UNMOUNT,
  outsideTells,
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
  /** Events of others are lost. */
  lost(): void;
}

const watchesOf = (inode: Inode): Set<InodeWatch> | null =>
  inode.findIdentity().watches as Set<InodeWatch> | null;
/** All there are. */
const all = new Set<InodeWatch>();

/** The inodes that `watches` are of: one, or those of several exports of a file. */
function watchedInodes(watches: Set<InodeWatch>): Set<Inode> {
  const inodes = new Set<Inode>();
  for (const w of watches) inodes.add(w.inode);
  return inodes;
}

/** Tells watches of `inode` and of the directory `dir` what happened. */
function onEvent(mask: number, inode: Inode | null, dir: Inode | null, name: string, cookie: number): void {
  if (outsideTells()) tellInodes(mask, inode, dir, name);
  const ofDir = dir === null ? null : watchesOf(dir);
  if (ofDir !== null) for (const w of [...ofDir]) w.report(mask, cookie, name);
  const own = inode === null ? null : watchesOf(inode);
  if (own === null) return;
  for (const w of [...own]) {
    w.report(mask, cookie, '');
    if ((mask & (IN_DELETE_SELF | IN_UNMOUNT)) !== 0) w.objectGone();
  }
}

/** The host may tell of what those who watch are being told of. */
function tellInodes(mask: number, inode: Inode | null, dir: Inode | null, name: string): void {
  const inDir = dir === null ? null : watchesOf(dir);
  if (inDir !== null) for (const i of watchedInodes(inDir)) i.toldHere(mask, name);
  const ofInode = inode === null ? null : watchesOf(inode);
  if (ofInode !== null) for (const i of watchedInodes(ofInode)) i.toldHere(mask, '');
}

function onSilence(mask: number, inode: Inode, dir: Inode | null, name: string, later: boolean): void {
  const inDir = dir === null ? null : watchesOf(dir);
  if (inDir !== null) for (const i of watchedInodes(inDir)) i.toldNobody(mask, name, later);
  const ofInode = watchesOf(inode);
  if (ofInode !== null) for (const i of watchedInodes(ofInode)) i.toldNobody(mask, '', later);
}

/** Calls `f` for the watches of this very inode: its file's in other exports have others who tell. */
function eachOf(inode: Inode, f: (w: InodeWatch) => void): void {
  const watches = watchesOf(inode);
  if (watches !== null) for (const w of [...watches]) if (w.inode === inode) f(w);
}

/** Others have done something to `inode`, or to its entry `name`. */
export function outsideEvent(inode: Inode, mask: number, cookie: number, name: string): void {
  eachOf(inode, (w) => w.report(mask, cookie, name));
}

/** Others have done away with it. */
export function outsideEnd(inode: Inode): void {
  eachOf(inode, (w) => w.objectGone());
}

/** Others have done more than could be told. */
export function outsideLost(inode: Inode): void {
  eachOf(inode, (w) => w.lost());
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
  setNotifyListener(on ? onEvent : null, on ? onSilence : null);
  setUnmountListener(on ? onUnmount : null);
}

/** Begins to tell `w`, which has a hold of its inode from now on: 0 or −errno of inotify_add_watch(2). */
export function addInodeWatch(w: InodeWatch): number {
  const r = w.inode.watchRefs === 0 ? w.inode.beginWatch() : 0;
  if (r < 0) return r;
  w.inode.hold();
  w.inode.watchRefs++;
  const file = w.inode.findIdentity();
  file.watches ??= new Set<InodeWatch>();
  (file.watches as Set<InodeWatch>).add(w);
  if (all.size === 0) listen(true);
  all.add(w);
  return 0;
}

export function removeInodeWatch(w: InodeWatch): void {
  const set = watchesOf(w.inode);
  if (set?.delete(w) !== true) return;
  if (set.size === 0) w.inode.identity.watches = null;
  all.delete(w);
  if (all.size === 0) listen(false);
  if (--w.inode.watchRefs === 0) w.inode.endWatch();
  w.inode.drop();
}
