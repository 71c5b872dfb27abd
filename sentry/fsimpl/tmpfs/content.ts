/**
 * The bytes of a tmpfs file: a growing buffer while small, a memfd of its own once it is large or mapped. The memfd may be
 * mapped by guests and change at any time, so the sentry reaches it by pread and pwrite only.
 */
import { EINVAL, ENOSPC, ENXIO, EOPNOTSUPP } from '../../abi/errno.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../abi/falloc.ts';
import { SEEK_DATA, SEEK_HOLE } from '../../abi/fcntl.ts';
import { madeForGuest } from '../../host/descriptors.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import {
  close,
  fallocate,
  fstatBlocks,
  ftruncate,
  lseek,
  memfdCreate,
  pread,
  pwrite,
} from '../../host/sys.ffi.ts';
import { PAGE_SIZE, pageDown, pageOffset, pageUp } from '../../lib/addr.ts';
import { hostAddressOf } from '../../usermem/io-buffer.ts';
import type { ByteView, ContentCopy, SmallContent } from '../../vfs/file-description.ts';

/** Larger files live in a memfd. */
export const SMALL_MAX = 128 * 1024;
const SMALL_PAGES = SMALL_MAX / PAGE_SIZE;

/** Bytes of a memfd that one turn of fallocate(2) allocates or frees: about 1 ms. */
export const ALLOCATE_SLICE = 4 * 1024 * 1024;

/** Each is written to with every write. */
const MAX_COPIES = 16;

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;

/** Who pays for pages: the super block with its size limit. */
export interface PageAccount {
  /** Takes `pages` (gives back if negative): false if the file system is full. */
  charge(pages: number): boolean;
}

const EMPTY = Buffer.alloc(0);
const bounce = new HostBuffer(SMALL_MAX);
const byteView: ByteView = { bytes: EMPTY, off: 0, length: 0 };

const WRITTEN = 1;
/** By fallocate(2), and never written. */
const ALLOCATED = 2;

export class FileContent implements SmallContent {
  size = 0;
  /** Allocated pages, as far as known without asking the host. */
  pages = 0;
  hostFd = -1;
  private buf: Buffer = EMPTY;
  /** Pages of `buf`: 0, WRITTEN or ALLOCATED. What was not written is a hole. */
  private present: Uint8Array | null = null;
  /** A memfd with holes: its allocation is counted by the host. */
  private sparse = false;
  /** What mappings show instead. */
  private copies: Set<ContentCopy> | null = null;
  private readonly account: PageAccount;

  constructor(account: PageAccount) {
    this.account = account;
  }

  /** Whether mappings may show copies: it lies here, without holes, and not too many do. */
  get mayBeCopied(): boolean {
    const { copies } = this;
    if (this.hostFd >= 0 || this.size === 0 || this.pages * PAGE_SIZE !== pageUp(this.size)) return false;
    return copies === null || copies.size < MAX_COPIES;
  }

  addCopy(c: ContentCopy): void {
    (this.copies ??= new Set()).add(c);
  }

  removeCopy(c: ContentCopy): void {
    this.copies!.delete(c);
    if (this.copies!.size === 0) this.copies = null;
  }

  private tellCopies(): void {
    for (const c of this.copies!) c.changed();
  }

  /** Somebody may change the memfd without the kernel. */
  loseCopies(): void {
    if (this.copies !== null) for (const c of this.copies) c.lose();
  }

  read(dst: Uint8Array, off: number, len: number, pos: number): number {
    const n = Math.min(len, this.size - pos);
    if (n <= 0) return 0;
    if (this.hostFd < 0) {
      const have = Math.max(0, Math.min(n, this.buf.length - pos));
      if (have > 0) dst.set(this.buf.subarray(pos, pos + have), off);
      if (have < n) dst.fill(0, off + have, off + n);
      return n;
    }
    const addr = hostAddressOf(dst, off, n);
    if (addr >= 0) return pread(this.hostFd, addr, n, pos);
    let done = 0;
    while (done < n) {
      const step = pread(this.hostFd, bounce.addr, Math.min(n - done, bounce.size), pos + done);
      if (step <= 0) return done > 0 ? done : step;
      dst.set(bounce.bytes.subarray(0, step), off + done);
      done += step;
    }
    return done;
  }

  /** What `read` would give, where it lies; null if there is nothing, a hole that has no bytes, or a memfd. */
  view(pos: number, len: number): ByteView | null {
    const n = Math.min(len, this.size - pos);
    if (n <= 0 || pos + n > this.buf.length) return null;
    byteView.bytes = this.buf;
    byteView.off = pos;
    byteView.length = n;
    return byteView;
  }

  /** The `len` bytes at `pos`, if they are there and allocated: changing them changes nothing else. */
  viewAllocated(pos: number, len: number): ByteView | null {
    const { present } = this;
    if (pos + len > this.size || pos + len > this.buf.length || present === null) return null;
    if (this.copies !== null) return null;
    const last = pageDown(pos + len - 1) / PAGE_SIZE;
    for (let p = pageDown(pos) / PAGE_SIZE; p <= last; p++) if (present[p] !== WRITTEN) return null;
    return this.view(pos, len);
  }

