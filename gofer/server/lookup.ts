/** Requests that change nothing: attach, walk, getattr, open, readlink, statfs, fsync, forget. */
import { EACCES, EINVAL, ENODEV, ENOENT, ENOTDIR, EPERM, ESTALE, EXDEV } from '../../sentry/abi/errno.ts';
import {
  GOFER_NOATIME,
  GOFER_RDWR,
  GOFER_TRUNC,
  GOFER_WALK_MAX,
  GOFER_WRITE,
} from '../../sentry/gofer-api/gofer-api.ts';
import { FORGET_MAX, MOUNT_READONLY } from '../protocol/layout.ts';
import {
  O_NOATIME,
  O_TRUNC,
  closeFd,
  dataBuffer,
  fstatfs,
  fsyncFd,
  readlinkFd,
  statfsBuffer,
  statxAt,
  statxFd,
} from '../host/fs.ffi.ts';
import { ProtocolError } from './context.ts';
import type { ServerContext } from './context.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from './inode-table.ts';
import type { ServerInode } from './inode-table.ts';

export function attach(ctx: ServerContext): number {
  const index = ctx.reader.u32();
  ctx.endOfRequest();
  const mount = ctx.mounts[index];
  if (mount === undefined || mount.root === null) return -ENODEV;
  const root = mount.root;
  let r = fstatfs(root.fd);
  if (r < 0) return r;
  r = statxFd(root.fd);
  if (r < 0) return r;
  ctx.writer.u32(mount.readOnly ? MOUNT_READONLY : 0);
  ctx.writer.u32(statfsBuffer.u32[0]);
  ctx.putAttr(root.id);
  return 0;
}

export function walk(ctx: ServerContext): number {
  let dir = ctx.inode();
  const count = ctx.reader.u16();
  if (count === 0 || count > GOFER_WALK_MAX) throw new ProtocolError(`walk of ${count} names`);
  const names: string[] = [];
  for (let i = 0; i < count && ctx.reader.ok; i++) names.push(ctx.componentName());
  ctx.endOfRequest();

  const countAt = ctx.writer.reserve(4);
  let found = 0;
  let stop = 0;
  while (found < count) {
    const node: ServerInode | number = step(ctx, dir, names[found], found === count - 1);
    if (typeof node === 'number') {
      stop = node;
      break;
    }
    ctx.putAttr(node.id);
    found++;
    if (node.type !== S_IFDIR) break;
    dir = node;
  }
  if (found === 0) return stop;
  ctx.setU32(countAt, found);
  return 0;
}

/** One component of a walk; leaves its attributes in statxBuffer. */
export function step(
  ctx: ServerContext,
  dir: ServerInode,
  name: string,
  isLast: boolean,
): ServerInode | number {
  if (dir.type !== S_IFDIR) return -ENOTDIR;
  if (dir.sealed) return -ENOENT;
  const table = ctx.table;
  const dirFd = table.fdOf(dir);
  if (dirFd < 0) return dirFd;
  // No descriptor for what may only be looked at. statx neither follows links nor triggers mounts.
  const fd = isLast ? -EXDEV : table.openName(dir.mount, dirFd, name);
  if (fd < 0 && fd !== -EXDEV) return fd;
  const r = fd < 0 ? statxAt(dirFd, name) : statxFd(fd);
  const node = r < 0 ? r : table.intern(dir.mount, dir, name, table.isSealed(dir.mount, dirFd, name));
  if (fd < 0) return node;
  if (typeof node === 'number' || node.sealed) closeFd(fd);
  else table.adopt(node, fd);
  return node;
}

export function getattr(ctx: ServerContext): number {
  const node = ctx.inode();
  ctx.endOfRequest();
  const at = node.sealed ? node.parent : node;
  const fd = at === null ? -ESTALE : ctx.table.fdOf(at);
  if (fd < 0) return fd;
  const r = node.sealed ? statxAt(fd, node.name) : statxFd(fd);
  if (r < 0) return r;
  ctx.putAttr(node.id);
  return 0;
}

export function open(ctx: ServerContext): number {
  const node = ctx.inode();
  const access = ctx.reader.u32();
  ctx.endOfRequest();
  return openNode(ctx, node, access);
}

