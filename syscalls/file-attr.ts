/** Flags of files: FS_IOC_* of ioctl(2), file_getattr(2), file_setattr(2) (fs/file_attr.c). */
import { E2BIG, EBADF, EFAULT, EINVAL, ENOTTY, EOPNOTSUPP, EROFS } from '../sentry/abi/errno.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } from '../sentry/abi/fcntl.ts';
import { FS_XFLAGS_MASK } from '../sentry/abi/file-attr.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  flags,
  path,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { setExtendedAttr, setFileFlags, xflagsOf, type ExtendedAttr } from '../sentry/vfs/file-attr.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { resolveAt, target } from './path.ts';

export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IOC_FSGETXATTR = 0x801c581f;
export const FS_IOC_FSSETXATTR = 0x401c5820;

/** sizeof(struct fsxattr): xflags, extsize, nextents, projid, cowextsize, padding. */
const FSXATTR_SIZE = 28;

/** mnt_want_write_file() */
function isReadOnly(f: FileDescription): boolean {
  return f.path !== null && f.path.mount.readOnly;
}

/** ioctl_getflags() and its kin. −ENOTTY: the file system has no such flags, the command may be the file's own. */
export function fileAttrIoctl(t: Task, f: FileDescription, cmd: number, arg: number): number {
  const { inode } = f;
  switch (cmd) {
    case FS_IOC_GETFLAGS: {
      const r = inode.getFileFlags();
      return r < 0 ? r : t.mem.writeU32(arg, r);
    }
    case FS_IOC_SETFLAGS:
      if (t.mem.readU32(arg) !== 0) return -EFAULT;
      return isReadOnly(f) ? -EROFS : setFileFlags(t, inode, scratch.u32[0]!);
    case FS_IOC_FSGETXATTR: {
      const r = inode.getFileFlags();
      if (r < 0) return r;
      scratch.u32.fill(0, 0, FSXATTR_SIZE / 4);
      scratch.u32[0] = xflagsOf(r);
      return t.mem.copyOut(arg, scratch.bytes, 0, FSXATTR_SIZE);
    }
    default: {
      if (t.mem.copyIn(arg, scratch.bytes, 0, FSXATTR_SIZE) !== 0) return -EFAULT;
      if ((scratch.u32[0]! & ~FS_XFLAGS_MASK) !== 0) return -EOPNOTSUPP;
      return isReadOnly(f) ? -EROFS : setExtendedAttr(t, inode, extendedAttr(0));
    }
  }
}

/** extsize, nextents, projid and cowextsize after the flags; `gap` words more are before them. */
function extendedAttr(gap: number): ExtendedAttr {
  const { u32 } = scratch;
  return { xflags: u32[0]!, extsize: u32[gap + 1]!, projid: u32[gap + 3]!, cowextsize: u32[gap + 4]! };
}

/** sizeof(struct file_attr): xflags (64 bits), extsize, nextents, projid, cowextsize. */
const FILE_ATTR_SIZE_VER0 = 24;

function refusal(at: number, len: number): number {
  if ((at & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  if (len > PAGE_SIZE) return -E2BIG;
  return len < FILE_ATTR_SIZE_VER0 ? -EINVAL : 0;
}

/** Fills `target`; a descriptor that stands for itself has to be an open file. */
function resolve(t: Task, a: SyscallArgs): number {
  const r = resolveAt(t, a.int(0), a.addr(1), a.uint(4));
  return r === 0 && target.file !== null && target.file.isPathOnly ? -EBADF : r;
}

function sysFileGetattr(t: Task, a: SyscallArgs): SysResult {
  const len = a.size(3);
  const refused = refusal(a.uint(4), len);
  if (refused !== 0) return refused;
  const r = resolve(t, a);
  if (r !== 0) return r;
  const now = target.inode.getFileFlags();
  if (now < 0) return now === -ENOTTY ? -EOPNOTSUPP : now;
  scratch.bytes.fill(0, 0, len);
  scratch.u32[0] = xflagsOf(now);
  return t.mem.copyOut(a.addr(2), scratch.bytes, 0, len);
}

function sysFileSetattr(t: Task, a: SyscallArgs): SysResult {
  const len = a.size(3);
  const refused = refusal(a.uint(4), len);
  if (refused !== 0) return refused;
  const bad = t.mem.copyInStruct(a.addr(2), len, FILE_ATTR_SIZE_VER0);
  if (bad !== 0) return bad;
  if ((scratch.u32[0]! & ~FS_XFLAGS_MASK) !== 0 || scratch.u32[1] !== 0) return -EINVAL;
  const wanted = extendedAttr(1);
  const r = resolve(t, a);
  if (r !== 0) return r;
  if (target.mount !== null && target.mount.readOnly) return -EROFS;
  const done = setExtendedAttr(t, target.inode, wanted);
  return done === -ENOTTY ? -EOPNOTSUPP : done;
}

const atFlags = flags({ AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH });

export const fileAttrRows: SyscallRow[] = [
  {
    nr: 468,
    name: 'file_getattr',
    fn: sysFileGetattr,
    args: [fd, path, ptr, size, atFlags],
    support: 'full',
  },
  {
    nr: 469,
    name: 'file_setattr',
    fn: sysFileSetattr,
    args: [fd, path, ptr, size, atFlags],
    support: 'full',
  },
];
