/** One component of a path (fs/namei.c lookup_fast, lookup_slow): from a directory and a name to the dentry. */
import { ENAMETOOLONG, ENOENT } from '../abi/errno.ts';
import { NAME_MAX } from '../abi/fcntl.ts';
import { S_IFMT } from '../abi/stat.ts';
import type { CallContext } from './call-context.ts';
import { Dentry } from './dentry.ts';
import type { Inode } from './inode.ts';

/** The dentry of a name in a directory, possibly negative, or −errno. Mounts on it are not followed. */
export function lookupDentry(t: CallContext | null, dir: Dentry, name: string): Dentry | number {
  const d = dir.children?.get(name);
  if (d !== undefined && !d.volatile) {
    d.used = true;
    return d;
  }
  return lookupSlow(t, dir, name, d);
}

function lookupSlow(
  t: CallContext | null,
  dir: Dentry,
  name: string,
  d: Dentry | undefined,
): Dentry | number {
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
  const dirInode = dir.inode!;
  const found = dirInode.dead ? -ENOENT : dirInode.lookup(name, t);
  if (typeof found === 'number') {
    if (found !== -ENOENT) return found;
    if (d !== undefined) {
      if (d.inode === null || d.mounted > 0) return d;
      d.drop();
    }
    return addDentry(dir, name, null);
  }
  if (d !== undefined) {
    d.used = true;
    if (d.inode === found) return d;
    if (d.inode === null) {
      d.instantiate(found);
      return d;
    }
    if (d.mounted > 0 || (d.inode.sb.uncached && (d.inode.mode & S_IFMT) === (found.mode & S_IFMT))) {
      // Generated names lead to a new object each time; who holds or has mounted on the old one keeps its place.
      d.replaceInode(found);
      return d;
    }
    d.drop();
  }
  return addDentry(dir, name, found);
}

function addDentry(dir: Dentry, name: string, inode: Inode | null): Dentry {
  const d = new Dentry(flatten(name), dir, inode);
  if (dir.unhashed) d.unhashed = true;
  else dir.addChild(d);
  return d;
}

const flat = Buffer.alloc(NAME_MAX + 1);

/** A copy of a component that does not keep the path it was cut from alive. */
function flatten(name: string): string {
  return flat.toString('latin1', 0, flat.write(name, 0, 'latin1'));
}
