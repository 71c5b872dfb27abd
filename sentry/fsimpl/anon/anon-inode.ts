/**
 * Inodes of files that have no name: the anonymous inode file system (fs/anon_inodes.c), pipefs and sockfs. Each class
 * shares one super block, as in Linux, so st_dev tells them apart.
 */
import { EOPNOTSUPP } from '../../abi/errno.ts';
import { S_IFIFO, S_IFSOCK } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';

class NamelessSuperBlock extends SuperBlock {
  readonly fsType: string;
  readonly root: Inode;
  override readonly noExec = true;
  override readonly noUser = true;
  private readonly magic: number;

  constructor(fsType: string, magic: number) {
    super();
    this.fsType = fsType;
    this.magic = magic;
    this.root = new NamelessInode(this, 1, 0o40755, 0, 0, fsType);
  }

  override statfs(): StatFs {
    return {
      type: this.magic,
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

/** XATTR_NAME_SOCKPROTONAME */
const SOCKET_PROTOCOL = 'system.sockprotoname';

class NamelessInode extends Inode {
  private readonly label: string;
  /** Opens the object again through /proc/PID/fd/N (pipes); null: ENXIO, as for sockets. */
  opener: ((path: Path, flags: number) => FileDescription | number) | null = null;

  /** Of sockets. */
  protocol = '';

  constructor(sb: SuperBlock, ino: number, mode: number, uid: number, gid: number, label: string) {
    super(sb, ino, mode, uid, gid);
    this.label = label;
  }

  /** sockfs_xattr_get(): the name of a socket's protocol. */
  override getXattr(name: string): Uint8Array | number {
    if (this.sb !== sockSb || name !== SOCKET_PROTOCOL) return super.getXattr(name);
    return Buffer.from(`${this.protocol}\0`, 'latin1');
  }

  override listXattr(): string[] | number {
    return this.sb === sockSb ? [SOCKET_PROTOCOL] : [];
  }

  override get attributesFixed(): boolean {
    return this.sb === anonSb || this.sb === pidSb;
  }

  override get anonName(): string {
    return this.label;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    return this.opener === null ? super.open(t, path, flags) : this.opener(path, flags);
  }

  override setAttr(change: AttrChange): number {
    // anon_inode_setattr(): nobody owns what all share.
    if (this.attributesFixed) return -EOPNOTSUPP;
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime !== undefined) this.atime = change.atime;
    if (change.mtime !== undefined) this.mtime = change.mtime;
    if (change.ctime !== undefined) this.ctime = change.ctime;
    return 0;
  }
}

// Magic numbers: include/uapi/linux/magic.h.
const anonSb = new NamelessSuperBlock('anon_inodefs', 0x09041934);
const pipeSb = new NamelessSuperBlock('pipefs', 0x50495045);
const pidSb = new NamelessSuperBlock('pidfs', 0x50494446);
const sockSb = new NamelessSuperBlock('sockfs', 0x534f434b);

let nextIno = 2;

function stamp(inode: NamelessInode, t: CallContext | null): NamelessInode {
  if (t === null) return inode;
  const now = { sec: t.nowSec, nsec: t.nowNsec };
  inode.atime = now;
  inode.mtime = now;
  inode.ctime = now;
  return inode;
}

/** All anonymous files of a kind share one inode in Linux; here each has its own times but the same number. */
const ANON_INO = nextIno++;

const WITHOUT_BRACKETS: readonly string[] = ['inotify', 'seccomp notify'];

/** `kind` as /proc/PID/fd shows it: eventfd, eventpoll, timerfd, signalfd, inotify. */
export function anonInode(kind: string): Inode {
  return new NamelessInode(
    anonSb,
    ANON_INO,
    0o600,
    0,
    0,
    WITHOUT_BRACKETS.includes(kind) ? `anon_inode:${kind}` : `anon_inode:[${kind}]`,
  );
}

/** fs/pidfs.c: a file system of its own, whose files are shown without a type. */
export function pidfsInode(): Inode {
  return new NamelessInode(pidSb, nextIno++, 0o700, 0, 0, 'anon_inode:[pidfd]');
}

export function pipeInode(t: CallContext | null): NamelessInode {
  const ino = nextIno++;
  const uid = t === null ? 0 : t.creds.fsuid;
  const gid = t === null ? 0 : t.creds.fsgid;
  return stamp(new NamelessInode(pipeSb, ino, S_IFIFO | 0o600, uid, gid, `pipe:[${ino}]`), t);
}

/** `protocol`: the name that the protocol goes by (struct proto). */
export function socketInode(t: CallContext | null, protocol: string): Inode {
  const ino = nextIno++;
  const uid = t === null ? 0 : t.creds.fsuid;
  const gid = t === null ? 0 : t.creds.fsgid;
  const inode = new NamelessInode(sockSb, ino, S_IFSOCK | 0o777, uid, gid, `socket:[${ino}]`);
  inode.protocol = protocol;
  return stamp(inode, t);
}
