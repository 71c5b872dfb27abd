/**
 * Watches: the sentry reads the events itself from inotify descriptors that it gets once each. An event is queued before the
 * system call that made the change returns, so a sentry that looks at the descriptor before it trusts its cache is never
 * behind. It learns names of directories that it may list anyway. There are two instances: one for what the sentry caches,
 * one for what guests watch.
 */
import { EEXIST, ENOTDIR, EOPNOTSUPP } from '../../sentry/abi/errno.ts';
import {
  dupFd,
  fstatfs,
  inotifyOpen,
  inotifyUnwatch,
  inotifyWatch,
  statfsBuffer,
  statxFd,
  WATCH_CHANGES,
  WATCH_DIRECTORY,
  WATCH_LINKED,
} from '../host/fs.ffi.ts';
import { ProtocolError } from './context.ts';
import type { ServerContext } from './context.ts';
import { S_IFDIR } from './inode-table.ts';
import type { ServerInode, WatchKind } from './inode-table.ts';
import { step } from './lookup.ts';

/** By number in messages. */
const KINDS: readonly WatchKind[] = ['cacheWatch', 'guestWatch'];
const MASKS: Record<WatchKind, number> = {
  cacheWatch: WATCH_CHANGES | WATCH_DIRECTORY,
  // The sentry cannot tell who uses a file by a name that is gone.
  guestWatch: WATCH_CHANGES | WATCH_LINKED,
};

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

function kindOf(ctx: ServerContext): WatchKind {
  const n = ctx.reader.u32();
  const kind = KINDS[n];
  if (kind === undefined) throw new ProtocolError(`watches of kind ${n}`);
  return kind;
}

/** Gives the sentry the descriptor of a kind, once. */
export function events(ctx: ServerContext): number {
  const kind = kindOf(ctx);
  ctx.endOfRequest();
  const group = ctx.watches[kind];
  if (group.fd >= 0) return -EEXIST;
  const fd = inotifyOpen();
  if (fd < 0) return fd;
  const copy = dupFd(fd);
  if (copy < 0) return copy;
  group.fd = fd;
  ctx.donate = copy;
  return 0;
}

export function watch(ctx: ServerContext): number {
  const node = ctx.inode();
  const kind = kindOf(ctx);
  const name = ctx.optionalName();
  ctx.endOfRequest();
  // Not the last component of a walk: its descriptor is needed.
  const named = name === '' ? node : step(ctx, node, name, false);
  if (typeof named === 'number') return named;
  const wd = kind === 'cacheWatch' ? watchDirectory(ctx, named) : begin(ctx, named, kind);
  if (wd < 0) return wd;
  const fd = ctx.table.fdOf(named);
  const r = fd < 0 ? fd : statxFd(fd);
  if (r < 0) return r;
  ctx.writer.u32(wd);
  ctx.putAttr(named.id);
  return 0;
}

/** Ends what guests watch. */
export function unwatch(ctx: ServerContext): number {
  const node = ctx.inode();
  ctx.endOfRequest();
  endWatch(ctx, node, 'guestWatch');
  return 0;
}

/** The sentry's watch of a directory, begun if there is none yet, or −errno: it does not tell of all changes. */
export function watchDirectory(ctx: ServerContext, node: ServerInode): number {
  if (node.type !== S_IFDIR) return -ENOTDIR;
  const fd = node.sealed ? -EOPNOTSUPP : ctx.table.fdOf(node);
  if (fd < 0) return fd;
  const r = fstatfs(fd);
  if (r < 0) return r;
  return LOCAL_FILE_SYSTEMS.has(statfsBuffer.u32[0]) ? begin(ctx, node, 'cacheWatch') : -EOPNOTSUPP;
}

function begin(ctx: ServerContext, node: ServerInode, kind: WatchKind): number {
  const group = ctx.watches[kind];
  if (group.fd < 0 || node.sealed) return -EOPNOTSUPP;
  if (node[kind] >= 0) return node[kind];
  const fd = ctx.table.fdOf(node);
  if (fd < 0) return fd;
  const wd = inotifyWatch(group.fd, fd, MASKS[kind]);
  if (wd < 0) return wd;
  node[kind] = wd;
  group.users.set(wd, (group.users.get(wd) ?? 0) + 1);
  return wd;
}

function endWatch(ctx: ServerContext, node: ServerInode, kind: WatchKind): void {
  const wd = node[kind];
  if (wd < 0) return;
  node[kind] = -1;
  const { fd, users } = ctx.watches[kind];
  const left = (users.get(wd) ?? 1) - 1;
  if (left > 0) users.set(wd, left);
  else {
    users.delete(wd);
    inotifyUnwatch(fd, wd);
  }
}

/** The inode is forgotten. */
export function endWatches(ctx: ServerContext, node: ServerInode): void {
  for (const kind of KINDS) endWatch(ctx, node, kind);
}
