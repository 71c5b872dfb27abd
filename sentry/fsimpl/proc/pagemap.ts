/**
 * /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst) as those without CAP_SYS_ADMIN see it: 8 bytes per page, frame
 * numbers are 0. Which pages are soft-dirty or nobody else's is not known: all are the former, none is the latter.
 */
import { EINVAL } from '../../abi/errno.ts';
import { SEEK_CUR, SEEK_SET } from '../../abi/fcntl.ts';
import { PAGE_SIZE, TASK_SIZE } from '../../lib/addr.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import { kindOf, pagesOf } from '../../mm/residency.ts';
import type { Vma } from '../../mm/vma.ts';
import { PAGE_PRESENT, PAGE_ZERO } from '../../platform/platform.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';

const ENTRY = 8;
// The upper half of an entry: soft-dirty (bit 55), file or shared (61), present (63).
const PM_SOFT_DIRTY = 1 << (55 - 32);
const PM_FILE = 1 << (61 - 32);
const PM_PRESENT = 0x80000000;

const pages = new Uint8Array(1024);

export class PagemapFile extends FileDescription {
  private readonly mm: MemoryManager;

  constructor(path: Path, inode: Inode, flags: number, mm: MemoryManager) {
    super(path, inode, flags);
    this.mm = mm;
  }

  override get pollable(): boolean {
    return false;
  }

  override get seekable(): boolean {
    return true;
  }

  /** "Reading … must be 8-byte aligned and a multiple of 8 bytes" (pagemap_read). */
  override read(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    if (pos % ENTRY !== 0 || len % ENTRY !== 0) return -EINVAL;
    const first = pos / ENTRY;
    const count = Math.min(len / ENTRY, TASK_SIZE / PAGE_SIZE - first);
    if (count <= 0 || this.mm.space.dead) return 0;
    const view = new DataView(buf.buffer, buf.byteOffset + off, count * ENTRY);
    let v: Vma | null = null;
    let known = 0;
    let runStart = 0;
    for (let i = 0; i < count; i++) {
      const at = (first + i) * PAGE_SIZE;
      if (i >= known) {
        v = this.mm.table.find(at);
        const run = v === null ? 1 : Math.min(pages.length, count - i, (v.end - at) / PAGE_SIZE);
        if (v !== null) pagesOf(this.mm, v, at, run, pages, 0);
        known = i + run;
        runStart = i;
      }
      let high = 0;
      if (v !== null) {
        high = PM_SOFT_DIRTY;
        const there = pages[i - runStart];
        if (there === PAGE_ZERO) high |= PM_PRESENT;
        if (there === PAGE_PRESENT) high |= PM_PRESENT | (kindOf(v) === 'anon' ? 0 : PM_FILE);
      }
      view.setUint32(i * ENTRY, 0, true);
      view.setUint32(i * ENTRY + 4, high >>> 0, true);
    }
    return count * ENTRY;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    const pos = whence === SEEK_CUR ? this.pos + offset : offset;
    if (pos < 0) return -EINVAL;
    this.pos = pos;
    return pos;
  }
}
