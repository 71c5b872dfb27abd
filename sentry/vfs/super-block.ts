/** SuperBlock: one mounted file system instance (include/linux/fs.h struct super_block). */
import { makedev } from '../abi/device.ts';
import type { UserNamespace } from '../auth/credentials.ts';
import type { CallContext } from './call-context.ts';
import type { Dentry } from './dentry.ts';
import type { Inode } from './inode.ts';

export interface StatFs {
  /** f_type magic (include/uapi/linux/magic.h) */
  type: number;
  bsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  namelen: number;
}

export abstract class SuperBlock {
  /** Type name as in /proc/filesystems and mountinfo. */
  abstract readonly fsType: string;
  /** st_dev: anonymous device number, makedev(0, n). */
  readonly dev: number;
  abstract readonly root: Inode;
  /** True if a cached dentry must be looked up again at each use (remote files that others change). */
  readonly revalidates: boolean = false;
  /** A program serves it: operations may be UNANSWERED (vfs/served-call.ts). */
  readonly served: boolean = false;
  /** True for file systems whose names come and go by themselves (/proc): nothing is cached. */
  readonly uncached: boolean = false;

  /** Nothing in it can be executed or mapped so, whatever the mount says (SB_I_NOEXEC). */
  readonly noExec: boolean = false;
  /** SB_NOUSER: the kernel's own, never mounted by anybody. */
  readonly noUser: boolean = false;

  /** st_blksize of its files. */
  readonly blockSize: number = 4096;
  /** The whole file system is read-only, whatever the mount says (SB_RDONLY). */
  readOnly = false;
  /** MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME: shown, everything is written at once here. */
  flags = 0;
  /** Open files that may write. */
  writers = 0;
  /** Place of the root inside of what it is a part of, for mountinfo: a host directory that is bound; '' is the whole. */
  rootName = '';
  /** The user namespace it was mounted in; null: the outermost one. */
  owner: UserNamespace | null = null;
  /** Mounts of it, in all namespaces. */
  mounts = 0;
  /** The one dentry of `root`; made by rootDentry() in vfs/mount-namespace. */
  rootDentry: Dentry | null = null;

  private static nextDev = 1;

  constructor() {
    this.dev = makedev(0, SuperBlock.nextDev++);
  }

  abstract statfs(): StatFs | number;

  /** Its own options for mountinfo, each with a comma before it: `,size=65536k`. */
  options(): string {
    return '';
  }

  /** The root of a mount as mountinfo names it for this reader (show_path); null: its path. */
  nameOf(_root: Dentry, _reader: CallContext): string | null {
    return null;
  }

  /** MS_REMOUNT with super block options; 0 or −errno. */
  reconfigure(_data: string): number {
    return 0;
  }

  /** Writes everything back; 0 or −errno. */
  sync(): number {
    return 0;
  }

  /** umount2(MNT_FORCE): whoever waits for the file system is let go. */
  umountBegin(): void {}

  /** The last mount is gone. */
  release(): void {}
}
