/** Flags of files that chattr(1) changes (include/uapi/linux/fs.h), and statx(2)'s view of them. */

// FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
export const FS_SYNC_FL = 0x8;
export const FS_IMMUTABLE_FL = 0x10;
export const FS_APPEND_FL = 0x20;
export const FS_NODUMP_FL = 0x40;
export const FS_NOATIME_FL = 0x80;
export const FS_DAX_FL = 0x02000000;
export const FS_PROJINHERIT_FL = 0x20000000;

// FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, file_getattr(2), file_setattr(2)
export const FS_XFLAG_IMMUTABLE = 0x8;
export const FS_XFLAG_APPEND = 0x10;
export const FS_XFLAG_SYNC = 0x20;
export const FS_XFLAG_NOATIME = 0x40;
export const FS_XFLAG_NODUMP = 0x80;
export const FS_XFLAG_PROJINHERIT = 0x200;
export const FS_XFLAG_EXTSIZE = 0x800;
export const FS_XFLAG_EXTSZINHERIT = 0x1000;
export const FS_XFLAG_DAX = 0x8000;
export const FS_XFLAG_COWEXTSIZE = 0x10000;
/** All that are defined, but for the sign bit: FS_XFLAG_HASATTR. */
export const FS_XFLAGS_MASK = 0x8001fffb;
/** FS_XFLAG_PREALLOC and FS_XFLAG_HASATTR: told, never set. */
export const FS_XFLAG_RDONLY_MASK = 0x80000002;

// include/uapi/linux/stat.h: the first three are FS_*_FL of the same value.
export const STATX_ATTR_IMMUTABLE = FS_IMMUTABLE_FL;
export const STATX_ATTR_APPEND = FS_APPEND_FL;
export const STATX_ATTR_NODUMP = FS_NODUMP_FL;
export const STATX_ATTR_AUTOMOUNT = 0x1000;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
export const STATX_ATTR_DAX = 0x200000;
