/**
 * Path walk (fs/namei.c): from a starting place and a name to mount and dentry. One walk is in progress at a time (the
 * kernel is single-threaded and file systems do not walk paths), so its state and result live in one object, `nd`; a caller
 * copies what it needs before the next walk.
 */
import { EAGAIN, ELOOP, ENOENT, ENOTDIR, EXDEV } from '../abi/errno.ts';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../abi/stat.ts';
import { touchInodeAtime } from './atime.ts';
import type { CallContext } from './call-context.ts';
import type { Dentry, Path } from './dentry.ts';
import { lookupDentry } from './lookup.ts';
import { MS_NOSYMFOLLOW, type Mount } from './mount.ts';
import { isOpenDirectory, maySearch } from './permission.ts';
import { mayFollowLink, protectsLinks } from './protected.ts';
import {
  CACHED_NAME_MAX,
  cachedWalk,
  entryToFill,
  relyOn,
  treeGeneration,
  type WalkCacheEntry,
} from './walk-cache.ts';

/** Follow a symbolic link in the last component. */
export const LOOKUP_FOLLOW = 0x1;
/** The result must be a directory. */
export const LOOKUP_DIRECTORY = 0x2;
/** Stop before the last component: nd is the parent, nd.last the name. */
export const LOOKUP_PARENT = 0x4;
/** Magic links are refused (RESOLVE_NO_MAGICLINKS). */
export const LOOKUP_NO_MAGICLINKS = 0x10;
export const LOOKUP_NO_SYMLINKS = 0x20;
export const LOOKUP_NO_XDEV = 0x40;
export const LOOKUP_BENEATH = 0x80;
export const LOOKUP_IN_ROOT = 0x100;
/** Mounts passed keep the mark of umount2(MNT_EXPIRE), which only use takes from them. */
export const LOOKUP_KEEP_EXPIRY = 0x200;
/** Only what needs to ask no file system; −EAGAIN otherwise. */
export const LOOKUP_CACHED = 0x400;
const LOOKUP_SCOPED = LOOKUP_BENEATH | LOOKUP_IN_ROOT;

/** What the last component is (nd.lastType). */
export const LAST_NORM = 0;
export const LAST_ROOT = 1;
export const LAST_DOT = 2;
export const LAST_DOTDOT = 3;

const MAXSYMLINKS = 40;

class NameiData {
  // Result, or place reached so far.
  mount: Mount = null as unknown as Mount;
  dentry: Dentry = null as unknown as Dentry;
  /** LOOKUP_PARENT: the last component without trailing slashes. */
  last = '';
  lastType = LAST_ROOT;
  /** The name ended in slashes, so it has to be a directory. */
  trailingSlash = false;

  // Of the walk in progress.
  root: Path = null as unknown as Path;
  links = 0;

  // For the walk cache.
  cacheable = false;
  /** Some directory passed is not open to everybody. */
  restricted = false;
  /** The last dentry that was looked up; null after "..", which leads away from it. */
  leaf: Dentry | null = null;

  forgetNotes(): void {
    this.cacheable = true;
    this.restricted = false;
    this.leaf = null;
  }

  /** A copy of the result that outlives the next walk. */
  path(): Path {
    return { mount: this.mount, dentry: this.dentry };
  }
}

export const nd = new NameiData();

/**
 * Resolves `name` from `start`. 0 with the result in `nd`, or −errno. The result is positive, except that with
 * LOOKUP_PARENT the last component is not looked up. An empty name is −ENOENT.
 */
export function walk(t: CallContext, start: Path, name: string, flags: number): number {
  if (name.length === 0) return -ENOENT;
  if ((flags & ~(LOOKUP_FOLLOW | LOOKUP_DIRECTORY)) === 0 && name.length <= CACHED_NAME_MAX) {
    return walkCached(t, start, name, flags);
  }
  if (flags === LOOKUP_PARENT && name.length <= CACHED_NAME_MAX) return walkParent(t, start, name);
  return walkSlow(t, start, name, flags);
}

