/** Attribute records on the wire. The server copies from struct statx, the client makes GoferAttr objects. */
import type { GoferAttr } from '../../sentry/gofer-api/gofer-api.ts';
import { ATTR, ATTR_HAS_BTIME, ATTR_NO_XATTR } from './layout.ts';
import { getI64 } from './message.ts';

/** Offsets in struct statx (include/uapi/linux/stat.h). */
export const STATX = {
  mask: 0,
  blksize: 4,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28, // u16
  ino: 32,
  size: 40,
  blocks: 48,
  atime: 64,
  btime: 80,
  ctime: 96,
  mtime: 112,
  rdevMajor: 128,
  rdevMinor: 132,
  devMajor: 136,
  devMinor: 140,
  mntId: 144,
} as const;
export const STATX_SIZE = 256;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;

/** Writes the attribute record of inode `id` at `at` from the struct statx at `sat` of `sx`; `flags`: ATTR_NO_XATTR or 0. */
export function putAttr(
  view: DataView,
  at: number,
  id: number,
  sx: DataView,
  sat: number,
  flags: number,
): void {
  view.setUint32(at + ATTR.id, id, true);
  view.setUint32(at + ATTR.mode, sx.getUint16(sat + STATX.mode, true), true);
  copy32(view, at + ATTR.nlink, sx, sat + STATX.nlink);
  copy32(view, at + ATTR.uid, sx, sat + STATX.uid);
  copy32(view, at + ATTR.gid, sx, sat + STATX.gid);
  copy32(view, at + ATTR.devMajor, sx, sat + STATX.devMajor);
  copy32(view, at + ATTR.devMinor, sx, sat + STATX.devMinor);
  copy32(view, at + ATTR.rdevMajor, sx, sat + STATX.rdevMajor);
  copy32(view, at + ATTR.rdevMinor, sx, sat + STATX.rdevMinor);
  copy32(view, at + ATTR.blksize, sx, sat + STATX.blksize);
  copy64(view, at + ATTR.ino, sx, sat + STATX.ino);
  copy64(view, at + ATTR.size, sx, sat + STATX.size);
  copy64(view, at + ATTR.blocks, sx, sat + STATX.blocks);
  copy64(view, at + ATTR.mntId, sx, sat + STATX.mntId);
  copy64(view, at + ATTR.atimeSec, sx, sat + STATX.atime);
  copy64(view, at + ATTR.mtimeSec, sx, sat + STATX.mtime);
  copy64(view, at + ATTR.ctimeSec, sx, sat + STATX.ctime);
  copy64(view, at + ATTR.btimeSec, sx, sat + STATX.btime);
  copy32(view, at + ATTR.atimeNsec, sx, sat + STATX.atime + 8);
  copy32(view, at + ATTR.mtimeNsec, sx, sat + STATX.mtime + 8);
  copy32(view, at + ATTR.ctimeNsec, sx, sat + STATX.ctime + 8);
  copy32(view, at + ATTR.btimeNsec, sx, sat + STATX.btime + 8);
  const hasBtime = (sx.getUint32(sat + STATX.mask, true) & STATX_BTIME) !== 0;
  view.setUint32(at + ATTR.flags, hasBtime ? flags | ATTR_HAS_BTIME : flags, true);
  view.setUint32(at + 124, 0, true);
}

function copy32(to: DataView, at: number, from: DataView, fat: number): void {
  to.setUint32(at, from.getUint32(fat, true), true);
}

function copy64(to: DataView, at: number, from: DataView, fat: number): void {
  to.setUint32(at, from.getUint32(fat, true), true);
  to.setUint32(at + 4, from.getUint32(fat + 4, true), true);
}

export function getAttr(view: DataView, at: number): GoferAttr {
  return {
    id: view.getUint32(at + ATTR.id, true),
    mode: view.getUint32(at + ATTR.mode, true) & 0xffff,
    nlink: view.getUint32(at + ATTR.nlink, true),
    uid: view.getUint32(at + ATTR.uid, true),
    gid: view.getUint32(at + ATTR.gid, true),
    devMajor: view.getUint32(at + ATTR.devMajor, true),
    devMinor: view.getUint32(at + ATTR.devMinor, true),
    ino: fold53(view, at + ATTR.ino),
    size: clamp53(view, at + ATTR.size),
    blocks: clamp53(view, at + ATTR.blocks),
    blksize: view.getUint32(at + ATTR.blksize, true),
    rdevMajor: view.getUint32(at + ATTR.rdevMajor, true),
    rdevMinor: view.getUint32(at + ATTR.rdevMinor, true),
    atimeSec: getI64(view, at + ATTR.atimeSec),
    atimeNsec: nsec(view, at + ATTR.atimeNsec),
    mtimeSec: getI64(view, at + ATTR.mtimeSec),
    mtimeNsec: nsec(view, at + ATTR.mtimeNsec),
    ctimeSec: getI64(view, at + ATTR.ctimeSec),
    ctimeNsec: nsec(view, at + ATTR.ctimeNsec),
    btimeSec: getI64(view, at + ATTR.btimeSec),
    btimeNsec: nsec(view, at + ATTR.btimeNsec),
    hasBtime: (view.getUint32(at + ATTR.flags, true) & ATTR_HAS_BTIME) !== 0,
    noXattr: (view.getUint32(at + ATTR.flags, true) & ATTR_NO_XATTR) !== 0,
    mntId: fold53(view, at + ATTR.mntId),
  };
}

function nsec(view: DataView, at: number): number {
  return view.getUint32(at, true) % 1_000_000_000;
}

/** Unsigned 64 bits, larger values become 2^53 − 1. */
export function clamp53(view: DataView, at: number): number {
  const hi = view.getUint32(at + 4, true);
  return hi >= 0x200000 ? Number.MAX_SAFE_INTEGER : hi * 0x100000000 + view.getUint32(at, true);
}

/** Inode numbers: overlayfs puts a layer number into the top bits, which are folded onto bits 32 to 52. */
function fold53(view: DataView, at: number): number {
  const hi = view.getUint32(at + 4, true);
  const high = (hi ^ (hi >>> 21)) & 0x1fffff;
  return (hi >= 0x200000 ? high : hi) * 0x100000000 + view.getUint32(at, true);
}
