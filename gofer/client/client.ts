/** GoferClient over a Channel: each operation's request, and its reply checked and decoded. Never throws. */
import { EINVAL, ENAMETOOLONG } from '../../sentry/abi/errno.ts';
import type {
  GoferAttr,
  GoferClient,
  GoferDirent,
  GoferLinkTarget,
  GoferListedDir,
  GoferMount,
  GoferNewDir,
  GoferNewInode,
  GoferOpened,
  GoferSetattr,
  GoferStatfs,
  GoferWatch,
} from '../../sentry/gofer-api/gofer-api.ts';
import { GOFER_RDWR, GOFER_WALK_MAX } from '../../sentry/gofer-api/gofer-api.ts';
import { clamp53 } from '../protocol/attr.ts';
import * as layout from '../protocol/layout.ts';
import { isValidName } from '../protocol/message.ts';
import { isNotFile, isUnixSocket } from '../protocol/socket.ffi.ts';
import { GoferConnection } from './connection.ts';

/** Entries of one directory. */
const DIRENTS_MAX = 8 << 20;

export class RemoteGofer extends GoferConnection implements GoferClient {
  attach(mount: number): GoferMount | number {
    this.begin(layout.OP_ATTACH).u32(mount);
    const r = this.call();
    if (r < 0) return r;
    const flags = this.reader.u32();
    const fsType = this.reader.u32();
    const root = this.attr();
    if (!this.reader.done()) return this.violation('attach');
    return { root, readOnly: (flags & layout.MOUNT_READONLY) !== 0, fsType };
  }

  walk(dir: number, names: readonly string[], out: GoferAttr[]): number {
    const count = names.length;
    if (count === 0 || count > GOFER_WALK_MAX) return -EINVAL;
    const w = this.begin(layout.OP_WALK);
    w.u32(dir);
    w.u16(count);
    for (let i = 0; i < count; i++) {
      const r = this.putName(names[i]);
      if (r < 0) return r;
    }
    const r = this.call();
    if (r < 0) return r;
    const found = this.reader.u32();
    if (found === 0 || found > count) return this.violation('walk');
    const before = out.length;
    for (let i = 0; i < found && this.reader.ok; i++) out.push(this.attr());
    if (!this.reader.done()) {
      out.length = before;
      return this.violation('walk');
    }
    return found;
  }

  getattr(id: number): GoferAttr | number {
    this.begin(layout.OP_GETATTR).u32(id);
    return this.callForAttr();
  }

  open(id: number, access: number): GoferOpened | number {
    const w = this.begin(layout.OP_OPEN);
    w.u32(id);
    w.u32(access);
    return this.callForFile(access & 3);
  }

  openName(dir: number, name: string, access: number): GoferOpened | number {
    const w = this.begin(layout.OP_OPEN_NAME);
    w.u32(dir);
    w.u32(access);
    const r = this.putName(name);
    return r < 0 ? r : this.callForFile(access & 3);
  }

  create(dir: number, name: string, node: GoferNewInode, access: number): GoferOpened | number {
    const w = this.begin(layout.OP_CREATE);
    w.u32(dir);
    this.putNode(node);
    w.u32(access);
    const r = this.putName(name);
    return r < 0 ? r : this.callForFile(access & 3);
  }

  tmpfile(dir: number, node: GoferNewInode): GoferOpened | number {
    this.begin(layout.OP_TMPFILE).u32(dir);
    this.putNode(node);
    return this.callForFile(GOFER_RDWR);
  }

  readlink(id: number): string | number {
    this.begin(layout.OP_READLINK).u32(id);
    const r = this.call();
    if (r < 0) return r;
    const target = this.reader.string(layout.PATH_MAX);
    if (!this.reader.done() || target === '' || target.includes('\0')) return this.violation('readlink');
    return target;
  }

  readlinkName(dir: number, name: string): GoferLinkTarget | number {
    this.begin(layout.OP_READLINK_NAME).u32(dir);
    let r = this.putName(name);
    if (r === 0) r = this.call();
    if (r < 0) return r;
    const attr = this.attr();
    const target = this.reader.string(layout.PATH_MAX);
    if (!this.reader.done() || target === '' || target.includes('\0')) return this.violation('readlink');
    return { attr, target };
  }

  readdir(id: number, withAttrs: boolean): GoferDirent[] | number {
    const flags = withAttrs ? layout.READDIR_ATTRS : 0;
    const w = this.begin(layout.OP_READDIR);
    w.u32(id);
    w.u32(flags | layout.READDIR_RESTART);
    const r = this.call();
    return r < 0 ? r : this.readListing(id, flags);
  }

