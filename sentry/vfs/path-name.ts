/** From a place to its name (fs/d_path.c). */
import { ENAMETOOLONG } from '../abi/errno.ts';
import { PATH_MAX } from '../abi/fcntl.ts';
import type { Dentry, Path } from './dentry.ts';
import type { Mount } from './mount.ts';

/** prepend_path(): the components from `root` down, or from as far up as there is (`reachable` false). */
function components(p: Path, root: Path): { name: string; reachable: boolean } {
  const parts: string[] = [];
  let mount: Mount = p.mount;
  let d: Dentry = p.dentry;
  for (;;) {
    if (d === root.dentry && mount === root.mount) break;
    if (d === mount.root) {
      if (mount.parent === null) {
        // The top of the tree without having met `root`: outside of it.
        return { name: `/${parts.reverse().join('/')}`, reachable: false };
      }
      d = mount.mountpoint!;
      mount = mount.parent;
      continue;
    }
    if (d.parent === null) break;
    parts.push(d.name);
    d = d.parent;
  }
  return { name: `/${parts.reverse().join('/')}`, reachable: true };
}

/** True if the name no longer leads here: unlinked, or a removed directory. */
function isDeleted(d: Dentry): boolean {
  return d.unhashed && d.parent !== null;
}

/** d_path(): the name seen from `root`, with " (deleted)" where it is gone. For /proc/PID/fd, exe, maps. */
export function pathName(p: Path, root: Path): string {
  const { name } = components(p, root);
  return isDeleted(p.dentry) ? `${name} (deleted)` : name;
}

/** The text of a link of /proc; −ENAMETOOLONG without room for its end (do_proc_readlink). */
export function linkText(name: string): string | number {
  return name.length < PATH_MAX ? name : -ENAMETOOLONG;
}

/**
 * getcwd(2): "If the current directory is not below the root directory of the current process …, the returned path will be
 * prefixed with the string '(unreachable)'". null: the directory was removed (−ENOENT).
 */
export function cwdName(cwd: Path, root: Path): string | null {
  if (isDeleted(cwd.dentry)) return null;
  const { name, reachable } = components(cwd, root);
  return reachable ? name : `(unreachable)${name}`;
}

/** The place inside its file system, for mountinfo's root field (dentry_path). */
function nameInFileSystem(d: Dentry): string {
  const parts: string[] = [];
  for (let at = d; at.parent !== null; at = at.parent) parts.push(at.name);
  return `/${parts.reverse().join('/')}`;
}

/** True if the place can be reached from `root`: mounts that /proc/PID/mountinfo shows. */
export function isReachable(p: Path, root: Path): boolean {
  return components(p, root).reachable;
}

/** The same of a mount's root, in a file system that may itself be a part of one. */
export function mountRootName(m: Mount): string {
  const name = nameInFileSystem(m.root);
  const prefix = m.sb.rootName;
  return prefix === '' ? name : name === '/' ? prefix : `${prefix}${name}`;
}
