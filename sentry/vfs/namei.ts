/** Making, removing and renaming names (fs/namei.c do_mkdirat, do_unlinkat, do_renameat2, …) by path. */
import {
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  EMLINK,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  EROFS,
  EXDEV,
} from '../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import { CAP_MKNOD } from '../auth/capability.ts';
import { modeByDefaultAcl, newDirMode, newFileMode, newGid } from './attr.ts';
import type { CallContext } from './call-context.ts';
import { moveDentry, exchangeDentries, type Dentry, type Path } from './dentry.ts';
import {
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_MOVE_SELF,
  nextCookie,
  notifying,
  notifyName,
  notifySelf,
} from './fsnotify.ts';
import type { Inode } from './inode.ts';
import { landlockedMake, landlockedRemove } from './landlock.ts';
import { lookupDentry } from './lookup.ts';
import type { Mount } from './mount.ts';
import { detachMountsOn, isBelow, isMountpointIn } from './mount-namespace.ts';
import { MAY_WRITE, inodePermission, mayCreate, mayDelete, mayMakeDevice } from './permission.ts';
import { mayLink } from './protected.ts';
import { LAST_DOT, LAST_DOTDOT, LAST_NORM, LOOKUP_PARENT, nd, walk } from './walk.ts';

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

/** A directory's link count must not overflow what file systems store. */
const LINK_MAX = 65000;

/** filename_create(): the negative dentry for a new name, its parent in nd; −EEXIST if the name is taken. */
function lookupForCreate(t: CallContext, start: Path, name: string, wantDir: boolean): Dentry | number {
  const r = walk(t, start, name, LOOKUP_PARENT);
  if (r !== 0) return r;
  if (nd.lastType !== LAST_NORM) return -EEXIST;
  const d = lookupDentry(t, nd.dentry, nd.last);
  if (typeof d === 'number') return d;
  if (d.inode !== null) return -EEXIST;
  // Look-ups in /proc fail, before anything else is found wrong.
  if (nd.dentry.inode!.sb.fsType === 'proc') return -ENOENT;
  if (!wantDir && nd.trailingSlash) return -ENOENT;
  if (nd.mount.readOnly) return -EROFS;
  return d;
}

function finishCreate(dir: Inode, d: Dentry, made: Inode | number): number {
  if (typeof made === 'number') return made;
  d.instantiate(made);
  notifyName(IN_CREATE, dir, d.name, made.isDir);
  return 0;
}

/** mkdir(2): `mode` before the umask. */
export function vfsMkdir(t: CallContext, start: Path, name: string, mode: number): number {
  const d = lookupForCreate(t, start, name, true);
  if (typeof d === 'number') return d;
  const dir = nd.dentry.inode!;
  const r = landlockedMake(t, nd, S_IFDIR) || mayCreate(t, dir);
  if (r !== 0) return r;
  if (dir.nlink >= LINK_MAX) return -EMLINK;
  const perm = newDirMode(dir, modeByDefaultAcl(t, dir, mode & 0o1777));
  return finishCreate(dir, d, dir.mkdir(d.name, perm, t.creds.fsuid, newGid(t, dir)));
}

/** mknod(2), also for AF_UNIX bind: `mode` before the umask. */
export function vfsMknod(t: CallContext, start: Path, name: string, mode: number, rdev: number): number {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return -EPERM;
  const d = lookupForCreate(t, start, name, false);
  if (typeof d === 'number') return d;
  const dir = nd.dentry.inode!;
  const r = landlockedMake(t, nd, type) || mayCreate(t, dir);
  if (r !== 0) return r;
  const device = type === S_IFCHR || type === S_IFBLK;
  const whiteout = type === S_IFCHR && rdev === 0;
  if (device && !whiteout) {
    const may = t.creds.has(CAP_MKNOD) ? mayMakeDevice(t, mode, rdev) : -EPERM;
    if (may !== 0) return may;
  }
  const perm = newFileMode(t, dir, modeByDefaultAcl(t, dir, mode & 0o7777));
  const gid = newGid(t, dir);
  const made =
    type === S_IFREG || type === 0
      ? dir.create(d.name, perm, t.creds.fsuid, gid)
      : dir.mknod(d.name, type | perm, device ? rdev : 0, t.creds.fsuid, gid);
  return finishCreate(dir, d, made);
}