  readdirName(dir: number, name: string, withAttrs: boolean): GoferListedDir | number {
    const flags = withAttrs ? layout.READDIR_ATTRS : 0;
    const w = this.begin(layout.OP_READDIR_NAME);
    w.u32(dir);
    w.u32(flags);
    let r = this.putName(name);
    if (r === 0) r = this.call();
    if (r < 0) return r;
    const attr = this.attr();
    const entries = this.readListing(attr.id, flags);
    return typeof entries === 'number' ? entries : { attr, entries };
  }

  /** The entries of the message that has come, and of those that follow it. */
  private readListing(id: number, flags: number): GoferDirent[] | number {
    const out: GoferDirent[] = [];
    for (;;) {
      const count = this.reader.u32();
      const atEnd = this.reader.u32();
      for (let i = 0; i < count && this.reader.ok; i++) this.readDirent(out);
      // A message without entries that is not the last would go round for ever.
      if (!this.reader.done() || atEnd > 1 || (count === 0 && atEnd === 0)) return this.violation('readdir');
      if (atEnd === 1) return out;
      if (out.length > DIRENTS_MAX) return this.violation('endless directory');
      const w = this.begin(layout.OP_READDIR);
      w.u32(id);
      w.u32(flags);
      const r = this.call();
      if (r < 0) return r;
    }
  }

  private readDirent(out: GoferDirent[]): void {
    const { reader } = this;
    const type = reader.u8();
    const length = reader.u8();
    const hasAttr = reader.u8();
    reader.u8();
    const inoLo = reader.u32();
    const inoHi = reader.u32();
    const attr = hasAttr !== 0 ? this.attr() : null;
    const name = reader.rawString(length, layout.NAME_MAX);
    if (!isValidName(name)) {
      reader.ok = false;
      return;
    }
    const ino = attr !== null ? attr.ino : (inoHi & 0x1fffff) * 0x100000000 + inoLo;
    out.push({ name, type, ino, attr });
  }

  mkdir(dir: number, name: string, node: GoferNewInode, watch: boolean): GoferNewDir | number {
    this.begin(layout.OP_MKDIR).u32(dir);
    this.putNode(node);
    let r = this.putName(name);
    if (r < 0) return r;
    this.writer.u32(watch ? 1 : 0);
    r = this.call();
    if (r < 0) return r;
    const attr = this.attr();
    const started = this.reader.i32();
    if (!this.reader.done() || started < -1 || (started >= 0 && !watch)) return this.violation('mkdir');
    return { attr, watch: started };
  }

  mknod(dir: number, name: string, node: GoferNewInode): GoferAttr | number {
    this.begin(layout.OP_MKNOD).u32(dir);
    this.putNode(node);
    const r = this.putName(name);
    return r < 0 ? r : this.callForAttr();
  }

  symlink(dir: number, name: string, target: string, uid: number, gid: number): GoferAttr | number {
    if (target === '' || target.includes('\0')) return -EINVAL;
    if (target.length >= layout.PATH_MAX) return -ENAMETOOLONG;
    this.begin(layout.OP_SYMLINK).u32(dir);
    this.putNode({ mode: 0o777, uid, gid });
    const r = this.putName(name);
    if (r < 0) return r;
    this.writer.string(target);
    return this.callForAttr();
  }

  link(id: number, dir: number, name: string): GoferAttr | number {
    const w = this.begin(layout.OP_LINK);
    w.u32(id);
    w.u32(dir);
    const r = this.putName(name);
    return r < 0 ? r : this.callForAttr();
  }

  unlink(dir: number, name: string, isDir: boolean): number {
    const w = this.begin(layout.OP_UNLINK);
    w.u32(dir);
    w.u32(isDir ? 1 : 0);
    const r = this.putName(name);
    return r < 0 ? r : this.callForStatus();
  }

  rename(oldDir: number, oldName: string, newDir: number, newName: string, flags: number): number {
    const w = this.begin(layout.OP_RENAME);
    w.u32(oldDir);
    w.u32(newDir);
    w.u32(flags);
    let r = this.putName(oldName);
    if (r >= 0) r = this.putName(newName);
    return r < 0 ? r : this.callForStatus();
  }

