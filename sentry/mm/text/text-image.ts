/**
 * Patched text of a file, in a sealed memfd: processes map it privately in place of the file's own pages. What the file
 * holds, with the thunks that threads may be in still there, is kept in a second one for those who want to write to it.
 *
 * When more of a text gets patched, a new image takes the old one's place. It has all that the old one has, where the old one
 * has it, so it may be mapped over that at any moment, and the old one answers with what it knows.
 */
import { EINVAL } from '../../abi/errno.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { close, fcntl, ftruncate, memfdCreate, pread, pwrite } from '../../host/sys.ffi.ts';
import type { PatchedText, Thunk } from './patch.ts';
import type { Site } from './sites.ts';

const MFD_CLOEXEC_ALLOW_SEALING = 3;
/** Since Linux 6.3; older kernels make every memfd executable. */
const MFD_EXEC = 0x10;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | SHRINK | GROW | WRITE */
const SEALS = 0xf;

export class TextImage {
  /** Host file offset of the first page, and length in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly sites: readonly Site[];
  private readonly fd: number;
  private readonly patch: PatchedText;
  private restoredFd = -1;
  private successor: TextImage | null = null;

  private constructor(offset: number, length: number, fd: number, patch: PatchedText) {
    this.offset = offset;
    this.length = length;
    this.fd = fd;
    this.patch = patch;
    this.sites = patch.sites;
  }

  /** The image that is to be mapped by now. */
  get latest(): TextImage {
    return this.successor === null ? this : this.successor.latest;
  }

  get hostFd(): number {
    return this.latest.fd;
  }

  replaceBy(image: TextImage): void {
    this.successor = image;
    close(this.fd);
    if (this.restoredFd >= 0) close(this.restoredFd);
  }

  /** Null if the host refuses. */
  static create(offset: number, pages: HostBuffer, patch: PatchedText): TextImage | null {
    const fd = textMemfd(pages);
    return fd < 0 ? null : new TextImage(offset, pages.size, fd, patch);
  }

  /** Memfd with the file's own text, or −errno. */
  originalFd(): number {
    if (this.successor !== null) return this.latest.originalFd();
    if (this.restoredFd >= 0) return this.restoredFd;
    const pages = this.originalPages();
    if (pages === null) return -EINVAL;
    this.restoredFd = textMemfd(pages);
    return this.restoredFd;
  }

  /** The file's own text with the thunks behind it; null if the host refuses. */
  originalPages(): HostBuffer | null {
    const pages = new HostBuffer(this.length);
    if (pread(this.fd, pages.addr, pages.size, 0) !== pages.size) return null;
    for (const { at, bytes } of this.patch.undo) pages.bytes.set(bytes, at);
    return pages;
  }

  /**
   * Where in the file's own text a thread is that stands at `at`, an offset in the image: −1 if just there. `rcx` is its
   * register as an offset. Either nothing of the thunk has happened or only the moved instruction.
   */
  originalPlace(at: number, rcx: number): number {
    const { common, thunks } = this.patch;
    if (at < common) return -1;
    if (at < thunks[0]!.start) return rcx - 2;
    const t = findThunk(thunks, at);
    if (t === null) return -1;
    return at === t.start ? t.site : t.syscall;
  }
}

function findThunk(thunks: readonly Thunk[], at: number): Thunk | null {
  for (const t of thunks) if (at >= t.start && at < t.end) return t;
  return null;
}

/** A sealed memfd that can be mapped executable, or −errno. */
export function textMemfd(pages: HostBuffer): number {
  let fd = memfdCreate('text', MFD_CLOEXEC_ALLOW_SEALING | MFD_EXEC);
  if (fd === -EINVAL) fd = memfdCreate('text', MFD_CLOEXEC_ALLOW_SEALING);
  if (fd < 0) return fd;
  if (
    ftruncate(fd, pages.size) < 0 ||
    pwrite(fd, pages.addr, pages.size, 0) !== pages.size ||
    fcntl(fd, F_ADD_SEALS, SEALS) < 0
  ) {
    close(fd);
    return -EINVAL;
  }
  return fd;
}
