/** struct stat, statx and statfs as the guest sees them (arch/x86/include/uapi/asm/stat.h, include/uapi/linux/stat.h). */
import { major, minor } from '../sentry/abi/device.ts';
import { STATX_ATTR_AUTOMOUNT, STATX_ATTR_DAX, STATX_ATTR_MOUNT_ROOT } from '../sentry/abi/file-attr.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { atStart } from '../sentry/host/at-start.ts';
import { hi32 } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { Inode, Timestamp } from '../sentry/vfs/inode.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import type { StatFs } from '../sentry/vfs/super-block.ts';

export const STAT_SIZE = 144;
export const STATX_SIZE = 256;
export const STATFS_SIZE = 120;

let u32: Uint32Array;
atStart(() => {
  u32 = scratch.u32;
});

function put64(i: number, value: number): void {
  u32[i] = value >>> 0;
  u32[i + 1] = value < 0x100000000 && value >= 0 ? 0 : hi32(value);
}

function putTime(i: number, time: Timestamp): void {
  put64(i, time.sec);
  u32[i + 2] = time.nsec;
  u32[i + 3] = 0;
}

/** Writes the inode's struct stat to `addr`: 0 or −errno. */
export function copyOutStat(t: Task, addr: number, inode: Inode): number {
  const r = inode.refresh();
  if (r < 0) return r;
  put64(0, inode.sb.dev);
  put64(2, inode.ino);
  put64(4, inode.nlink);
  u32[6] = inode.mode;
  const { userNs } = t.creds;
  u32[7] = userNs.fromUid(inode.uid);
  u32[8] = userNs.fromGid(inode.gid);
  u32[9] = 0;
  put64(10, inode.rdev);
  put64(12, inode.size);
  put64(14, inode.sb.blockSize);
  put64(16, inode.blocks);
  putTime(18, inode.atime);
  putTime(22, inode.mtime);
  putTime(26, inode.ctime);
  u32.fill(0, 30, 36);
  return t.mem.copyOut(addr, scratch.bytes, 0, STAT_SIZE);
}

// include/uapi/linux/stat.h
const STATX_BASIC_STATS = 0x7ff;
/** STATX_MTIME and STATX_CTIME */
const STATX_CHANGES = 0xc0;
const STATX_BTIME = 0x800;
const STATX_MNT_ID = 0x1000;
const STATX_MNT_ID_UNIQUE = 0x4000;
/** Unique mount ids begin after it: they cannot be taken for the old ones. */
export const MNT_UNIQUE_ID_OFFSET = 0x80000000;
/** vfs_getattr_nosec(): told of every file. */
const STATX_ATTR_VFS = STATX_ATTR_AUTOMOUNT | STATX_ATTR_DAX | STATX_ATTR_MOUNT_ROOT;

/**
 * Writes struct statx. Everything that is known is reported, but for times where Linux asks the file system for them: of birth, and
 * of changes, which file systems with a time of birth keep finer when somebody looks (fill_mg_cmtime()).
 */
export function copyOutStatx(
  t: Task,
  addr: number,
  inode: Inode,
  mount: Mount,
  isMountRoot: boolean,
  mask: number,
): number {
  const r = inode.refresh();
  if (r < 0) return r;
  u32.fill(0, 0, STATX_SIZE / 4);
  const uniqueMountId = (mask & STATX_MNT_ID_UNIQUE) !== 0;
  const birth = (mask & STATX_BTIME) !== 0 ? inode.btime : null;
  const changes = inode.btime === null || (mask & STATX_CHANGES) !== 0;
  u32[0] =
    (changes ? STATX_BASIC_STATS : STATX_BASIC_STATS & ~STATX_CHANGES) |
    (birth !== null ? STATX_BTIME : 0) |
    (uniqueMountId ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID);
  u32[1] = inode.sb.blockSize;
  const known = inode.statxAttributes;
  u32[2] = (inode.fileFlags & known) | (isMountRoot ? STATX_ATTR_MOUNT_ROOT : 0);
  u32[4] = inode.nlink;
  const { userNs } = t.creds;
  u32[5] = userNs.fromUid(inode.uid);
  u32[6] = userNs.fromGid(inode.gid);
  u32[7] = inode.mode;
  put64(8, inode.ino);
  put64(10, inode.size);
  put64(12, inode.blocks);
  u32[14] = STATX_ATTR_VFS | known;
  putTime(16, inode.atime);
  if (birth !== null) putTime(20, birth);
  if (changes) {
    putTime(24, inode.ctime);
    putTime(28, inode.mtime);
  }
  u32[32] = major(inode.rdev);
  u32[33] = minor(inode.rdev);
  u32[34] = major(inode.sb.dev);
  u32[35] = minor(inode.sb.dev);
  put64(36, uniqueMountId ? mount.id + MNT_UNIQUE_ID_OFFSET : mount.id);
  return t.mem.copyOut(addr, scratch.bytes, 0, STATX_SIZE);
}

/** Writes struct statfs; `flags` are ST_*. */
export function copyOutStatfs(t: Task, addr: number, s: StatFs, dev: number, flags: number): number {
  put64(0, s.type);
  put64(2, s.bsize);
  put64(4, s.blocks);
  put64(6, s.bfree);
  put64(8, s.bavail);
  put64(10, s.files);
  put64(12, s.ffree);
  u32[14] = dev;
  u32[15] = 0;
  put64(16, s.namelen);
  put64(18, s.bsize);
  put64(20, flags);
  u32.fill(0, 22, 30);
  return t.mem.copyOut(addr, scratch.bytes, 0, STATFS_SIZE);
}
