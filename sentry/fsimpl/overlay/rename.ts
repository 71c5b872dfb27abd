/** rename(2) in overlayfs (fs/overlayfs/dir.c ovl_rename): in the upper layer, with what keeps lower layers from shining through. */
import { EINVAL, EPERM, EXDEV } from '../../abi/errno.ts';
import { RENAME_EXCHANGE, RENAME_WHITEOUT } from '../tmpfs/directory.ts';
import type { OverlayDir } from './directory.ts';
import type { OverlayInode } from './inode.ts';
import { WH_PREFIX } from './lookup.ts';

/** A directory that lower layers have a part of. */
function hasLowers(node: OverlayInode): boolean {
  return node.isDir && (node as OverlayDir).lowers.length > 0;
}

/** ovl_can_move(): "don't copy up directory trees". */
function canMove(node: OverlayInode): boolean {
  const { guest } = node.sb;
  return guest === null || guest.redirects || !hasLowers(node);
}

/** ovl_get_redirect(): where the lower layers have a directory, from their roots. */
function pathInLowers(node: OverlayInode): string {
  const { markers } = node.sb.guest!;
  let path = '';
  for (let at: OverlayInode = node; at.parent !== null; at = at.parent) {
    const to = at.upper === null ? null : markers.redirectOf(at.upper);
    if (to?.startsWith('/') === true) return to + path;
    path = `/${to ?? at.name}${path}`;
  }
  return path;
}

/** Before a directory of a guest's overlay moves from `oldDir`: what it needs to remain what it is. 0 or −EXDEV. */
function markMoved(node: OverlayInode, oldDir: OverlayDir, newDir: OverlayDir): number {
  const { guest } = node.sb;
  if (guest === null || !node.isDir) return 0;
  const { markers } = guest;
  const up = node.upper!;
  if (hasLowers(node)) {
    const now = markers.redirectOf(up);
    if (now !== null && (oldDir === newDir || now.startsWith('/'))) return 0;
    return markers.set(up, 'redirect', oldDir === newDir ? node.name : pathInLowers(node), -EXDEV);
  }
  if (newDir.lowers.length === 0 || markers.isOpaque(up)) return 0;
  return markers.set(up, 'opaque', 'y', -EXDEV);
}

/** What has the name now gives way: whiteouts go, an empty directory may be replaced. */
function makeWay(dir: OverlayDir, name: string, target: OverlayInode | null): number {
  if (dir.sb.imageWhiteouts && name.startsWith(WH_PREFIX)) return -EPERM;
  if (target !== null && target.isDir) {
    const empty = (target as OverlayDir).clearWhiteouts();
    if (empty < 0) return empty;
  }
  const up = dir.upperDir.lookup(name, null);
  if (typeof up === 'number') {
    if (target !== null) dir.takeLowerName(target);
  } else if (dir.sb.isWhiteout(up)) {
    dir.upperDir.unlink(name, up);
  }
  return 0;
}

function settle(node: OverlayInode, dir: OverlayDir, name: string): void {
  node.parent?.forgetLink(node);
  node.parent = dir;
  node.name = name;
  dir.noteCopy(node);
  node.sb.upperChanged(dir, name);
}

export function renameInUpper(
  oldDir: OverlayDir,
  oldName: string,
  node: OverlayInode,
  newDir: OverlayDir,
  newName: string,
  target: OverlayInode | null,
  flags: number,
): number {
  if ((flags & RENAME_WHITEOUT) !== 0) return -EINVAL;
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  if (!canMove(node) || (exchange && !canMove(target!))) return -EXDEV;
  let r = oldDir.copyUp();
  if (r === 0) r = newDir.copyUp();
  if (r === 0) r = oldDir.ensureUpperName(oldName, node);
  if (r === 0 && exchange) r = newDir.ensureUpperName(newName, target!);
  if (r === 0) r = markMoved(node, oldDir, newDir);
  if (r === 0 && exchange) r = markMoved(target!, newDir, oldDir);
  if (r < 0) return r;
  if (exchange) return exchangeInUpper(oldDir, oldName, node, newDir, newName, target!);
  r = makeWay(newDir, newName, target);
  if (r < 0) return r;
  const uncovered = oldDir.lowerHas(oldName);
  const replaced = newDir.upperDir.lookup(newName, null);
  const over = typeof replaced === 'number' ? null : replaced;
  r = oldDir.upperDir.rename(oldName, node.upper!, newDir.upperDir, newName, over, 0);
  if (r < 0) return r;
  if (uncovered) oldDir.whiteOut(oldName);
  oldDir.sb.upperChanged(oldDir, oldName);
  if (target !== null) newDir.nameGone(newName, target);
  settle(node, newDir, newName);
  node.pull();
  oldDir.pull();
  newDir.pull();
  return 0;
}

function exchangeInUpper(
  oldDir: OverlayDir,
  oldName: string,
  node: OverlayInode,
  newDir: OverlayDir,
  newName: string,
  other: OverlayInode,
): number {
  const r = oldDir.upperDir.rename(
    oldName,
    node.upper!,
    newDir.upperDir,
    newName,
    other.upper!,
    RENAME_EXCHANGE,
  );
  if (r < 0) return r;
  settle(node, newDir, newName);
  settle(other, oldDir, oldName);
  for (const n of [node, other, oldDir, newDir]) n.pull();
  return 0;
}
