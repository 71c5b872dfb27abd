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
  if ((f.flags & O_NOATIME) !== 0) return;
  if (f.path === null) touchRelative(f.inode);
  else touchInodeAtime(f.path.mount, f.inode);
}

/** relatime: only if it would otherwise look unread since the last change, or once a day. */
function touchRelative(inode: Inode): void {
  const now = currentTime();
  const { atime } = inode;
  const stale = !isLater(atime, inode.mtime) || !isLater(atime, inode.ctime);
  if (stale || now.sec - atime.sec >= DAY) inode.atime = now;
}

export function touchInodeAtime(mount: Mount, inode: Inode): void {
  if ((mount.flags & MS_NOATIME) !== 0 || mount.readOnly) return;
  if ((inode.fileFlags & FS_NOATIME_FL) !== 0) return;
  const isDir = (inode.mode & S_IFMT) === S_IFDIR;
  if (isDir && (mount.flags & MS_NODIRATIME) !== 0) return;
  if ((mount.flags & MS_STRICTATIME) === 0) touchRelative(inode);
  else inode.atime = currentTime();
}