  /** Writes at `pos`, growing the file: bytes written, as many as there is room for, or −ENOSPC. */
  write(src: Uint8Array, off: number, len: number, pos: number): number {
    const r = this.writeAsMuch(src, off, len, pos);
    if (this.copies !== null) this.tellCopies();
    return r;
  }

  private writeAsMuch(src: Uint8Array, off: number, len: number, pos: number): number {
    const r = this.writeWhole(src, off, len, pos);
    if (r !== -ENOSPC) return r;
    let done = 0;
    while (done < len) {
      const step = Math.min(len - done, PAGE_SIZE - pageOffset(pos + done));
      const n = this.writeWhole(src, off + done, step, pos + done);
      if (n < 0) break;
      done += n;
    }
    return done > 0 ? done : -ENOSPC;
  }

  private writeWhole(src: Uint8Array, off: number, len: number, pos: number): number {
    const end = pos + len;
    if (this.hostFd < 0) {
      if (end <= SMALL_MAX) return this.writeSmall(src, off, len, pos);
      const r = this.toMemfd();
      if (r < 0) return r;
    }
    if (pos > this.size) this.sparse = true;
    const newPages = this.sparse ? 0 : Math.max(0, (pageUp(end) - pageUp(this.size)) / PAGE_SIZE);
    if (this.sparse ? !this.hasRoomAt(pos, end) : newPages > 0 && !this.account.charge(newPages))
      return -ENOSPC;
    this.pages += newPages;
    const done = this.writeHost(src, off, len, pos);
    if (done > 0 && pos + done > this.size) this.size = pos + done;
    if (this.sparse) this.recount();
    return done;
  }

  /** Whether the pages of [pos, end) that a sparse file lacks could be charged. */
  private hasRoomAt(pos: number, end: number): boolean {
    const first = pageDown(pos);
    const most = (pageUp(end) - first) / PAGE_SIZE;
    if (this.account.charge(most)) {
      this.account.charge(-most);
      return true;
    }
    return most === 1 && lseek(this.hostFd, first, SEEK_DATA) === first;
  }

  private writeHost(src: Uint8Array, off: number, len: number, pos: number): number {
    const addr = hostAddressOf(src, off, len);
    if (addr >= 0) return pwrite(this.hostFd, addr, len, pos);
    let done = 0;
    while (done < len) {
      const n = Math.min(len - done, bounce.size);
      bounce.bytes.set(src.subarray(off + done, off + done + n), 0);
      const step = pwrite(this.hostFd, bounce.addr, n, pos + done);
      if (step <= 0) return done > 0 ? done : step;
      done += step;
    }
    return done;
  }

  private writeSmall(src: Uint8Array, off: number, len: number, pos: number): number {
    const end = pos + len;
    if (len > 0 && !this.markPages(pos, end, WRITTEN)) return -ENOSPC;
    if (end > this.buf.length) this.grow(end);
    if (len === src.length && off === 0) this.buf.set(src, pos);
    else this.buf.set(src.subarray(off, off + len), pos);
    if (end > this.size) this.size = end;
    return len;
  }

  private markPages(pos: number, end: number, as: number): boolean {
    const present = (this.present ??= new Uint8Array(SMALL_PAGES));
    const first = pageDown(pos) / PAGE_SIZE;
    const last = pageDown(end - 1) / PAGE_SIZE;
    let fresh = 0;
    for (let p = first; p <= last; p++) if (present[p] === 0) fresh++;
    if (fresh > 0 && !this.account.charge(fresh)) return false;
    this.pages += fresh;
    for (let p = first; p <= last; p++) if (as === WRITTEN || present[p] === 0) present[p] = as;
    return true;
  }

  private grow(need: number): void {
    const cap = Math.min(SMALL_MAX, Math.max(need, this.buf.length * 2, 64));
    const bigger = Buffer.alloc(cap);
    bigger.set(this.buf, 0);
    this.buf = bigger;
  }

