/** `tmpcopyup`: a tmpfs that starts with a copy of the directory it is mounted on. */
import { O_DIRECTORY, O_RDONLY } from '../../sentry/abi/fcntl.ts';
import { copyInto } from '../../sentry/fsimpl/overlay/copy-up.ts';
import { KERNEL, NO_PATH } from '../../sentry/fsimpl/overlay/no-path.ts';
import type { TmpfsDir } from '../../sentry/fsimpl/tmpfs/directory.ts';
import type { TmpfsSuperBlock } from '../../sentry/fsimpl/tmpfs/super-block.ts';
import type { CallContext } from '../../sentry/vfs/call-context.ts';
import type { Path } from '../../sentry/vfs/dentry.ts';
import type { Inode } from '../../sentry/vfs/inode.ts';

/** Copies what is in the directory `from` into the fresh tmpfs: null, or −errno. Mounts below it are not followed. */
export function copyUpTree(t: CallContext, from: Path, to: TmpfsSuperBlock): null | number {
  const top = from.dentry.inode!;
  if (!top.isDir) return null;
  const stack: [Inode, TmpfsDir][] = [[top.hold(), to.root]];
  let failed: number | null = null;
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [dir, copy] = next;
    failed ??= copyEntries(t, dir, copy, stack);
    dir.drop();
  }
  return failed;
}

/** Copies what is in a directory; directories among it are put on the stack, held. */
function copyEntries(t: CallContext, dir: Inode, copy: TmpfsDir, stack: [Inode, TmpfsDir][]): number | null {
  const names = namesOf(t, dir);
  if (typeof names === 'number') return names;
  for (const name of names) {
    const inode = dir.lookup(name, null);
    if (typeof inode === 'number') return inode;
    inode.hold();
    const made = copyInto(inode, copy, name);
    if (typeof made !== 'number' && inode.isDir) stack.push([inode, made as TmpfsDir]);
    else inode.drop();
    if (typeof made === 'number') return made;
  }
  return null;
}

function namesOf(t: CallContext, dir: Inode): string[] | number {
  const f = dir.open(KERNEL, NO_PATH, O_RDONLY | O_DIRECTORY);
  if (typeof f === 'number') return f;
  const names: string[] = [];
  const r = f.getdents(t, (name) => {
    if (name !== '.' && name !== '..') names.push(name);
    return true;
  });
  f.unref();
  return r < 0 ? r : names;
}
