/** ioctl(2): what every file understands, then the file's own (fs/ioctl.c do_vfs_ioctl). */
import { changeOwnerTo, ownerNumber, setAsync } from './async-io.ts';
import {
  EBADF,
  EFAULT,
  EINVAL,
  EISDIR,
  ENOMEM,
  EOPNOTSUPP,
  ENOTTY,
  EPERM,
  EXDEV,
} from '../sentry/abi/errno.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE } from '../sentry/abi/falloc.ts';
import { FASYNC, O_NONBLOCK, SEEK_CUR, SEEK_END, SEEK_SET } from '../sentry/abi/fcntl.ts';
import { CAP_SYS_RAWIO } from '../sentry/auth/capability.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fd, hex, ptr, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import {
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_SETFLAGS,
  fileAttrIoctl,
} from './file-attr.ts';
import { checkFileRange } from './copy-range.ts';
import { Allocation, allocate, goOnAllocating } from './truncate.ts';

// include/uapi/asm-generic/ioctls.h, include/uapi/linux/fs.h
const FIBMAP = 0x1;
const FIGETBSZ = 0x2;
const FIONBIO = 0x5421;
const FIONREAD = 0x541b;
const FIONCLEX = 0x5450;
const FIOCLEX = 0x5451;
const FIOASYNC = 0x5452;
const FIOQSIZE = 0x5460;
// include/uapi/asm-generic/sockios.h
const FIOSETOWN = 0x8901;
const SIOCSPGRP = 0x8902;
const FIOGETOWN = 0x8903;
const SIOCGPGRP = 0x8904;
const FICLONE = 0x40049409;
const FICLONERANGE = 0x4020940d;
const FIDEDUPERANGE = 0xc0189436;
// include/uapi/linux/falloc.h's older kin (XFS's)
const FS_IOC_RESVSP = 0x40305828;
const FS_IOC_UNRESVSP = 0x40305829;
const FS_IOC_RESVSP64 = 0x4030582a;
const FS_IOC_UNRESVSP64 = 0x4030582b;
const FS_IOC_ZERO_RANGE = 0x40305839;
// include/uapi/linux/fiemap.h
const FS_IOC_FIEMAP = 0xc020660b;

function setFlag(t: Task, f: FileDescription, flag: number, arg: number): number {
  if (t.mem.readU32(arg) !== 0) return -EFAULT;
  if (scratch.u32[0] !== 0) f.flags |= flag;
  else f.flags &= ~flag;
  return 0;
}

/** vfs_clone_file_range(): no file system shares extents. */
function cloneRefusal(from: FileDescription, to: FileDescription): number {
  if (from.inode.sb !== to.inode.sb) return -EXDEV;
  const r = checkFileRange(from, to);
  return r < 0 ? r : -EOPNOTSUPP;
}

// struct file_dedupe_range: src_offset, src_length, dest_count, reserved1, reserved2, info[]
const DEDUPE_HEAD = 24;
const DEDUPE_INFO = 32;

/** ioctl_file_dedupe_range(), vfs_dedupe_file_range() */
function dedupeRefusal(t: Task, f: FileDescription, arg: number): number {
  if (t.mem.copyIn(arg + 16, scratch.bytes, 16, 2) !== 0) return -EFAULT;
  const size = DEDUPE_HEAD + DEDUPE_INFO * scratch.bytes.readUInt16LE(16);
  if (size > PAGE_SIZE) return -ENOMEM;
  if (t.mem.copyIn(arg, scratch.bytes, 0, size) !== 0) return -EFAULT;
  if (!f.readable || scratch.bytes.readUInt16LE(18) !== 0 || scratch.u32[5] !== 0) return -EINVAL;
  if (f.inode.isDir) return -EISDIR;
  return f.inode.isRegular ? -EOPNOTSUPP : -EINVAL;
}

/** ioctl_preallocate(): fallocate(2) of a struct space_resv (l_type, l_whence, l_start, l_len, …), without a change of the size. */
function preallocate(t: Task, f: FileDescription, mode: number, arg: number): SysResult {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 48) !== 0) return -EFAULT;
  const b = scratch.bytes;
  const whence = b.readInt16LE(2);
  if (whence < SEEK_SET || whence > SEEK_END) return -EINVAL;
  f.inode.refresh();
  const base = whence === SEEK_CUR ? f.pos : whence === SEEK_END ? f.inode.size : 0;
  const i64 = (at: number): number => b.readInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at);
  return allocate(t, f, mode | FALLOC_FL_KEEP_SIZE, base + i64(8), i64(16));
}

