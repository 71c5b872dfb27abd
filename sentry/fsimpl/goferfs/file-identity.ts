/**
 * Files of the host that several inodes stand for: one tree may be exported to several containers of a sandbox, each by its own
 * gofer, or to one at several places. The first inode that is asked becomes the identity of all (vfs/inode.ts).
 */
import type { Inode } from '../../vfs/inode.ts';

interface SharedFile {
  readonly identity: Inode;
  /** Inodes that refer to it. */
  users: number;
}

const files = new Map<string, SharedFile>();

/** `key`: device, inode number and birth time. `leaveFile` gives it back. */
export function joinFile(key: string, inode: Inode): Inode {
  let f = files.get(key);
  if (f === undefined) files.set(key, (f = { identity: inode, users: 0 }));
  f.users++;
  return f.identity;
}

export function leaveFile(key: string): void {
  const f = files.get(key);
  if (f !== undefined && --f.users === 0) files.delete(key);
}
