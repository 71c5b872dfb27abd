/** Requests that change directories and attributes. All are refused with EROFS on read-only mounts. */
import { EINVAL, EISDIR, ENOENT, ENOTDIR, EPERM, ESTALE, EXDEV } from '../../sentry/abi/errno.ts';
import {
  GOFER_RDWR,
  SETATTR_ATIME,
  SETATTR_GID,
  SETATTR_MODE,
  SETATTR_MTIME,
  SETATTR_SIZE,
  SETATTR_UID,
} from '../../sentry/gofer-api/gofer-api.ts';
import { STATX } from '../protocol/attr.ts';
import { ATTR_NO_XATTR, PATH_MAX } from '../protocol/layout.ts';
import {
  AT_REMOVEDIR,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  UTIME_OMIT,
  chmodFd,
  chownFd,
  closeFd,
  linkFd,
  listxattrLength,
  mkdirAt,
  mknodAt,
  openAt,
  openBeneath,
  renameAt,
  statxAt,
  statxBuffer,
  statxFd,
  symlinkAt,
  truncateFd,
  unlinkAt,
  utimensFd,
} from '../host/fs.ffi.ts';
import { ProtocolError } from './context.ts';
import type { ServerContext } from './context.ts';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './inode-table.ts';
import type { ServerInode } from './inode-table.ts';
import { donate } from './lookup.ts';
import { isEmpty } from './readdir.ts';
import { watchDirectory } from './watch.ts';

const RENAME_EXCHANGE = 2;
const CREATE_FLAGS = O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

/** Descriptor of a directory in which names may change, or −errno. */
function directoryFd(ctx: ServerContext, dir: ServerInode): number {
  if (dir.type !== S_IFDIR) return -ENOTDIR;
  const r = ctx.writable(dir);
  return r < 0 ? r : ctx.table.fdOf(dir);
}

/**
 * Gives the new inode `fd` its owner and, as a change of owner clears set-id bits and a default ACL may have cut
 * the permissions, its mode. Leaves the attributes in statxBuffer.
 */
function settle(ctx: ServerContext, fd: number, mode: number, uid: number, gid: number): number {
  let r = statxFd(fd);
  if (r < 0) return r;
  const v = statxBuffer.view;
  const type = v.getUint16(STATX.mode, true) & S_IFMT;
  let changed = false;
  if (v.getUint32(STATX.uid, true) !== uid || v.getUint32(STATX.gid, true) !== gid) {
    r = chownFd(fd, uid, gid);
    if (r < 0) return r;
    changed = true;
  }
  if (type !== S_IFLNK && (changed || (v.getUint16(STATX.mode, true) & 0o7777) !== (mode & 0o7777))) {
    r = chmodFd(ctx.procFd, fd, mode & 0o7777);
    if (r < 0) return r;
    changed = true;
  }
  return changed ? statxFd(fd) : 0;
}

export function create(ctx: ServerContext): number {
  const dir = ctx.inode();
  const mode = ctx.reader.u32();
  const uid = ctx.reader.u32();
  const gid = ctx.reader.u32();
  const access = ctx.reader.u32();
  const name = ctx.componentName();
  ctx.endOfRequest();
  if (access > GOFER_RDWR) throw new ProtocolError(`create access ${access}`);
  const dirFd = directoryFd(ctx, dir);
  if (dirFd < 0) return dirFd;
  const fd = openBeneath(dirFd, name, CREATE_FLAGS | access, mode & 0o777, dir.mount.resolve);
  if (fd < 0) return fd;
  const r = settle(ctx, fd, mode, uid, gid);
  const node = r < 0 ? r : ctx.table.intern(dir.mount, dir, name, false);
  if (typeof node === 'number') {
    closeFd(fd);
    unlinkAt(dirFd, name, 0);
    return node;
  }
  return donate(ctx, node, fd);
}

/** A file without a name (O_TMPFILE): its descriptor is the only way to it. */
export function tmpfile(ctx: ServerContext): number {
  const dir = ctx.inode();
  const mode = ctx.reader.u32();
  const uid = ctx.reader.u32();
  const gid = ctx.reader.u32();
  ctx.endOfRequest();
  const dirFd = directoryFd(ctx, dir);
  if (dirFd < 0) return dirFd;
  const flags = O_TMPFILE | O_RDWR | O_CLOEXEC;
  const fd = openBeneath(dirFd, '.', flags, mode & 0o777, dir.mount.resolve);
  if (fd < 0) return fd;
  let r = settle(ctx, fd, mode, uid, gid);
  // What is kept may not be written through.
  const kept = r < 0 ? r : openAt(ctx.procFd, String(fd), O_PATH | O_CLOEXEC);
  r = kept < 0 ? kept : statxFd(fd);
  const node = r < 0 ? r : ctx.table.intern(dir.mount, null, '', false);
  if (typeof node === 'number') {
    if (kept >= 0) closeFd(kept);
    closeFd(fd);
    return node;
  }
  ctx.table.pin(node);
  ctx.table.adopt(node, kept);
  return donate(ctx, node, fd);
}

