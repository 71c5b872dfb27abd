/** What open directories of all file systems have in common: "." and "..", positions, and what cannot be done with them. */
import { EINVAL, EISDIR } from '../abi/errno.ts';
import { SEEK_CUR, SEEK_SET } from '../abi/fcntl.ts';
import { DT_DIR } from '../abi/stat.ts';
import type { CallContext } from './call-context.ts';
import { FileDescription, RWF_HIPRI, type DirEmit } from './file-description.ts';

/** Position after "." and "..". */
export const FIRST_ENTRY = 2;

/** Position 0 is ".", 1 is "..", from FIRST_ENTRY on it is the file system's to say. */
export abstract class DirFile extends FileDescription {
  override get seekable(): boolean {
    return true;
  }

  override rwFlags(): number {
    return RWF_HIPRI;
  }

  override get pollable(): boolean {
    return false;
  }

  override read(): number {
    return -EISDIR;
  }

  override fsync(_dataOnly: boolean): number {
    return 0;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    const pos = whence === SEEK_CUR ? this.pos + offset : offset;
    if (pos < 0) return -EINVAL;
    this.pos = pos;
    return pos;
  }

  override getdents(t: CallContext, emit: DirEmit): number {
    const r = this.prepare(t);
    if (r < 0) return r;
    if (this.pos === 0) {
      if (!emit('.', this.inode.ino, DT_DIR, 1)) return 0;
      this.pos = 1;
    }
    if (this.pos === 1) {
      if (!emit('..', this.parentIno, DT_DIR, FIRST_ENTRY)) return 0;
      this.pos = FIRST_ENTRY;
    }
    this.emitEntries(t, emit);
    return 0;
  }

  /** Before anything is listed: 0 or −errno. */
  protected prepare(_t: CallContext): number {
    return 0;
  }

  protected get parentIno(): number {
    return this.path?.dentry.parent?.inode?.ino ?? this.inode.ino;
  }

  /** Emits what comes from `pos` on and advances it, until there is no more or `emit` has no room. */
  protected abstract emitEntries(t: CallContext, emit: DirEmit): void;
}
