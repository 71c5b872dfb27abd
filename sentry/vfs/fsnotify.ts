/**
 * Where file events are reported (include/linux/fsnotify.h). The inotify implementation installs a listener while there is
 * at least one watch; with none a report costs one comparison.
 */
import { S_IFIFO, S_IFMT } from '../abi/stat.ts';
import type { Dentry } from './dentry.ts';
import type { FileDescription } from './file-description.ts';
import type { Inode } from './inode.ts';
import type { SuperBlock } from './super-block.ts';

// include/uapi/linux/inotify.h
export const IN_ACCESS = 0x001;
export const IN_MODIFY = 0x002;
export const IN_ATTRIB = 0x004;
export const IN_CLOSE_WRITE = 0x008;
export const IN_CLOSE_NOWRITE = 0x010;
export const IN_OPEN = 0x020;
export const IN_MOVED_FROM = 0x040;
export const IN_MOVED_TO = 0x080;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_UNMOUNT = 0x2000;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_EXCL_UNLINK = 0x04000000;
export const IN_ISDIR = 0x40000000;

/**
 * An event on `inode` (null: only its directory is told), seen under `name` in `dir` (null: no directory is told).
 * `cookie` ties IN_MOVED_FROM to IN_MOVED_TO. IN_EXCL_UNLINK in the mask: the file was opened by a name that is gone.
 */
export type NotifyListener = (
  mask: number,
  inode: Inode | null,
  dir: Inode | null,
  name: string,
  cookie: number,
) => void;

/** A change of the sandbox's by which nobody here is told: see `notifyNobody`. */
export type SilentListener = (
  mask: number,
  inode: Inode,
  dir: Inode | null,
  name: string,
  later: boolean,
) => void;

let listener: NotifyListener | null = null;
let silent: SilentListener | null = null;

export function setNotifyListener(l: NotifyListener | null, s: SilentListener | null): void {
  listener = l;
  silent = s;
}

export function notifying(): boolean {
  return listener !== null;
}

/** An event on an object known under the dentry's name: told to the object and to its directory. */
export function notifyDentry(mask: number, d: Dentry): void {
  if (listener === null) return;
  const inode = d.inode;
  if (inode === null) return;
  listener(inode.isDir ? mask | IN_ISDIR : mask, inode, d.parent?.inode ?? null, d.name, 0);
}

/** An event on an object: its directory is told too if it was found by the dentry. */
export function notifyObject(mask: number, inode: Inode, d: Dentry | null): void {
  if (d?.inode === inode) notifyDentry(mask, d);
  else notifySelf(inode.isDir ? mask | IN_ISDIR : mask, inode);
}

/** An event on what is known as `name` in `dir`, which nobody has to have looked up. */
export function notifyChild(mask: number, inode: Inode, dir: Inode, name: string): void {
  if (listener !== null) listener(mask, inode, dir, name, 0);
}

/** Data moved out of, or into, an open file: pipes tell nobody (FMODE_NONOTIFY). */
export function notifyData(mask: number, f: FileDescription): void {
  if (listener !== null && (f.inode.mode & S_IFMT) !== S_IFIFO) notifyFile(mask, f);
}

/** Data went into an open file that had `mode`: what it has lost of it is told first (file_remove_privs). */
export function notifyWritten(f: FileDescription, mode: number): void {
  if (f.inode.mode !== mode) notifyFile(IN_ATTRIB, f);
  notifyData(IN_MODIFY, f);
}

/** What a change of size tells of a file that had `mode`. */
export const truncateEvents = (inode: Inode, mode: number): number =>
  inode.mode === mode ? IN_MODIFY : IN_MODIFY | IN_ATTRIB;

/** An event on an open file. */
export function notifyFile(mask: number, f: FileDescription): void {
  if (listener === null || f.isPathOnly) return;
  const dentry = f.path?.dentry ?? null;
  let full = f.inode.isDir ? mask | IN_ISDIR : mask;
  if (dentry?.unhashed === true) full |= IN_EXCL_UNLINK;
  listener(full, f.inode, dentry?.parent?.inode ?? null, dentry?.name ?? '', 0);
}

/** An event on a name in a directory: IN_CREATE, IN_DELETE, IN_MOVED_*. */
export function notifyName(mask: number, dir: Inode, name: string, isDir: boolean, cookie = 0): void {
  if (listener === null) return;
  listener(isDir ? mask | IN_ISDIR : mask, null, dir, name, cookie);
}

/** An event on the object itself only: IN_DELETE_SELF, IN_MOVE_SELF, IN_ATTRIB of a link count. */
export function notifySelf(mask: number, inode: Inode): void {
  if (listener === null) return;
  listener(mask, inode, null, '', 0);
}

/**
 * Something was done to a file of the host that the host tells of and that is nothing to those who watch it here. `later`: it may
 * be told of at any time.
 */
export function notifyNobody(
  mask: number,
  inode: Inode,
  dir: Inode | null,
  name: string,
  later: boolean,
): void {
  if (silent !== null) silent(mask, inode, dir, name, later);
}

let outside: (() => void) | null = null;

/** Who tells what others have done to files of the host, while some are watched. */
export function setOutside(take: (() => void) | null): void {
  outside = take;
}

export function outsideTells(): boolean {
  return outside !== null;
}

/** Those who watch are told what others have done up to now. */
export function notifyOutside(): void {
  if (outside !== null) outside();
}

let unmountListener: ((sb: SuperBlock) => void) | null = null;

/** Who is told of file systems that are gone, while there are watches. */
export function setUnmountListener(l: ((sb: SuperBlock) => void) | null): void {
  unmountListener = l;
}

/** fsnotify_sb_delete(): the last mount of a file system is gone, and with it what was watched there. */
export function notifyUnmount(sb: SuperBlock): void {
  if (unmountListener !== null) unmountListener(sb);
}

let lastCookie = 0;

export function nextCookie(): number {
  lastCookie = (lastCookie + 1) >>> 0;
  return lastCookie;
}