interface NewNode {
  readonly dir: ServerInode;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/** What mkdir, mknod and symlink begin with. */
function newNode(ctx: ServerContext): NewNode {
  const dir = ctx.inode();
  const mode = ctx.reader.u32();
  const uid = ctx.reader.u32();
  const gid = ctx.reader.u32();
  return { dir, mode, uid, gid, name: ctx.componentName() };
}

export function mkdir(ctx: ServerContext): number {
  const n = newNode(ctx);
  const watch = ctx.reader.u32();
  ctx.endOfRequest();
  if (watch > 1) throw new ProtocolError(`mkdir flags ${watch}`);
  const dirFd = directoryFd(ctx, n.dir);
  if (dirFd < 0) return dirFd;
  const r = mkdirAt(dirFd, n.name, n.mode & 0o7777);
  const node = r < 0 ? r : made(ctx, n, dirFd, true);
  if (typeof node === 'number') return node;
  const started = watch === 0 ? -1 : watchEmpty(ctx, node);
  // A default access control list would be asked for with the first name made in it. From here on the watch tells of one.
  ctx.putAttr(node.id, listxattrLength(node.fd, '.') === 0 ? ATTR_NO_XATTR : 0);
  ctx.writer.u32(started >>> 0);
  return 0;
}

/** Watches a new directory: the watch, or −1 if that is not possible or somebody was quick enough to put something there. */
function watchEmpty(ctx: ServerContext, node: ServerInode): number {
  const watch = watchDirectory(ctx, node);
  if (watch < 0) return -1;
  const fd = ctx.openReal(node, 0);
  if (fd < 0) return -1;
  const empty = isEmpty(fd);
  closeFd(fd);
  return empty ? watch : -1;
}

export function mknod(ctx: ServerContext): number {
  const n = newNode(ctx);
  ctx.endOfRequest();
  const dirFd = directoryFd(ctx, n.dir);
  if (dirFd < 0) return dirFd;
  const type = n.mode & S_IFMT;
  if (type !== S_IFIFO && type !== S_IFSOCK) return -EPERM;
  const r = mknodAt(dirFd, n.name, type | (n.mode & 0o7777));
  const node = r < 0 ? r : made(ctx, n, dirFd, false);
  if (typeof node === 'number') return node;
  ctx.putAttr(node.id);
  return 0;
}

export function symlink(ctx: ServerContext): number {
  const n = newNode(ctx);
  const target = ctx.reader.string(PATH_MAX - 1);
  ctx.endOfRequest();
  if (target === '' || target.includes('\0')) throw new ProtocolError('symlink target');
  const dirFd = directoryFd(ctx, n.dir);
  if (dirFd < 0) return dirFd;
  const r = symlinkAt(target, dirFd, n.name);
  const node = r < 0 ? r : made(ctx, n, dirFd, false);
  if (typeof node === 'number') return node;
  ctx.putAttr(node.id);
  return 0;
}

/** Gives what was just made its owner and mode, and registers it. Leaves its attributes in statxBuffer. */
function made(ctx: ServerContext, n: NewNode, dirFd: number, isDir: boolean): ServerInode | number {
  const { dir, name } = n;
  const fd = ctx.table.openName(dir.mount, dirFd, name);
  if (fd < 0) return fd;
  const r = settle(ctx, fd, n.mode, n.uid, n.gid);
  const node = r < 0 ? r : ctx.table.intern(dir.mount, dir, name, false);
  if (typeof node === 'number') {
    closeFd(fd);
    unlinkAt(dirFd, name, isDir ? AT_REMOVEDIR : 0);
    return node;
  }
  ctx.table.adopt(node, fd);
  return node;
}

export function link(ctx: ServerContext): number {
  const node = ctx.inode();
  const dir = ctx.inode();
  const name = ctx.componentName();
  ctx.endOfRequest();
  if (node.mount !== dir.mount) return -EXDEV;
  if (node.type === S_IFDIR) return -EPERM;
  let fd = ctx.table.fdOf(node);
  if (fd < 0) return fd;
  const dirFd = directoryFd(ctx, dir);
  if (dirFd < 0) return dirFd;
  fd = node.fd;
  if (fd < 0) return -ESTALE;
  const r = linkFd(ctx.procFd, fd, dirFd, name);
  if (r < 0) return r;
  statxFd(fd);
  // The new name is the fresher one; the old may be gone already.
  const same = ctx.table.intern(dir.mount, dir, name, false);
  if (typeof same === 'number') return same;
  ctx.putAttr(same.id);
  return 0;
}

/**
 * If `name` is an inode the sentry knows, makes sure that its descriptor is open before the name goes away.
 * Returns the inode, null if it is not known or not there.
 */
function holdName(ctx: ServerContext, dir: ServerInode, dirFd: number, name: string): ServerInode | null {
  if (statxAt(dirFd, name) < 0) return null;
  const node = ctx.table.find(dir.mount);
  if (node === undefined) return null;
  if (node.fd < 0) {
    const fd = ctx.table.openName(dir.mount, dirFd, name);
    if (fd < 0) return null;
    if (statxFd(fd) < 0 || ctx.table.find(dir.mount) !== node) {
      closeFd(fd);
      return null;
    }
    ctx.table.adopt(node, fd);
  }
  return node;
}

/** `node` was called `name` in `dir` and is no longer. */
function nameLost(ctx: ServerContext, node: ServerInode | null, dir: ServerInode, name: string): void {
  if (node !== null && node.parent === dir && node.name === name) ctx.table.pin(node);
}

export function unlink(ctx: ServerContext): number {
  const dir = ctx.inode();
  const isDir = ctx.reader.u32() !== 0;
  const name = ctx.componentName();
  ctx.endOfRequest();
  const dirFd = directoryFd(ctx, dir);
  if (dirFd < 0) return dirFd;
  const node = holdName(ctx, dir, dirFd, name);
  const r = unlinkAt(ctx.table.fdOf(dir), name, isDir ? AT_REMOVEDIR : 0);
  if (r >= 0) nameLost(ctx, node, dir, name);
  return r;
}

export function rename(ctx: ServerContext): number {
  const oldDir = ctx.inode();
  const newDir = ctx.inode();
  const flags = ctx.reader.u32();
  const oldName = ctx.componentName();
  const newName = ctx.componentName();
  ctx.endOfRequest();
  if (flags > RENAME_EXCHANGE) return -EINVAL;
  if (oldDir.mount !== newDir.mount) return -EXDEV;
  let r = directoryFd(ctx, oldDir);
  if (r < 0) return r;
  r = directoryFd(ctx, newDir);
  if (r < 0) return r;
  const moved = holdName(ctx, oldDir, ctx.table.fdOf(oldDir), oldName);
  const target = holdName(ctx, newDir, ctx.table.fdOf(newDir), newName);
  // Four lookups are not enough to evict a descriptor, but the table makes no promise.
  const oldFd = ctx.table.fdOf(oldDir);
  const newFd = ctx.table.fdOf(newDir);
  if (oldFd < 0 || newFd < 0) return -ESTALE;
  r = renameAt(oldFd, oldName, newFd, newName, flags);
  if (r < 0) return r;
  // Hard links of one inode: rename(2) does nothing.
  if (moved === target && moved !== null) return 0;
  if (flags === RENAME_EXCHANGE) renamed(ctx, target, oldDir, oldName);
  else nameLost(ctx, target, newDir, newName);
  renamed(ctx, moved, newDir, newName);
  return 0;
}

function renamed(ctx: ServerContext, node: ServerInode | null, dir: ServerInode, name: string): void {
  if (node === null || node.parent === null) return;
  if (statxFd(node.fd) >= 0) ctx.table.intern(dir.mount, dir, name, false);
}

export function setattr(ctx: ServerContext): number {
  const { reader } = ctx;
  const node = ctx.inode();
  const valid = reader.u32();
  const mode = reader.u32();
  const uid = reader.u32();
  const gid = reader.u32();
  const size = reader.u64();
  const atimeSec = reader.time();
  const mtimeSec = reader.time();
  const atimeNsec = reader.u32();
  const mtimeNsec = reader.u32();
  ctx.endOfRequest();
  if (valid > 63 || atimeNsec >= 1e9 || mtimeNsec >= 1e9) throw new ProtocolError('setattr');
  let r = ctx.writable(node);
  if (r < 0) return r;
  if ((valid & SETATTR_SIZE) !== 0) {
    r = truncate(ctx, node, size);
    if (r < 0) return r;
  }
  const fd = ctx.table.fdOf(node);
  if (fd < 0) return fd;
  if ((valid & (SETATTR_UID | SETATTR_GID)) !== 0) {
    r = chownFd(fd, (valid & SETATTR_UID) !== 0 ? uid : -1, (valid & SETATTR_GID) !== 0 ? gid : -1);
    if (r < 0) return r;
  }
  if ((valid & SETATTR_MODE) !== 0) {
    r = chmodFd(ctx.procFd, fd, mode & 0o7777);
    if (r < 0) return r;
  }
  if ((valid & (SETATTR_ATIME | SETATTR_MTIME)) !== 0) {
    const setA = (valid & SETATTR_ATIME) !== 0;
    const setM = (valid & SETATTR_MTIME) !== 0;
    const aNsec = setA ? atimeNsec : UTIME_OMIT;
    r = utimensFd(ctx.procFd, fd, [atimeSec, aNsec, mtimeSec, setM ? mtimeNsec : UTIME_OMIT]);
    if (r < 0) return r;
  }
  r = statxFd(fd);
  if (r < 0) return r;
  ctx.putAttr(node.id);
  return 0;
}

function truncate(ctx: ServerContext, node: ServerInode, size: number): number {
  if (node.type === S_IFDIR) return -EISDIR;
  if (node.type !== S_IFREG) return -EINVAL;
  const fd = ctx.openReal(node, O_WRONLY);
  if (fd < 0) return fd === -ENOENT ? -ESTALE : fd;
  const r = truncateFd(fd, size);
  closeFd(fd);
  return r;
}
