/**
 * FileDescription: an open file (include/linux/fs.h struct file, file_operations), shared by the descriptors that dup(2)
 * and fork(2) make. Subclasses implement what their file supports; defaults are Linux's errors.
 * I/O goes through kernel buffers: the syscall layer moves bytes between them and guest memory.
 */
import { EFAULT, EINVAL, ENODEV, ENOTDIR, ENOTTY, EOPNOTSUPP, ESPIPE } from '../abi/errno.ts';
import { O_ACCMODE, O_PATH, O_RDONLY, O_RDWR, O_WRONLY } from '../abi/fcntl.ts';
import type { Credentials } from '../auth/credentials.ts';
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM, WaitQueue } from '../waiter/wait-queue.ts';
import type { CallContext } from './call-context.ts';
import { holdPath, putPath, type Path } from './dentry.ts';
import { IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, notifyFile } from './fsnotify.ts';
import type { Inode } from './inode.ts';
import { removeLease } from './leases.ts';
import { removeFileLocks } from './locks.ts';

// include/uapi/linux/fs.h
export const RWF_HIPRI = 0x1;
export const RWF_DSYNC = 0x2;
export const RWF_SYNC = 0x4;
export const RWF_NOWAIT = 0x8;
export const RWF_APPEND = 0x10;
export const RWF_NOAPPEND = 0x20;
export const RWF_NOSIGNAL = 0x100;
const RWF_ALL = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND | RWF_NOSIGNAL;
/** Of files that may keep a caller waiting whatever is asked. */
export const RWF_WAITING = RWF_ALL & ~RWF_NOWAIT;

/** Receives directory entries; false: no room, the entry was not taken. `off` is the d_off that continues after it. */
export type DirEmit = (name: string, ino: number, type: number, off: number) => boolean;

/** What mmap(2) of a file maps. */
export interface MapSource {
  /** Host fd with just the needed rights, or −1: anonymous zero pages (/dev/zero). */
  hostFd: number;
  /** Byte offset in hostFd of the mapping's first byte. */
  hostOffset: number;
  /** True if only MAP_PRIVATE semantics may be given (O_RDONLY host fd of a file opened for writing is impossible). */
  privateOnly: boolean;
  /** Called when the last mapping of it is gone. */
  onUnmapped?: () => void;
  /** The file lies in memory: what is not there is a hole. */
  inMemory?: boolean;
}

/** What a mapping shows instead of the file: bytes that somebody keeps the same as the file's. */
export interface ContentCopy {
  /** The file's bytes, or its size, are others now. */
  changed(): void;
  /** From now on they may change without a word. */
  lose(): void;
}

/** The bytes of a small file that lies in the kernel's own memory, whole and without holes. */
export interface SmallContent {
  readonly size: number;
  read(dst: Uint8Array, off: number, len: number, pos: number): number;
  addCopy(c: ContentCopy): void;
  removeCopy(c: ContentCopy): void;
}

/** What becomes of the data of a read for which the reader's memory is not there. */
export type TornRead =
  /** Nothing more is taken than fits: a short count. */
  | 'fits'
  /** A piece that does not fit stays where it is: EFAULT, or a short count if whole pieces went before it. */
  | 'kept'
  /** It is taken and gone: EFAULT. */
  | 'lost'
  /** What fits counts; the rest of its unit is gone. */
  | 'spilt';

/** What ends when a descriptor table closes the file. */
export interface CloseHook {
  fileClosed(): void;
}

/** Where bytes of a file lie in memory of the sentry's own. */
export interface ByteView {
  bytes: Uint8Array;
  off: number;
  length: number;
}

export abstract class FileDescription {
  /** Where it was opened; null for pipes, sockets and other files without a name. */
  readonly path: Path | null;
  readonly inode: Inode;
  /** open(2) flags that F_GETFL shows: access mode and O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_PATH, … */
  flags: number;
  /** File position of read, write and lseek; file systems may give it their own meaning for directories. */
  pos = 0;
  readonly waiters = new WaitQueue();
  private refs = 1;
  /** Counted in inode.writeCount. */
  private countedWriter = false;
  /** Counted in inode.readCount. */
  private countedReader = false;
  /** Made by the open(2) that opened it (FMODE_CREATED). */
  created = false;
  /** f_cred of files with a name, and whose they are: a forked process has its own. */
  openCreds: Credentials | null = null;
  openTgid = 0;
  /** Opened by a process whose Landlock rules do not let it change the size. */
  keepsSize = false;
  /** F_SETOWN, F_SETSIG and O_ASYNC state, owned by the syscall layer. */
  owner: unknown = null;
  /** Called once when the last reference is gone, before release(): epoll forgets the file. Made at first use. */
  releaseHooks: Set<() => void> | null = null;
  /** By descriptor table: F_NOTIFY. Made at first use. */
  closeHooks: Map<object, CloseHook> | null = null;

