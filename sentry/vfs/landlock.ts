/**
 * Landlock (landlock(7); security/landlock): what a process may do with files, by rules that it has given itself. A domain is a stack of
 * layers, one for each landlock_restrict_self(2); each must grant what is asked, by rules about the object or about directories above it.
 */
import { EACCES, ENOENT, EXDEV } from '../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFSOCK } from '../abi/stat.ts';
import type { CallContext } from './call-context.ts';
import type { Dentry, Path } from './dentry.ts';
import type { Inode } from './inode.ts';
import type { Mount } from './mount.ts';

// include/uapi/linux/landlock.h
export const ACCESS_EXECUTE = 1;
export const ACCESS_WRITE_FILE = 2;
export const ACCESS_READ_FILE = 4;
export const ACCESS_READ_DIR = 8;
const ACCESS_REMOVE_DIR = 16;
const ACCESS_REMOVE_FILE = 32;
const ACCESS_MAKE_CHAR = 64;
const ACCESS_MAKE_DIR = 128;
const ACCESS_MAKE_REG = 256;
const ACCESS_MAKE_SOCK = 512;
const ACCESS_MAKE_FIFO = 1024;
const ACCESS_MAKE_BLOCK = 2048;
const ACCESS_MAKE_SYM = 4096;
const ACCESS_REFER = 8192;
export const ACCESS_TRUNCATE = 16384;
/** LANDLOCK_MASK_ACCESS_FS of the third version. */
export const ACCESS_ALL = 32767;
/** What may be granted for anything but a directory. */
export const ACCESS_FILE = ACCESS_EXECUTE | ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE;

export const MAX_LAYERS = 16;

/** Rules in the making, or of a layer. Inodes that have rules are held. */
export class Ruleset {
  /** Rights that are denied but for the rules. */
  readonly handled: number;
  private readonly rules = new Map<Inode, number>();

  constructor(handled: number) {
    this.handled = handled;
  }

  /** Grants rights for `inode` and what lies below, besides those that it has. */
  add(inode: Inode, rights: number): void {
    const old = this.rules.get(inode);
    if (old === undefined) inode.hold();
    this.rules.set(inode, (old ?? 0) | rights);
  }

  granted(inode: Inode): number {
    return this.rules.get(inode) ?? 0;
  }

  /** As it is now. */
  copy(): Ruleset {
    const made = new Ruleset(this.handled);
    for (const [inode, rights] of this.rules) made.add(inode, rights);
    return made;
  }

  release(): void {
    for (const inode of this.rules.keys()) inode.drop();
    this.rules.clear();
  }
}

/** Of each layer: rights that are granted. */
type Grants = Int32Array;

export class LandlockDomain {
  readonly parent: LandlockDomain | null;
  readonly layers: readonly Ruleset[];
  private refs = 1;

  /** Takes over `rules`. */
  constructor(parent: LandlockDomain | null, rules: Ruleset) {
    this.parent = parent?.ref() ?? null;
    this.layers = parent === null ? [rules] : [...parent.layers, rules];
  }

  ref(): this {
    this.refs++;
    return this;
  }

  /** The last task that it holds for is gone. */
  unref(): void {
    if (--this.refs > 0) return;
    this.layers.at(-1)!.release();
    this.parent?.unref();
  }

  /** True if `o` is this domain or one below it (domain_scope_le). */
  contains(o: LandlockDomain | null): boolean {
    for (let d = o; d !== null; d = d.parent) if (d === this) return true;
    return false;
  }

  /** What the layers grant at a place, by rules from there up to the root; all of what they do not handle. */
  private grants(mount: Mount, dentry: Dentry): Grants {
    const { layers } = this;
    // Moving files to other directories is denied unless a rule grants it, handled or not.
    const found = Int32Array.from(layers, (l) => ~(l.handled | ACCESS_REFER));
    let at: Dentry | null = dentry;
    while (at !== null) {
      const inode = at.inode;
      if (inode !== null) for (let i = 0; i < layers.length; i++) found[i]! |= layers[i]!.granted(inode);
      while (at === mount.root && mount.parent !== null) {
        at = mount.mountpoint!;
        mount = mount.parent;
      }
      at = at === mount.root ? null : at.parent;
    }
    return found;
  }

