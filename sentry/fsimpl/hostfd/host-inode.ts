/** Inode of a host fd that was handed to the sandbox (container stdio): attributes are the host's, refreshed by fstat. */
import { fstat } from '../../host/file-io.ffi.ts';
import { ftruncate } from '../../host/sys.ffi.ts';
import { EINVAL } from '../../abi/errno.ts';
import { S_IFCHR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
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

  /** What the guest has changed: kept here, the host's object stays as it is. */
  private readonly changed: AttrChange = {};

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
    const { mode, uid, gid } = this.changed;
    if (mode !== undefined) this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
    if (uid !== undefined) this.uid = uid;
    if (gid !== undefined) this.gid = gid;
    return 0;
  }

  /** Truncation reaches the file; owner and mode are a fiction of the sandbox, times are not kept. */
  override setAttr(change: AttrChange): number {
    if (change.size !== undefined) {
      const r = (this.mode & S_IFMT) === S_IFREG ? ftruncate(this.hostFd, change.size) : -EINVAL;
      if (r < 0) return r;
    }
    if (change.mode !== undefined) this.changed.mode = change.mode;
    if (change.uid !== undefined) this.changed.uid = change.uid;
    if (change.gid !== undefined) this.changed.gid = change.gid;
    return this.refresh();
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
