/**
 * Generated files, Linux's seq_file: the content is made when a reader starts at position 0 and kept with the open file, so
 * that a reader of several pieces sees one state. Writable files take a whole write at once, as sysctls and
 * kernfs attributes do.
 */
import { EACCES, EINVAL } from '../../abi/errno.ts';
import { O_ACCMODE, O_RDONLY, SEEK_CUR, SEEK_SET } from '../../abi/fcntl.ts';
import { S_IFREG } from '../../abi/stat.ts';
import type { Credentials } from '../../auth/credentials.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, RWF_HIPRI, RWF_WAITING } from '../../vfs/file-description.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import { applyAttr, now } from './attr.ts';
import type { KernfsSuperBlock } from './super-block.ts';

/** Byte string content, or −errno. `t` reads, which is not always who opened. */
export type Generate = (t: CallContext) => string | number;
/** A piece of a long file that is made as it is read; `next` ≥ 0 is where to go on, −1 means the end. */
export interface Part {
  readonly text: string;
  readonly next: number;
}
export type GeneratePart = (t: CallContext, from: number) => Part | number;
/** Takes what was written: bytes consumed or −errno. `pos` is the file position before the write, `opener` who opened the file. */
export type Store = (t: CallContext, data: string, pos: number, opener: Credentials) => number;

/** onOpen of files that nobody may open for writing, whatever the capabilities (proc_sys_permission, kernfs_fop_open). */
export function refuseWriters(_t: CallContext, flags: number): number {
  return (flags & O_ACCMODE) === O_RDONLY ? 0 : -EACCES;
}

/** What one write hands to Store at most (fs/kernfs/file.c uses a page as well). */
const MAX_WRITE = 4096;

export interface KernfsFileOptions {
  uid?: number;
  gid?: number;
  store?: Store;
  /** Instead of a whole content: long files, made piece by piece from 0 on. */
  parts?: GeneratePart;
  /** st_size: 0 in /proc, 4096 in sysfs. */
  size?: number;
  /** Decides at open(2): 0 or −errno. */
  onOpen?: (t: CallContext, flags: number) => number;
  /** epoll takes it: always ready. */
  pollable?: boolean;
  /** It can be spliced into, as sysctls and files of control groups can (iter_file_splice_write). */
  splicedInto?: boolean;
}

export class KernfsFile extends Inode {
  readonly generate: Generate;
  readonly store: Store | null;
  readonly parts: GeneratePart | null;
  readonly pollable: boolean;
  readonly splicedInto: boolean;
  private readonly onOpen: ((t: CallContext, flags: number) => number) | null;

  constructor(sb: KernfsSuperBlock, perm: number, generate: Generate, options: KernfsFileOptions = {}) {
    super(sb, sb.nextIno(), S_IFREG | perm, options.uid ?? 0, options.gid ?? 0);
    this.generate = generate;
    this.store = options.store ?? null;
    this.parts = options.parts ?? null;
    this.onOpen = options.onOpen ?? null;
    this.pollable = options.pollable ?? false;
    this.splicedInto = options.splicedInto ?? false;
    this.size = options.size ?? 0;
    this.atime = this.mtime = this.ctime = now();
  }

  /** Its operations are the old ones, without an iterator: no splicing, no flags (what `ONE` and `REG` make in fs/proc/base.c). */
  get oldOperations(): boolean {
    return false;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const refused = this.mayOpen(t, flags);
    return refused < 0 ? refused : new KernfsFileDescription(path, this, flags, t.creds);
  }

  /** 0 or −errno. */
  protected mayOpen(t: CallContext, flags: number): number {
    return this.onOpen === null ? 0 : this.onOpen(t, flags);
  }

  override setAttr(change: AttrChange): number {
    return applyAttr(this, change);
  }
}

const NOTHING = Buffer.alloc(0);

/**
 * Contents that open files keep, oldest first. A guest may have thousands of large ones open, so together they are bounded:
 * who has lost its content makes it anew, as if the file had been read from the start.
 */
const held = new Set<KernfsFileDescription>();
let heldBytes = 0;
let heldMax = 32 * 1024 * 1024;

/** For tests: another bound. */
export function setHeldContentLimit(bytes: number): void {
  heldMax = bytes;
}

export class KernfsFileDescription extends FileDescription {
  private readonly file: KernfsFile;
  private readonly opener: Credentials;
  private content: Buffer | null = null;
  // Files in parts: the part at hand, its place in the file, and where the next one begins.
  private part = NOTHING;
  private partStart = 0;
  private nextPart = 0;

  constructor(path: Path, file: KernfsFile, flags: number, opener: Credentials) {
    super(path, file, flags);
    this.file = file;
    this.opener = opener;
  }

  override rwFlags(write: boolean): number {
    return write || this.file.oldOperations ? RWF_HIPRI : RWF_WAITING;
  }

  override canSplice(write: boolean): boolean {
    return write ? this.canWrite && this.file.splicedInto : !this.file.oldOperations;
  }

  override get pollable(): boolean {
    return this.file.pollable;
  }

  override get seekable(): boolean {
    return true;
  }

  /** seq_open() takes the right to write at an offset away. */
  override takesOffset(write: boolean): boolean {
    return !write || this.writable || !this.file.oldOperations;
  }

  protected override release(): void {
    this.dropContent();
  }

  private dropContent(): void {
    if (this.content === null) return;
    heldBytes -= this.content.length;
    held.delete(this);
    this.content = null;
  }

  private keepContent(content: Buffer): void {
    this.dropContent();
    this.content = content;
    held.add(this);
    heldBytes += content.length;
    for (const oldest of held) {
      if (heldBytes <= heldMax || oldest === this) break;
      oldest.dropContent();
    }
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    if (this.file.parts !== null) return this.readParts(this.file.parts, t, buf, off, len, pos);
    if (pos === 0 || this.content === null) {
      const made = this.file.generate(t);
      if (typeof made === 'number') return made;
      this.keepContent(Buffer.from(made, 'latin1'));
    }
    const content = this.content!;
    if (pos >= content.length) return 0;
    const end = Math.min(content.length, pos + len);
    buf.set(content.subarray(pos, end), off);
    return end - pos;
  }

  private readParts(
    parts: GeneratePart,
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    pos: number,
  ): number {
    if (pos === 0 || pos < this.partStart) {
      this.part = NOTHING;
      this.partStart = 0;
      this.nextPart = 0;
    }
    let done = 0;
    while (done < len) {
      const at = pos + done - this.partStart;
      if (at < this.part.length) {
        const n = Math.min(len - done, this.part.length - at);
        buf.set(this.part.subarray(at, at + n), off + done);
        done += n;
        continue;
      }
      if (this.nextPart < 0) break;
      const made = parts(t, this.nextPart);
      if (typeof made === 'number') return done > 0 ? done : made;
      this.partStart += this.part.length;
      this.part = Buffer.from(made.text, 'latin1');
      this.nextPart = made.next;
    }
    return done;
  }

  override copyUnit(): number {
    return Infinity;
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    if (this.file.store === null) return -EINVAL;
    const n = Math.min(len, MAX_WRITE);
    return this.file.store(
      t,
      Buffer.from(buf.buffer, buf.byteOffset + off, n).toString('latin1'),
      pos,
      this.opener,
    );
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    const pos = whence === SEEK_CUR ? this.pos + offset : offset;
    if (pos < 0) return -EINVAL;
    this.pos = pos;
    return pos;
  }

  override truncate(): number {
    return 0;
  }

  override fsync(): number {
    return -EINVAL;
  }
}
