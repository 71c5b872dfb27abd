/** What stands for the place and the caller when the overlay itself opens objects of its layers. */
import { O_NOATIME } from '../../abi/fcntl.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';

/** Real files are opened without a place: what the guest sees is the overlay's. */
export const NO_PATH = null as unknown as Path;
/** The kernel acts with its own rights: layers do not look at the caller when they open a file. */
export const KERNEL = null as unknown as CallContext;

/** Opens a layer's file, whose times of access are noted by the overlay, not in the layer (OVL_OPEN_FLAGS). */
export function openInLayer(t: CallContext, inode: Inode, flags: number): FileDescription | number {
  return inode.open(t, NO_PATH, flags | O_NOATIME);
}