  setattr(id: number, change: GoferSetattr): GoferAttr | number {
    const w = this.begin(layout.OP_SETATTR);
    w.u32(id);
    w.u32(change.valid);
    w.u32(change.mode ?? 0);
    w.u32(change.uid ?? 0);
    w.u32(change.gid ?? 0);
    w.u64(change.size ?? 0);
    w.u64(change.atimeSec ?? 0);
    w.u64(change.mtimeSec ?? 0);
    w.u32(change.atimeNsec ?? 0);
    w.u32(change.mtimeNsec ?? 0);
    return this.callForAttr();
  }

  fsync(id: number, dataOnly: boolean): number {
    const w = this.begin(layout.OP_FSYNC);
    w.u32(id);
    w.u32(dataOnly ? 1 : 0);
    return this.callForStatus();
  }

  statfs(id: number): GoferStatfs | number {
    this.begin(layout.OP_STATFS).u32(id);
    const r = this.call();
    if (r < 0) return r;
    const at = this.reader.skip(120);
    if (!this.reader.done()) return this.violation('statfs');
    const v = this.channel.reply.view;
    // struct statfs (include/uapi/asm-generic/statfs.h)
    return {
      type: v.getUint32(at, true),
      bsize: clamp53(v, at + 8),
      blocks: clamp53(v, at + 16),
      bfree: clamp53(v, at + 24),
      bavail: clamp53(v, at + 32),
      files: clamp53(v, at + 40),
      ffree: clamp53(v, at + 48),
      namelen: clamp53(v, at + 64),
      frsize: clamp53(v, at + 72),
      flags: v.getUint32(at + 80, true),
    };
  }

  getxattr(id: number, name: string): string | number {
    const w = this.begin(layout.OP_GETXATTR);
    w.u32(id);
    const r = this.putXattrName(name);
    if (r < 0) return r;
    const status = this.call();
    if (status < 0) return status;
    const value = this.reader.longString(layout.XATTR_SIZE_MAX);
    return this.reader.done() ? value : this.violation('getxattr');
  }

  setxattr(id: number, name: string, value: string, flags: number): number {
    if (value.length > layout.XATTR_SIZE_MAX || flags > 3) return -EINVAL;
    const w = this.begin(layout.OP_SETXATTR);
    w.u32(id);
    w.u32(flags);
    const r = this.putXattrName(name);
    if (r < 0) return r;
    w.longString(value);
    return this.callForStatus();
  }

  listxattr(id: number): string[] | number {
    this.begin(layout.OP_LISTXATTR).u32(id);
    const r = this.call();
    if (r < 0) return r;
    const count = this.reader.u32();
    const names: string[] = [];
    for (let i = 0; i < count && this.reader.ok; i++) names.push(this.reader.string(255));
    return this.reader.done() ? names : this.violation('listxattr');
  }

  removexattr(id: number, name: string): number {
    const w = this.begin(layout.OP_REMOVEXATTR);
    w.u32(id);
    const r = this.putXattrName(name);
    return r < 0 ? r : this.callForStatus();
  }

  openEvents(forGuests: boolean): number {
    this.begin(layout.OP_EVENTS).u32(forGuests ? layout.WATCH_GUESTS : layout.WATCH_CACHE);
    return this.callForFd(isNotFile, 'events');
  }

  connect(id: number, type: number): number {
    const w = this.begin(layout.OP_CONNECT);
    w.u32(id);
    w.u32(type);
    return this.callForFd((fd) => isUnixSocket(fd, type), 'connect');
  }

  watch(id: number, name: string, forGuests: boolean): GoferWatch | number {
    const w = this.begin(layout.OP_WATCH);
    w.u32(id);
    w.u32(forGuests ? layout.WATCH_GUESTS : layout.WATCH_CACHE);
    let r = 0;
    if (name === '') w.string('');
    else r = this.putName(name);
    if (r === 0) r = this.call();
    if (r < 0) return r;
    const watch = this.reader.i32();
    const attr = this.attr();
    return this.reader.done() && watch >= 0 ? { attr, watch } : this.violation('watch');
  }

  unwatch(id: number): void {
    this.begin(layout.OP_UNWATCH).u32(id);
    this.callForStatus();
  }

  private putName(name: string): number {
    if (name.length > layout.NAME_MAX) return -ENAMETOOLONG;
    if (!isValidName(name)) return -EINVAL;
    this.writer.string(name);
    return 0;
  }

  private putXattrName(name: string): number {
    if (name.length === 0 || name.length > 255 || name.includes('\0')) return -EINVAL;
    this.writer.string(name);
    return 0;
  }

  private putNode(node: GoferNewInode): void {
    this.writer.u32(node.mode);
    this.writer.u32(node.uid);
    this.writer.u32(node.gid);
  }
}
