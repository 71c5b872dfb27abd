/**
 * Generated directories: StaticDir with a fixed set of children, KernfsDir for names that come and go. Entry positions are
 * chosen by the directory, so that a reader who goes on after a change neither skips nor repeats what stayed.
 */
import { EACCES, ENOENT, ENXIO, EPERM, EINVAL } from '../../abi/errno.ts';
import { SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '../../abi/fcntl.ts';
import { S_IFDIR, modeToDt } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirFile, FIRST_ENTRY } from '../../vfs/dir-file.ts';
import type { DirEmit, FileDescription } from '../../vfs/file-description.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import type { KernfsSuperBlock } from './super-block.ts';
import { applyAttr, now } from './attr.ts';

/** An entry of a directory; `off` is its own position, at least FIRST_ENTRY and ascending. */
export interface KernfsEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
  readonly off: number;
}

export { FIRST_ENTRY };

export abstract class KernfsDir extends Inode {
  constructor(sb: KernfsSuperBlock, perm: number, uid = 0, gid = 0) {
    super(sb, sb.nextIno(), S_IFDIR | perm, uid, gid);
    this.nlink = 2;
    this.atime = this.mtime = this.ctime = now();
  }

  abstract override lookup(name: string, t: CallContext | null): Inode | number;

  /** Entries with position ≥ `from`, ascending. */
  abstract entries(t: CallContext, from: number): Iterable<KernfsEntry>;

  /** Nothing can be made here. Unknown names in /proc fail in the look-up already. */
  private get refusal(): number {
    return this.sb.fsType === 'proc' ? -ENOENT : -EPERM;
  }

  override create(_name: string, _mode: number, _uid: number, _gid: number): Inode | number {
    return this.sb.fsType === 'proc' ? -ENOENT : -EACCES;
  }

  override mkdir(_name: string, _mode: number, _uid: number, _gid: number): Inode | number {
    return this.refusal;
  }

  override symlink(): number {
    return this.refusal;
  }

  override mknod(): number {
    return this.refusal;
  }

  override link(): number {
    return this.refusal;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription | number {
    return new KernfsDirDescription(path, this, flags);
  }

  override setAttr(change: AttrChange): number {
    return applyAttr(this, change);
  }
}

class KernfsDirDescription extends DirFile {
  private readonly dir: KernfsDir;

  constructor(path: Path, dir: KernfsDir, flags: number) {
    super(path, dir, flags);
    this.dir = dir;
  }

  /** generic_file_llseek() of a directory whose size is 0. */
  override seek(t: CallContext, offset: number, whence: number): number {
    if (whence === SEEK_DATA || whence === SEEK_HOLE) return -ENXIO;
    return super.seek(t, offset, whence === SEEK_END ? SEEK_SET : whence);
  }

  override fsync(): number {
    // Those of sysfs have noop_fsync.
    return this.inode.sb.fsType === 'proc' ? -EINVAL : 0;
  }

  protected override emitEntries(t: CallContext, emit: DirEmit): void {
    for (const e of this.dir.entries(t, this.pos)) {
      if (!emit(e.name, e.ino, e.type, e.off + 1)) return;
      this.pos = e.off + 1;
    }
  }
}

/** Directory whose children are put in when it is built. */
export class StaticDir extends KernfsDir {
  private readonly names: string[] = [];
  private readonly nodes = new Map<string, Inode>();

  add(name: string, node: Inode): this {
    if (!this.nodes.has(name)) this.names.push(name);
    this.nodes.set(name, node);
    if (node.isDir) this.nlink++;
    return this;
  }

  get(name: string): Inode | undefined {
    return this.nodes.get(name);
  }

  override lookup(name: string, _t: CallContext | null): Inode | number {
    return this.nodes.get(name) ?? -ENOENT;
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    for (let i = Math.max(0, from - FIRST_ENTRY); i < this.names.length; i++) {
      const name = this.names[i]!;
      const node = this.nodes.get(name)!;
      yield { name, ino: node.ino, type: modeToDt(node.mode), off: i + FIRST_ENTRY };
    }
  }
}
