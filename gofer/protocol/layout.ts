/**
 * Binary layout of the messages between sentry and gofer, one place for both sides; docs/gofer-protocol.md has the
 * prose. Little-endian, one message per SOCK_SEQPACKET packet, one request at a time.
 */

export const PROTOCOL_VERSION = 4;
/** "RSGF" */
export const PROTOCOL_MAGIC = 0x46475352;
/** Largest packet either side sends. Below the default wmem of 212992 with the kernel's own overhead. */
export const MESSAGE_MAX = 128 * 1024;
export const NAME_MAX = 255;
export const PATH_MAX = 4096;
/** Linux: XATTR_SIZE_MAX */
export const XATTR_SIZE_MAX = 65536;
export const XATTR_LIST_MAX = 65536;
export const FORGET_MAX = 4096;

// Header: u32 length, u16 op, u16 zero, u32 sequence, i32 status (0 in requests, 0 or −errno in replies).
export const HDR_LENGTH = 0;
export const HDR_OP = 4;
export const HDR_ZERO = 6;
export const HDR_SEQ = 8;
export const HDR_STATUS = 12;
export const HDR_SIZE = 16;

export const OP_HELLO = 1;
export const OP_ATTACH = 2;
export const OP_WALK = 3;
export const OP_GETATTR = 4;
export const OP_OPEN = 5;
export const OP_READLINK = 6;
export const OP_READDIR = 7;
export const OP_CREATE = 8;
export const OP_MKDIR = 9;
export const OP_MKNOD = 10;
export const OP_SYMLINK = 11;
export const OP_LINK = 12;
export const OP_UNLINK = 13;
export const OP_RENAME = 14;
export const OP_SETATTR = 15;
export const OP_FSYNC = 16;
export const OP_STATFS = 17;
export const OP_GETXATTR = 18;
export const OP_SETXATTR = 19;
export const OP_LISTXATTR = 20;
export const OP_REMOVEXATTR = 21;
export const OP_FORGET = 22;
export const OP_EVENTS = 23;
export const OP_WATCH = 24;
export const OP_TMPFILE = 25;
export const OP_CONNECT = 26;
export const OP_OPEN_NAME = 27;
export const OP_UNWATCH = 28;
export const OP_READLINK_NAME = 29;
export const OP_READDIR_NAME = 30;
export const OP_MAX = 30;

export const MOUNT_READONLY = 1;

// Kinds of watches, of EVENTS and WATCH.
export const WATCH_CACHE = 0;
export const WATCH_GUESTS = 1;

export const READDIR_RESTART = 1;
export const READDIR_ATTRS = 2;

/** Attribute record. Offsets from its start. */
export const ATTR = {
  id: 0,
  mode: 4,
  nlink: 8,
  uid: 12,
  gid: 16,
  devMajor: 20,
  devMinor: 24,
  rdevMajor: 28,
  rdevMinor: 32,
  blksize: 36,
  ino: 40, // u64
  size: 48, // u64
  blocks: 56, // u64
  mntId: 64, // u64
  atimeSec: 72, // i64
  mtimeSec: 80,
  ctimeSec: 88,
  btimeSec: 96,
  atimeNsec: 104,
  mtimeNsec: 108,
  ctimeNsec: 112,
  btimeNsec: 116,
  flags: 120,
  // 124: zero
} as const;
export const ATTR_SIZE = 128;
export const ATTR_HAS_BTIME = 1;
/** Listings and new directories only: there are no extended attributes. */
export const ATTR_NO_XATTR = 2;

/** Directory entry: u8 type, u8 name length, u8 has attributes, u8 zero, u64 ino, [attributes], name. */
export const DIRENT_FIXED = 12;
