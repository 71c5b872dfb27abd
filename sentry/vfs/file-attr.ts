/** What chattr(1) sets (fs/file_attr.c): flags of a file as one word or as a struct fsxattr, and who may change them. */
import {
  FS_APPEND_FL,
  FS_DAX_FL,
  FS_IMMUTABLE_FL,
  FS_NOATIME_FL,
  FS_NODUMP_FL,
  FS_PROJINHERIT_FL,
  FS_SYNC_FL,
  FS_XFLAG_APPEND,
  FS_XFLAG_COWEXTSIZE,
  FS_XFLAG_DAX,
  FS_XFLAG_EXTSIZE,
  FS_XFLAG_EXTSZINHERIT,
  FS_XFLAG_IMMUTABLE,
  FS_XFLAG_NOATIME,
  FS_XFLAG_NODUMP,
  FS_XFLAG_PROJINHERIT,
  FS_XFLAG_RDONLY_MASK,
  FS_XFLAG_SYNC,
} from '../abi/file-attr.ts';
import { EINVAL, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { CAP_LINUX_IMMUTABLE } from '../auth/capability.ts';
import type { CallContext } from './call-context.ts';
import type { Inode } from './inode.ts';
import { ownerOrCapable } from './permission.ts';

/** FS_COMMON_FL and FS_XFLAG_COMMON: flags that both views have. */
const COMMON: readonly (readonly [number, number])[] = [
  [FS_SYNC_FL, FS_XFLAG_SYNC],
  [FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE],
  [FS_APPEND_FL, FS_XFLAG_APPEND],
  [FS_NODUMP_FL, FS_XFLAG_NODUMP],
  [FS_NOATIME_FL, FS_XFLAG_NOATIME],
  [FS_DAX_FL, FS_XFLAG_DAX],
  [FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT],
];

/** fileattr_fill_flags(): FS_XFLAG_* of FS_*_FL. */
export function xflagsOf(flags: number): number {
  let x = 0;
  for (const [fl, xfl] of COMMON) if ((flags & fl) !== 0) x |= xfl;
  return x;
}

/** fileattr_fill_xflags(): FS_*_FL of FS_XFLAG_*. */
function flagsOf(xflags: number): number {
  let flags = 0;
  for (const [fl, xfl] of COMMON) if ((xflags & xfl) !== 0) flags |= fl;
  return flags;
}

/** What a caller wants to set; the fields of struct fsxattr that no file system here keeps among them. */
export interface ExtendedAttr {
  xflags: number;
  extsize: number;
  projid: number;
  cowextsize: number;
}

/** vfs_fileattr_set() of flags as chattr(1) gives them. 0 or −errno, −ENOTTY where there are none. */
export function setFileFlags(t: CallContext, inode: Inode, flags: number): number {
  const old = mayChange(t, inode, flags);
  return old < 0 ? old : inode.setFileFlags(flags);
}

/** vfs_fileattr_set() of a struct fsxattr. */
export function setExtendedAttr(t: CallContext, inode: Inode, x: ExtendedAttr): number {
  const flags = flagsOf(x.xflags);
  const old = mayChange(t, inode, flags);
  if (old < 0) return old;
  const refused = prepareExtended(t, inode, x, old);
  if (refused !== 0) return refused;
  let more = x.xflags & ~FS_XFLAG_RDONLY_MASK & ~xflagsOf(flags);
  // "Extent size hints of zero turn off the flags."
  if (x.extsize === 0) more &= ~(FS_XFLAG_EXTSIZE | FS_XFLAG_EXTSZINHERIT);
  if (x.cowextsize === 0) more &= ~FS_XFLAG_COWEXTSIZE;
  // fileattr_has_fsx(): tmpfs has neither extents nor projects.
  if (more !== 0 || x.extsize !== 0 || x.projid !== 0 || x.cowextsize !== 0) return -EOPNOTSUPP;
  return inode.setFileFlags(flags);
}

/** The flags now, or −errno: "The IMMUTABLE and APPEND_ONLY flags can only be changed by the relevant capability." */
function mayChange(t: CallContext, inode: Inode, flags: number): number {
  const old = inode.getFileFlags();
  if (old < 0) return old;
  if (!ownerOrCapable(t, inode)) return -EPERM;
  const protects = ((old ^ flags) & (FS_APPEND_FL | FS_IMMUTABLE_FL)) !== 0;
  return protects && !t.creds.has(CAP_LINUX_IMMUTABLE) ? -EPERM : old;
}

/** fileattr_set_prepare(): what is wrong whatever the file system can. */
function prepareExtended(t: CallContext, inode: Inode, x: ExtendedAttr, old: number): number {
  if (t.creds.userNs.level > 0) {
    // "Project Quota ID state is only allowed to change from within the init namespace."
    if (x.projid !== 0) return -EINVAL;
    if (((x.xflags ^ xflagsOf(old)) & FS_XFLAG_PROJINHERIT) !== 0) return -EINVAL;
  } else if (x.projid === 0xffffffff) {
    return -EINVAL;
  }
  if ((x.xflags & FS_XFLAG_EXTSIZE) !== 0 && !inode.isRegular) return -EINVAL;
  if ((x.xflags & FS_XFLAG_EXTSZINHERIT) !== 0 && !inode.isDir) return -EINVAL;
  return 0;
}
