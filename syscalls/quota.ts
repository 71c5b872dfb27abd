/** quotactl(2), quotactl_fd(2) (fs/quota/quota.c): there are no block devices, and no file system here has quotas. */
import { EBADF, EINVAL, ENODEV, ENOSYS, ENOTBLK, EROFS } from '../sentry/abi/errno.ts';
import { AT_FDCWD } from '../sentry/abi/fcntl.ts';
import { S_IFBLK, S_IFMT } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fd, hex, path, ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { LOOKUP_FOLLOW, nd } from '../sentry/vfs/walk.ts';
import { walkAt } from './path.ts';

const MAXQUOTAS = 3;
const SUBCMDSHIFT = 8;
const Q_SYNC = 0x800001;
const Q_GETINFO = 0x800005;
const Q_GETFMT = 0x800004;
const Q_GETQUOTA = 0x800007;
const Q_GETNEXTQUOTA = 0x800009;
const READERS: readonly number[] = [Q_SYNC, Q_GETFMT, Q_GETINFO, Q_GETQUOTA, Q_GETNEXTQUOTA];

/** quotactl_block(): by the device that a file system is on. */
function sysQuotactl(t: Task, a: SyscallArgs): SysResult {
  const cmd = a.uint(0);
  if ((cmd & 0xff) >= MAXQUOTAS) return -EINVAL;
  if (a.addr(1) === 0) return cmd >>> SUBCMDSHIFT === Q_SYNC ? 0 : -ENODEV;
  const r = walkAt(t, AT_FDCWD, a.addr(1), LOOKUP_FOLLOW);
  if (r !== 0) return r;
  return (nd.dentry.inode!.mode & S_IFMT) === S_IFBLK ? -ENODEV : -ENOTBLK;
}

function sysQuotactlFd(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.getRaw(a.int(0));
  if (f === null) return -EBADF;
  const cmd = a.uint(1);
  if ((cmd & 0xff) >= MAXQUOTAS) return -EINVAL;
  if (!READERS.includes(cmd >>> SUBCMDSHIFT) && f.path !== null && f.path.mount.readOnly) return -EROFS;
  return -ENOSYS;
}

const note = 'no file system of the sandbox has quotas';

export const quotaRows: readonly SyscallRow[] = [
  { nr: 179, name: 'quotactl', fn: sysQuotactl, args: [hex, path, uint, ptr], support: 'partial', note },
  { nr: 443, name: 'quotactl_fd', fn: sysQuotactlFd, args: [fd, hex, uint, ptr], support: 'partial', note },
];
