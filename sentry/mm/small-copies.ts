/**
 * Private read-only mappings of small files whose bytes lie in the kernel's own memory (tmpfs): a memfd for each and an order
 * with a descriptor cost some 55 µs, and programs like git map thousands of such files for a moment. Instead, an address space
 * has a pool, a memfd of its own whose pages hold copies of the files that it maps, and a window where the host shows the
 * whole pool: a page moves from there to where the guest wants it (mremap). The kernel writes what changes in a file to
 * its copies as well, and the host's mapping is a private one, so that the guest sees what it would see of the file. What a copy
 * cannot follow (the file loses pages, or somebody maps it shared) turns it into a mapping of the file, before a thread that the
 * kernel holds goes on; threads that run are interrupted for that.
 *
 * A hostile guest can look at its whole pool: nothing is put there that it has not mapped itself, what it unmaps is wiped, and a
 * fork ends the pool for both sides.
 */
import { EOPNOTSUPP } from '../abi/errno.ts';
import { MAP_PRIVATE, PROT_READ } from '../abi/mman.ts';
import { madeForGuest } from '../host/descriptors.ffi.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { close, ftruncate, memfdCreate, pwrite } from '../host/sys.ffi.ts';
import { PAGE_SIZE, pageUp } from '../lib/addr.ts';
import type { Orders } from '../platform/platform.ts';
import type { ContentCopy, FileDescription, SmallContent } from '../vfs/file-description.ts';
import { Backing, FileBacking } from './backing.ts';
import { orderMap } from './host-map.ts';
import type { MemoryManager } from './memory-manager.ts';
import type { Vma } from './vma.ts';

const MFD_CLOEXEC = 1;
/** Where the window is; whoever maps something there takes it away. */
export const WINDOW_START = 0x2000_0000_0000;
export const WINDOW_SIZE = 256 * 1024;
/** Larger files are mapped themselves. */
const MAX_SIZE = 16 * 1024;
/** The first ones, too: a pool is worth its cost for those who map many. */
const MAPPED_BEFORE = 4;
/** Bound on what pools hold, 16 MiB: nobody's limit counts it. */
const MAX_POOLS = 64;

let pools = 0;
/** Told that some address space shows a copy that cannot follow its file any more. */
let onLost: (() => void) | null = null;

export function onCopyLost(f: () => void): void {
  onLost = f;
}

const bounce = new HostBuffer(MAX_SIZE);

/** The memfd. It lives as long as something may be put into it, or a copy in it is mapped. */
class CopyPool {
  readonly fd: number;
  private users = 1;

  private constructor(fd: number) {
    this.fd = fd;
  }

  static create(): CopyPool | null {
    if (pools >= MAX_POOLS) return null;
    const fd = madeForGuest(memfdCreate('copies', MFD_CLOEXEC));
    if (fd < 0) return null;
    if (ftruncate(fd, WINDOW_SIZE) < 0) {
      close(fd);
      return null;
    }
    pools++;
    return new CopyPool(fd);
  }

  ref(): this {
    this.users++;
    return this;
  }

  unref(): void {
    if (--this.users > 0) return;
    close(this.fd);
    pools--;
  }
}

/** An address space's pool, and how much of it is used up. What has left the window does not come back. */
export class CopyWindow {
  readonly pool: CopyPool;
  private used = 0;
  private shown = false;

  private constructor(pool: CopyPool) {
    this.pool = pool;
  }

  static create(): CopyWindow | null {
    const pool = CopyPool.create();
    return pool === null ? null : new CopyWindow(pool);
  }

  /** Offset of `length` unused bytes, or −1. */
  take(length: number): number {
    if (this.used + length > WINDOW_SIZE) return -1;
    const at = this.used;
    this.used += length;
    return at;
  }

  /** Has the host show the copy of `v`. */
  show(o: Orders, v: Vma, at: number): void {
    if (!this.shown) o.mmap(WINDOW_START, WINDOW_SIZE, PROT_READ, MAP_PRIVATE, this.pool.fd, 0);
    this.shown = true;
    o.mremap(WINDOW_START + at, v.length, v.length, v.start);
  }

  end(): void {
    this.pool.unref();
  }
}

/** A copy of a whole file, mapped from its beginning. */
export class CopyBacking extends Backing implements ContentCopy {
  readonly window: CopyWindow;
  /** Where in the pool. */
  readonly at: number;
  /** The file is no longer what is shown. */
  lost = false;
  private readonly pool: CopyPool;
  private readonly open: FileDescription;
  private readonly content: SmallContent;
  private readonly length: number;