export function vfsSymlink(t: CallContext, target: string, start: Path, name: string): number {
  if (target.length === 0) return -ENOENT;
  const d = lookupForCreate(t, start, name, false);
  if (typeof d === 'number') return d;
  const dir = nd.dentry.inode!;
  const r = landlockedMake(t, nd, S_IFLNK) || mayCreate(t, dir);
  if (r !== 0) return r;
  return finishCreate(dir, d, dir.symlink(d.name, target, t.creds.fsuid, newGid(t, dir)));
}

/** link(2) to what was found at `mount` by the name `from`. An inode without names can only get one again if it came from O_TMPFILE. */
export function vfsLink(
  t: CallContext,
  inode: Inode,
  mount: Mount | null,
  from: Dentry | null,
  start: Path,
  name: string,
): number {
  const d = lookupForCreate(t, start, name, false);
  if (typeof d === 'number') return d;
  if (nd.mount !== mount) return -EXDEV;
  let may = mayLink(t, inode);
  if (may === 0 && t.landlock !== null && mount !== null && from !== null)
    may = t.landlock.refer(mount, from, nd.dentry, null, false, false);
  if (may !== 0) return may;
  const dir = nd.dentry.inode!;
  const r = mayCreate(t, dir);
  if (r !== 0) return r;
  if (dir.sb !== inode.sb) return -EXDEV;
  if (inode.isAppendOnly || inode.isImmutable) return -EPERM;
  if (inode.isDir) return -EPERM;
  if (inode.nlink === 0 && !inode.linkable) return -ENOENT;
  if (inode.nlink >= LINK_MAX) return -EMLINK;
  const linked = dir.link(d.name, inode);
  if (linked !== 0) return linked;
  inode.linkable = false;
  notifySelf(IN_ATTRIB, inode);
  return finishCreate(dir, d, inode);
}

function isMountpoint(t: CallContext, d: Dentry): boolean {
  return isMountpointIn(t.fs.root.mount.ns, d);
}

export function vfsUnlink(t: CallContext, start: Path, name: string): number {
  const r = walk(t, start, name, LOOKUP_PARENT);
  if (r !== 0) return r;
  if (nd.lastType !== LAST_NORM) return -EISDIR;
  if (nd.mount.readOnly) return -EROFS;
  const d = lookupDentry(t, nd.dentry, nd.last);
  if (typeof d === 'number') return d;
  const { inode } = d;
  if (inode === null) return -ENOENT;
  if (nd.trailingSlash) return inode.isDir ? -EISDIR : -ENOTDIR;
  const dir = nd.dentry.inode!;
  const may = landlockedRemove(t, nd, inode) || mayDelete(t, dir, inode, false);
  if (may !== 0) return may;
  if (isMountpoint(t, d)) return -EBUSY;
  inode.hold();
  const gone = dir.unlink(d.name, inode);
  if (gone === 0) {
    detachMountsOn(d);
    d.markDeleted();
    notifyRemoved(dir, d.name, inode);
  }
  inode.drop();
  return gone;
}

function notifyRemoved(dir: Inode, name: string, inode: Inode): void {
  if (!notifying()) return;
  // The link count has changed; without a name the object itself goes with its last user.
  if (!inode.isDir) notifySelf(IN_ATTRIB, inode);
  notifyName(IN_DELETE, dir, name, inode.isDir);
  inode.orphan = inode.nlink === 0 || inode.isDir;
}

export function vfsRmdir(t: CallContext, start: Path, name: string): number {
  const r = walk(t, start, name, LOOKUP_PARENT);
  if (r !== 0) return r;
  if (nd.lastType === LAST_DOTDOT) return -ENOTEMPTY;
  if (nd.lastType === LAST_DOT) return -EINVAL;
  if (nd.lastType !== LAST_NORM) return -EBUSY;
  if (nd.mount.readOnly) return -EROFS;
  const d = lookupDentry(t, nd.dentry, nd.last);
  if (typeof d === 'number') return d;
  const { inode } = d;
  if (inode === null) return -ENOENT;
  const dir = nd.dentry.inode!;
  const may = landlockedRemove(t, nd, inode) || mayDelete(t, dir, inode, true);
  if (may !== 0) return may;
  if (isMountpoint(t, d)) return -EBUSY;
  inode.hold();
  const gone = dir.rmdir(d.name, inode);
  if (gone === 0) {
    detachMountsOn(d);
    inode.dead = true;
    d.drop();
    notifyRemoved(dir, d.name, inode);
  }
  inode.drop();
  return gone;
}

