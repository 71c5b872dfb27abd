/**
 * Open regular files of overlayfs: the real file, opened in the layer that has it. A file opened for reading before its
 * inode was copied up reads from the upper layer afterwards, as in Linux (ovl_real_fdget).
 */
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import {
  FileDescription,
  RWF_WAITING,
  type ByteView,
  type MapSource,
  type SmallContent,
} from '../../vfs/file-description.ts';
import type { OverlayInode } from './inode.ts';
import { openInLayer } from './no-path.ts';

export class OverlayFile extends FileDescription {
  private readonly node: OverlayInode;
  private realFile: FileDescription;
  private inUpper: boolean;

  constructor(path: Path, node: OverlayInode, flags: number, real: FileDescription) {
    super(path, node, flags);
    this.node = node;
    this.realFile = real;
    this.inUpper = node.upper !== null;
  }

  /** The file to read from and write to now. */
  private real(t: CallContext): FileDescription {
    if (!this.inUpper && this.node.upper !== null) this.moveToUpper(t);
    return this.realFile;
  }

  private moveToUpper(t: CallContext): void {
    const f = openInLayer(t, this.node.upper!, this.flags);
    if (typeof f === 'number') return;
    this.realFile.unref();
    this.realFile = f;
    this.inUpper = true;
  }

  override get seekable(): boolean {
    return true;
  }

  override rwFlags(): number {
    return RWF_WAITING;
  }

  override get canDirect(): boolean {
    return true;
  }

  override get pollable(): boolean {
    return false;
  }

  override get hostReadFd(): number {
    return !this.inUpper && this.node.upper !== null ? -1 : this.realFile.hostReadFd;
  }

  private touch(): void {
    if (this.inUpper) this.node.readBy(this);
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const f = this.real(t);
    if (len > 0) this.touch();
    return f.read(t, buf, off, len, pos);
  }

  override bytesAt(t: CallContext, pos: number, len: number): ByteView | null {
    const f = this.real(t);
    if (!this.inUpper) return null;
    const view = f.bytesAt(t, pos, len);
    if (view !== null) this.touch();
    return view;
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const f = this.real(t);
    f.flags = this.flags;
    const n = f.write(t, buf, off, len, pos);
    this.pullSize(f);
    return n;
  }

  override bytesToChange(t: CallContext, pos: number, len: number): ByteView | null {
    const f = this.real(t);
    f.flags = this.flags;
    return f.bytesToChange(t, pos, len);
  }

  override bytesChanged(t: CallContext): void {
    const f = this.real(t);
    f.bytesChanged(t);
    this.pullSize(f);
  }

  private pullSize(f: FileDescription): void {
    const { node } = this;
    node.size = f.inode.size;
    node.mode = f.inode.mode;
    node.mtime = f.inode.mtime;
    node.ctime = f.inode.ctime;
  }

  override seek(t: CallContext, offset: number, whence: number): number {
    const f = this.real(t);
    f.pos = this.pos;
    const pos = f.seek(t, offset, whence);
    if (pos >= 0) this.pos = pos;
    return pos;
  }

  override mapSource(shared: boolean, prot: number, offset: number, len: number): MapSource | number {
    return this.realFile.mapSource(shared, prot, offset, len);
  }

  override accessed(asked: number): void {
    if (asked > 0) this.touch();
  }

  override smallContent(): SmallContent | null {
    return this.realFile.smallContent();
  }

  override truncate(_t: CallContext, size: number): number {
    return this.node.setAttr({ size });
  }

  override allocate(t: CallContext, mode: number, offset: number, len: number, done: number): number {
    const f = this.real(t);
    const r = f.allocate(t, mode, offset, len, done);
    this.pullSize(f);
    return r;
  }

  override fsync(dataOnly: boolean): number {
    return this.realFile.fsync(dataOnly);
  }

  protected override release(): void {
    this.realFile.unref();
  }
}
