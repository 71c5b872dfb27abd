/** Listing of overlay directories: the layers' entries merged, whiteouts and what they hide left out. */
import { EINVAL, EISDIR } from '../../abi/errno.ts';
import { O_RDONLY, SEEK_CUR, SEEK_SET } from '../../abi/fcntl.ts';
import { DT_CHR, DT_DIR, modeToDt } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, type DirEmit } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { TmpfsDir } from '../tmpfs/directory.ts';
import type { OverlayDir } from './directory.ts';
import { KERNEL, NO_PATH } from './no-path.ts';

export interface MergedEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
}

const WH_PREFIX = '.wh.';

/** Every visible entry except "." and "..", or −errno. */
export function mergedEntries(t: CallContext | null, dir: OverlayDir): MergedEntry[] | number {
  const entries: MergedEntry[] = [];
  /** Names that are listed or hidden already; not needed for a single layer. */
  const seen = new Set<string>();
  const { sb, upper, lowers } = dir;
  if (upper !== null) {
    for (const [name, { node }] of (upper as TmpfsDir).entryIterator()) {
      if (lowers.length > 0) seen.add(name);
      const type = modeToDt(node.mode);
      if (type !== DT_CHR || node.rdev !== 0) entries.push({ name, ino: sb.inoOfUpper(node), type });
    }
  }
  for (let i = 0; i < lowers.length; i++) {
    const r = listLower(t, dir, lowers[i]!, seen, entries, i + 1 < lowers.length);
    if (r < 0) return r;
  }
  return entries;
}

/** Adds what a lower directory shows; `remember` if further layers are below it. */
function listLower(
  t: CallContext | null,
  dir: OverlayDir,
  lower: Inode,
  seen: Set<string>,
  entries: MergedEntry[],
  remember: boolean,
): number {
  const f = lower.open(t ?? KERNEL, NO_PATH, O_RDONLY);
  if (typeof f === 'number') return f;
  const layer = dir.sb.inoOfLower(lower) - lower.ino;
  const hidden: string[] = [];
  const shown: string[] = [];
  const { imageWhiteouts } = dir.sb;
  const r = f.getdents(t ?? KERNEL, (name, ino, type) => {
    if (name === '.' || name === '..') return true;
    if (imageWhiteouts && name.startsWith(WH_PREFIX)) {
      hidden.push(name.slice(WH_PREFIX.length));
      return true;
    }
    if (seen.has(name)) return true;
    if (type === DT_CHR && isLowerWhiteout(lower, name)) {
      hidden.push(name);
      return true;
    }
    entries.push({ name, ino: ino + layer, type });
    if (remember) shown.push(name);
    return true;
  });
  f.unref();
  for (const name of shown) seen.add(name);
  for (const name of hidden) seen.add(name);
  return r;
}

function isLowerWhiteout(dir: Inode, name: string): boolean {
  const found = dir.lookup(name, null);
  if (typeof found === 'number') return false;
  const whiteout = found.rdev === 0;
  found.hold();
  found.drop();
  return whiteout;
}

export class OverlayDirFile extends FileDescription {
  private readonly dir: OverlayDir;
  /** As of the last rewind: stable positions while names come and go. */
  private list: MergedEntry[] | null = null;

  constructor(path: Path, dir: OverlayDir, flags: number) {
    super(path, dir, flags);
    this.dir = dir;
  }

  override get seekable(): boolean {
    return true;
  }

  override get pollable(): boolean {
    return false;
  }

  override read(): number {
    return -EISDIR;
  }

  override fsync(): number {
    return 0;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    const pos = whence === SEEK_CUR ? this.pos + offset : offset;
    if (pos < 0) return -EINVAL;
    if (pos === 0) this.list = null;
    this.pos = pos;
    return pos;
  }

  override getdents(t: CallContext, emit: DirEmit): number {
    if (this.list === null) {
      const list = mergedEntries(t, this.dir);
      if (typeof list === 'number') return list;
      this.list = list;
    }
    if (this.pos === 0) {
      if (!emit('.', this.dir.ino, DT_DIR, 1)) return 0;
      this.pos = 1;
    }
    if (this.pos === 1) {
      const parent = this.dir.parent ?? this.dir;
      if (!emit('..', parent.ino, DT_DIR, 2)) return 0;
      this.pos = 2;
    }
    for (let i = this.pos - 2; i < this.list.length; i++) {
      const e = this.list[i]!;
      if (!emit(e.name, e.ino, e.type, i + 3)) break;
      this.pos = i + 3;
    }
    return 0;
  }
}
