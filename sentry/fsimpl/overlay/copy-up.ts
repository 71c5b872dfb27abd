/** Copying an object of a lower layer to the upper one (fs/overlayfs/copy_up.c): contents, owner, mode, times, attributes. */
import { ENODATA, ENOENT, ENOSPC } from '../../abi/errno.ts';
import { O_RDONLY } from '../../abi/fcntl.ts';
import { FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL } from '../../abi/file-attr.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import { IO_CHUNK, ioBuffer } from '../../usermem/io-buffer.ts';
import type { Inode } from '../../vfs/inode.ts';
import { aclTypeOf } from '../../vfs/posix-acl.ts';
import type { TmpfsDir } from '../tmpfs/directory.ts';
import { TmpfsRegular, type TmpfsInode } from '../tmpfs/node.ts';
import type { OverlayInode } from './inode.ts';
import { KERNEL, NO_PATH } from './no-path.ts';

/** FS_NODUMP_FL is not copied. */
const OVL_COPY_FS_FLAGS_MASK = FS_NOATIME_FL | FS_APPEND_FL | FS_IMMUTABLE_FL;

/** The new upper object under the inode's name, or nameless if it was unlinked; −errno, and nothing is left behind. */
export function copyToUpper(node: OverlayInode, withData: boolean): TmpfsInode | number {
  const lower = node.lower!;
  const dir = node.parent === null ? null : (node.parent.upper as TmpfsDir);
  const before = dir === null ? null : { mtime: dir.mtime, ctime: dir.ctime };
  const up = makeUpper(node, lower, dir);
  if (typeof up === 'number') return up;
  let r = 0;
  if (up instanceof TmpfsRegular && withData) r = copyData(lower, up);
  if (r === 0) r = copyXattrs(lower, up);
  if (r < 0) {
    dir?.unlink(node.name, up);
    return r;
  }
  copyAttributes(lower, up);
  up.fileFlags |= lower.fileFlags & OVL_COPY_FS_FLAGS_MASK;
  up.ctime = lower.ctime;
  up.btime = lower.btime;
  // Moving a child between layers is no change of the directory.
  if (dir !== null) Object.assign(dir, before);
  node.sb.copiedUp(node, up);
  return up;
}

function makeUpper(node: OverlayInode, lower: Inode, dir: TmpfsDir | null): TmpfsInode | number {
  const { name } = node;
  if (dir !== null) return makeLike(lower, dir, name);
  if (lower.isDir) return -ENOENT;
  return node.sb.upperRoot.tmpfile(lower.mode & 0o7777, lower.uid, lower.gid);
}

/** A new object in `dir` of the type, mode and owner of `lower`, without its contents; or −errno. */
function makeLike(lower: Inode, dir: TmpfsDir, name: string): TmpfsInode | number {
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
export function copyInto(lower: Inode, dir: TmpfsDir, name: string): TmpfsInode | number {
  const made = makeLike(lower, dir, name);
  if (typeof made === 'number') return made;
  let r = made instanceof TmpfsRegular ? copyData(lower, made) : 0;
  if (r === 0) r = copyXattrs(lower, made);
  if (r === 0) {
    lower.refresh();
    r = copyAttributes(lower, made);
  }
  return r < 0 ? r : made;
}

/** Owner, mode and times. */
export function copyAttributes(from: Inode, to: TmpfsInode): number {
  const { uid, gid, atime, mtime } = from;
  return to.setAttr({ uid, gid, atime, mtime, mode: from.mode & 0o7777 });
}

const ZEROS = Buffer.alloc(IO_CHUNK);

/** The whole content; `up` is empty. 0 or −errno. */
function copyData(lower: Inode, up: TmpfsRegular): number {
  if (lower.size === 0 && lower.refresh() === 0 && lower.size === 0) return 0;
  const f = lower.open(KERNEL, NO_PATH, O_RDONLY);
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
  return r;
}

/** The lists of `lower`, and none that the upper directory has handed down. */
function copyAcls(lower: Inode, up: TmpfsInode): number {
  if (up.isSymlink) return 0;
  for (const type of ['access', 'default'] as const) {
    const acl = lower.getAcl(type);
    const r = up.setAcl(type, typeof acl === 'number' ? null : acl, lower.mode & 0o7777);
    if (r < 0) return r;
  }
  return 0;
}

function copyXattrs(lower: Inode, up: TmpfsInode): number {
  const acls = copyAcls(lower, up);
  if (acls < 0) return acls;
  const names = lower.listXattr();
  // A layer without extended attributes has nothing to copy.
  if (typeof names === 'number') return 0;
  for (const name of names) {
    const value = aclTypeOf(name) !== null ? -ENODATA : lower.getXattr(name);
    if (typeof value === 'number') continue;
    const r = up.setXattr(name, value, 0);
    if (r < 0) return r;
  }
  return 0;
}
