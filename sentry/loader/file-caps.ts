/** Capabilities of files: struct vfs_ns_cap_data of security.capability (security/commoncap.c get_vfs_caps_from_disk). */
import { EINVAL } from '../abi/errno.ts';
import { CapSet } from '../auth/capability.ts';
import type { UserNamespace } from '../auth/credentials.ts';
import { XATTR_CAPABILITY } from '../vfs/xattr.ts';
import type { Inode } from '../vfs/inode.ts';

export interface FileCaps {
  readonly permitted: CapSet;
  readonly inheritable: CapSet;
  /** VFS_CAP_FLAGS_EFFECTIVE */
  readonly effective: boolean;
}

const VFS_CAP_FLAGS_EFFECTIVE = 1;
/** Size of the attribute by its revision. */
const SIZES: readonly (number | undefined)[] = [undefined, 12, 20, 24];

/** rootid_owns_currentns(): whether `root` is uid 0 of the namespace or of one around it. */
function ownsNamespace(ns: UserNamespace, root: number): boolean {
  for (let at: UserNamespace | null = ns; at !== null; at = at.parent) {
    if (at.hasUid(root) && at.fromUid(root) === 0) return true;
  }
  return false;
}

/** What the file gives to those in `ns` who run it: null for nothing, −EINVAL for a malformed attribute. */
export function fileCaps(ns: UserNamespace, inode: Inode): FileCaps | null | number {
  const value = inode.getXattr(XATTR_CAPABILITY);
  if (typeof value === 'number' || value.length === 0) return null;
  if (value.length < 4) return -EINVAL;
  const v = new DataView(value.buffer, value.byteOffset, value.length);
  const revision = v.getUint8(3);
  if (value.length !== SIZES[revision]) return -EINVAL;
  const rootid = revision === 3 ? v.getUint32(20, true) : 0;
  if (!ownsNamespace(ns, rootid)) return null;
  const word = (i: number): number => (revision > 1 || i < 2 ? v.getUint32(4 + 4 * i, true) : 0);
  return {
    permitted: new CapSet(word(0), word(2)),
    inheritable: new CapSet(word(1), word(3)),
    effective: (v.getUint8(0) & VFS_CAP_FLAGS_EFFECTIVE) !== 0,
  };
}
