/** Opening by name (fs/namei.c path_openat, fs/open.c do_dentry_open), for open(2) and for execve(2). */
import { EACCES, EAGAIN, EEXIST, EINVAL, EISDIR, ELOOP, EPERM, EROFS, ETXTBSY } from '../abi/errno.ts';
import {
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_LARGEFILE,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
} from '../abi/fcntl.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import { modeByDefaultAcl, modeWithoutPrivs, newFileMode, newGid } from './attr.ts';
import type { CallContext } from './call-context.ts';
import { Dentry, type Path } from './dentry.ts';
import { FileDescription } from './file-description.ts';
import { IN_CREATE, IN_OPEN, notifyDentry, notifyFile, notifyName, truncateEvents } from './fsnotify.ts';
import type { Inode } from './inode.ts';
import { breakLeases } from './leases.ts';
import {
  ACCESS_EXECUTE,
  ACCESS_READ_DIR,
  ACCESS_READ_FILE,
  ACCESS_TRUNCATE,
  ACCESS_WRITE_FILE,
  landlocked,
  landlockedMake,
} from './landlock.ts';
import { lookupDentry } from './lookup.ts';
import { MS_NODEV, MS_NOEXEC } from './mount.ts';
import { MAY_EXEC, MAY_READ, MAY_WRITE, inodePermission, mayCreate, ownerOrCapable } from './permission.ts';
import { mayCreateInSticky } from './protected.ts';
import { currentTime } from './times.ts';
import {
  LAST_NORM,
  LOOKUP_DIRECTORY,
  LOOKUP_FOLLOW,
  LOOKUP_PARENT,
  nd,
  stepInto,
  walk,
  walkLink,
} from './walk.ts';

/** Of files that are opened for execution (include/linux/fs.h __FMODE_EXEC); no flag of open(2). */
export const FMODE_EXEC = 0x20;
/** Flags that only say how to open, not what the open file is. */
const CREATION_FLAGS = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;

/** openFound(): a lease is being broken first. `leasedInode` and `leaseDeadlineNs` say what to wait for; then open again. */
export const LEASED = -0x10100;
export let leasedInode: Inode | null = null;
export let leaseDeadlineNs = 0;

/** O_PATH: the place only. */
export class PathFile extends FileDescription {}

/**
 * Opens `name` from `start` with validated open(2) flags; `mode` for a new file, before the umask; `lookup` are LOOKUP_*
 * flags of openat2's resolve. An open file or −errno; it may be `openPending`.
 */
export function vfsOpen(
  t: CallContext,
  start: Path,
  name: string,
  flags: number,
  mode: number,
  lookup = 0,
): FileDescription | number {
  if ((flags & O_PATH) === 0) {
    if ((flags & O_CREAT) !== 0) return openCreate(t, start, name, flags, mode, lookup);
    if ((flags & O_TMPFILE) === O_TMPFILE) return openTmpfile(t, start, name, flags, mode, lookup);
  }
  let how = lookup;
  if ((flags & O_NOFOLLOW) === 0) how |= LOOKUP_FOLLOW;
  if ((flags & O_DIRECTORY) !== 0) how |= LOOKUP_DIRECTORY;
  const r = walk(t, start, name, how);
  if (r !== 0) return r;
  if ((flags & O_PATH) !== 0)
    return openedBy(t, new PathFile(nd.path(), nd.dentry.inode!, flags & ~O_CLOEXEC));
  return openFound(t, nd.path(), flags, false);
}

function openCreate(
  t: CallContext,
  start: Path,
  name: string,
  flags: number,
  mode: number,
  lookup: number,
): FileDescription | number {
  const how = lookup | LOOKUP_PARENT;
  let r = walk(t, start, name, how);
  for (;;) {
    if (r !== 0) return r;
    if (nd.lastType !== LAST_NORM) return (flags & O_EXCL) !== 0 ? -EEXIST : -EISDIR;
    if (nd.trailingSlash) return -EISDIR;
    const dir = nd.dentry.inode!;
    const d = lookupDentry(t, nd.dentry, nd.last);
    if (typeof d === 'number') return d;
    if (d.inode === null) return createAndOpen(t, d, flags, mode);
    if ((flags & O_EXCL) !== 0) return -EEXIST;
    if (!d.inode.isSymlink) {
      r = stepInto(d, how);
      return r !== 0 ? r : openOfCreate(t, dir, flags);
    }
    if ((flags & O_NOFOLLOW) !== 0) return -ELOOP;
    r = walkLink(t, d, how);
    if (r === 1) return openOfCreate(t, dir, flags);
  }
}

