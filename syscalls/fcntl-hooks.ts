/** fcntl(2) commands that belong to one kind of file: pipe sizes, seals, write hints. */
import { EBADF, EBUSY, EFAULT, EINVAL, EPERM } from '../sentry/abi/errno.ts';
import {
  F_ADD_SEALS,
  F_GETPIPE_SZ,
  F_GET_RW_HINT,
  F_GET_SEALS,
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  F_SETPIPE_SZ,
  F_SET_RW_HINT,
} from '../sentry/abi/fcntl.ts';
import { CAP_SYS_RESOURCE } from '../sentry/auth/capability.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { TmpfsRegular } from '../sentry/fsimpl/tmpfs/node.ts';
import { lo32 } from '../sentry/lib/addr.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { ownerOrCapable } from '../sentry/vfs/permission.ts';

const RWH_WRITE_LIFE_EXTREME = 5;
const ALL_SEALS =
  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;

/** F_ADD_SEALS of a memfd_create(2) file (mm/memfd.c memfd_add_seals). */
function addSeals(f: FileDescription, seals: number): SysResult {
  const { inode } = f;
  if (!f.writable) return -EPERM;
  if (!(inode instanceof TmpfsRegular)) return -EINVAL;
  if ((seals & ~ALL_SEALS) !== 0) return -EINVAL;
  if ((inode.seals & F_SEAL_SEAL) !== 0) return -EPERM;
  if ((seals & F_SEAL_WRITE) !== 0 && !inode.writeSealed) {
    const r = inode.sealHost(F_SEAL_WRITE);
    if (r < 0) return -EBUSY;
  }
  inode.seals |= seals;
  return 0;
}

/** fcntl_set_rw_hint() */
function setWriteHint(t: Task, f: FileDescription, addr: number): SysResult {
  if (!ownerOrCapable(t, f.inode)) return -EPERM;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  if (scratch.u32[1] !== 0 || scratch.u32[0]! > RWH_WRITE_LIFE_EXTREME) return -EINVAL;
  f.inode.writeHint = scratch.u32[0]!;
  return 0;
}

/** `addr` is the third argument, an address or an int. */
export function fcntlFile(t: Task, f: FileDescription, cmd: number, addr: number): SysResult {
  const arg = lo32(addr);
  switch (cmd) {
    case F_SETPIPE_SZ:
      if (!(f instanceof PipeFile)) return -EBADF;
      // round_pipe_size() makes 0 of it, which is refused.
      return arg >>> 0 > 0x80000000 ? -EINVAL : f.setPipeSize(arg >>> 0, t.creds.has(CAP_SYS_RESOURCE));
    case F_GETPIPE_SZ:
      return f instanceof PipeFile ? f.pipeSize : -EBADF;
    case F_ADD_SEALS:
      return addSeals(f, arg);
    case F_GET_SEALS:
      return f.inode instanceof TmpfsRegular ? f.inode.seals : -EINVAL;
    case F_GET_RW_HINT:
      return t.mem.writeU64(addr, f.inode.writeHint);
    case F_SET_RW_HINT:
      return setWriteHint(t, f, addr);
    default:
      return -EINVAL;
  }
}