function walkCached(t: CallContext, start: Path, name: string, flags: number): number {
  const from = name.charCodeAt(0) === SLASH ? t.fs.root : start;
  const follow = (flags & LOOKUP_FOLLOW) !== 0;
  const e = remembered(t, from, name, follow);
  if (e !== undefined) {
    if (e.leafInode === null) return -ENOENT;
    nd.mount = e.mount!;
    nd.dentry = e.dentry!;
    nd.lastType = LAST_NORM;
    nd.trailingSlash = false;
    if ((flags & LOOKUP_DIRECTORY) === 0) return 0;
    return (e.dentry!.inode!.mode & S_IFMT) === S_IFDIR ? 0 : -ENOTDIR;
  }
  nd.forgetNotes();
  const r = walkSlow(t, start, name, flags);
  const { leaf } = nd;
  if (nd.cacheable && leaf !== null && (r === 0 || (r === -ENOENT && leaf.inode === null))) {
    remember(t, name, follow, from, leaf);
  }
  return r;
}

function remembered(t: CallContext, from: Path, name: string, follow: boolean): WalkCacheEntry | undefined {
  const e = cachedWalk(name, follow);
  const { root } = t.fs;
  return e !== undefined &&
    e.start === from.dentry &&
    e.startMount === from.mount &&
    e.root === root.dentry &&
    e.rootMount === root.mount &&
    (e.creds === null || e.creds === t.creds)
    ? e
    : undefined;
}

/** Notes where `name` led: `nd` is the result unless `leaf` is negative. */
function remember(t: CallContext, name: string, follow: boolean, from: Path, leaf: Dentry): void {
  if (leaf.unhashed || nd.trailingSlash) return;
  const e = entryToFill(name, follow);
  e.generation = treeGeneration();
  e.rootMount = t.fs.root.mount;
  e.root = t.fs.root.dentry;
  e.startMount = from.mount;
  e.start = from.dentry;
  e.leaf = leaf;
  e.leafParent = leaf.parent;
  e.leafName = leaf.name;
  e.leafInode = leaf.inode;
  e.creds = nd.restricted ? t.creds : null;
  e.mount = nd.mount;
  e.dentry = nd.dentry;
}

/**
 * True if the caller will find under the absolute `name`, a last symbolic link not followed, what it has just found there,
 * until the tree's generation changes.
 */
export function relyOnWalk(t: CallContext, name: string): boolean {
  if (name.charCodeAt(0) !== SLASH || name.length > CACHED_NAME_MAX) return false;
  const e = remembered(t, t.fs.root, name, false);
  if (e === undefined) return false;
  relyOn(e);
  return true;
}

/** LOOKUP_PARENT: the directory part is a name of its own. */
function walkParent(t: CallContext, start: Path, name: string): number {
  const cut = name.lastIndexOf('/');
  if (cut <= 0 || cut === name.length - 1 || name.charCodeAt(cut - 1) === SLASH) {
    return walkSlow(t, start, name, LOOKUP_PARENT);
  }
  const r = walkCached(t, start, name.slice(0, cut), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) return r;
  nd.root = t.fs.root;
  nd.links = 0;
  nd.trailingSlash = false;
  nd.lastType = componentType(name, cut + 1, name.length);
  nd.last = name.slice(cut + 1);
  return maySearch(t, nd.dentry.inode!);
}

function walkSlow(t: CallContext, start: Path, name: string, flags: number): number {
  nd.root = (flags & LOOKUP_SCOPED) !== 0 ? start : t.fs.root;
  nd.links = 0;
  nd.mount = start.mount;
  nd.dentry = start.dentry;
  if (name.charCodeAt(0) === SLASH) {
    if ((flags & LOOKUP_BENEATH) !== 0) return -EXDEV;
    // "Absolute path arguments to path_init() are allowed."
    jumpToRoot(flags & ~LOOKUP_NO_XDEV);
  } else if ((start.dentry.inode!.mode & S_IFMT) !== S_IFDIR) {
    return -ENOTDIR;
  }
  return walkFrom(t, name, flags);
}

