/**
 * Watches: the sentry reads the events itself from an inotify descriptor that it gets once. An event is queued before the
 * system call that made the change returns, so a sentry that looks at the descriptor before it trusts its cache is never
 * behind. It learns names of directories that it may list anyway.
 */
import { EEXIST, ENOTDIR, EOPNOTSUPP } from '../../sentry/abi/errno.ts';
import { dupFd, fstatfs, inotifyOpen, inotifyUnwatch, inotifyWatch, statfsBuffer } from '../host/fs.ffi.ts';
import type { ServerContext } from './context.ts';
import { S_IFDIR } from './inode-table.ts';
import type { ServerInode } from './inode-table.ts';

/** File systems that only this host changes (include/uapi/linux/magic.h): others change without events. */
const LOCAL_FILE_SYSTEMS = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlay
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0xca451a4e, // bcachefs
  0x858458f6, // ramfs
  0xe0f5e1e2, // erofs
  0x73717368, // squashfs
  0x9660, // iso9660
  0x4d44, // vfat
]);

/** Gives the sentry the descriptor, once. */
export function events(ctx: ServerContext): number {
  ctx.endOfRequest();
  if (ctx.inotify >= 0) return -EEXIST;
  const fd = inotifyOpen();
  if (fd < 0) return fd;
  const copy = dupFd(fd);
  if (copy < 0) return copy;
  ctx.inotify = fd;
  ctx.donate = copy;
  // One directory that is served twice has one watch.
  const users = ctx.watchUsers;
  ctx.table.onUnwatch = (watch) => {
    const left = (users.get(watch) ?? 1) - 1;
    if (left > 0) users.set(watch, left);
    else {
      users.delete(watch);
      inotifyUnwatch(fd, watch);
    }
  };
  return 0;
}

export function watch(ctx: ServerContext): number {
  const node = ctx.inode();
  ctx.endOfRequest();
  if (node.type !== S_IFDIR) return -ENOTDIR;
  const wd = watchDirectory(ctx, node);
  if (wd < 0) return wd;
  ctx.writer.u32(wd);
  return 0;
}

/** The watch of a directory, begun if there is none yet, or −errno. */
export function watchDirectory(ctx: ServerContext, node: ServerInode): number {
  if (ctx.inotify < 0 || node.sealed) return -EOPNOTSUPP;
  const fd = ctx.table.fdOf(node);
  if (fd < 0) return fd;
  const r = fstatfs(fd);
  if (r < 0) return r;
  if (!LOCAL_FILE_SYSTEMS.has(statfsBuffer.u32[0])) return -EOPNOTSUPP;
  if (node.watch < 0) {
    const wd = inotifyWatch(ctx.inotify, fd);
    if (wd < 0) return wd;
    node.watch = wd;
    ctx.watchUsers.set(wd, (ctx.watchUsers.get(wd) ?? 0) + 1);
  }
  return node.watch;
}
