/** What the server said of a node's attributes, for as long as it said they hold (fs/fuse/dir.c, xattr.c). */
import { EACCES, EIO, ENOSYS, EOPNOTSUPP } from '../../abi/errno.ts';
import { S_IFMT } from '../../abi/stat.ts';
import { OVERFLOW_ID } from '../../auth/id-map.ts';
import { clockNs } from '../../host/sys.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { CLOCK_MONOTONIC } from '../../time/clock.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import { MAY_ACCESS, MAY_EXEC } from '../../vfs/permission.ts';
import { servedCall } from '../../vfs/served-call.ts';
import type { Connection } from './connection.ts';
import type { FuseContent } from './content.ts';
import * as P from './protocol.ts';
import type { Request } from './request.ts';
import type { FuseSuperBlock } from './super-block.ts';

const NS_PER_MS = 1e6;

export const nowMs = (): number => clockNs(CLOCK_MONOTONIC) / NS_PER_MS;

/** Whoever has no name in the mount's user namespace is nobody. */
const knownId = (id: number): number => (id < 0 ? OVERFLOW_ID : id);

export abstract class FuseNode extends Inode {
  /** The server's id. */
  readonly node: string;
  readonly fuse: FuseSuperBlock;
  protected attributesUntil = 0;
  /** What mappings and programs show. */
  content: FuseContent | null = null;

  constructor(sb: FuseSuperBlock, node: string, a: P.Attributes) {
    super(sb, a.ino, a.mode, 0, 0);
    this.fuse = sb;
    this.node = node;
    this.apply(a);
  }

  protected get connection(): Connection {
    return this.fuse.connection;
  }

  private apply(a: P.Attributes): void {
    this.mode = (this.mode & S_IFMT) | (a.mode & 0o7777);
    this.uid = knownId(this.connection.userNs.toUid(a.uid));
    this.gid = knownId(this.connection.userNs.toGid(a.gid));
    this.nlink = a.nlink;
    this.rdev = a.rdev;
    if (a.size !== this.size) this.changed();
    this.size = a.size;
    this.blocks = a.blocks;
    if (a.mtime.sec !== this.mtime.sec || a.mtime.nsec !== this.mtime.nsec) this.changed();
    this.atime = a.atime;
    this.mtime = a.mtime;
    this.ctime = a.ctime;
  }

  /** The file's bytes are others now: what is mapped later has to be read again. */
  changed(): void {
    this.content?.release();
    this.content = null;
  }

  /** fuse_attr_out or the second half of fuse_entry_out at `at`, valid for `ms`. 0 or −EIO. */
  protected take(b: Buffer, at: number, ms: number): number {
    const a = P.readAttributes(b, at);
    if (a === null || (a.mode & S_IFMT) !== (this.mode & S_IFMT)) return -EIO;
    this.apply(a);
    this.attributesUntil = nowMs() + ms;
    return 0;
  }

  invalidate(): void {
    this.attributesUntil = 0;
    this.changed();
  }

  override refresh(): number {
    const call = servedCall();
    if (call !== null && !this.fuse.allows(call.asker.creds)) return -EACCES;
    if (nowMs() < this.attributesUntil) return 0;
    const r = this.connection.ask(P.GETATTR, this.node, new P.Body().u32(0, 0).u64(0).done);
    if (typeof r === 'number') return r;
    return this.take(r.reply, 16, P.readValidity(r.reply, 0, 8));
  }

  /**
   * Without default_permissions the server judges, but only those reach it for whom the mount is: its user, or with allow_other
   * all (fuse_allow_current_process). Regular files need an x bit to be executed.
   */
  override permission(t: CallContext, mask: number): number {
    const { fuse } = this;
    if (!fuse.allows(t.creds)) return -EACCES;
    // Rights are as fresh as the server wants them to be; the root's are not known before the first question at all.
    if (fuse.given.defaultPermissions) return this.refresh();
    if ((mask & MAY_ACCESS) !== 0) return this.askAccess(mask & ~MAY_ACCESS);
    if ((mask & MAY_EXEC) !== 0 && this.isRegular && (this.mode & 0o111) === 0) return -EACCES;
    return 1;
  }

