/**
 * Dentry: a name in a directory and what it leads to, possibly nothing (negative). include/linux/dcache.h.
 * Dentries of one super block form a tree; mounts hang other trees on them. Path = mount + dentry, as in Linux.
 */
import type { Inode } from './inode.ts';
import type { Mount } from './mount.ts';

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

  constructor(name: string, parent: Dentry | null, inode: Inode | null) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
  }

  child(name: string): Dentry | undefined {
    return this.children?.get(name);
  }

  addChild(d: Dentry): void {
    (this.children ??= new Map()).set(d.name, d);
    d.parent = this;
    d.unhashed = false;
  }

  /** Forgets the name; the dentry lives on for those who hold it. */
  drop(): void {
    if (this.parent?.children?.get(this.name) === this) this.parent.children.delete(this.name);
    this.unhashed = true;
  }
}

export interface Path {
  readonly mount: Mount;
  readonly dentry: Dentry;
}
