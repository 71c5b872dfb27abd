/** Which lower objects a name of a directory stands for (fs/overlayfs/namei.c ovl_lookup). */
import { ENOENT, ENOTDIR, EPERM } from '../../abi/errno.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { OverlayDir } from './directory.ts';

/** Prefix of whiteouts in the layers of an OCI image, and the marker of a directory that hides the layers below. */
export const WH_PREFIX = '.wh.';
const WH_OPAQUE = '.wh..wh..opq';

/** Lower objects, topmost first: one that is no directory, or directories to be merged. */
export interface LowerDirs {
  readonly inodes: readonly Inode[];
  /** The layer that each is of; not needed in the container's root. */
  readonly layers: readonly number[];
}

export function sameLayers(dir: OverlayDir, found: LowerDirs): boolean {
  return (
    !dir.isDir ||
    (dir.lowers.length === found.inodes.length && dir.lowers.every((l, i) => l === found.inodes[i]))
  );
}

/** A found inode that nobody wants: its file system may forget it. */
export function discard(inode: Inode): void {
  inode.hold();
  inode.drop();
}

export function exists(dir: Inode, name: string): boolean {
  if (!dir.isDir) return false;
  const r = dir.lookup(name, null);
  if (typeof r === 'number') return false;
  discard(r);
  return true;
}

/** In the container's root: `.wh.` files and device nodes hide. −ENOENT if there is nothing. */
function findInImage(dir: OverlayDir, name: string, t: CallContext | null): LowerDirs | number {
  const found: Inode[] = [];
  for (const layer of dir.lowers) {
    const r = layer.lookup(name, t);
    if (typeof r === 'number') {
      if (r !== -ENOENT && r !== -ENOTDIR) return r;
      if (exists(layer, WH_PREFIX + name)) break;
      continue;
    }
    if (dir.sb.isWhiteout(r) || (found.length > 0 && !r.isDir)) {
      discard(r);
      break;
    }
    found.push(r);
    if (!r.isDir || exists(r, WH_OPAQUE)) break;
  }
  return found.length === 0 ? -ENOENT : { inodes: found, layers: [] };
}

/** A path below a layer's directory. */
function lookupPath(from: Inode, path: string, t: CallContext | null): Inode | number {
  let at: Inode = from;
  for (const name of path.split('/')) {
    if (name === '') continue;
    const next = at.lookup(name, t);
    if (at !== from) discard(at);
    if (typeof next === 'number') return next;
    at = next;
  }
  return at;
}

/**
 * The lower objects for `name` of `dir`; `upperDir` is the upper directory of that name, if there is one: only directories are
 * merged with it. −ENOENT if there are none.
 */
export function findLowers(
  dir: OverlayDir,
  name: string,
  t: CallContext | null,
  upperDir: Inode | null = null,
): LowerDirs | number {
  const { sb } = dir;
  const { guest } = sb;
  if (guest === null) return findInImage(dir, name, t);
  const { markers } = guest;
  const inodes: Inode[] = [];
  const layers: number[] = [];
  let from = dir;
  let path = name;
  /** −EPERM if redirections are not followed. */
  const follow = (redirect: string | null): number => {
    if (redirect === null) return 0;
    if (!guest.followsRedirects) return -EPERM;
    path = redirect;
    if (redirect.startsWith('/')) from = sb.root;
    return 0;
  };
  const giveUp = (error: number): number => {
    for (const i of inodes) discard(i);
    return error;
  };
  if (upperDir !== null) {
    const r = follow(markers.redirectOf(upperDir));
    if (r < 0) return r;
  }
  /** The next layer to look at: what was redirected to the roots goes on below the layer that said so. */
  let layer = 0;
  for (;;) {
    const i = from.layerIds.findIndex((id) => id >= layer);
    if (i < 0) break;
    layer = from.layerIds[i]! + 1;
    const parent = from.lowers[i]!;
    const r = lookupPath(parent, path, t);
    if (typeof r === 'number') {
      if (r !== -ENOENT && r !== -ENOTDIR) return giveUp(r);
      continue;
    }
    const hidden =
      sb.isWhiteout(r) ||
      (markers.hasFileWhiteouts(parent) && r.refresh() === 0 && markers.isFileWhiteout(r));
    if (hidden || ((inodes.length > 0 || upperDir !== null) && !r.isDir)) {
      discard(r);
      break;
    }
    if (!r.isDir && markers.has(r, 'metacopy')) {
      // Its contents are in another layer, where nobody looks without metacopy=on.
      discard(r);
      return giveUp(-EPERM);
    }
    inodes.push(r);
    layers.push(layer - 1);
    if (!r.isDir || markers.isOpaque(r)) break;
    const to = follow(markers.redirectOf(r));
    if (to < 0) return giveUp(to);
  }
  return inodes.length === 0 ? -ENOENT : { inodes, layers };
}