/** renameat2(2); both walks, then the checks in Linux's order. */
export function vfsRename(
  t: CallContext,
  oldStart: Path,
  oldName: string,
  newStart: Path,
  newName: string,
  flags: number,
): number {
  let r = walk(t, oldStart, oldName, LOOKUP_PARENT);
  if (r !== 0) return r;
  const { mount, dentry: oldParent, last: oldLast, lastType: oldType, trailingSlash: oldSlash } = nd;
  r = walk(t, newStart, newName, LOOKUP_PARENT);
  if (r !== 0) return r;
  const { dentry: newParent, last: newLast, trailingSlash: newSlash } = nd;
  if (nd.mount !== mount) return -EXDEV;
  if (oldType !== LAST_NORM) return -EBUSY;
  const noReplace = (flags & RENAME_NOREPLACE) !== 0;
  if (nd.lastType !== LAST_NORM) return noReplace ? -EEXIST : -EBUSY;
  if (mount.readOnly) return -EROFS;
  const from = lookupDentry(t, oldParent, oldLast);
  if (typeof from === 'number') return from;
  const inode = from.inode;
  if (inode === null) return -ENOENT;
  const to = lookupDentry(t, newParent, newLast);
  if (typeof to === 'number') return to;
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  if (noReplace && to.inode !== null) return -EEXIST;
  if (exchange) {
    if (to.inode === null) return -ENOENT;
    if (newSlash && !to.inode.isDir) return -ENOTDIR;
  }
  if (!inode.isDir) {
    if (oldSlash || (!exchange && newSlash)) return -ENOTDIR;
  }
  if (isBelow(newParent, from)) return -EINVAL;
  if (isBelow(oldParent, to)) return exchange ? -EINVAL : -ENOTEMPTY;
  if (t.landlock !== null) {
    r = t.landlock.refer(mount, from, newParent, to, true, exchange);
    if (r !== 0) return r;
  }
  return renameDentries(t, oldParent, from, newParent, to, flags);
}

/** vfs_rename(). */
function renameDentries(
  t: CallContext,
  oldParent: Dentry,
  from: Dentry,
  newParent: Dentry,
  to: Dentry,
  flags: number,
): number {
  const inode = from.inode!;
  const target = to.inode;
  if (inode === target) return 0;
  const oldDir = oldParent.inode!;
  const newDir = newParent.inode!;
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  let r = mayDelete(t, oldDir, inode, inode.isDir);
  if (r !== 0) return r;
  if (target === null) r = mayCreate(t, newDir);
  else r = mayDelete(t, newDir, target, exchange ? target.isDir : inode.isDir);
  if (r !== 0) return r;
  if (oldDir !== newDir) {
    // A directory's ".." changes.
    if (inode.isDir) r = inodePermission(t, inode, MAY_WRITE);
    if (r === 0 && exchange && target!.isDir) r = inodePermission(t, target!, MAY_WRITE);
    if (r !== 0) return r;
  }
  if (isMountpoint(t, from) || isMountpoint(t, to)) return -EBUSY;
  const oldName = from.name;
  const newName = to.name;
  inode.hold();
  target?.hold();
  r = oldDir.rename(oldName, inode, newDir, newName, target, flags);
  if (r === 0) {
    if (target !== null && !exchange) {
      detachMountsOn(to);
      if (target.isDir) target.dead = true;
    }
    if (exchange) exchangeDentries(from, to);
    else moveDentry(from, newParent, newName);
    notifyMoved(oldDir, oldName, newDir, newName, inode, exchange ? null : target);
    if (exchange) notifyMoved(newDir, newName, oldDir, oldName, target!, null);
  }
  target?.drop();
  inode.drop();
  return r;
}

function notifyMoved(
  oldDir: Inode,
  oldName: string,
  newDir: Inode,
  newName: string,
  inode: Inode,
  replaced: Inode | null,
): void {
  if (!notifying()) return;
  const cookie = nextCookie();
  notifyName(IN_MOVED_FROM, oldDir, oldName, inode.isDir, cookie);
  notifyName(IN_MOVED_TO, newDir, newName, inode.isDir, cookie);
  if (replaced !== null) {
    notifySelf(IN_ATTRIB, replaced);
    replaced.orphan = replaced.nlink === 0 || replaced.isDir;
  }
  notifySelf(IN_MOVE_SELF, inode);
}
