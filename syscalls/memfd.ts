/** memfd_create(2) (mm/memfd.c): files of a tmpfs that is mounted nowhere. */
import { EINVAL, ENAMETOOLONG, ENODEV, ENOSYS } from '../sentry/abi/errno.ts';
import { HUGE_SHIFTS } from '../sentry/mm/mmap.ts';
import { F_SEAL_EXEC, F_SEAL_SEAL, O_LARGEFILE, O_RDWR } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { TmpfsRegular } from '../sentry/fsimpl/tmpfs/node.ts';
import { TmpfsSuperBlock } from '../sentry/fsimpl/tmpfs/super-block.ts';
import { flags, str, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { Dentry } from '../sentry/vfs/dentry.ts';
import { makeMount } from '../sentry/vfs/mount-namespace.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import { installFd } from './fd-install.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_HUGETLB = 4;
const MFD_NOEXEC_SEAL = 8;
const MFD_EXEC = 16;
const MFD_ALL_FLAGS = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC;
const MFD_HUGE_SHIFT = 26;
const MFD_HUGE_SIZE = 63 << MFD_HUGE_SHIFT;
/** NAME_MAX less "memfd:", with the NUL. */
const NAME_MAX_LEN = 250;

let internal: Mount | null = null;

/** shm_mnt: the kernel's own tmpfs. */
function shmMount(): Mount {
  if (internal === null) {
    internal = makeMount(new TmpfsSuperBlock(), 0, 'tmpfs');
    internal.internal = true;
  }
  return internal;
}

function sysMemfdCreate(t: Task, a: SyscallArgs): SysResult {
  const how = a.uint(1);
  const huge = (how & MFD_HUGETLB) !== 0;
  if ((how & ~(huge ? MFD_ALL_FLAGS | MFD_HUGE_SIZE : MFD_ALL_FLAGS)) !== 0) return -EINVAL;
  if ((how & (MFD_NOEXEC_SEAL | MFD_EXEC)) === (MFD_NOEXEC_SEAL | MFD_EXEC)) return -EINVAL;
  const name = t.mem.copyInString(a.addr(0), NAME_MAX_LEN);
  if (typeof name === 'number') return name === -ENAMETOOLONG ? -EINVAL : name;
  if (huge) return HUGE_SHIFTS.includes(how >>> MFD_HUGE_SHIFT) ? -ENOSYS : -ENODEV;
  const mount = shmMount();
  const dir = mount.root.inode!;
  const noExec = (how & MFD_NOEXEC_SEAL) !== 0;
  const inode = dir.tmpfile(noExec ? 0o666 : 0o777, t.creds.fsuid, t.creds.fsgid);
  if (!(inode instanceof TmpfsRegular)) return typeof inode === 'number' ? inode : -EINVAL;
  if (noExec) inode.seals = F_SEAL_EXEC;
  else inode.seals = (how & MFD_ALLOW_SEALING) !== 0 ? 0 : F_SEAL_SEAL;
  const dentry = new Dentry(`memfd:${name}`, mount.root, inode);
  dentry.unhashed = true;
  const file = inode.open(t, { mount, dentry }, O_RDWR | O_LARGEFILE);
  if (typeof file === 'number') return file;
  return installFd(t, file, (how & MFD_CLOEXEC) !== 0);
}

const NAMES = { MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC };

export const memfdRows: readonly SyscallRow[] = [
  {
    nr: 319,
    name: 'memfd_create',
    fn: sysMemfdCreate,
    args: [str, flags(NAMES)],
    support: 'partial',
    note: 'no MFD_HUGETLB: ENOSYS',
  },
];