  constructor(path: Path | null, inode: Inode, flags: number) {
    this.path = path;
    this.inode = inode;
    this.flags = flags;
    inode.hold();
    if (path !== null) holdPath(path);
  }

  get readable(): boolean {
    const acc = this.flags & (O_ACCMODE | O_PATH);
    return acc === O_RDONLY || acc === O_RDWR;
  }

  get writable(): boolean {
    const acc = this.flags & (O_ACCMODE | O_PATH);
    return acc === O_WRONLY || acc === O_RDWR;
  }

  ref(): this {
    this.refs++;
    return this;
  }

  get refCount(): number {
    return this.refs;
  }

  /** Drops a reference; the last one releases the file. */
  unref(): void {
    if (--this.refs > 0) return;
    if (this.path !== null) notifyFile(this.writable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE, this);
    if (this.releaseHooks !== null) for (const hook of this.releaseHooks) hook();
    if (this.closeHooks !== null) for (const h of [...this.closeHooks.values()]) h.fileClosed();
    this.release();
    if (this.inode.identity.locks !== null) {
      removeFileLocks(this.inode, this);
      removeLease(this.inode, this);
    }
    if (this.countedWriter) {
      this.inode.writeCount--;
      if (this.path !== null) this.path.mount.dropWriter();
    } else if (this.countedReader) this.inode.readCount--;
    this.inode.drop();
    if (this.path !== null) putPath(this.path);
  }

  /** Counts the file as a writer of its inode: get_write_access(). Open(2) checked that nobody executes it. */
  countWriter(): void {
    this.countedWriter = true;
    this.inode.writeCount++;
    if (this.path !== null) this.path.mount.addWriter();
  }

  /** Counts the file as a reader of its inode: i_readcount_inc(). */
  countReader(): void {
    this.countedReader = true;
    this.inode.readCount++;
  }

  /** The last reference is gone: free host fds, wake peers. */
  protected release(): void {}

  /** A descriptor was closed (close(2), dup2 over it, exec, exit), possibly not the last: flush(file_operations). 0 or −errno. */
  flush(_t: CallContext): number {
    return 0;
  }

  /** close(2) is about to close a descriptor: 0, or UNANSWERED if it has to wait before it does (vfs/served-call.ts). */
  closing(): number {
    return 0;
  }

  /** True if pread/pwrite/lseek work and reads go by position. */
  get seekable(): boolean {
    return false;
  }

  /** FMODE_PREAD and FMODE_PWRITE: calls with an offset are not refused for having one. Directories have positions, too. */
  takesOffset(_write: boolean): boolean {
    return this.seekable || this.inode.isDir;
  }

  /** True if read(2) and write(2) go by `pos`; false for streams and for files whose position the host keeps. */
  get usesPos(): boolean {
    return this.seekable;
  }

  /** True if reads and writes at an offset that a call gives move that offset; memory devices have no place. */
  get movesOffset(): boolean {
    return true;
  }

  /** True if one read or write is one message that must not be cut into chunks (datagrams, packets). */
  get messages(): boolean {
    return false;
  }

  /** FMODE_CAN_READ: the file has a way to be read at all. */
  get canRead(): boolean {
    return this.read !== FileDescription.prototype.read;
  }

  get canWrite(): boolean {
    return this.write !== FileDescription.prototype.write;
  }

  /**
   * RWF_* flags of preadv2(2) and pwritev2(2) that the file knows. Files whose operations are the old ones, without an iterator,
   * know RWF_HIPRI only; RWF_NOWAIT is for files that say so (FMODE_NOWAIT).
   */
  rwFlags(_write: boolean): number {
    return RWF_ALL;
  }

  /** splice(2) and sendfile(2) may read from the file, or write to it. */
  canSplice(write: boolean): boolean {
    return write ? this.canWrite : this.canRead;
  }

  /** What is written is never looked at: bad addresses do not matter. */
  get ignoresData(): boolean {
    return false;
  }

  /** O_DIRECT may be asked for (FMODE_CAN_ODIRECT). */
  get canDirect(): boolean {
    return false;
  }

  /** The file can tell of its events by signals: O_ASYNC, FIOASYNC. */
  get fasync(): boolean {
    return false;
  }

  /** What a read does whose memory ends before the data. */
  get tornRead(): TornRead {
    return 'fits';
  }

  /** How much of a write's `left` bytes it is given next, at most `max`. */
  writePiece(left: number, max: number): number {
    return Math.min(left, max);
  }

  /** Bytes that are fetched from a writer, or with 'spilt' taken for a reader, at a time: a fault loses all of them. */
  copyUnit(_write: boolean): number {
    return 1;
  }