/**
 * Continues a LOOKUP_PARENT walk whose last component was found to be a symbolic link to be followed. 0: nd is the parent
 * again; 1: a magic link led to the end, nd is the result; −errno.
 */
export function walkLink(t: CallContext, link: Dentry, flags: number): number {
  const may = mayFollowLink(t, nd.dentry.inode!, link.inode!);
  if (may !== 0) return may;
  const target = pickLink(t, link, flags);
  if (typeof target === 'number') return target;
  return target.length === 0 ? 1 : walkFrom(t, target, flags);
}

/** Moves nd from the parent to its child `d`, across mounts: the last step of an open. 0 or −errno. */
export function stepInto(d: Dentry, flags: number): number {
  nd.dentry = d;
  return d.mounted > 0 ? crossMounts(flags) : 0;
}

const SLASH = 0x2f;
const DOT = 0x2e;

function jumpToRoot(flags: number): number {
  if ((flags & LOOKUP_NO_XDEV) !== 0 && nd.root.mount !== nd.mount) return -EXDEV;
  nd.mount = nd.root.mount;
  nd.dentry = nd.root.dentry;
  return 0;
}

/** link_path_walk() and the last component, symbolic links unrolled into `name`. */
function walkFrom(t: CallContext, name: string, flags: number): number {
  let len = name.length;
  let i = 0;
  while (i < len && name.charCodeAt(i) === SLASH) i++;
  nd.trailingSlash = false;
  if (i === len) {
    nd.lastType = LAST_ROOT;
    nd.last = '';
    return 0;
  }
  for (;;) {
    const dir = nd.dentry.inode!;
    const access = maySearch(t, dir);
    if (access !== 0) return access;
    if (!isOpenDirectory(dir)) nd.restricted = true;
    let j = name.indexOf('/', i);
    let next = len;
    if (j < 0) j = len;
    else {
      next = j + 1;
      while (next < len && name.charCodeAt(next) === SLASH) next++;
    }
    const isLast = next >= len;
    const type = componentType(name, i, j);
    if (isLast) {
      nd.trailingSlash = next > j && j < len;
      nd.lastType = type;
      if ((flags & LOOKUP_PARENT) !== 0) {
        nd.last = name.slice(i, j);
        return 0;
      }
    }
    if (type === LAST_NORM) {
      const d = lookupDentry(t, nd.dentry, name.slice(i, j));
      if (typeof d === 'number') {
        nd.leaf = null;
        return d;
      }
      nd.leaf = d;
      if (d.volatile) {
        nd.cacheable = false;
        if ((flags & LOOKUP_CACHED) !== 0) return -EAGAIN;
      }
      const inode = d.inode;
      if (inode === null) return (flags & LOOKUP_CACHED) !== 0 ? -EAGAIN : -ENOENT;
      const format = inode.mode & S_IFMT;
      if (format === S_IFLNK && (!isLast || (flags & LOOKUP_FOLLOW) !== 0 || nd.trailingSlash)) {
        if (isLast && protectsLinks(dir)) {
          nd.restricted = true;
          const may = mayFollowLink(t, dir, inode);
          if (may !== 0) return may;
        }
        const target = pickLink(t, d, flags);
        if (typeof target === 'number') return target;
        if (target.length > 0) {
          // The rest of the name goes on from the target; its slashes keep their meaning.
          name = target + name.slice(j);
          len = name.length;
          i = 0;
          while (i < len && name.charCodeAt(i) === SLASH) i++;
          if (i === len) {
            nd.lastType = LAST_ROOT;
            nd.trailingSlash = false;
            nd.leaf = null;
            return 0;
          }
          continue;
        }
      } else {
        nd.dentry = d;
        if (d.mounted > 0) {
          const r = crossMounts(flags);
          if (r !== 0) return r;
        }
      }
    } else if (type === LAST_DOTDOT) {
      nd.leaf = null;
      const r = followDotDot(flags);
      if (r !== 0) return r;
    }
    const isDir = (nd.dentry.inode!.mode & S_IFMT) === S_IFDIR;
    if (isLast) return isDir || (!nd.trailingSlash && (flags & LOOKUP_DIRECTORY) === 0) ? 0 : -ENOTDIR;
    if (!isDir) return (flags & LOOKUP_CACHED) !== 0 ? -EAGAIN : -ENOTDIR;
    i = next;
  }
}

