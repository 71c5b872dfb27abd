/** Open regular files of tmpfs. */
import { EFBIG, EINVAL, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_WRITE,
  O_APPEND,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from '../../abi/fcntl.ts';
import { PROT_WRITE } from '../../abi/mman.ts';
import { fileRemovePrivs } from '../../vfs/attr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import {
  FileDescription,
  RWF_WAITING,
  type ByteView,
  type MapSource,
  type SmallContent,
} from '../../vfs/file-description.ts';
import { touchAtime } from '../../vfs/atime.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../abi/falloc.ts';
import type { TmpfsRegular } from './node.ts';

/** MAX_LFS_FILESIZE, as far as a number is exact. */
export const MAX_FILE_SIZE = Number.MAX_SAFE_INTEGER;

export class TmpfsFile extends FileDescription {
  private readonly node: TmpfsRegular;

  constructor(path: Path | null, node: TmpfsRegular, flags: number) {
    super(path, node, flags);
    this.node = node;
  }

  override get seekable(): boolean {
    return true;
  }

  override rwFlags(): number {
    return RWF_WAITING;
  }

  override get canDirect(): boolean {
    return this.path !== null;
  }

  override get pollable(): boolean {
    return false;
  }

  override get hostReadFd(): number {
    return this.node.content.hostFd;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    touchAtime(this);
    return this.node.content.read(buf, off, len, pos);
  }

  override bytesAt(_t: CallContext, pos: number, len: number): ByteView | null {
    const view = this.node.content.view(pos, len);
    if (view !== null) touchAtime(this);
    return view;
  }

  override bytesToChange(_t: CallContext, pos: number, len: number): ByteView | null {
    const { node } = this;
    const sealed = (node.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0;
    return sealed || (this.flags & O_APPEND) !== 0 ? null : node.content.viewAllocated(pos, len);
  }

  override bytesChanged(t: CallContext): void {
    const { node } = this;
    if ((node.mode & 0o6000) !== 0 || node.hasFileCaps) fileRemovePrivs(t, node);
    node.changed();
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const node = this.node;
    const at = (this.flags & O_APPEND) !== 0 ? node.size : pos;
    if (len === 0) return 0;
    if ((node.seals & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)) !== 0) {
      if ((node.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) return -EPERM;
      if (at + len > node.size) return -EPERM;
    }
    if (at + len > MAX_FILE_SIZE) return -EFBIG;
    if ((node.mode & 0o6000) !== 0 || node.hasFileCaps) fileRemovePrivs(t, node);
    const n = node.content.write(buf, off, len, at);
    if (n > 0) {
      node.size = node.content.size;
      node.changed();
    }
    return n;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    return seekRegular(this, offset, whence);
  }

  override mapSource(shared: boolean, prot: number, offset: number, _len: number): MapSource | number {
    const sealed = (this.node.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0;
    if (shared && sealed && (prot & PROT_WRITE) !== 0) return -EPERM;
    if (shared) this.node.content.loseCopies();
    const fd = this.node.content.toMemfd();
    if (fd < 0) return fd;
    if (shared && (prot & PROT_WRITE) !== 0) this.node.mapWritable();
    return { hostFd: fd, hostOffset: offset, privateOnly: false, inMemory: true };
  }

  override accessed(): void {
    touchAtime(this);
  }

  override smallContent(): SmallContent | null {
    const { content } = this.node;
    return content.mayBeCopied ? content : null;
  }

  override truncate(_t: CallContext, size: number): number {
    return this.node.setAttr({ size });
  }

  override allocate(_t: CallContext, mode: number, offset: number, len: number, done: number): number {
    const node = this.node;
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) !== 0) return -EOPNOTSUPP;
    if (offset + len > MAX_FILE_SIZE) return -EFBIG;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if ((node.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) return -EPERM;
    } else if ((node.seals & F_SEAL_GROW) !== 0) {
      if (offset + len > node.size) return -EPERM;
    }
    const r = node.content.allocate(mode, offset, len, done);
    if (r === len) {
      node.size = node.content.size;
      node.changed();
    }
    return r;
  }

  override fsync(): number {
    return 0;
  }

  /** SEEK_DATA and SEEK_HOLE for seekRegular. */
  holes(offset: number, whence: number): number {
    return this.node.content.seekHole(offset, whence);
  }
}

/** lseek(2) of a file with a size; data and holes by the description's own `holes`. */
function seekRegular(f: TmpfsFile, offset: number, whence: number): number {
  let pos: number;
  if (whence === SEEK_SET) pos = offset;
  else if (whence === SEEK_CUR) pos = f.pos + offset;
  else if (whence === SEEK_END) pos = f.inode.size + offset;
  else if (whence === SEEK_DATA || whence === SEEK_HOLE) {
    pos = f.holes(offset, whence);
    if (pos < 0) return pos;
  } else return -EINVAL;
  if (pos < 0 || pos > MAX_FILE_SIZE) return -EINVAL;
  f.pos = pos;
  return pos;
}