  /** What a write says whose data cannot be read. */
  writeNowhere(_t: CallContext, _len: number): number {
    return this.canWrite ? -EFAULT : -EINVAL;
  }

  /** A read that takes nothing, of files whose torn reads are 'kept'. */
  peek(_t: CallContext, _buf: Uint8Array, _off: number, _len: number): number {
    return -EINVAL;
  }

  /** Of the next `len` bytes of such a file those that are whole pieces. */
  wholePieces(_len: number): number {
    return 0;
  }

  /** How long a blocking read or write waits, in ns (SO_RCVTIMEO, SO_SNDTIMEO). */
  ioTimeoutNs(_write: boolean): number {
    return Infinity;
  }

  /** True while open(2) must not return yet (a FIFO without its peer): wait on `waiters` and ask again. */
  get openPending(): boolean {
    return false;
  }

  /**
   * Reads up to `len` bytes into `buf[off..)`. `pos` is the file position, −1 for streams. Bytes read, 0 at the end, −EAGAIN
   * if it would block (whatever O_NONBLOCK says: the caller decides and waits on `waiters`), −errno.
   */
  read(_t: CallContext, _buf: Uint8Array, _off: number, _len: number, _pos: number): number {
    return -EINVAL;
  }

  /** Writes `buf[off..off+len)`, same conventions; may be partial. `pos` as for read; O_APPEND is honoured here. */
  write(_t: CallContext, _buf: Uint8Array, _off: number, _len: number, _pos: number): number {
    return -EINVAL;
  }

  /** splice_write(file_operations): the same with what comes out of a pipe. */
  writeSpliced(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    return this.write(t, buf, off, len, pos);
  }

  /**
   * Host fd from which file data may be read at file position = host offset, or −1. Lets the syscall layer pread straight
   * into the platform's data buffer.
   */
  get hostReadFd(): number {
    return -1;
  }

  /**
   * What a read of up to `len` (> 0) bytes at `pos` gives, where it lies: valid until the file is touched again. null if that
   * is not possible: the file has to be read. Saves large reads of files in memory a copy.
   */
  bytesAt(_t: CallContext, _pos: number, _len: number): ByteView | null {
    return null;
  }

  /**
   * The `len` (> 0) bytes at `pos`, where they lie, for being written over by guest memory; null if they have to be written. What
   * has been changed is said by `bytesChanged`. Saves large writes a copy.
   */
  bytesToChange(_t: CallContext, _pos: number, _len: number): ByteView | null {
    return null;
  }

  bytesChanged(_t: CallContext): void {}

  /** lseek(2): new position or −errno. */
  seek(_t: CallContext, _offset: number, _whence: number): number {
    return -ESPIPE;
  }

  /** Emits entries from `pos` on and advances `pos`; 0 or −errno. */
  getdents(_t: CallContext, _emit: DirEmit): number {
    return -ENOTDIR;
  }

  /** O_PATH: names a place, cannot be read or written. */
  get isPathOnly(): boolean {
    return (this.flags & O_PATH) !== 0;
  }

  /** Current readiness. Regular files are always ready. */
  poll(): number {
    return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
  }

  /** False for files that epoll_ctl refuses with EPERM (regular files, directories). */
  get pollable(): boolean {
    return true;
  }

  /** ioctl(2); `cmd` uint32, `arg` the raw argument as a number. */
  ioctl(_t: CallContext, _cmd: number, _arg: number): number {
    return -ENOTTY;
  }

  /** Host object for a mapping of [offset, offset+len) with MAP_SHARED or MAP_PRIVATE and `prot`; −errno if it cannot be mapped. */
  mapSource(_shared: boolean, _prot: number, _offset: number, _len: number): MapSource | number {
    return -ENODEV;
  }

  /**
   * file_accessed() for what is read without `read` (mappings, the host descriptor), where the sentry keeps the times;
   * `asked`: for how many bytes.
   */
  accessed(_asked: number): void {}

  /** What a private mapping may show a copy of; null: the file has to be mapped itself. */
  smallContent(): SmallContent | null {
    return null;
  }

  truncate(_t: CallContext, _size: number): number {
    return -EINVAL;
  }

  /**
   * fallocate(2) with FALLOC_FL_* mode, from `done` bytes on: what is done of `len` when others should have their turn, or −errno.
   */
  allocate(_t: CallContext, _mode: number, _offset: number, _len: number, _done: number): number {
    return -EOPNOTSUPP;
  }

  fsync(_dataOnly: boolean): number {
    return -EINVAL;
  }

  /** Extra lines of /proc/PID/fdinfo/N after pos, flags, mnt_id and ino. */
  fdinfo(): string {
    return '';
  }
}
