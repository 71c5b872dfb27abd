/** Access times under the mount's policy (fs/inode.c touch_atime, relatime_need_update). */
import { O_NOATIME } from '../abi/fcntl.ts';
import { FS_NOATIME_FL } from '../abi/file-attr.ts';
import { S_IFDIR, S_IFMT } from '../abi/stat.ts';
import type { FileDescription } from './file-description.ts';
import type { Inode } from './inode.ts';
import { MS_NOATIME, MS_NODIRATIME, MS_STRICTATIME, type Mount } from './mount.ts';
import { currentTime, isLater } from './times.ts';

const DAY = 24 * 60 * 60;

/** A read of an open file of a file system whose times the sentry keeps. Without a path: memfds, and files below an overlay. */
export function touchAtime(f: FileDescription): void {
  if (isReadNoted(f)) f.inode.atime = currentTime();
}

/** Would a read of an open file now change its time of access? */
export function isReadNoted(f: FileDescription): boolean {
  if ((f.flags & O_NOATIME) !== 0) return false;
  return f.path === null ? isLongUnread(f.inode) : isAtimeDue(f.path.mount, f.inode);
}

export function touchInodeAtime(mount: Mount, inode: Inode): void {
  if (isAtimeDue(mount, inode)) inode.accessed(currentTime());
}

function isAtimeDue(mount: Mount, inode: Inode): boolean {
  if ((mount.flags & MS_NOATIME) !== 0 || mount.readOnly) return false;
  if ((inode.fileFlags & FS_NOATIME_FL) !== 0) return false;
  const isDir = (inode.mode & S_IFMT) === S_IFDIR;
  if (isDir && (mount.flags & MS_NODIRATIME) !== 0) return false;
  return (mount.flags & MS_STRICTATIME) !== 0 || isLongUnread(inode);
}

/** relatime: only if it would otherwise look unread since the last change, or once a day. */
function isLongUnread({ atime, mtime, ctime }: Inode): boolean {
  if (!isLater(atime, mtime) || !isLater(atime, ctime)) return true;
  return currentTime().sec - atime.sec >= DAY;
}
