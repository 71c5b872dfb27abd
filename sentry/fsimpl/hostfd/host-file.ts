/**
 * Files over host fds that the container was started with. The open file description behind such an fd is shared with
 * processes outside, so its flags stay as they are: I/O asks for no waiting per call (RWF_NOWAIT, MSG_DONTWAIT) or, where a
 * file has no such mode (ttys), happens only when poll(2) says that it will not wait.
 */
import { EAGAIN, EBADF, EINVAL, ENXIO, EOPNOTSUPP, EPIPE, ESPIPE } from '../../abi/errno.ts';
import { O_ACCMODE, O_APPEND } from '../../abi/fcntl.ts';
import { MSG_PEEK } from '../../abi/socket.ts';
import { S_IFMT, S_IFREG, S_IFSOCK } from '../../abi/stat.ts';
import {
  fsync,
  ioctl,
  lseek,
  pollNow,
  readNoWait,
  recvNoWait,
  sendNoWait,
  writeNoWait,
} from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import {
  HOST_EPOLLIN,
  HOST_EPOLLOUT,
  HOST_EPOLLPRI,
  HOST_EPOLLRDHUP,
  hostPoller,
} from '../../host/poller.ffi.ts';
import { close, dup, fcntl, ftruncate, pread, pwrite, read, write } from '../../host/sys.ffi.ts';
import { hostAddressOf } from '../../usermem/io-buffer.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
  EPOLLRDNORM,
  EPOLLWRNORM,
} from '../../waiter/wait-queue.ts';
import { hostInode, type HostInode } from './host-inode.ts';

const F_GETFL = 3;
const FIONREAD = 0x541b;
const POLL_ALL = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM | EPOLLRDHUP;
/** Most that is written after poll(2) said "writable": what a pipe or tty then takes without waiting. */
const POLLED_WRITE = 4096;

const bounce = new HostBuffer(64 * 1024);
const word = new HostBuffer(8);

export abstract class HostFile extends FileDescription {
  readonly hostFd: number;

  constructor(path: Path | null, inode: HostInode, flags: number, hostFd: number) {
    super(path, inode, flags);
    this.hostFd = hostFd;
  }

  /** Runs `io` on memory with a host address: `buf` itself if it is the bounce buffer, else a copy. */
  protected transfer(
    buf: Uint8Array,
    off: number,
    len: number,
    toHost: boolean,
    io: (addr: number, len: number) => number,
  ): number {
    const addr = hostAddressOf(buf, off, len);
    if (addr >= 0) return io(addr, len);
    const n = Math.min(len, bounce.size);
    if (toHost) bounce.bytes.set(buf.subarray(off, off + n));
    const r = io(bounce.addr, n);
    if (!toHost && r > 0) buf.set(bounce.bytes.subarray(0, r), off);
    return r;
  }

  override fsync(dataOnly: boolean): number {
    return fsync(this.hostFd, dataOnly);
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd !== FIONREAD) return super.ioctl(t, cmd, arg);
    const r = ioctl(this.hostFd, FIONREAD, word.addr);
    return r < 0 ? r : t.mem.writeU32(arg, word.u32[0]!);
  }

  protected override release(): void {
    close(this.hostFd);
  }
}

/**
 * A regular file. The position of a donated one is the host's, so that it is shared as the caller of the sandbox expects;
 * one that was opened again (/dev/stdout) has a position of its own.
 */
class HostRegular extends HostFile {
  private readonly ownPos: boolean;

  constructor(path: Path | null, inode: HostInode, flags: number, hostFd: number, ownPos: boolean) {
    super(path, inode, flags, hostFd);
    this.ownPos = ownPos;
  }

  override get seekable(): boolean {
    return true;
  }

  override get usesPos(): boolean {
    return this.ownPos;
  }

  override get pollable(): boolean {
    return false;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    return this.transfer(buf, off, len, false, (addr, n) =>
      pos < 0 ? read(this.hostFd, addr, n) : pread(this.hostFd, addr, n, pos),
    );
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    // F_SETFL cannot reach the host's flags: append by position.
    let at = pos;
    if ((this.flags & O_APPEND) !== 0) {
      if (pos < 0) lseek(this.hostFd, 0, 2);
      else if (this.inode.refresh() === 0) at = this.inode.size;
    }
    const r = this.transfer(buf, off, len, true, (addr, n) =>
      at < 0 ? write(this.hostFd, addr, n) : pwrite(this.hostFd, addr, n, at),
    );
    if (r > 0) this.inode.size = Math.max(this.inode.size, at + r);
    return r;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    if (whence < 0 || whence > 4) return -EINVAL;
    if (this.ownPos) return this.seekOwn(offset, whence);
    const r = lseek(this.hostFd, offset, whence);
    if (r >= 0) this.pos = r;
    return r;
  }

  private seekOwn(offset: number, whence: number): number {
    this.inode.refresh();
    const { size } = this.inode;
    let to = offset + (whence === 1 ? this.pos : whence === 2 ? size : 0);
    if (whence >= 3) {
      // No holes are known: data up to the end.
      if (offset < 0 || offset >= size) return -ENXIO;
      to = whence === 3 ? offset : size;
    }
    if (to < 0) return -EINVAL;
    this.pos = to;
    return to;
  }