export function openName(ctx: ServerContext): number {
  const dir = ctx.inode();
  const access = ctx.reader.u32();
  const name = ctx.componentName();
  ctx.endOfRequest();
  // Not the last component of a walk: what is opened is what was looked at.
  const node = step(ctx, dir, name, false);
  return typeof node === 'number' ? node : openNode(ctx, node, access);
}

function openNode(ctx: ServerContext, node: ServerInode, access: number): number {
  const rw = access & 3;
  if (rw > GOFER_RDWR || access > (GOFER_RDWR | GOFER_TRUNC | GOFER_NOATIME))
    throw new ProtocolError(`open access ${access}`);
  const truncate = (access & GOFER_TRUNC) !== 0;
  if (node.type !== S_IFREG) return -EACCES;
  if (rw >= GOFER_WRITE || truncate) {
    const r = ctx.writable(node);
    if (r < 0) return r;
  }
  const flags = truncate ? rw | O_TRUNC : rw;
  let fd = ctx.openReal(node, (access & GOFER_NOATIME) !== 0 ? flags | O_NOATIME : flags);
  // Not the owner's gofer.
  if (fd === -EPERM && (access & GOFER_NOATIME) !== 0) fd = ctx.openReal(node, flags);
  if (fd < 0) return fd;
  return donate(ctx, node, fd);
}

/** Replies with the attributes of `node` and `fd`, an open regular file. */
export function donate(ctx: ServerContext, node: ServerInode, fd: number): number {
  const r = statxFd(fd);
  if (r < 0) {
    closeFd(fd);
    return r;
  }
  ctx.putAttr(node.id);
  ctx.donate = fd;
  return 0;
}

export function readlink(ctx: ServerContext): number {
  const node = ctx.inode();
  ctx.endOfRequest();
  if (node.type !== S_IFLNK) return -EINVAL;
  const fd = ctx.table.fdOf(node);
  if (fd < 0) return fd;
  const n = readlinkFd(fd);
  if (n < 0) return n;
  ctx.writer.string(dataBuffer.bytes.toString('latin1', 0, n));
  return 0;
}

/** A link that the sentry knows from a listing: nothing is registered. */
export function readlinkName(ctx: ServerContext): number {
  const dir = ctx.inode();
  const name = ctx.componentName();
  ctx.endOfRequest();
  if (dir.type !== S_IFDIR) return -ENOTDIR;
  const dirFd = dir.sealed ? -ENOENT : ctx.table.fdOf(dir);
  if (dirFd < 0) return dirFd;
  const fd = ctx.table.openName(dir.mount, dirFd, name);
  if (fd < 0) return fd;
  let r = statxFd(fd);
  const n = r < 0 ? r : readlinkFd(fd);
  // Not a link: ENOENT from here.
  r = n === -ENOENT ? -EINVAL : n;
  closeFd(fd);
  if (r < 0) return r;
  ctx.putAttr(0);
  ctx.writer.string(dataBuffer.bytes.toString('latin1', 0, n));
  return 0;
}

export function statfs(ctx: ServerContext): number {
  const node = ctx.inode();
  ctx.endOfRequest();
  const fd = ctx.table.fdOf(node);
  if (fd < 0) return fd;
  const r = fstatfs(fd);
  if (r < 0) return r;
  // struct statfs as it is: ten 64-bit words and the spare ones.
  ctx.writer.rawString(statfsBuffer.bytes.toString('latin1', 0, 120));
  return 0;
}

export function fsync(ctx: ServerContext): number {
  const node = ctx.inode();
  const dataOnly = ctx.reader.u32() !== 0;
  ctx.endOfRequest();
  const fd = ctx.openReal(node, 0);
  if (fd === -EACCES) return -EINVAL;
  if (fd < 0) return fd;
  const r = fsyncFd(fd, dataOnly);
  closeFd(fd);
  return r;
}

export function forget(ctx: ServerContext): number {
  const count = ctx.reader.u32();
  if (count > FORGET_MAX) throw new ProtocolError(`forget of ${count} inodes`);
  const ids: number[] = [];
  for (let i = 0; i < count && ctx.reader.ok; i++) ids.push(ctx.reader.u32());
  ctx.endOfRequest();
  for (const id of ids) {
    if (!ctx.table.forget(id)) throw new ProtocolError(`forget of unknown inode ${id}`);
  }
  return 0;
}
