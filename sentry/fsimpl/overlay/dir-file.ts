/** Listing of overlay directories: the layers' entries merged, whiteouts and what they hide left out. */
import { O_RDONLY } from '../../abi/fcntl.ts';
import { DT_CHR, DT_REG, modeToDt } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirFile, FIRST_ENTRY } from '../../vfs/dir-file.ts';
import type { DirEmit } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { TmpfsDir } from '../tmpfs/directory.ts';
import type { OverlayDir } from './directory.ts';
import { discard, WH_PREFIX } from './lookup.ts';
import type { Markers } from './markers.ts';
import { KERNEL, openInLayer } from './no-path.ts';
import type { OverlaySuperBlock } from './super-block.ts';

export interface MergedEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
}

/** What the upper directory has, whiteouts too. */
export function upperEntries(dir: OverlayDir): (readonly [string, Inode])[] {
  const { upper } = dir;
  const list: (readonly [string, Inode])[] = [];
  if (upper === null) return list;
  if (upper instanceof TmpfsDir) {
    for (const [name, { node }] of upper.newestFirst()) list.push([name, node]);
    return list;
  }
  const f = openInLayer(KERNEL, upper, O_RDONLY);
  if (typeof f === 'number') return list;
  const names: string[] = [];
  f.getdents(KERNEL, (name) => names.push(name) > 0);
  f.unref();
  for (const name of names) {
    const node = name === '.' || name === '..' ? 0 : upper.lookup(name, null);
    if (typeof node !== 'number') list.push([name, node]);
  }
  return list;
}

/** Every visible entry except "." and "..", or −errno. */
export function mergedEntries(t: CallContext | null, dir: OverlayDir): MergedEntry[] | number {
  const entries: MergedEntry[] = [];
  /** Names that are listed or hidden already; not needed for a single layer. */
  const seen = new Set<string>();
  const { sb, lowers } = dir;
  for (const [name, node] of upperEntries(dir)) {
    if (lowers.length > 0) seen.add(name);
    if (!sb.isWhiteout(node)) entries.push({ name, ino: sb.inoOfUpper(node), type: modeToDt(node.mode) });
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
  const f = openInLayer(t ?? KERNEL, lower, O_RDONLY);
  if (typeof f === 'number') return f;
  const layer = dir.sb.inoOfLower(lower) - lower.ino;
  const hidden: string[] = [];
  const shown: string[] = [];
  const { imageWhiteouts, guest } = dir.sb;
  const fileWhiteouts = guest !== null && guest.markers.hasFileWhiteouts(lower) ? guest.markers : null;
  const r = f.getdents(t ?? KERNEL, (name, ino, type) => {
    if (name === '.' || name === '..') return true;
    if (imageWhiteouts && name.startsWith(WH_PREFIX)) {
      hidden.push(name.slice(WH_PREFIX.length));
      return true;
    }
    if (seen.has(name)) return true;
    if (type === DT_CHR && isLowerWhiteout(dir.sb, lower, name)) {
      hidden.push(name);
      return true;
    }
    if (fileWhiteouts !== null && type === DT_REG && isMarkedFile(fileWhiteouts, lower, name)) {
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

function isLowerWhiteout(sb: OverlaySuperBlock, dir: Inode, name: string): boolean {
  const found = dir.lookup(name, null);
  if (typeof found === 'number') return false;
  const whiteout = sb.isWhiteout(found);
  discard(found);
  return whiteout;
}

function isMarkedFile(markers: Markers, dir: Inode, name: string): boolean {
  const found = dir.lookup(name, null);
  if (typeof found === 'number') return false;
  const whiteout = found.refresh() === 0 && markers.isFileWhiteout(found);
  discard(found);
  return whiteout;
}

export class OverlayDirFile extends DirFile {
  private readonly dir: OverlayDir;
  /** As of the last rewind: stable positions while names come and go. */
  private list: MergedEntry[] | null = null;

  constructor(path: Path, dir: OverlayDir, flags: number) {
    super(path, dir, flags);
    this.dir = dir;
  }

  override seek(t: CallContext, offset: number, whence: number): number {
    const pos = super.seek(t, offset, whence);
    if (pos === 0) this.list = null;
    return pos;
  }

  override accessed(): void {
    this.dir.readBy(this);
  }

  protected override prepare(t: CallContext): number {
    if (this.list !== null) return 0;
    const list = mergedEntries(t, this.dir);
    if (typeof list === 'number') return list;
    this.list = list;
    return 0;
  }

  protected override get parentIno(): number {
    return (this.dir.parent ?? this.dir).ino;
  }

  protected override emitEntries(_t: CallContext, emit: DirEmit): void {
    this.accessed();
    const list = this.list!;
    for (let i = this.pos - FIRST_ENTRY; i < list.length; i++) {
      const e = list[i]!;
      const next = i + FIRST_ENTRY + 1;
      if (!emit(e.name, e.ino, e.type, next)) break;
      this.pos = next;
    }
  }
}
