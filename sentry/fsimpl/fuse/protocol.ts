/** The messages of FUSE (include/uapi/linux/fuse.h), version 7.31. Ids of nodes and open files are 8 bytes of the server's, kept as latin1 strings. */
import type { Timestamp } from '../../vfs/inode.ts';

export const FUSE_MAJOR = 7;
export const FUSE_MINOR = 31;
/** The oldest that servers may speak (fuse_entry_out and fuse_attr_out had other sizes before 7.9). */
export const FUSE_MINOR_MIN = 9;
/** fuse_in_header and fuse_out_header */
export const IN_HEADER = 40;
export const OUT_HEADER = 16;
/** FUSE_MIN_READ_BUFFER */
export const MIN_READ_BUFFER = 8192;
/** Most data of one READ or WRITE: with headers it goes through a pipe in one piece, as servers that splice want it. */
export const MAX_DATA = 61440;
export const MAX_XATTR = 65536;

export const LOOKUP = 1;
export const FORGET = 2;
export const GETATTR = 3;
export const SETATTR = 4;
export const READLINK = 5;
export const SYMLINK = 6;
export const MKNOD = 8;
export const MKDIR = 9;
export const UNLINK = 10;
export const RMDIR = 11;
export const RENAME = 12;
export const LINK = 13;
export const OPEN = 14;
export const READ = 15;
export const WRITE = 16;
export const STATFS = 17;
export const RELEASE = 18;
export const FSYNC = 20;
export const SETXATTR = 21;
export const GETXATTR = 22;
export const LISTXATTR = 23;
export const REMOVEXATTR = 24;
export const FLUSH = 25;
export const INIT = 26;
export const OPENDIR = 27;
export const READDIR = 28;
export const RELEASEDIR = 29;
export const FSYNCDIR = 30;
export const ACCESS = 34;
export const CREATE = 35;
export const INTERRUPT = 36;
export const FALLOCATE = 43;
export const RENAME2 = 45;
export const LSEEK = 46;

// FUSE_INIT
export const FUSE_ASYNC_READ = 1 << 0;
export const FUSE_EXPORT_SUPPORT = 1 << 4;
export const FUSE_BIG_WRITES = 1 << 5;
/** Modes go out with the umask applied, and the umask as 0: servers that would apply it do no harm. */
export const FUSE_DONT_MASK = 1 << 6;
export const FUSE_AUTO_INVAL_DATA = 1 << 12;
export const FUSE_NO_OPEN_SUPPORT = 1 << 17;
export const FUSE_PARALLEL_DIROPS = 1 << 18;
export const FUSE_NO_OPENDIR_SUPPORT = 1 << 24;

// fuse_open_out.open_flags
export const FOPEN_NONSEEKABLE = 1 << 2;
export const FOPEN_STREAM = 1 << 4;
export const FOPEN_NOFLUSH = 1 << 5;

// fuse_setattr_in.valid
export const FATTR_MODE = 1 << 0;
export const FATTR_UID = 1 << 1;
export const FATTR_GID = 1 << 2;
export const FATTR_SIZE = 1 << 3;
export const FATTR_ATIME = 1 << 4;
export const FATTR_MTIME = 1 << 5;
export const FATTR_CTIME = 1 << 10;

/** Codes of notifications, in the place of the error of what is nobody's answer. */
export const NOTIFY_POLL = 1;
export const NOTIFY_INVAL_INODE = 2;
export const NOTIFY_INVAL_ENTRY = 3;
export const NOTIFY_DELETE = 6;

export const ENTRY_OUT = 128;
export const ATTR_OUT = 104;
export const OPEN_OUT = 16;
const DIRENT_HEADER = 24;

/** The root's, and nobody's. */
export const ROOT_NODE = '\x01\0\0\0\0\0\0\0';
export const NO_NODE = '\0\0\0\0\0\0\0\0';

/** Composes the body of a message. */
export class Body {
  private readonly parts: Buffer[] = [];

  u32(...values: readonly number[]): this {
    const b = Buffer.alloc(4 * values.length);
    values.forEach((v, i) => b.writeUInt32LE(v >>> 0, 4 * i));
    this.parts.push(b);
    return this;
  }

  /** A number ≥ 0 of up to 53 bits. */
  u64(value: number): this {
    return this.u32(value, Math.floor(value / 0x100000000));
  }

  id(id: string): this {
    this.parts.push(Buffer.from(id, 'latin1'));
    return this;
  }

  name(name: string): this {
    this.parts.push(Buffer.from(`${name}\0`, 'latin1'));
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.parts.push(Buffer.from(bytes));
    return this;
  }

  get done(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** A u64; what does not fit a number is as large as numbers get. */
export function readU64(b: Buffer, at: number): number {
  return Math.min(b.readUInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at), Number.MAX_SAFE_INTEGER);
}

export const readId = (b: Buffer, at: number): string => b.toString('latin1', at, at + 8);

/** struct fuse_release_in */
export const releaseBody = (file: string, flags: number): Buffer =>
  new Body().id(file).u32(flags, 0).u64(0).done;

/** struct fuse_attr */
export interface Attributes {
  ino: number;
  size: number;
  blocks: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
}

const signedHigh = (b: Buffer, at: number): number =>
  b.readInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at);

/** What lies at `at`; null if no file has such attributes. */
export function readAttributes(b: Buffer, at: number): Attributes | null {
  const time = (sec: number, nsec: number): Timestamp => ({
    sec: Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, signedHigh(b, at + sec))),
    nsec: Math.min(b.readUInt32LE(at + nsec), 999_999_999),
  });
  const size = signedHigh(b, at + 8);
  if (size < 0 || size > Number.MAX_SAFE_INTEGER) return null;
  return {
    ino: readU64(b, at),
    size,
    blocks: readU64(b, at + 16),
    atime: time(24, 48),
    mtime: time(32, 52),
    ctime: time(40, 56),
    mode: b.readUInt32LE(at + 60),
    nlink: b.readUInt32LE(at + 64),
    uid: b.readUInt32LE(at + 68),
    gid: b.readUInt32LE(at + 72),
    rdev: b.readUInt32LE(at + 76),
  };
}

/** A time of validity, in milliseconds. */
export function readValidity(b: Buffer, secAt: number, nsecAt: number): number {
  return readU64(b, secAt) * 1000 + Math.min(b.readUInt32LE(nsecAt), 999_999_999) / 1e6;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
  /** Where to go on after it. */
  readonly offset: string;
}

/** The entries of an answer to READDIR; null if one has a name that none can have. */
export function readEntries(b: Buffer): DirectoryEntry[] | null {
  const entries: DirectoryEntry[] = [];
  for (let at = 0; b.length - at >= DIRENT_HEADER;) {
    const length = b.readUInt32LE(at + 16);
    const end = at + DIRENT_HEADER + length;
    if (end > b.length) break;
    const name = b.toString('latin1', at + DIRENT_HEADER, end);
    if (length === 0 || length > 255 || /[/\0]/.test(name)) return null;
    entries.push({ name, ino: readU64(b, at), type: b.readUInt32LE(at + 20), offset: readId(b, at + 8) });
    at = end + ((8 - (end & 7)) & 7);
  }
  return entries;
}
