/** Open regular files of goferfs: data goes straight to the host fd. */
import { EACCES, EINVAL, EOPNOTSUPP, EROFS } from '../../abi/errno.ts';
import { O_APPEND, O_NOATIME, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '../../abi/fcntl.ts';
import { PROT_WRITE } from '../../abi/mman.ts';
import { fsync, lseek } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { hostSyscall, pread, pwrite } from '../../host/sys.ffi.ts';
import { hostAddressOf } from '../../usermem/io-buffer.ts';
import { fileRemovePrivs, modeWithoutPrivs } from '../../vfs/attr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, type MapSource } from '../../vfs/file-description.ts';
import type { GoferRegular } from './regular.ts';

const SYS_fallocate = 285;
/** Kept, punched, collapsed, zeroed, inserted, unshared ranges: the host's file system decides. */
const FALLOC_FL_ALL = 0x7f;

/** For buffers whose host address is not known. */
const bounce = new HostBuffer(64 * 1024);

export class GoferFile extends FileDescription {
  private readonly node: GoferRegular;

  constructor(path: Path | null, node: GoferRegular, flags: number) {
    super(path, node, flags);
    this.node = node;
  }

  override get seekable(): boolean {
    return true;
  }

  override get canDirect(): boolean {
    return true;
  }

  override get pollable(): boolean {
    return false;
  }

  private get quiet(): boolean {
    return (this.flags & O_NOATIME) !== 0;
  }

  override get hostReadFd(): number {
    const fd = this.quiet ? this.node.readOnlyFd(true) : -1;
    return fd >= 0 ? fd : this.node.openReadFd;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const fd = this.hostReadFd;
    if (fd < 0) return -EACCES;
    const addr = hostAddressOf(buf, off, len);
    if (addr >= 0) return pread(fd, addr, len, pos);
    const n = pread(fd, bounce.addr, Math.min(len, bounce.size), pos);
    if (n > 0) buf.set(bounce.bytes.subarray(0, n), off);
    return n;
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const { node } = this;
    if (len === 0) return 0;
    let at = pos;
    if ((this.flags & O_APPEND) !== 0) {
      if (!node.gofer.exclusive) node.refresh();
      at = node.size;
    }
    if ((node.mode & 0o6000) !== 0 || node.hasFileCaps) fileRemovePrivs(t, node);
    const fd = node.writableFd();
    if (fd < 0) return fd;
    const addr = hostAddressOf(buf, off, len);
    let n: number;
    if (addr >= 0) n = pwrite(fd, addr, len, at);
    else {
      const part = Math.min(len, bounce.size);
      bounce.bytes.set(buf.subarray(off, off + part));
      n = pwrite(fd, bounce.addr, part, at);
    }
    if (n > 0) node.written(at, n);
    if (n > 0) node.keepSetIdBits();
    return n;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    const { node } = this;
    let pos: number;
    switch (whence) {
      case SEEK_SET:
        pos = offset;
        break;
      case SEEK_CUR:
        pos = this.pos + offset;
        break;
      case SEEK_END:
        if (!node.gofer.exclusive) node.refresh();
        pos = node.size + offset;
        break;
      case SEEK_DATA:
      case SEEK_HOLE:
        // Nobody uses the host fd's own position.
        pos = lseek(node.anyFd, offset, whence);
        if (pos < 0) return pos;
        break;
      default:
        return -EINVAL;
    }
    if (pos < 0 || pos > Number.MAX_SAFE_INTEGER) return -EINVAL;
    this.pos = pos;
    return pos;
  }

  /** Only a shared mapping that may be written gets a host fd that can write. */
  override mapSource(shared: boolean, prot: number, offset: number, _len: number): MapSource | number {
    const { node } = this;
    const writes = shared && (prot & PROT_WRITE) !== 0;
    if (writes && !this.writable) return -EACCES;
    const hostFd = writes ? node.writableFd() : node.readOnlyFd(this.quiet);
    if (hostFd < 0) return hostFd;
    if (writes) {
      node.mappedWritable = true;
      node.invalidate();
    }
    return { hostFd, hostOffset: offset, privateOnly: false };
  }

  override truncate(_t: CallContext, size: number): number {
    return this.node.setAttr({ size });
  }

  override allocate(t: CallContext, mode: number, offset: number, len: number, _done: number): number {
    if ((mode & ~FALLOC_FL_ALL) !== 0) return -EOPNOTSUPP;
    const fd = this.node.writableFd();
    if (fd < 0) return fd;
    const r = hostSyscall(SYS_fallocate, fd, mode, offset, len, 0, 0);
    if (r < 0) {
      // The host's file system has dropped set-id bits before it looked at the range.
      if (modeWithoutPrivs(t, this.node) === this.node.mode) this.node.keepSetIdBits();
      this.node.invalidate();
      return r;
    }
    this.node.invalidate();
    // Appends and SEEK_END go by the size.
    this.node.keepSetIdBits();
    const fresh = this.node.refresh();
    return fresh < 0 ? fresh : len;
  }

  override fsync(dataOnly: boolean): number {
    const fd = this.node.anyFd;
    const r = fd < 0 ? 0 : fsync(fd, dataOnly);
    return r === -EROFS ? 0 : r;
  }

  protected override release(): void {
    this.node.closed();
  }
}
