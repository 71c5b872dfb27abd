/**
 * What a mapping shows other than fresh private zero pages: a host object with an fd. One backing per mmap call or
 * shared object, counted by the VMAs that show it. Futexes and SysV segments use its identity.
 */
import { ENFILE, ENOMEM, EOPNOTSUPP } from '../abi/errno.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../abi/falloc.ts';
import { madeForGuest } from '../host/descriptors.ffi.ts';
import { close, fallocate, fcntl, ftruncate, lseek, memfdCreate } from '../host/sys.ffi.ts';
import { SEEK_DATA, SEEK_HOLE } from '../abi/fcntl.ts';
import { PAGE_SIZE } from '../lib/addr.ts';
import type { FileDescription, MapSource } from '../vfs/file-description.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW: nobody may make a mapping of it fault. */
const FIXED_SIZE_SEALS = 7;

/** Bound on host fds that guests can make the kernel hold with shared anonymous memory. */
const MAX_SHARED_OBJECTS = 8192;
let sharedObjects = 0;

export abstract class Backing {
  private refs = 1;
  /** Called when a reference goes that is not the last (SysV segments count their mappings). */
  onUnref: (() => void) | null = null;

  ref(): void {
    this.refs++;
  }

  unref(): void {
    if (--this.refs === 0) this.release();
    else this.onUnref?.();
  }

  /** Both halves of a VMA that was split just now are one again: nobody has gone. */
  unsplit(): void {
    this.refs--;
  }

  get refCount(): number {
    return this.refs;
  }

  protected abstract release(): void;
  /** Identity for shared futexes: two mappings share memory iff keys and offsets are equal. */
  abstract get key(): object;
  abstract get hostFd(): number;
  /** Host offset − backing offset. */
  abstract get hostDelta(): number;
  /** The open file of a file mapping. */
  abstract get file(): FileDescription | null;
  /** MADV_REMOVE: frees [offset, offset+len), which then reads as zeros. 0 or −errno. */
  abstract punchHole(offset: number, len: number): number;
  /** Which of `pages` pages from `offset` on the page cache holds: marks them with 1 in `out[at..)`, which is zero. */
  abstract markCached(offset: number, pages: number, out: Uint8Array, at: number): void;
  /** It is tmpfs's, not of a file of the host's. */
  abstract get inMemory(): boolean;
  /** Name in /proc/PID/maps of backings without a file. */
  abstract get label(): string;

  /** Whether a VMA of `o` may be merged with one of this backing at the same offsets. */
  mergesWith(o: Backing): boolean {
    return this === o;
  }
}

/** Shared anonymous memory (shmem_zero_setup) and SysV segments: a memfd of its own. */
export class SharedMemory extends Backing {
  readonly size: number;
  readonly label: string;
  private fd: number;

  private constructor(fd: number, size: number, label: string) {
    super();
    this.fd = fd;
    this.size = size;
    this.label = label;
  }

  static create(size: number, label: string): SharedMemory | number {
    if (sharedObjects >= MAX_SHARED_OBJECTS) return -ENOMEM;
    const fd = madeForGuest(memfdCreate('shmem', MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0) return -ENFILE;
    if (ftruncate(fd, size) < 0 || fcntl(fd, F_ADD_SEALS, FIXED_SIZE_SEALS) < 0) {
      close(fd);
      return -ENOMEM;
    }
    sharedObjects++;
    return new SharedMemory(fd, size, label);
  }

  protected override release(): void {
    close(this.fd);
    this.fd = -1;
    sharedObjects--;
  }

  override get key(): object {
    return this;
  }

  override get hostFd(): number {
    return this.fd;
  }

  override get hostDelta(): number {
    return 0;
  }

  override get file(): FileDescription | null {
    return null;
  }

  override get inMemory(): boolean {
    return true;
  }

  override markCached(offset: number, pages: number, out: Uint8Array, at: number): void {
    markData(this.fd, offset, pages, out, at);
  }

  override punchHole(offset: number, len: number): number {
    return fallocate(this.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
  }
}

/** Marks the pages of [offset, offset + pages) of a memfd that are not holes. */
function markData(fd: number, offset: number, pages: number, out: Uint8Array, at: number): void {
  const end = offset + pages * PAGE_SIZE;
  for (let pos = offset; pos < end;) {
    const data = lseek(fd, pos, SEEK_DATA);
    if (data < 0 || data >= end) return;
    const hole = lseek(fd, data, SEEK_HOLE);
    const to = hole < 0 ? end : Math.min(hole, end);
    out.fill(1, at + Math.floor((data - offset) / PAGE_SIZE), at + Math.ceil((to - offset) / PAGE_SIZE));
    pos = to;
  }
}

/** A mapped file. Holds a reference of the open file, which keeps its host fd alive. */
export class FileBacking extends Backing {
  private readonly open: FileDescription;
  private readonly source: MapSource;
  private readonly delta: number;

  /** `offset` is the file offset that `source` was asked for. */
  constructor(file: FileDescription, source: MapSource, offset: number) {
    super();
    this.open = file.ref();
    this.source = source;
    this.delta = source.hostOffset - offset;
  }

  protected override release(): void {
    this.source.onUnmapped?.();
    this.open.unref();
  }

  override get key(): object {
    return this.open.inode.findIdentity();
  }

  override get hostFd(): number {
    return this.source.hostFd;
  }

  override get hostDelta(): number {
    return this.delta;
  }

  override get file(): FileDescription | null {
    return this.open;
  }

  override get label(): string {
    return '';
  }

  override get inMemory(): boolean {
    return this.source.inMemory === true;
  }

  /** Pages of the host's files up to their end count as cached. */
  override markCached(offset: number, pages: number, out: Uint8Array, at: number): void {
    if (this.inMemory) {
      markData(this.source.hostFd, offset + this.delta, pages, out, at);
      return;
    }
    const { inode } = this.open;
    inode.refresh();
    const inFile = Math.ceil((inode.size - offset) / PAGE_SIZE);
    if (inFile > 0) out.fill(1, at, at + Math.min(pages, inFile));
  }

  override punchHole(offset: number, len: number): number {
    const fd = this.source.hostFd;
    if (fd < 0) return -EOPNOTSUPP;
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(fd, mode, offset + this.delta, len);
  }

  override mergesWith(o: Backing): boolean {
    if (this === o) return true;
    return (
      o instanceof FileBacking && o.open === this.open && o.delta === this.delta && o.hostFd === this.hostFd
    );
  }
}
