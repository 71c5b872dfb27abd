/** Copying an object of a lower layer to the upper one (fs/overlayfs/copy_up.c): contents, owner, mode, times, attributes. */
import { ENODATA, ENOENT, ENOSPC, EIO, EOVERFLOW } from '../../abi/errno.ts';
import { O_RDONLY } from '../../abi/fcntl.ts';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL } from '../../abi/file-attr.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import { IO_CHUNK, ioBuffer } from '../../usermem/io-buffer.ts';
import type { Inode } from '../../vfs/inode.ts';
import { aclTypeOf } from '../../vfs/posix-acl.ts';
import { XATTR_CAPABILITY } from '../../vfs/xattr.ts';
import { TmpfsRegular } from '../tmpfs/node.ts';
import type { OverlayInode } from './inode.ts';
import { KERNEL, openInLayer } from './no-path.ts';

/** FS_NODUMP_FL is not copied. */
const OVL_COPY_FS_FLAGS_MASK = FS_NOATIME_FL | FS_APPEND_FL | FS_IMMUTABLE_FL;

/** The new upper object under the inode's name, or nameless if it was unlinked; −errno, and nothing is left behind. */
export function copyToUpper(node: OverlayInode, withData: boolean): Inode | number {
  const lower = node.lower!;
  const { sb } = node;
  if (!canHaveIds(node, lower)) return -EOVERFLOW;
  const dir = node.parent?.upper ?? null;
  // Moving a child between layers is no change of the directory, but Linux only gives it its old mtime again.
  const before =
    dir === null ? null : sb.guest === null ? { mtime: dir.mtime, ctime: dir.ctime } : { mtime: dir.mtime };
  const up = makeUpper(node, lower, dir);
  if (typeof up === 'number') return up;
  let r = withData && up.isRegular ? copyData(lower, up) : 0;
  if (r === 0) r = copyXattrs(lower, up, node);
  if (r < 0) {
    if (dir === null) up.hold().drop();
    else if (up.isDir) dir.rmdir(node.name, up);
    else dir.unlink(node.name, up);
    return r;
  }
  copyAttributes(lower, up);
  if (sb.guest === null) {
    up.fileFlags |= lower.fileFlags & OVL_COPY_FS_FLAGS_MASK;
    up.ctime = lower.ctime;
    up.btime = lower.btime;
  }
  sb.copiedUp(node, up);
  if (dir !== null) dir.setAttr(before!);
  if (node.parent !== null) sb.upperChanged(node.parent, node.name);
  return up;
}

/** What belongs to nobody whom the mounter knows cannot be copied. */
function canHaveIds(node: OverlayInode, lower: Inode): boolean {
  const ns = node.sb.guest?.userNs ?? null;
  return ns === null || (ns.hasUid(lower.uid) && ns.hasGid(lower.gid));
}

function makeUpper(node: OverlayInode, lower: Inode, dir: Inode | null): Inode | number {
  const { name } = node;
  if (dir !== null) return makeLike(lower, dir, name);
  if (lower.isDir) return -ENOENT;
  return node.sb.upperRoot.tmpfile(lower.mode & 0o7777, lower.uid, lower.gid);
}

/** A new object in `dir` of the type, mode and owner of `lower`, without its contents; or −errno. */
function makeLike(lower: Inode, dir: Inode, name: string): Inode | number {
  const perm = lower.mode & 0o7777;
  switch (lower.mode & S_IFMT) {
    case S_IFDIR:
      return dir.mkdir(name, perm, lower.uid, lower.gid);
    case S_IFREG:
      return dir.create(name, perm, lower.uid, lower.gid);
    case S_IFLNK: {
      const target = lower.readlink(null);
      return typeof target === 'number' ? target : dir.symlink(name, target, lower.uid, lower.gid);
    }
    default:
      return dir.mknod(name, lower.mode, lower.rdev, lower.uid, lower.gid);
  }
}

/** A copy of `lower` in `dir`, of a directory without what is in it; or −errno. */
export function copyInto(lower: Inode, dir: Inode, name: string): Inode | number {
  const made = makeLike(lower, dir, name);
  if (typeof made === 'number') return made;
  let r = made.isRegular ? copyData(lower, made) : 0;
  if (r === 0) r = copyXattrs(lower, made, null);
  if (r === 0) {
    lower.refresh();
    r = copyAttributes(lower, made);
  }
  return r < 0 ? r : made;
}

/** Owner, mode and times. */
function copyAttributes(from: Inode, to: Inode): number {
  const { uid, gid, atime, mtime } = from;
  return to.setAttr({ uid, gid, atime, mtime, mode: from.mode & 0o7777 });
}

const ZEROS = Buffer.alloc(IO_CHUNK);

/** The file in memory that a new upper file is, also below another overlay. */
function inMemory(up: Inode): TmpfsRegular | null {
  let at: Inode | null = up;
  while (at !== null && at.sb.fsType === 'overlay') at = (at as OverlayInode).upper;
  return at instanceof TmpfsRegular ? at : null;
}

/** The whole content; `made` is empty. 0 or −errno. */
function copyData(lower: Inode, made: Inode): number {
  const up = inMemory(made);
  if (up === null) return -EIO;
  if (lower.size === 0 && lower.refresh() === 0 && lower.size === 0) return 0;
  const f = openInLayer(KERNEL, lower, O_RDONLY);
  if (typeof f === 'number') return f;
  let pos = 0;
  let r: number;
  for (;;) {
    const n = f.read(KERNEL, ioBuffer.bytes, 0, IO_CHUNK, pos);
    if (n <= 0) {
      r = n;
      break;
    }
    // Holes stay holes: at this grain, and without asking the lower file system where they are.
    const hole = n === IO_CHUNK && ioBuffer.bytes.compare(ZEROS, 0, n, 0, n) === 0;
    const w = hole ? n : up.content.write(ioBuffer.bytes, 0, n, pos);
    if (w < n) {
      r = w < 0 ? w : -ENOSPC;
      break;
    }
    pos += n;
  }
  f.unref();
  if (r === 0 && up.content.size < pos) r = up.content.truncate(pos);
  up.size = up.content.size;
  if (made !== up) made.refresh();
  return r;
}

/** The lists of `lower`, and none that the upper directory has handed down. */
function copyAcls(lower: Inode, up: Inode): number {
  if (up.isSymlink) return 0;
  for (const type of ['access', 'default'] as const) {
    const acl = lower.getAcl(type);
    const r = up.setAcl(type, typeof acl === 'number' ? null : acl, lower.mode & 0o7777);
    if (r < 0) return r;
  }
  return 0;
}

/** What a mounter may not read, or not hand on, stays behind. */
function isCopied(node: OverlayInode | null, name: string): boolean {
  const guest = node?.sb.guest ?? null;
  if (guest === null) return true;
  if (guest.markers.isOwn(name)) return false;
  return guest.userNs === null || (!name.startsWith('trusted.') && name !== XATTR_CAPABILITY);
}

function copyXattrs(lower: Inode, up: Inode, node: OverlayInode | null): number {
  const acls = copyAcls(lower, up);
  if (acls < 0) return acls;
  const names = lower.listXattr();
  // A layer without extended attributes has nothing to copy.
  if (typeof names === 'number') return 0;
  for (const name of names) {
    const value = aclTypeOf(name) !== null || !isCopied(node, name) ? -ENODATA : lower.getXattr(name);
    if (typeof value === 'number') continue;
    const r = up.setXattr(name, value, 0);
    if (r < 0) return r;
  }
  return 0;
}
