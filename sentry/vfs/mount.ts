/** Mount: a super block's tree hung on a dentry of another (fs/mount.h). Mounts of one namespace form a tree. */
import type { Owned } from '../auth/credentials.ts';
import { type Dentry, forgetBelow } from './dentry.ts';
import { notifyUnmount } from './fsnotify.ts';
import type { MountNamespace } from './mount-namespace.ts';
import { makePrivate, type PeerGroup } from './propagation.ts';
import type { SuperBlock } from './super-block.ts';
import { treeChanged } from './walk-cache.ts';

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_MANDLOCK = 64;
export const MS_DIRSYNC = 128;
export const MS_NOSYMFOLLOW = 256;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
export const MS_MOVE = 8192;
export const MS_REC = 16384;
export const MS_SILENT = 32768;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_RELATIME = 1 << 21;
export const MS_I_VERSION = 1 << 23;
export const MS_STRICTATIME = 1 << 24;
export const MS_LAZYTIME = 1 << 25;

export const ATIME_FLAGS = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;
/** Flags that a mount keeps; the others say what to do, or are the super block's. */
const MOUNT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | ATIME_FLAGS;

/** What a mount keeps of mount(2)'s flags: relatime unless the caller says otherwise (path_mount). */
export function mountFlags(f: number): number {
  const kept = f & MOUNT_FLAGS;
  if ((kept & MS_STRICTATIME) !== 0) return kept & ~(MS_RELATIME | MS_NOATIME);
  return (kept & MS_NOATIME) !== 0 ? kept & ~MS_RELATIME : kept | MS_RELATIME;
}

/** What is mounted on each dentry, in all namespaces (mountpoint_hashtable). */
const onDentry = new Map<Dentry, Mount[]>();

/** The mounts on `d` itself, whichever mount shows it. */
export function mountsOn(d: Dentry): readonly Mount[] {
  return onDentry.get(d) ?? [];
}

/** An anonymous mount namespace: whose it is, and the namespace that the tree is a copy from (seq_origin). */
export interface AnonNamespace extends Owned {
  readonly origin: MountNamespace | null;
}

export class Mount {
  readonly id: number;
  readonly sb: SuperBlock;
  /** Root of what is mounted: the super block's root, or a subtree (bind). */
  readonly root: Dentry;
  /** Where it hangs; null for the root of a mount namespace or a detached mount. */
  parent: Mount | null = null;
  mountpoint: Dentry | null = null;
  /** MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, … */
  flags: number;
  /** Source as in /proc/mounts. */
  readonly source: string;
  readonly children: Mount[] = [];
  /** Open files, roots and working directories in it: umount(2) says EBUSY. */
  refs = 0;
  /** Open files that may write: it cannot become read-only (mnt_hold_writers). */
  writers = 0;
  /** The mount namespace it belongs to; null while detached. */
  ns: MountNamespace | null = null;
  /** Of the root of a tree that hangs nowhere and belongs to a descriptor. */
  anon: AnonNamespace | null = null;
  /** The kernel's own, in no tree at any time. */
  internal = false;
  /** Its peers if it is shared. */
  group: PeerGroup | null = null;
  /** The group it receives from if it is a slave. */
  master: PeerGroup | null = null;
  /** umount2(MNT_EXPIRE) has seen it, and nobody has used it since. */
  expiring = false;
  /** MNT_LOCKED: it came along into a namespace of less privilege, where it cannot be taken off. */
  locked = false;
  /** Flags that cannot be taken away again (MNT_LOCK_*). */
  lockedFlags = 0;
  /** Private, and bind mounts of it are refused. */
  unbindable = false;

  private static nextId = 1;

  constructor(sb: SuperBlock, root: Dentry, flags: number, source: string) {
    this.id = Mount.nextId++;
    this.sb = sb;
    this.root = root;
    this.flags = flags;
    this.source = source;
    root.hold();
    sb.mounts++;
  }

  /** What is mounted on `d` seen through this mount; null if nothing is. */
  mountOn(d: Dentry): Mount | null {
    const c = this.children;
    for (let i = c.length - 1; i >= 0; i--) if (c[i]!.mountpoint === d) return c[i]!;
    return null;
  }

  /** Hangs this mount on `d` of `parent` (attach_mnt). */
  attach(parent: Mount, d: Dentry, ns: MountNamespace | null): void {
    treeChanged();
    this.parent = parent;
    this.mountpoint = d.hold();
    d.mounted++;
    const others = onDentry.get(d);
    if (others === undefined) onDentry.set(d, [this]);
    else others.push(this);
    parent.children.push(this);
    this.ns = ns;
  }

  /** Takes this mount off its mount point; its own children stay on it. */
  detach(): void {
    const d = this.mountpoint;
    if (d === null) return;
    treeChanged();
    const siblings = this.parent!.children;
    siblings.splice(siblings.indexOf(this), 1);
    if (--d.mounted === 0) onDentry.delete(d);
    else {
      const others = onDentry.get(d)!;
      others.splice(others.indexOf(this), 1);
    }
    d.put();
    this.parent = null;
    this.mountpoint = null;
    this.ns = null;
  }

  /** The mount is gone for good; what still uses it (after MNT_DETACH) keeps the file system until it lets go. */
  release(): void {
    makePrivate(this);
    this.doomed = true;
    if (this.refs === 0) this.free();
  }

  addWriter(): void {
    this.writers++;
    this.sb.writers++;
  }

  dropWriter(): void {
    this.writers--;
    this.sb.writers--;
  }

  /** Gives back a reference. */
  put(): void {
    if (--this.refs === 0 && this.doomed) this.free();
  }

  private doomed = false;

  private free(): void {
    this.root.put();
    if (--this.sb.mounts > 0) return;
    if (this.sb.rootDentry !== null) forgetBelow(this.sb.rootDentry);
    notifyUnmount(this.sb);
    this.sb.release();
  }

  /** Writes are refused: this mount or its whole file system is read-only. */
  get readOnly(): boolean {
    return (this.flags & MS_RDONLY) !== 0 || this.sb.readOnly;
  }
}