  /** Moves the bytes to a memfd, for mapping or growth: its host fd or −errno. */
  toMemfd(): number {
    if (this.hostFd >= 0) return this.hostFd;
    const fd = madeForGuest(memfdCreate('tmpfs', MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0) return fd;
    let r = ftruncate(fd, this.size);
    const present = this.present;
    for (let p = 0; r >= 0 && present !== null && p < SMALL_PAGES; p++) {
      const kind = present[p];
      if (kind === 0) continue;
      let to = p + 1;
      while (to < SMALL_PAGES && present[to] === kind) to++;
      const start = p * PAGE_SIZE;
      p = to - 1;
      if (kind === ALLOCATED) {
        r = fallocate(fd, FALLOC_FL_KEEP_SIZE, start, to * PAGE_SIZE - start);
        continue;
      }
      const stop = Math.min(to * PAGE_SIZE, this.buf.length, this.size);
      if (stop > start) {
        bounce.bytes.set(this.buf.subarray(start, stop), 0);
        r = pwrite(fd, bounce.addr, stop - start, start);
      }
    }
    if (r < 0) {
      close(fd);
      return -ENOSPC;
    }
    this.sparse = this.pages * PAGE_SIZE < pageUp(this.size);
    this.hostFd = fd;
    this.buf = EMPTY;
    this.present = null;
    return fd;
  }

  /** A mapping may allocate pages at any time; so may a hole be filled: ask the host. */
  recount(): void {
    if (this.hostFd < 0) return;
    const blocks = fstatBlocks(this.hostFd);
    if (blocks < 0) return;
    const pages = Math.ceil((blocks * 512) / PAGE_SIZE);
    if (pages !== this.pages) this.account.charge(pages - this.pages);
    this.pages = pages;
  }

  truncate(size: number): number {
    const r = this.resize(size);
    if (this.copies !== null) this.tellCopies();
    return r;
  }

  private resize(size: number): number {
    if (this.hostFd < 0) {
      if (size < this.size) this.clearSmall(size, this.size, true);
      this.size = size;
      return 0;
    }
    const r = ftruncate(this.hostFd, size);
    if (r < 0) return r;
    if (size > this.size) this.sparse = true;
    this.size = size;
    this.recount();
    return 0;
  }

  /** Zeroes [start, end) of the buffer and frees whole pages in it (and the partial last one if `toEnd`). */
  private clearSmall(start: number, end: number, toEnd: boolean): void {
    if (start < this.buf.length) this.buf.fill(0, start, Math.min(end, this.buf.length));
    const present = this.present;
    if (present === null) return;
    let freed = 0;
    const last = toEnd ? SMALL_PAGES : Math.floor(end / PAGE_SIZE);
    for (let p = pageUp(start) / PAGE_SIZE; p < last && p < SMALL_PAGES; p++) {
      if (present[p] !== 0) freed++;
      present[p] = 0;
    }
    this.pages -= freed;
    if (freed > 0) this.account.charge(-freed);
    if (start === 0 && toEnd) this.buf = EMPTY;
  }

  /**
   * fallocate(2), one slice of it from `done` bytes on: clearing or freeing pages takes the host 0.1 to 0.3 s per GiB. What is done
   * of `len` then, or −errno. The file's size changes with the last slice.
   */
  allocate(mode: number, offset: number, len: number, done: number): number {
    const r = this.allocateSlice(mode, offset, len, done);
    if (this.copies !== null) this.tellCopies();
    return r;
  }

  private allocateSlice(mode: number, offset: number, len: number, done: number): number {
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) !== 0) return -EOPNOTSUPP;
    const end = offset + len;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if ((mode & FALLOC_FL_KEEP_SIZE) === 0) return -EOPNOTSUPP;
      if (this.hostFd < 0) {
        this.clearSmall(offset, Math.min(end, SMALL_MAX), false);
        return len;
      }
      this.sparse = true;
    } else if (this.hostFd < 0) {
      if (end <= SMALL_MAX) {
        if (!this.markPages(offset, end, ALLOCATED)) return -ENOSPC;
        if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > this.size) this.size = end;
        return len;
      }
      const r = this.toMemfd();
      if (r < 0) return r;
    }
    const pages = Math.ceil((len - done) / PAGE_SIZE);
    if ((mode & FALLOC_FL_PUNCH_HOLE) === 0) {
      if (!this.account.charge(pages)) return -ENOSPC;
      this.account.charge(-pages);
    }
    const slice = Math.min(len - done, ALLOCATE_SLICE);
    const now = done + slice;
    const r = fallocate(this.hostFd, mode | (now < len ? FALLOC_FL_KEEP_SIZE : 0), offset + done, slice);
    if (r < 0) return r;
    if (now < len) {
      this.sparse = true;
      this.recount();
      return now;
    }
    if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > this.size) this.size = end;
    this.recount();
    return len;
  }

  /** SEEK_DATA and SEEK_HOLE: position or −ENXIO. */
  seekHole(offset: number, whence: number): number {
    if (offset < 0 || offset >= this.size) return -ENXIO;
    if (this.hostFd >= 0) return lseek(this.hostFd, offset, whence);
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return -EINVAL;
    const want = whence === SEEK_DATA ? 1 : 0;
    let at = offset;
    while (at < this.size) {
      const page = pageDown(at) / PAGE_SIZE;
      const has = page < SMALL_PAGES && this.present !== null && this.present[page] === WRITTEN ? 1 : 0;
      if (has === want) return at;
      if (page >= SMALL_PAGES) return want === 1 ? -ENXIO : at;
      at = pageDown(at) + PAGE_SIZE;
    }
    return want === 1 ? -ENXIO : this.size;
  }

  /** Frees everything. */
  release(): void {
    if (this.hostFd >= 0) close(this.hostFd);
    this.hostFd = -1;
    if (this.pages > 0) this.account.charge(-this.pages);
    this.pages = 0;
    this.size = 0;
    this.buf = EMPTY;
    this.present = null;
  }
}