  constructor(file: FileDescription, content: SmallContent, window: CopyWindow, at: number) {
    super();
    this.open = file.ref();
    this.content = content;
    this.window = window;
    this.pool = window.pool.ref();
    this.at = at;
    this.length = pageUp(content.size);
    this.changed();
    content.addCopy(this);
  }

  protected override release(): void {
    this.content.removeCopy(this);
    // A hole would have to be taken out of all page tables.
    bounce.bytes.fill(0, 0, this.length);
    pwrite(this.pool.fd, bounce.addr, this.length, this.at);
    this.pool.unref();
    this.open.unref();
  }

  changed(): void {
    const { content, length } = this;
    if (pageUp(content.size) < length) {
      this.lose();
      return;
    }
    const n = Math.max(0, content.read(bounce.bytes, 0, length, 0));
    bounce.bytes.fill(0, n, length);
    if (pwrite(this.pool.fd, bounce.addr, length, this.at) !== length) this.lose();
  }

  lose(): void {
    if (this.lost) return;
    this.lost = true;
    onLost?.();
  }

  override get key(): object {
    return this.open.inode.findIdentity();
  }

  override get hostFd(): number {
    return this.pool.fd;
  }

  override get hostDelta(): number {
    return this.at;
  }

  override get file(): FileDescription {
    return this.open;
  }

  override get label(): string {
    return '';
  }

  override get inMemory(): boolean {
    return true;
  }

  override markCached(offset: number, pages: number, out: Uint8Array, at: number): void {
    out.fill(1, at, at + Math.min(pages, (this.length - offset) / PAGE_SIZE));
  }

  override punchHole(): number {
    return -EOPNOTSUPP; // Private mappings never are.
  }
}

/** A copy for a private read-only mapping of `len` bytes of `file` at `addr`; null: the file itself has to be mapped. */
export function copyFor(
  mm: MemoryManager,
  file: FileDescription,
  addr: number,
  len: number,
): CopyBacking | null {
  if (len > MAX_SIZE) return null;
  const content = file.smallContent();
  if (content === null || content.size > MAX_SIZE || pageUp(content.size) !== len) return null;
  // Orders of several threads reach the host in any order: the window might not be there yet.
  if (mm.userCount > 1) return null;
  if (mm.smallMaps < MAPPED_BEFORE) {
    mm.smallMaps++;
    return null;
  }
  if (addr < WINDOW_START + WINDOW_SIZE && addr + len > WINDOW_START) return null;
  let at = mm.copies === null ? -1 : mm.copies.take(len);
  if (at < 0) {
    if (!mm.free.has(WINDOW_START, WINDOW_START + WINDOW_SIZE)) return null;
    mm.endCopies();
    mm.copies = CopyWindow.create();
    if (mm.copies === null) return null;
    at = mm.copies.take(len);
  }
  mm.hasCopies = true;
  return new CopyBacking(file, content, mm.copies!, at);
}

/** Has the host show the file itself in place of its copy. Pages that the guest has written are lost: none may be. */
function showFile(mm: MemoryManager, o: Orders, v: Vma): void {
  mm.table.modify(v.start, v.end, (part) => {
    const copy = part.backing;
    if (!(copy instanceof CopyBacking)) return;
    const source = copy.file.mapSource(false, part.prot, 0, part.length);
    if (typeof source === 'number') return;
    part.backing = new FileBacking(copy.file, source, 0);
    copy.unref();
    orderMap(o, part);
  });
}

function showFiles(
  mm: MemoryManager,
  o: Orders,
  start: number,
  end: number,
  which: (c: CopyBacking) => boolean,
): void {
  if (!mm.hasCopies) return;
  const found: Vma[] = [];
  mm.table.forEachIn(start, end, (v) => {
    if (v.backing instanceof CopyBacking && which(v.backing)) found.push(v);
  });
  for (const v of found) showFile(mm, o, v);
}

/** [start, end) will become writable, or larger: from now on only the file's own pages will do. */
export function restoreCopies(mm: MemoryManager, o: Orders, start: number, end: number): void {
  showFiles(mm, o, start, end, () => true);
}

/** Before guest code of an address space goes on: what it shows of files that its copies cannot follow. */
export function replaceLost(mm: MemoryManager, o: Orders): void {
  mm.lostCopies = false;
  showFiles(mm, o, mm.minAddr, mm.maxAddr, (c) => c.lost);
}
