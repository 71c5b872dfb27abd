/** Durability and read-ahead: sync(2), fsync(2), fadvise64(2) and their kin (fs/sync.c, mm/fadvise.c). */
import { EBADF, EINVAL, ESPIPE } from '../sentry/abi/errno.ts';
import { S_IFIFO, S_IFMT } from '../sentry/abi/stat.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  hex,
  off,
  oneOf,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { SuperBlock } from '../sentry/vfs/super-block.ts';

function sysSync(t: Task, _a: SyscallArgs): SysResult {
  const seen = new Set<SuperBlock>();
  for (const m of t.fs.root.mount.ns?.mounts() ?? []) seen.add(m.sb);
  for (const sb of seen) sb.sync();
  return 0;
}

function sysSyncfs(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  return f === null ? -EBADF : f.inode.sb.sync();
}

function sysFsync(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  return f === null ? -EBADF : f.fsync(false);
}

function sysFdatasync(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  return f === null ? -EBADF : f.fsync(true);
}

const SYNC_FILE_RANGE_ALL = 7;

/** Rounded up, as far as numbers go. */
const OFFSET_MAX = 2 ** 63;

function sysSyncFileRange(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  const offset = a.long(1);
  const end = offset + a.long(2);
  if ((a.uint(3) & ~SYNC_FILE_RANGE_ALL) !== 0 || offset < 0 || end < offset || end >= OFFSET_MAX)
    return -EINVAL;
  if (!f.inode.isRegular && !f.inode.isDir && !f.inode.isSymlink) return -ESPIPE;
  const r = a.uint(3) === 0 ? 0 : f.fsync(true);
  // Files without contents to write back have nothing to fail.
  return r === -EINVAL ? 0 : r;
}

/** Advice is checked and otherwise without effect: the host caches files by its own lights. */
function sysFadvise64(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if ((f.inode.mode & S_IFMT) === S_IFIFO) return -ESPIPE;
  const advice = a.int(3);
  return a.long(2) < 0 || advice < 0 || advice > 5 ? -EINVAL : 0;
}

function sysReadahead(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null || !f.readable) return -EBADF;
  return f.inode.isRegular ? 0 : -EINVAL;
}

const advice = oneOf({
  POSIX_FADV_NORMAL: 0,
  POSIX_FADV_RANDOM: 1,
  POSIX_FADV_SEQUENTIAL: 2,
  POSIX_FADV_WILLNEED: 3,
  POSIX_FADV_DONTNEED: 4,
  POSIX_FADV_NOREUSE: 5,
});

export const syncRows: SyscallRow[] = [
  { nr: 74, name: 'fsync', fn: sysFsync, args: [fd], support: 'full' },
  { nr: 75, name: 'fdatasync', fn: sysFdatasync, args: [fd], support: 'full' },
  { nr: 162, name: 'sync', fn: sysSync, args: [], support: 'full' },
  { nr: 187, name: 'readahead', fn: sysReadahead, args: [fd, off, size], support: 'full', note: 'no effect' },
  {
    nr: 221,
    name: 'fadvise64',
    fn: sysFadvise64,
    args: [fd, off, off, advice],
    support: 'full',
    note: 'no effect',
  },
  { nr: 277, name: 'sync_file_range', fn: sysSyncFileRange, args: [fd, off, off, hex], support: 'full' },
  { nr: 306, name: 'syncfs', fn: sysSyncfs, args: [fd], support: 'full' },
];
