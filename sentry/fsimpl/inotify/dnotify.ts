/** Directory notification by signal: F_NOTIFY (fs/notify/dnotify/dnotify.c, fcntl(2)). */
import type { CloseHook, FileDescription } from '../../vfs/file-description.ts';
import * as N from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { addInodeWatch, removeInodeWatch, type InodeWatch } from './inode-watch.ts';

// include/uapi/linux/fcntl.h
const DN_ACCESS = 0x1;
const DN_MODIFY = 0x2;
const DN_CREATE = 0x4;
const DN_DELETE = 0x8;
const DN_RENAME = 0x10;
const DN_ATTRIB = 0x20;
const DN_MULTISHOT = 0x80000000;

/** convert_arg(): which file events DN_* bits stand for; DN_RENAME for none alone. */
function eventsOf(bits: number): number {
  let mask = 0;
  if ((bits & DN_ACCESS) !== 0) mask |= N.IN_ACCESS;
  if ((bits & DN_MODIFY) !== 0) mask |= N.IN_MODIFY;
  if ((bits & DN_CREATE) !== 0) mask |= N.IN_CREATE | N.IN_MOVED_TO;
  if ((bits & DN_DELETE) !== 0) mask |= N.IN_DELETE | N.IN_MOVED_FROM;
  if ((bits & DN_ATTRIB) !== 0) mask |= N.IN_ATTRIB;
  return mask;
}

class DirWatch implements InodeWatch, CloseHook {
  readonly inode: Inode;
  private readonly file: FileDescription;
  /** The descriptor table of the call: a close there ends the watch. */
  private readonly table: object;
  private readonly tell: () => void;
  private bits = 0;
  private events = 0;
  /** Of the entry that was taken out last: one that comes in with the same cookie was renamed. */
  private movedCookie = 0;

  constructor(file: FileDescription, table: object, tell: () => void) {
    this.inode = file.inode;
    this.file = file;
    this.table = table;
    this.tell = tell;
  }

  /** attach_dn(): what is asked for adds up. */
  widen(bits: number): void {
    this.bits |= bits;
    this.events = eventsOf(this.bits);
  }

  report(mask: number, cookie: number): void {
    if ((mask & this.events) !== 0) this.happened();
    if ((this.bits & DN_RENAME) === 0) return;
    if ((mask & N.IN_MOVED_FROM) !== 0) this.movedCookie = cookie;
    else if ((mask & N.IN_MOVED_TO) !== 0 && cookie === this.movedCookie) this.happened();
  }

  private happened(): void {
    this.tell();
    if ((this.bits & DN_MULTISHOT) === 0) this.end();
  }

  objectGone(): void {
    this.end();
  }

  /** There is no signal for it. */
  lost(): void {}

  fileClosed(): void {
    this.end();
  }

  private end(): void {
    this.file.closeHooks?.delete(this.table);
    removeInodeWatch(this);
  }
}

/** F_NOTIFY: calls `tell` for what `bits` name in the directory `f`, until `table` closes it. Without events: no more. */
export function notifyDirectory(f: FileDescription, table: object, bits: number, tell: () => void): number {
  const old = f.closeHooks?.get(table);
  if ((bits & ~DN_MULTISHOT) === 0) {
    old?.fileClosed();
    return 0;
  }
  if (old instanceof DirWatch) {
    old.widen(bits);
    return 0;
  }
  const w = new DirWatch(f, table, tell);
  w.widen(bits);
  const r = addInodeWatch(w);
  if (r < 0) return r;
  (f.closeHooks ??= new Map()).set(table, w);
  return 0;
}
