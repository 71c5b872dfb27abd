/** Open files and directories of FUSE (fs/fuse/file.c, readdir.c). Everything is the server's at once: nothing is kept to be written later. */
import { EINVAL, EIO, ENODEV, ENOSYS, ENXIO, EOPNOTSUPP } from '../../abi/errno.ts';
import { O_APPEND, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '../../abi/fcntl.ts';
import { PROT_WRITE } from '../../abi/mman.ts';
import { fileRemovePrivs } from '../../vfs/attr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirFile, FIRST_ENTRY } from '../../vfs/dir-file.ts';
import { FileDescription, RWF_WAITING, type DirEmit, type MapSource } from '../../vfs/file-description.ts';
import { truncateInode } from '../../vfs/open.ts';
import { UNANSWERED } from '../../vfs/served-call.ts';
import type { FuseContent } from './content.ts';
import type { FuseInode } from './inode.ts';
import * as P from './protocol.ts';
import type { Request } from './request.ts';

const MAX_FILE_SIZE = Number.MAX_SAFE_INTEGER;
/** What one READDIR asks for, and how many entries of a directory are kept. */
const DIRECTORY_CHUNK = 32768;
const MAX_ENTRIES = 1_000_000;
const NO_FILE = '\0\0\0\0\0\0\0\0';
const NO_OFFSET = '\0\0\0\0\0\0\0\0';

/** The server's id of the file that was opened by `opened`: its last 16 bytes are struct fuse_open_out. */
export const fileId = (opened: Request | null): string =>
  opened === null ? NO_FILE : P.readId(opened.reply, opened.reply.length - 16);

export class FuseFile extends FileDescription {
  private readonly node: FuseInode;
  /** Of a file that is opened to be executed. */
  private readonly program: FuseContent | null;
  /** null if the server keeps nothing about open files. */
  private readonly opened: Request | null;
  private readonly id: string;
  private readonly openFlags: number;
  /** What has been mapped of it: open as long as the file is. */
  private readonly mapped = new Set<FuseContent>();
  /** Result of the FLUSH that close(2) has waited for. */
  private flushed: number | null = null;

  constructor(
    path: Path,
    node: FuseInode,
    flags: number,
    opened: Request | null,
    program: FuseContent | null,
  ) {
    super(path, node, flags);
    this.node = node;
    this.program = program === null ? null : this.keep(program);
    this.opened = opened;
    this.id = fileId(opened);
    this.openFlags = opened === null ? 0 : opened.reply.readUInt32LE(opened.reply.length - 8);
    if (opened !== null) opened.claimed = true;
  }

  private get connection() {
    return this.node.fuse.connection;
  }

  private get isStream(): boolean {
    return (this.openFlags & P.FOPEN_STREAM) !== 0;
  }

  override get seekable(): boolean {
    return (this.openFlags & (P.FOPEN_STREAM | P.FOPEN_NONSEEKABLE)) === 0;
  }

  override get usesPos(): boolean {
    return !this.isStream;
  }

  override get pollable(): boolean {
    return false;
  }

  override get canDirect(): boolean {
    return true;
  }

  override rwFlags(): number {
    return RWF_WAITING;
  }

  /** A program is read from its copy: when it is loaded nothing can wait. */
  override get hostReadFd(): number {
    return this.program?.hostFd ?? -1;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    if (this.program !== null) return this.program.read(buf, off, len, pos);
    const at = Math.max(0, pos);
    const answers = [];
    let done = 0;
    while (done < len) {
      const r = this.node.readAt(this.id, at + done, len - done, this.flags);
      if (typeof r === 'number') return r;
      answers.push(r);
      buf.set(r.reply, off + done);
      done += r.reply.length;
      if (r.reply.length < Math.min(len - done + r.reply.length, this.connection.maxRead)) break;
    }
    for (const r of answers) this.connection.consume(r);
    return done;
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const { node, connection } = this;
    let at = Math.max(0, pos);
    if ((this.flags & O_APPEND) !== 0) {
      const r = node.refresh();
      if (r < 0) return r;
      at = node.size;
    }
    if ((node.mode & 0o6000) !== 0) fileRemovePrivs(t, node);
    const answers = [];
    let done = 0;
    while (done < len) {
      const want = Math.min(len - done, connection.maxWrite);
      const data = buf.subarray(off + done, off + done + want);
      const body = new P.Body()
        .id(this.id)
        .u64(at + done)
        .u32(want, 0)
        .u64(0)
        .u32(this.flags, 0)
        .bytes(data);
      const r = connection.ask(P.WRITE, node.node, body.done);
      if (typeof r === 'number') {
        if (r === UNANSWERED || done === 0) return r;
        break;
      }
      answers.push(r);
      const n = r.reply.readUInt32LE(0);
      if (n > want) return -EIO;
      done += n;
      if (n < want) break;
    }
    for (const r of answers) connection.consume(r);
    if (done > 0) node.written(at + done);
    return done;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    let pos: number;
    if (whence === SEEK_SET) pos = offset;
    else if (whence === SEEK_CUR) pos = this.pos + offset;
    else if (whence === SEEK_END || whence === SEEK_DATA || whence === SEEK_HOLE) {
      const r = this.node.refresh();
      if (r < 0) return r;
      pos = whence === SEEK_END ? this.node.size + offset : this.seekData(offset, whence);
      if (whence !== SEEK_END && pos < 0) return pos;
    } else return -EINVAL;
    if (pos < 0 || pos > MAX_FILE_SIZE) return -EINVAL;
    this.pos = pos;
    return pos;
  }

  /** Servers without LSEEK have files without holes. */
  private seekData(offset: number, whence: number): number {
    const { size } = this.node;
    if (offset < 0 || offset >= size) return -ENXIO;
    const { connection } = this;
    if (!connection.lacks(P.LSEEK)) {
      const body = new P.Body().id(this.id).u64(offset).u32(whence, 0).done;
      const r = connection.ask(P.LSEEK, this.node.node, body);
      if (typeof r !== 'number') return P.readU64(r.reply, 0);
      if (r !== -ENOSYS) return r;
    }
    return whence === SEEK_DATA ? offset : size;
  }

  /** Copies only: what is stored through a shared mapping would have to be written back at some time. */
  override mapSource(shared: boolean, prot: number, offset: number, _len: number): MapSource | number {
    if (shared && (prot & PROT_WRITE) !== 0) return -ENODEV;
    if (this.program === null) {
      const r = this.node.load(this.id);
      if (r < 0) return r;
    }
    return {
      hostFd: (this.program ?? this.keep(this.node.content!)).hostFd,
      hostOffset: offset,
      privateOnly: false,
    };
  }

  private keep(content: FuseContent): FuseContent {
    if (!this.mapped.has(content)) this.mapped.add(content.hold());
    return content;
  }

  override truncate(t: CallContext, size: number): number {
    return truncateInode(t, this.node, size);
  }

  override allocate(_t: CallContext, mode: number, offset: number, len: number, _done: number): number {
    const { connection } = this;
    if (connection.lacks(P.FALLOCATE)) return -EOPNOTSUPP;
    const body = new P.Body().id(this.id).u64(offset).u64(len).u32(mode, 0).done;
    const r = connection.ask(P.FALLOCATE, this.node.node, body);
    if (r === -ENOSYS) return -EOPNOTSUPP;
    if (typeof r === 'number') return r;
    this.node.invalidate();
    return len;
  }

  override fsync(dataOnly: boolean): number {
    const { connection } = this;
    if (connection.lacks(P.FSYNC)) return 0;
    const body = new P.Body().id(this.id).u32(dataOnly ? 1 : 0, 0).done;
    const r = connection.ask(P.FSYNC, this.node.node, body);
    return typeof r === 'number' && r !== -ENOSYS ? r : 0;
  }

  private get flushBody(): Buffer {
    return new P.Body().id(this.id).u64(0).u64(0).done;
  }

  override closing(): number {
    const { connection } = this;
    if ((this.openFlags & P.FOPEN_NOFLUSH) !== 0 || connection.lacks(P.FLUSH)) return 0;
    const r = connection.ask(P.FLUSH, this.node.node, this.flushBody);
    if (r === UNANSWERED) return r;
    this.flushed = typeof r === 'number' && r !== -ENOSYS ? r : 0;
    return 0;
  }

  override flush(): number {
    const r = this.flushed;
    this.flushed = null;
    if (r !== null) return r;
    const { connection } = this;
    if ((this.openFlags & P.FOPEN_NOFLUSH) === 0 && !connection.lacks(P.FLUSH))
      connection.tell(P.FLUSH, this.node.node, this.flushBody);
    return 0;
  }

  protected override release(): void {
    for (const content of this.mapped) content.release();
    if (this.opened !== null) this.connection.closed(this.opened);
  }
}

/** Positions are numbers of entries as they were read after the last rewind; the server's own need not fit a number. */
export class FuseDirFile extends DirFile {
  private readonly node: FuseInode;
  private readonly opened: Request | null;
  private readonly id: string;
  private entries: P.DirectoryEntry[] = [];
  private complete = false;

  constructor(path: Path, node: FuseInode, flags: number, opened: Request | null) {
    super(path, node, flags);
    this.node = node;
    this.opened = opened;
    this.id = fileId(opened);
    if (opened !== null) opened.claimed = true;
  }

  override seek(t: CallContext, offset: number, whence: number): number {
    const r = super.seek(t, offset, whence);
    if (r === 0) this.rewind();
    return r;
  }

  private rewind(): void {
    this.entries = [];
    this.complete = false;
  }

  /** Reads the rest of the directory. */
  protected override prepare(): number {
    const { connection } = this.node.fuse;
    while (!this.complete) {
      const offset = this.entries.at(-1)?.offset ?? NO_OFFSET;
      const body = new P.Body().id(this.id).id(offset).u32(DIRECTORY_CHUNK, 0).u64(0).u32(this.flags, 0).done;
      const r = connection.ask(P.READDIR, this.node.node, body);
      if (typeof r === 'number') return r;
      const more = P.readEntries(r.reply);
      if (more === null || r.reply.length > DIRECTORY_CHUNK) return -EIO;
      if (this.entries.length + more.length > MAX_ENTRIES) return -EIO;
      connection.consume(r);
      this.complete = more.length === 0;
      for (const e of more) this.entries.push(e);
    }
    return 0;
  }

  protected override emitEntries(_t: CallContext, emit: DirEmit): void {
    for (;;) {
      const e = this.entries[this.pos - FIRST_ENTRY];
      if (e === undefined) return;
      const dot = e.name === '.' || e.name === '..';
      if (!dot && !emit(e.name, e.ino, e.type, this.pos + 1)) return;
      this.pos++;
    }
  }

  override fsync(dataOnly: boolean): number {
    const { connection } = this.node.fuse;
    if (connection.lacks(P.FSYNCDIR)) return 0;
    const body = new P.Body().id(this.id).u32(dataOnly ? 1 : 0, 0).done;
    const r = connection.ask(P.FSYNCDIR, this.node.node, body);
    return typeof r === 'number' && r !== -ENOSYS ? r : 0;
  }

  protected override release(): void {
    if (this.opened !== null) this.node.fuse.connection.closed(this.opened);
  }
}
