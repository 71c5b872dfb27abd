/** Opening of what is not the file system's own: device nodes and FIFOs, wherever their names lie. */
import { ENXIO } from '../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT } from '../abi/stat.ts';
import type { CallContext } from './call-context.ts';
import type { Path } from './dentry.ts';
import type { FileDescription } from './file-description.ts';
import type { Inode } from './inode.ts';

/** Opens a device node or FIFO; `inode` is the node, `flags` open(2)'s. */
export type SpecialOpen = (
  t: CallContext,
  path: Path,
  inode: Inode,
  flags: number,
) => FileDescription | number;

let fifoOpen: SpecialOpen | null = null;
let deviceOpen: SpecialOpen | null = null;

/** The pipe implementation says how FIFOs open. */
export function setFifoOpen(open: SpecialOpen): void {
  fifoOpen = open;
}

/** vfs/device says how device nodes open. */
export function setDeviceOpen(open: SpecialOpen): void {
  deviceOpen = open;
}

/** FIFOs and device nodes; anything else (sockets, types that a file system does not open) is −ENXIO. */
export function openSpecial(
  t: CallContext,
  path: Path,
  inode: Inode,
  flags: number,
): FileDescription | number {
  const type = inode.mode & S_IFMT;
  if (type === S_IFIFO && fifoOpen !== null) return fifoOpen(t, path, inode, flags);
  if ((type === S_IFCHR || type === S_IFBLK) && deviceOpen !== null) return deviceOpen(t, path, inode, flags);
  return -ENXIO;
}