function componentType(name: string, i: number, j: number): number {
  if (name.charCodeAt(i) !== DOT || j - i > 2) return LAST_NORM;
  if (j - i === 1) return LAST_DOT;
  return name.charCodeAt(i + 1) === DOT ? LAST_DOTDOT : LAST_NORM;
}

/** handle_mounts(): goes up to the root of the topmost mount here. */
function crossMounts(flags: number): number {
  for (;;) {
    const m = nd.mount.mountOn(nd.dentry);
    if (m === null) return 0;
    if ((flags & LOOKUP_NO_XDEV) !== 0) return -EXDEV;
    if ((flags & LOOKUP_KEEP_EXPIRY) === 0) m.expiring = false;
    nd.mount = m;
    nd.dentry = m.root;
  }
}

function followDotDot(flags: number): number {
  for (;;) {
    if (nd.dentry === nd.root.dentry && nd.mount === nd.root.mount) {
      return (flags & LOOKUP_BENEATH) !== 0 ? -EXDEV : 0;
    }
    if (nd.dentry !== nd.mount.root) break;
    const parent = nd.mount.parent;
    if (parent === null) return (flags & LOOKUP_BENEATH) !== 0 ? -EXDEV : 0;
    if ((flags & LOOKUP_NO_XDEV) !== 0) return -EXDEV;
    nd.dentry = nd.mount.mountpoint!;
    nd.mount = parent;
  }
  nd.dentry = nd.dentry.parent ?? nd.dentry;
  return nd.dentry.mounted > 0 ? crossMounts(flags) : 0;
}

/**
 * A symbolic link is to be followed: its target, with nd moved to the root if that is absolute; '' if a magic link has
 * moved nd to the end already; −errno.
 */
function pickLink(t: CallContext, link: Dentry, flags: number): string | number {
  if (nd.links++ >= MAXSYMLINKS) return -ELOOP;
  if ((flags & LOOKUP_NO_SYMLINKS) !== 0 || (nd.mount.flags & MS_NOSYMFOLLOW) !== 0) return -ELOOP;
  const inode = link.inode!;
  touchInodeAtime(nd.mount, inode);
  const magic = inode.followMagic(t);
  if (magic !== null) {
    nd.cacheable = false;
    if ((flags & LOOKUP_NO_MAGICLINKS) !== 0) return -ELOOP;
    if (typeof magic === 'number') return magic;
    if ((flags & LOOKUP_SCOPED) !== 0) return -EXDEV;
    if ((flags & LOOKUP_NO_XDEV) !== 0 && magic.mount !== nd.mount) return -EXDEV;
    nd.mount = magic.mount;
    nd.dentry = magic.dentry;
    return '';
  }
  const target = inode.readlink(t);
  if (typeof target === 'number') return target;
  if (target.length === 0) return -ENOENT;
  if (target.charCodeAt(0) === SLASH) {
    if ((flags & LOOKUP_BENEATH) !== 0) return -EXDEV;
    const r = jumpToRoot(flags);
    if (r !== 0) return r;
  }
  return target;
}
