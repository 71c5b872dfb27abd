/**
 * Dentry: a name in a directory and what it leads to, possibly nothing (negative). include/linux/dcache.h.
 * Dentries of one super block form a tree; mounts hang other trees on them. Path = mount + dentry, as in Linux.
 *
 * Unused dentries (refs 0, no children, no mounts) stay cached until the cache is full; then a clock hand drops those that
 * were not used since it passed. Whoever keeps a dentry beyond the syscall holds a reference: open files, fs_struct, mounts.
 */
import type { Inode } from './inode.ts';
import type { Mount } from './mount.ts';
import { leafChanges, treeChanged } from './walk-cache.ts';

/** Upper bound of cached dentries; a full cache of them and their inodes is about 30 MiB of heap. */
export const DENTRY_CACHE_MAX = 65536;

export class Dentry {
  /** Byte string; '/' for the root of a file system. */
  name: string;
  parent: Dentry | null;
  /** null: negative, the name is known not to exist. */
  inode: Inode | null;
  children: Map<string, Dentry> | null = null;
  /** Number of mounts on this dentry, in any mount namespace. */
  mounted = 0;
  /** Unlinked or renamed over: no longer reachable by name ("(deleted)" in /proc). */
  unhashed = false;
  /** References of open files, working directories and mounts. */
  refs = 0;
  /** The file system wants to be asked again at each use (SuperBlock.revalidates, uncached). */
  readonly volatile: boolean;
  /** Looked up since the clock hand passed. */
  used = true;
  /** Slot in the cache's ring, −1 for roots and dropped dentries. */
  slot = -1;

  constructor(name: string, parent: Dentry | null, inode: Inode | null) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
    const sb = inode !== null ? inode.sb : (parent?.inode?.sb ?? null);
    this.volatile = sb !== null && (sb.revalidates || sb.uncached);
    inode?.hold();
  }

  child(name: string): Dentry | undefined {
    return this.children?.get(name);
  }

  /** Hashes `d` under its name in this directory. */
  addChild(d: Dentry): void {
    (this.children ??= new Map()).set(d.name, d);
    d.parent = this;
    d.unhashed = false;
    if (d.slot < 0) cacheAdd(d);
  }

  hold(): this {
    this.refs++;
    return this;
  }

  /** Gives back a reference. */
  put(): void {
    if (--this.refs === 0 && this.unhashed) this.forgetInode();
  }

  /** A negative dentry's name has come to exist (d_instantiate). */
  instantiate(inode: Inode): void {
    leafChanges(this);
    inode.hold();
    this.inode = inode;
  }

  /** Exchanges what the name leads to (a generated file that was made anew). */
  replaceInode(inode: Inode): void {
    inode.hold();
    this.inode?.drop();
    this.inode = inode;
  }

  /** The name was removed (d_delete): negative if nobody uses the dentry, otherwise dropped. */
  markDeleted(): void {
    this.shapes();
    if (this.refs === 0 && this.mounted === 0 && (this.children === null || this.children.size === 0)) {
      const inode = this.inode;
      this.inode = null;
      inode?.drop();
    } else {
      this.drop();
    }
  }

  /** Forgets the name; the dentry lives on for those who hold it. */
  drop(): void {
    if (this.parent?.children?.get(this.name) === this) this.parent.children.delete(this.name);
    if (this.unhashed) return;
    this.shapes();
    this.unhashed = true;
    if (this.slot >= 0) cacheRemove(this);
    // They are no longer reachable from above, so nobody else would free them.
    if (this.children !== null) forgetBelow(this);
    if (this.refs === 0) this.forgetInode();
  }

  /** Names that lead through here change their meaning: directories and symbolic links. No names through volatile ones are kept. */
  shapes(): void {
    const { inode } = this;
    if (!this.volatile && inode !== null && (inode.isDir || inode.isSymlink)) treeChanged();
    else leafChanges(this);
  }

  private forgetInode(): void {
    const inode = this.inode;
    if (inode === null || this.gone) return;
    this.gone = true;
    inode.drop();
  }
  private gone = false;

  /** True if the clock hand may take it. */
  get evictable(): boolean {
    return this.refs === 0 && this.mounted === 0 && (this.children === null || this.children.size === 0);
  }
}

/** Nothing below `root` that nobody uses is kept for later; also when the last mount is gone (shrink_dcache_for_umount). */
export function forgetBelow(root: Dentry): void {
  const all = [root];
  for (let i = 0; i < all.length; i++) if (all[i]!.children !== null) all.push(...all[i]!.children!.values());
  for (let i = all.length - 1; i > 0; i--) if (all[i]!.evictable) all[i]!.drop();
}

/** d_move(): `d` gets another name; what had that name is dropped. */
export function moveDentry(d: Dentry, parent: Dentry, name: string): void {
  d.shapes();
  parent.children?.get(name)?.drop();
  d.parent!.children!.delete(d.name);
  d.name = name;
  parent.addChild(d);
}

/** d_exchange() */
export function exchangeDentries(a: Dentry, b: Dentry): void {
  treeChanged();
  const { parent, name } = a;
  a.parent!.children!.delete(a.name);
  b.parent!.children!.delete(b.name);
  a.name = b.name;
  b.parent!.addChild(a);
  b.name = name;
  parent!.addChild(b);
}

export interface Path {
  readonly mount: Mount;
  readonly dentry: Dentry;
}

/** Keeps a path's dentry and mount alive beyond the syscall. */
export function holdPath(p: Path): Path {
  p.dentry.hold();
  p.mount.refs++;
  return p;
}

export function putPath(p: Path): void {
  p.dentry.put();
  p.mount.put();
}

// The cache: a ring of slots with a clock hand.
const ring: (Dentry | null)[] = [];
const freeSlots: number[] = [];
let hand = 0;
let cached = 0;
let limit = DENTRY_CACHE_MAX;

function cacheAdd(d: Dentry): void {
  const slot = freeSlots.pop();
  if (slot !== undefined) {
    ring[slot] = d;
    d.slot = slot;
  } else {
    d.slot = ring.length;
    ring.push(d);
  }
  cached++;
  if (cached > limit) sweep();
}

function cacheRemove(d: Dentry): void {
  ring[d.slot] = null;
  freeSlots.push(d.slot);
  d.slot = -1;
  cached--;
}

/**
 * A few steps of the clock hand. So few per added dentry that what one path walk has used cannot be reached before the hand
 * has gone all the way round, hence not before the walk's syscall is over.
 */
function sweep(): void {
  for (let i = 0; i < 4; i++) {
    if (++hand >= ring.length) hand = 0;
    const d = ring[hand];
    if (d === null || d === undefined) continue;
    if (d.used) d.used = false;
    else if (d.evictable) d.drop();
  }
}

/** Number of cached dentries, for reports and tests. */
export function dentryCount(): number {
  return cached;
}

/** For tests: another bound than DENTRY_CACHE_MAX. */
export function setDentryLimit(n: number): void {
  limit = n;
}
