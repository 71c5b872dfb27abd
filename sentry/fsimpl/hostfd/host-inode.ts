/** Inode of a host fd that was handed to the sandbox (container stdio): attributes are the host's, refreshed by fstat. */
import { fstat } from '../../host/file-io.ffi.ts';
import { S_IFCHR, S_IFIFO, S_IFMT, S_IFSOCK } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode } from '../../vfs/inode.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';

class HostSuperBlock extends SuperBlock {
  readonly fsType = 'hostfd';
  readonly root: Inode;

  constructor() {
    super();
    this.root = new HostInode(this, -1, 1, 0o40700);
  }

  override statfs(): StatFs {
    return {
      type: 0x6d736f63,
      bsize: 4096,
      blocks: 0,
      bfree: 0,
      bavail: 0,
      files: 0,
      ffree: 0,
      namelen: 255,
    };
  }
}

export class HostInode extends Inode {
  readonly hostFd: number;
  /** Opens the object again through /proc/self/fd/N: shares the host fd. Set by the file that owns it. */
  reopen: ((path: Path | null, flags: number) => FileDescription | number) | null = null;

  constructor(sb: SuperBlock, hostFd: number, ino: number, mode: number) {
    super(sb, ino, mode, 0, 0);
    this.hostFd = hostFd;
    this.refresh();
  }

  override refresh(): number {
    if (this.hostFd < 0) return 0;
    const st = fstat(this.hostFd);
    if (typeof st === 'number') return st;
    this.mode = st.mode;
    this.nlink = st.nlink;
    this.uid = st.uid;
    this.gid = st.gid;
    this.size = st.size;
    this.blocks = st.blocks;
    this.rdev = ((st.rdev >>> 8) & 0xfff) * 256 + (st.rdev & 0xff);
    this.atime = st.atime;
    this.mtime = st.mtime;
    this.ctime = st.ctime;
    return 0;
  }

  override get anonName(): string {
    const type = this.mode & S_IFMT;
    if (type === S_IFIFO) return `pipe:[${this.ino}]`;
    if (type === S_IFSOCK) return `socket:[${this.ino}]`;
    return type === S_IFCHR ? `host:char[${this.rdev}]` : `host:[${this.ino}]`;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription | number {
    return this.reopen === null ? super.open(_t, path, flags) : this.reopen(path, flags);
  }
}

const sb = new HostSuperBlock();

/** Inode of `hostFd`, or −errno. */
export function hostInode(hostFd: number): HostInode | number {
  const st = fstat(hostFd);
  return typeof st === 'number' ? st : new HostInode(sb, hostFd, st.ino, st.mode);
}
