/** Attributes of generated objects: owner, permissions and times live in the inode only. */
import { EPERM } from '../../abi/errno.ts';
import { S_IFMT } from '../../abi/stat.ts';
import type { AttrChange, Inode, Timestamp } from '../../vfs/inode.ts';

export function now(): Timestamp {
  const ms = Date.now();
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}

/** simple_setattr(): everything but the size, which truncation of a generated file leaves alone (it succeeds: O_TRUNC). */
export function applyAttr(inode: Inode, change: AttrChange): number {
  if (change.mode !== undefined) inode.mode = (inode.mode & S_IFMT) | (change.mode & 0o7777);
  if (change.uid !== undefined) inode.uid = change.uid;
  if (change.gid !== undefined) inode.gid = change.gid;
  if (change.atime !== undefined) inode.atime = change.atime;
  if (change.mtime !== undefined) inode.mtime = change.mtime;
  if (change.ctime !== undefined) inode.ctime = change.ctime;
  return 0;
}

/** proc_setattr(): "If the user asks to change mode, refuse" - fs/proc/base.c. */
export function procSetAttr(inode: Inode, change: AttrChange): number {
  return change.mode !== undefined ? -EPERM : applyAttr(inode, change);
}
