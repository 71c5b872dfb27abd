/**
 * Files of the host that several inodes stand for: one tree may be exported to several containers of a sandbox, each by its own
 * gofer, or to one at several places. They have their locks and the like in common (vfs/inode.ts).
 */
import type { FileIdentity } from '../../vfs/inode.ts';
import type { FileLocks } from '../../vfs/locks.ts';

class SharedFile implements FileIdentity {
  locks: FileLocks | null = null;
  watches: unknown = null;
  boundSocket: unknown = null;
  /** Inodes that refer to it. */
  users = 0;
}

const files = new Map<string, SharedFile>();

/** `key`: device, inode number and birth time. `leaveFile` gives it back. */
export function joinFile(key: string): FileIdentity {
  let f = files.get(key);
  if (f === undefined) files.set(key, (f = new SharedFile()));
  f.users++;
  return f;
}

export function leaveFile(key: string): void {
  const f = files.get(key);
  if (f !== undefined && --f.users === 0) files.delete(key);
}