function sysIoctl(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState instanceof Allocation) return goOnAllocating(t);
  const fdnum = a.int(0);
  const cmd = a.uint(1);
  const arg = a.addr(2);
  const f = t.fdTable.get(fdnum);
  if (f === null) return -EBADF;
  switch (cmd) {
    case FIOCLEX:
      t.fdTable.setCloexec(fdnum, true);
      return 0;
    case FIONCLEX:
      t.fdTable.setCloexec(fdnum, false);
      return 0;
    case FIONBIO:
      return setFlag(t, f, O_NONBLOCK, arg);
    case FIOASYNC:
      if (t.mem.readU32(arg) !== 0) return -EFAULT;
      if (!f.fasync) return (scratch.u32[0] !== 0) === ((f.flags & FASYNC) !== 0) ? 0 : -ENOTTY;
      setAsync(f, fdnum, scratch.u32[0] !== 0);
      return 0;
    case FIOQSIZE:
      if (!f.inode.isRegular && !f.inode.isDir && !f.inode.isSymlink) return -ENOTTY;
      // "size" of what is allocated, not of what is written (inode_get_bytes).
      return t.mem.writeU64(arg, f.inode.blocks * 512);
    case FIGETBSZ: {
      const st = f.inode.sb.statfs();
      return typeof st === 'number' ? st : t.mem.writeU32(arg, st.bsize);
    }
    case FIONREAD:
      if (!f.inode.isRegular) return f.ioctl(t, cmd, arg);
      f.inode.refresh();
      return t.mem.writeU32(arg, (f.inode.size - f.pos) >>> 0);
    case FICLONE: {
      const source = t.fdTable.get(arg | 0);
      return source === null ? -EBADF : cloneRefusal(source, f);
    }
    case FICLONERANGE: {
      if (t.mem.copyIn(arg, scratch.bytes, 0, 32) !== 0) return -EFAULT;
      const source = t.fdTable.get(scratch.i32[0]!);
      return source === null ? -EBADF : cloneRefusal(source, f);
    }
    case FIDEDUPERANGE:
      return dedupeRefusal(t, f, arg);
    case FS_IOC_RESVSP:
    case FS_IOC_RESVSP64:
      return f.inode.isRegular ? preallocate(t, f, 0, arg) : f.ioctl(t, cmd, arg);
    case FS_IOC_UNRESVSP:
    case FS_IOC_UNRESVSP64:
      return f.inode.isRegular ? preallocate(t, f, FALLOC_FL_PUNCH_HOLE, arg) : f.ioctl(t, cmd, arg);
    case FS_IOC_ZERO_RANGE:
      return f.inode.isRegular ? preallocate(t, f, FALLOC_FL_ZERO_RANGE, arg) : f.ioctl(t, cmd, arg);
    case FS_IOC_FIEMAP:
      // ioctl_fiemap(): no file system tells where its extents are.
      return -EOPNOTSUPP;
    case FIBMAP:
      if (!f.inode.isRegular) return f.ioctl(t, cmd, arg);
      return t.creds.has(CAP_SYS_RAWIO) ? -EINVAL : -EPERM;
    case FS_IOC_GETFLAGS:
    case FS_IOC_SETFLAGS:
    case FS_IOC_FSGETXATTR:
    case FS_IOC_FSSETXATTR: {
      const r = fileAttrIoctl(t, f, cmd, arg);
      return r === -ENOTTY ? f.ioctl(t, cmd, arg) : r;
    }
    case FIOSETOWN:
    case SIOCSPGRP:
      if (!(f instanceof Socket)) return f.ioctl(t, cmd, arg);
      return t.mem.readU32(arg) !== 0 ? -EFAULT : changeOwnerTo(t, f, scratch.i32[0]!);
    case FIOGETOWN:
    case SIOCGPGRP:
      return f instanceof Socket ? t.mem.writeU32(arg, ownerNumber(f) >>> 0) : f.ioctl(t, cmd, arg);
    default:
      return f.ioctl(t, cmd, arg);
  }
}

export const ioctlRows: SyscallRow[] = [
  { nr: 16, name: 'ioctl', fn: sysIoctl, args: [fd, hex, ptr], support: 'full' },
];