  private askAccess(mask: number): number {
    if (this.connection.lacks(P.ACCESS)) return 1;
    const r = this.connection.ask(P.ACCESS, this.node, new P.Body().u32(mask, 0).done);
    return typeof r === 'number' && r !== -ENOSYS ? r : 1;
  }

  override setAttr(c: AttrChange): number {
    let valid = 0;
    const { mode, size, atime, mtime, ctime } = c;
    const { userNs } = this.connection;
    const uid = c.uid === undefined ? undefined : userNs.fromUid(c.uid);
    const gid = c.gid === undefined ? undefined : userNs.fromGid(c.gid);
    if (mode !== undefined) valid |= P.FATTR_MODE;
    if (uid !== undefined) valid |= P.FATTR_UID;
    if (gid !== undefined) valid |= P.FATTR_GID;
    if (size !== undefined) valid |= P.FATTR_SIZE;
    // Times of a truncation are the server's to set.
    if (atime !== undefined) valid |= P.FATTR_ATIME;
    if (mtime !== undefined && size === undefined) valid |= P.FATTR_MTIME;
    const body = new P.Body()
      .u32(valid, 0)
      .u64(0)
      .u64(size ?? 0)
      .u64(0)
      .u64(atime?.sec ?? 0)
      .u64((valid & P.FATTR_MTIME) !== 0 ? mtime!.sec : 0)
      .u64(0)
      .u32(atime?.nsec ?? 0, (valid & P.FATTR_MTIME) !== 0 ? mtime!.nsec : 0, 0)
      .u32(mode === undefined ? 0 : (this.mode & S_IFMT) | (mode & 0o7777), 0, uid ?? 0, gid ?? 0, 0);
    if (valid === 0) return ctime === undefined ? 0 : this.refresh();
    const r = this.connection.ask(P.SETATTR, this.node, body.done);
    if (typeof r === 'number') return r;
    if (size !== undefined) this.changed();
    return this.take(r.reply, 16, P.readValidity(r.reply, 0, 8));
  }

  /** Has been read: the server sets the times. */
  override accessed(): void {}

  override modified(): void {
    this.attributesUntil = 0;
  }

  /** What the server says about an operation on extended attributes that it may lack. */
  private askXattr(operation: number, body: P.Body): Request | number {
    if (this.connection.lacks(operation)) return -EOPNOTSUPP;
    const r = this.connection.ask(operation, this.node, body.done);
    return r === -ENOSYS ? -EOPNOTSUPP : r;
  }

  override getXattr(name: string): Uint8Array | number {
    const r = this.askXattr(P.GETXATTR, new P.Body().u32(P.MAX_XATTR, 0).name(name));
    return typeof r === 'number' ? r : r.reply.length > P.MAX_XATTR ? -EIO : r.reply;
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    const r = this.askXattr(P.SETXATTR, new P.Body().u32(value.length, flags).name(name).bytes(value));
    if (typeof r === 'number') return r;
    this.attributesUntil = 0;
    return 0;
  }

  override listXattr(): string[] | number {
    const r = this.askXattr(P.LISTXATTR, new P.Body().u32(P.MAX_XATTR, 0));
    if (typeof r === 'number') return r;
    const text = r.reply.toString('latin1');
    if (text.length > P.MAX_XATTR || (text.length > 0 && !text.endsWith('\0'))) return -EIO;
    const names = text.split('\0').slice(0, -1);
    return names.includes('') ? -EIO : names;
  }

  override removeXattr(name: string): number {
    const r = this.askXattr(P.REMOVEXATTR, new P.Body().name(name));
    return typeof r === 'number' ? r : 0;
  }
}
