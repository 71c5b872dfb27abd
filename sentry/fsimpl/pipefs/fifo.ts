/** Named pipes: what a file system's Inode.open does for S_IFIFO (fs/pipe.c fifo_open, fifo(7)). */
import { EINVAL, ENXIO } from '../../abi/errno.ts';
import { O_ACCMODE, O_NONBLOCK, O_WRONLY } from '../../abi/fcntl.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { Inode } from '../../vfs/inode.ts';
import { fifoEnds, PipeFile } from './pipe-file.ts';

/**
 * Opens the FIFO `inode`. A nonblocking writer without a reader gets −ENXIO. While the result's `openPending` is true,
 * open(2) waits on its `waiters`.
 */
export function openFifo(inode: Inode, path: Path, flags: number): PipeFile | number {
  // fifo_open(): neither reading nor writing is no way to open one.
  if ((flags & O_ACCMODE) === O_ACCMODE) return -EINVAL;
  const ends = fifoEnds(inode);
  if ((flags & O_ACCMODE) === O_WRONLY && (flags & O_NONBLOCK) !== 0 && ends.readers === 0) return -ENXIO;
  return new PipeFile(path, inode, flags, ends);
}
