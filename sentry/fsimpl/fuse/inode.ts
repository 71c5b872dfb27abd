/** Inodes of FUSE: names, which hold for as long as the server says, and opening (fs/fuse/dir.c, inode.c). */
import { EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOSYS, ESTALE } from '../../abi/errno.ts';
import { O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, PATH_MAX } from '../../abi/fcntl.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { FMODE_EXEC } from '../../vfs/open.ts';
import { FuseContent } from './content.ts';
import { fileId, FuseDirFile, FuseFile } from './file.ts';
import { FuseNode, nowMs } from './node.ts';
import * as P from './protocol.ts';
import type { Request } from './request.ts';

/** Names of a directory whose validity is kept. */
const MAX_NAMES = 4096;
const MAX_LINK_TARGET = PATH_MAX - 1;

interface KnownName {
  readonly inode: FuseInode | null;
  readonly until: number;
}

export class FuseInode extends FuseNode {
  /** Look-ups that the server counts for us. */
  private lookups = 0;
  private names: Map<string, KnownName> | null = null;
  /** Opened by CREATE, to be taken over by the open that asked for it. */
  private createdOpen: Request | null = null;
  /** The server may give its number to another node. */
  forgotten = false;

  forgetName(name: string): void {
    this.names?.delete(name);
  }

  override lookup(name: string): Inode | number {
    const known = this.names?.get(name);
    if (known !== undefined && nowMs() < known.until && known.inode?.forgotten !== true)
      return known.inode ?? -ENOENT;
    const r = this.connection.ask(P.LOOKUP, this.node, new P.Body().name(name).done);
    if (typeof r === 'number') return r;
    // A node that is none says that there is no such name, and for how long.
    if (P.readId(r.reply, 0) === P.NO_NODE) {
      this.know(name, null, P.readValidity(r.reply, 16, 32));
      return -ENOENT;
    }
    return this.enter(name, r);
  }

  private know(name: string, inode: FuseInode | null, ms: number): void {
    const names = (this.names ??= new Map<string, KnownName>());
    if (names.size >= MAX_NAMES) names.clear();
    if (ms > 0) names.set(name, { inode, until: nowMs() + ms });
    else names.delete(name);
  }

  /** The node that an answer with a fuse_entry_out is about, known as `name` here. */
  private enter(name: string, r: Request): FuseInode | number {
    const b = r.reply;
    const node = P.readId(b, 0);
    const a = P.readAttributes(b, 40);
    if (node === P.NO_NODE || node === P.ROOT_NODE || a === null || !isKind(a.mode)) return -EIO;
    const inode = this.fuse.node(node, a);
    if (typeof inode === 'number') return inode;
    if (!r.seen) {
      r.seen = true;
      inode.lookups++;
      const bad = inode.take(b, 40, P.readValidity(b, 24, 36));
      if (bad < 0) return bad;
      this.know(name, inode, P.readValidity(b, 16, 32));
    }
    return inode;
  }

  /** Something was made here by `operation`. */
  private make(operation: number, name: string, body: P.Body, type: number): FuseInode | number {
    const r = this.connection.ask(operation, this.node, body.done);
    if (typeof r === 'number') return r;
    const inode = this.enter(name, r);
    if (typeof inode === 'number') return inode;
    if ((inode.mode & S_IFMT) !== type) return -EIO;
    this.attributesUntil = 0;
    return inode;
  }

  override create(name: string, mode: number, _uid: number, _gid: number, flags?: number): Inode | number {
    // mknod(2) has no flags to open with.
    if (flags === undefined || this.connection.lacks(P.CREATE)) return this.mknod(name, S_IFREG | mode, 0);
    const how = (flags & ~(O_CREAT | O_EXCL | O_NOCTTY)) | O_CREAT;
    const body = new P.Body().u32(how, S_IFREG | mode, 0, 0).name(name).done;
    const r = this.connection.ask(P.CREATE, this.node, body);
    if (r === -ENOSYS) return this.mknod(name, S_IFREG | mode, 0);
    if (typeof r === 'number') return r;
    const inode = this.enter(name, r);
    if (typeof inode === 'number') return inode;
    if (!inode.isRegular) return -EIO;
    inode.createdOpen = r;
    this.attributesUntil = 0;
    return inode;
  }

  override mknod(name: string, mode: number, rdev: number): Inode | number {
    const body = new P.Body().u32(mode, rdev, 0, 0).name(name);
    return this.make(P.MKNOD, name, body, mode & S_IFMT);
  }

  override mkdir(name: string, mode: number): Inode | number {
    return this.make(P.MKDIR, name, new P.Body().u32(mode, 0).name(name), S_IFDIR);
  }

  override symlink(name: string, target: string): Inode | number {
    return this.make(P.SYMLINK, name, new P.Body().name(name).name(target), S_IFLNK);
  }

