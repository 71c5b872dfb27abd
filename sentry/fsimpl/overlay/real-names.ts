/**
 * Names of a guest's upper layer, which guests can look at as well. The overlay changes it below the cache of names of the file
 * system that it lies in, so what that cache says of a name may have to be forgotten.
 */
import type { Dentry } from '../../vfs/dentry.ts';
import type { OverlayDir } from './directory.ts';

/** The dentry of an upper directory, if it is cached: only cached names can be stale. */
function cachedDentry(root: Dentry, dir: OverlayDir): Dentry | null {
  const names: string[] = [];
  for (let at = dir; at.parent !== null; at = at.parent) names.push(at.name);
  let d: Dentry | undefined = root;
  for (let i = names.length - 1; i >= 0 && d !== undefined; i--) d = d.child(names[i]!);
  return d === undefined || d.inode !== dir.upper ? null : d;
}

export function forgetStaleName(root: Dentry, dir: OverlayDir, name: string): void {
  const parent = cachedDentry(root, dir);
  const d = parent?.child(name);
  if (parent === null || d === undefined) return;
  const now = parent.inode!.lookup(name, null);
  if (typeof now === 'number') {
    if (d.inode !== null) d.markDeleted();
  } else if (d.inode === null) {
    d.instantiate(now);
    d.shapes();
  } else if (d.inode !== now) {
    d.drop();
  }
}