  override truncate(_t: CallContext, size: number): number {
    return ftruncate(this.hostFd, size);
  }
}

/** Everything without a position: pipes, sockets, ttys, /dev/null. */
export class HostStream extends HostFile {
  private readonly isSocket: boolean;
  /** The file knows no RWF_NOWAIT. */
  private polled = false;
  /** −1: not asked yet, 0: watched by the poller, 1: cannot be watched, always ready. */
  private watch = -1;

  constructor(path: Path | null, inode: HostInode, flags: number, hostFd: number) {
    super(path, inode, flags, hostFd);
    this.isSocket = (inode.mode & S_IFMT) === S_IFSOCK;
  }

  override get seekable(): boolean {
    return false;
  }

  override seek(): number {
    return -ESPIPE;
  }

  override get pollable(): boolean {
    this.watchHost();
    return this.watch === 0;
  }

  override get fasync(): boolean {
    return this.pollable;
  }

  /** Registers with the poller at the first time somebody may wait; edges reach `waiters`. */
  protected watchHost(): void {
    if (this.watch >= 0) return;
    const mask = HOST_EPOLLIN | HOST_EPOLLOUT | HOST_EPOLLPRI | HOST_EPOLLRDHUP;
    const r = hostPoller().addEdges(this.hostFd, mask, (events) => this.onHostReady(events));
    this.watch = r < 0 ? 1 : 0;
  }

  protected onHostReady(events: number): void {
    let e = events & (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
    if ((e & EPOLLIN) !== 0) e |= EPOLLRDNORM;
    if ((e & EPOLLOUT) !== 0) e |= EPOLLWRNORM;
    this.waiters.wake(e);
  }

  override poll(): number {
    this.watchHost();
    const r = pollNow(this.hostFd, POLL_ALL);
    return r < 0 ? EPOLLERR : r;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const r = this.transfer(buf, off, len, false, (addr, n) => this.readHost(addr, n));
    if (r === -EAGAIN) this.watchHost();
    return r;
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const r = this.transfer(buf, off, len, true, (addr, n) => this.writeHost(addr, n));
    if (r === -EAGAIN) this.watchHost();
    return r;
  }

  /** What a socket's next read would give. */
  peekHost(buf: Uint8Array, off: number, len: number): number {
    const r = this.transfer(buf, off, len, false, (addr, n) => recvNoWait(this.hostFd, addr, n, MSG_PEEK));
    if (r === -EAGAIN) this.watchHost();
    return r;
  }

  protected readHost(addr: number, len: number): number {
    if (this.isSocket) return recvNoWait(this.hostFd, addr, len);
    if (!this.polled) {
      const r = readNoWait(this.hostFd, addr, len);
      if (r !== -EOPNOTSUPP) return r;
      this.polled = true;
    }
    const ready = pollNow(this.hostFd, EPOLLIN);
    if (ready === 0) return -EAGAIN;
    return read(this.hostFd, addr, len);
  }

  protected writeHost(addr: number, len: number): number {
    if (this.isSocket) return sendNoWait(this.hostFd, addr, len);
    if (!this.polled) {
      const r = writeNoWait(this.hostFd, addr, len);
      if (r !== -EOPNOTSUPP) return r;
      this.polled = true;
    }
    const ready = pollNow(this.hostFd, EPOLLOUT);
    if (ready === 0) return -EAGAIN;
    if ((ready & (EPOLLERR | EPOLLOUT)) === EPOLLERR) return -EPIPE;
    return write(this.hostFd, addr, Math.min(len, POLLED_WRITE));
  }

  protected override release(): void {
    if (this.watch === 0) hostPoller().remove(this.hostFd);
    super.release();
  }
}

/** The host's O_* access mode and O_APPEND of `hostFd`, or −errno. */
function hostFlags(hostFd: number): number {
  const r = fcntl(hostFd, F_GETFL, 0);
  return r < 0 ? r : r & (O_ACCMODE | O_APPEND);
}

/** FileDescription over `hostFd`, which it owns from now on; −errno if the fd is none. */
export function openHostFd(hostFd: number, path: Path | null = null, again = false): HostFile | number {
  const flags = hostFlags(hostFd);
  if (flags < 0) return -EBADF;
  const inode = hostInode(hostFd);
  if (typeof inode === 'number') return inode;
  const file =
    (inode.mode & S_IFMT) === S_IFREG
      ? new HostRegular(path, inode, flags, hostFd, again)
      : new HostStream(path, inode, flags, hostFd);
  inode.reopen = (at, wanted) => {
    const copy = dup(hostFd);
    if (copy < 0) return copy;
    const opened = openHostFd(copy, at, true);
    if (typeof opened !== 'number') opened.flags = (wanted & ~O_ACCMODE) | (opened.flags & O_ACCMODE);
    return opened;
  };
  return file;
}