/** O_CREAT has found what `nd` is, by a name in `dir`. */
function openOfCreate(t: CallContext, dir: Inode, flags: number): FileDescription | number {
  const inode = nd.dentry.inode!;
  if (inode.isDir) return -EISDIR;
  const may = mayCreateInSticky(t, dir, inode);
  return may !== 0 ? may : openFound(t, nd.path(), flags, false);
}

/** The negative dentry `d` in the directory nd becomes a regular file. */
function createAndOpen(t: CallContext, d: Dentry, flags: number, mode: number): FileDescription | number {
  const { mount, dentry } = nd;
  const dir = dentry.inode!;
  if (mount.readOnly) return -EROFS;
  const r = landlockedMake(t, nd, S_IFREG) || mayCreate(t, dir);
  if (r !== 0) return r;
  const perm = newFileMode(t, dir, modeByDefaultAcl(t, dir, mode & 0o7777));
  const inode = dir.create(d.name, perm, t.creds.fsuid, newGid(t, dir), flags);
  if (typeof inode === 'number') return inode;
  d.instantiate(inode);
  notifyName(IN_CREATE, dir, d.name, false);
  return openFound(t, { mount, dentry: d }, flags, true);
}

function openTmpfile(
  t: CallContext,
  start: Path,
  name: string,
  flags: number,
  mode: number,
  lookup: number,
): FileDescription | number {
  const follow = (flags & O_NOFOLLOW) === 0 ? LOOKUP_FOLLOW : 0;
  const r = walk(t, start, name, lookup | follow | LOOKUP_DIRECTORY);
  if (r !== 0) return r;
  const { mount, dentry } = nd;
  const dir = dentry.inode!;
  if (mount.readOnly) return -EROFS;
  const access = inodePermission(t, dir, MAY_WRITE | MAY_EXEC);
  if (access !== 0) return access;
  const perm = newFileMode(t, dir, modeByDefaultAcl(t, dir, mode & 0o7777));
  const inode = dir.tmpfile(perm, t.creds.fsuid, newGid(t, dir));
  if (typeof inode === 'number') return inode;
  inode.linkable = (flags & O_EXCL) === 0;
  // Named after its inode, below the directory, and gone: what d_tmpfile() does.
  const d = new Dentry(`#${inode.ino}`, dentry, inode);
  d.unhashed = true;
  return openFound(t, { mount, dentry: d }, flags & ~O_TRUNC, true);
}

/** ACC_MODE(): what an access mode asks for; mode 3 needs both and allows neither. */
function accessMask(flags: number): number {
  const acc = flags & O_ACCMODE;
  const trunc = (flags & O_TRUNC) !== 0 ? MAY_WRITE : 0;
  if (acc === O_RDONLY) return MAY_READ | trunc;
  return acc === O_WRONLY ? MAY_WRITE : MAY_READ | MAY_WRITE;
}

/** get_required_file_open_access() */
function openAccess(type: number, acc: number): number {
  const write = acc === O_WRONLY || acc === O_RDWR ? ACCESS_WRITE_FILE : 0;
  if (acc !== O_RDONLY && acc !== O_RDWR) return write;
  return type === S_IFDIR ? ACCESS_READ_DIR : ACCESS_READ_FILE | write;
}