  /** is_access_to_paths_allowed() for one place. */
  allows(mount: Mount, dentry: Dentry, access: number): boolean {
    return mount.internal || dentry.inode?.sb.noUser === true || grantAll(this.grants(mount, dentry), access);
  }

  /**
   * current_check_refer_path(): linking `from` (renaming, if `moved`) to `to` in the directory `toDir` of the same mount. 0, −EACCES,
   * or −EXDEV if it would get rights by that.
   */
  refer(
    mount: Mount,
    from: Dentry,
    toDir: Dentry,
    to: Dentry | null,
    moved: boolean,
    exchange: boolean,
  ): number {
    const inode = from.inode;
    const target = to?.inode ?? null;
    if (inode === null || (exchange && target === null)) return -ENOENT;
    const outOf = (moved ? removal(inode) : 0) | (exchange ? making(target!.mode) : 0);
    const into = making(inode.mode) | (moved && target !== null ? removal(target) : 0);
    const fromDir = from === mount.root ? from : from.parent!;
    if (fromDir === toDir) return grantAll(this.grants(mount, toDir), outOf | into) ? 0 : -EACCES;
    const source = this.grants(mount, fromDir);
    const destination = this.grants(mount, toDir);
    if (!grantAll(source, outOf) || !grantAll(destination, into)) return -EACCES;
    const kept =
      grantAll(source, ACCESS_REFER) &&
      grantAll(destination, ACCESS_REFER) &&
      this.keepsRights(source, inode, destination) &&
      (!exchange || this.keepsRights(destination, target!, source));
    return kept ? 0 : -EXDEV;
  }

  /** no_more_access(): below `there` nothing is granted for `inode` that is not here. */
  private keepsRights(here: Grants, inode: Inode, there: Grants): boolean {
    const known = inode.isDir ? ACCESS_ALL : ACCESS_FILE;
    return this.layers.every((l, i) => (there[i]! & ~(here[i]! | l.granted(inode)) & known) === 0);
  }
}

function grantAll(grants: Grants, access: number): boolean {
  return grants.every((g) => (access & ~g) === 0);
}

/** get_mode_access() */
function making(mode: number): number {
  switch (mode & S_IFMT) {
    case S_IFLNK:
      return ACCESS_MAKE_SYM;
    case S_IFDIR:
      return ACCESS_MAKE_DIR;
    case S_IFCHR:
      return ACCESS_MAKE_CHAR;
    case S_IFBLK:
      return ACCESS_MAKE_BLOCK;
    case S_IFIFO:
      return ACCESS_MAKE_FIFO;
    case S_IFSOCK:
      return ACCESS_MAKE_SOCK;
    default:
      return ACCESS_MAKE_REG;
  }
}

/** maybe_remove() */
function removal(inode: Inode): number {
  return inode.isDir ? ACCESS_REMOVE_DIR : ACCESS_REMOVE_FILE;
}

/** 0, or −EACCES if the task's domain does not grant `access` at `p`. */
export function landlocked(t: CallContext, p: Path, access: number): number {
  const { landlock } = t;
  return landlock === null || landlock.allows(p.mount, p.dentry, access) ? 0 : -EACCES;
}

/** The same for making an object with this mode in the directory `p`, or for removing `victim` from there. */
export function landlockedMake(t: CallContext, p: Path, mode: number): number {
  return t.landlock === null ? 0 : landlocked(t, p, making(mode));
}

export function landlockedRemove(t: CallContext, p: Path, victim: Inode): number {
  return t.landlock === null ? 0 : landlocked(t, p, removal(victim));
}