  override link(name: string, inode: Inode): number {
    const other = inode as FuseInode;
    const made = this.make(P.LINK, name, new P.Body().id(other.node).name(name), inode.mode & S_IFMT);
    if (typeof made === 'number') return made;
    other.attributesUntil = 0;
    return 0;
  }

  override unlink(name: string, inode: Inode): number {
    return this.remove(P.UNLINK, name, inode);
  }

  override rmdir(name: string, inode: Inode): number {
    return this.remove(P.RMDIR, name, inode);
  }

  private remove(operation: number, name: string, inode: Inode): number {
    const r = this.connection.ask(operation, this.node, new P.Body().name(name).done);
    if (typeof r === 'number') return r;
    this.forgetName(name);
    this.attributesUntil = 0;
    (inode as FuseInode).attributesUntil = 0;
    if (inode.nlink > 0) inode.nlink--;
    return 0;
  }

  override rename(
    oldName: string,
    inode: Inode,
    newDir: Inode,
    newName: string,
    target: Inode | null,
    flags: number,
  ): number {
    const dir = newDir as FuseInode;
    const { connection } = this;
    if (flags !== 0 && (connection.minor < 23 || connection.lacks(P.RENAME2))) return -EINVAL;
    const body = new P.Body().id(dir.node);
    if (flags !== 0) body.u32(flags, 0);
    const operation = flags !== 0 ? P.RENAME2 : P.RENAME;
    const r = connection.ask(operation, this.node, body.name(oldName).name(newName).done);
    if (r === -ENOSYS && flags !== 0) return -EINVAL;
    if (typeof r === 'number') return r;
    this.forgetName(oldName);
    dir.forgetName(newName);
    for (const changed of [this, dir, inode, target])
      if (changed instanceof FuseInode) changed.attributesUntil = 0;
    return 0;
  }

  override readlink(): string | number {
    const r = this.connection.ask(P.READLINK, this.node, new P.Body().done);
    if (typeof r === 'number') return r;
    if (r.reply.length > MAX_LINK_TARGET) return -ENAMETOOLONG;
    const target = r.reply.toString('latin1');
    return target.includes('\0') ? -EIO : target;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    if (this.isDir) {
      const opened = this.openBy(P.OPENDIR, flags);
      return typeof opened === 'number' ? opened : new FuseDirFile(path, this, flags, opened);
    }
    if (!this.isRegular) return super.open(t, path, flags);
    const opened = this.createdOpen ?? this.openBy(P.OPEN, flags);
    this.createdOpen = null;
    if (typeof opened === 'number') return opened;
    if ((flags & FMODE_EXEC) !== 0) {
      // Programs are mapped when it is too late to wait.
      const r = this.load(fileId(opened));
      if (r < 0) return r;
    }
    const program = (flags & FMODE_EXEC) !== 0 ? this.content : null;
    return new FuseFile(path, this, flags & ~FMODE_EXEC, opened, program);
  }

  /** The answered request that opened the file; null if the server has no such operation. */
  private openBy(operation: number, flags: number): Request | null | number {
    if (this.forgotten) return -ESTALE;
    if (this.connection.lacks(operation)) return null;
    const body = new P.Body().u32(flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC), 0).done;
    const r = this.connection.ask(operation, this.node, body);
    return r === -ENOSYS ? null : r;
  }

  /** Reads the whole file into memory that can be mapped, by its open file `id`; 0 or −errno. */
  load(id: string): number {
    const fresh = this.refresh();
    if (fresh < 0) return fresh;
    const content = (this.content ??= new FuseContent(this.size));
    return content.fill((pos, len) => {
      const r = this.readAt(id, pos, len, 0);
      if (typeof r !== 'number') this.connection.consume(r);
      return r;
    });
  }

  /** One READ: its answer or −errno. */
  readAt(id: string, pos: number, len: number, flags: number): Request | number {
    const want = Math.min(len, this.connection.maxRead);
    const body = new P.Body().id(id).u64(pos).u32(want, 0).u64(0).u32(flags, 0).done;
    const r = this.connection.ask(P.READ, this.node, body);
    if (typeof r === 'number') return r;
    return r.reply.length > want ? -EIO : r;
  }

  /** `n` bytes were written up to `end`. */
  written(end: number): void {
    if (end > this.size) this.size = end;
    this.attributesUntil = 0;
    this.changed();
  }

  override evict(): void {
    this.changed();
    if (this.node === P.ROOT_NODE) return;
    this.forgotten = true;
    this.fuse.forgetNode(this);
    if (this.lookups > 0) this.connection.forget(this.node, this.lookups);
  }
}

/** File types there are. */
export const isKind = (mode: number): boolean => [1, 2, 4, 6, 8, 10, 12].includes((mode & S_IFMT) >>> 12);