/** do_open(), may_open() and do_dentry_open() for an object that exists. */
export function openFound(
  t: CallContext,
  path: Path,
  flags: number,
  created: boolean,
): FileDescription | number {
  const inode = path.dentry.inode!;
  const type = inode.mode & S_IFMT;
  const acc = flags & O_ACCMODE;
  const mask = accessMask(flags);
  if (type === S_IFDIR) {
    if ((flags & O_CREAT) !== 0 || (mask & MAY_WRITE) !== 0) return -EISDIR;
  } else if (type === S_IFLNK) {
    return -ELOOP;
  } else if ((type === S_IFCHR || type === S_IFBLK) && (path.mount.flags & MS_NODEV) !== 0) {
    return -EACCES;
  }
  if (!created) {
    const r = inodePermission(t, inode, mask);
    if (r !== 0) return r;
  }
  if (inode.isAppendOnly) {
    if (acc !== O_RDONLY && (flags & O_APPEND) === 0) return -EPERM;
    if ((flags & O_TRUNC) !== 0) return -EPERM;
  }
  if ((flags & O_NOATIME) !== 0 && !ownerOrCapable(t, inode)) return -EPERM;
  const writer = type === S_IFREG && (mask & MAY_WRITE) !== 0;
  if (t.landlock !== null) {
    const truncates = writer && (flags & O_TRUNC) !== 0 && !created;
    const r = landlocked(t, path, openAccess(type, acc) | (truncates ? ACCESS_TRUNCATE : 0));
    if (r !== 0) return r;
  }
  if (writer) {
    if (path.mount.readOnly) return -EROFS;
    if (inode.writeCount < 0) return -ETXTBSY;
  }
  if (inode.identity.locks !== null && type === S_IFREG) {
    leaseDeadlineNs = breakLeases(inode, writer || acc !== O_RDONLY);
    if (leaseDeadlineNs !== 0) {
      if ((flags & O_NONBLOCK) !== 0) return -EAGAIN;
      leasedInode = inode;
      return LEASED;
    }
  }
  let truncated = 0;
  if (writer) {
    if ((flags & O_TRUNC) !== 0 && !created) {
      const { mode } = inode;
      const r = truncateInode(t, inode, 0);
      if (r !== 0) return r;
      truncated = truncateEvents(inode, mode);
    }
  }
  const f = inode.open(t, path, (flags & ~(CREATION_FLAGS & ~O_NOCTTY)) | O_LARGEFILE);
  if (typeof f === 'number') return f;
  if ((flags & O_DIRECT) !== 0 && !f.canDirect) {
    f.unref();
    return -EINVAL;
  }
  f.flags &= ~CREATION_FLAGS;
  f.created = created;
  f.keepsSize = landlocked(t, path, ACCESS_TRUNCATE) !== 0;
  if (writer && (acc === O_WRONLY || acc === O_RDWR)) f.countWriter();
  else if (type === S_IFREG && acc === O_RDONLY) f.countReader();
  notifyFile(IN_OPEN, f);
  if (truncated !== 0) notifyDentry(truncated, path.dentry);
  return openedBy(t, f);
}

function openedBy(t: CallContext, f: FileDescription): FileDescription {
  f.openCreds = t.creds;
  f.openTgid = t.tgid;
  return f;
}

/** do_truncate(): size, times and what is left of setuid and setgid. */
export function truncateInode(t: CallContext, inode: Inode, size: number): number {
  const now = currentTime();
  const mode = modeWithoutPrivs(t, inode);
  const change = { size, mtime: now, ctime: now };
  const r = inode.setAttr(mode === inode.mode ? change : { ...change, mode: mode & 0o7777 });
  if (r === 0 && inode.hasFileCaps) inode.killFileCaps();
  return r;
}

/**
 * do_open_execat(): opens for execution, which needs no read permission. Writers are kept out (ETXTBSY) until
 * `allowWrite`; the caller holds the file as long as the program runs.
 */
export function openExec(
  t: CallContext,
  start: Path,
  name: string,
  follow: boolean,
): FileDescription | number {
  const r = walk(t, start, name, follow ? LOOKUP_FOLLOW : 0);
  return r !== 0 ? r : openExecPath(t, nd.path());
}

/** The same for a place that is known already (execveat with AT_EMPTY_PATH). */
export function openExecPath(t: CallContext, path: Path): FileDescription | number {
  const inode = path.dentry.inode!;
  if (inode.isSymlink) return -ELOOP;
  if (!inode.isRegular || (path.mount.flags & MS_NOEXEC) !== 0) return -EACCES;
  const access =
    inodePermission(t, inode, MAY_EXEC) || landlocked(t, path, ACCESS_EXECUTE | ACCESS_READ_FILE);
  if (access !== 0) return access;
  if (inode.writeCount > 0) return -ETXTBSY;
  const f = inode.open(t, path, O_RDONLY | O_LARGEFILE | FMODE_EXEC);
  if (typeof f === 'number') return f;
  inode.writeCount--;
  notifyFile(IN_OPEN, f);
  return f;
}

/** Ends what openExec() began: the program that was run from `f` is gone, or was only read. */
export function allowWrite(f: FileDescription): void {
  f.inode.writeCount++;
}
