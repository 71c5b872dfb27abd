/** What stands for the place and the caller when the overlay itself opens objects of its layers. */
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';

/** Real files are opened without a place: what the guest sees is the overlay's. */
export const NO_PATH = null as unknown as Path;
/** The kernel acts with its own rights: layers do not look at the caller when they open a file. */
export const KERNEL = null as unknown as CallContext;
