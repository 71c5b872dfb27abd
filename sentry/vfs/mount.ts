/** Mount: a super block's tree hung on a dentry of another (fs/mount.h). Mounts of one namespace form a tree. */
import type { Dentry } from './dentry.ts';
import type { SuperBlock } from './super-block.ts';

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
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
export const MS_STRICTATIME = 1 << 24;

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

  private static nextId = 1;

  constructor(sb: SuperBlock, root: Dentry, flags: number, source: string) {
    this.id = Mount.nextId++;
    this.sb = sb;
    this.root = root;
    this.flags = flags;
    this.source = source;
  }

  get readOnly(): boolean {
    return (this.flags & MS_RDONLY) !== 0;
  }
}
