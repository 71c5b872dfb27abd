/** /proc/sys/fs (Documentation/admin-guide/sysctl/fs.rst). */
import { leaseBreakTime, setLeaseBreakTime } from '../../vfs/leases.ts';
import { pipeMaxSize, setPipeMaxSize } from '../pipefs/pipe.ts';
import type { ProcEnv } from './env.ts';
import { inotifyLimit, integer, nameProtection, type SysctlTree } from './sysctl-variables.ts';

/** Events of asynchronous I/O cost the kernel's heap. */
const AIO_MAX = 1_000_000;

export function fsSysctls(env: ProcEnv): SysctlTree {
  const { kernel } = env;
  return {
    'aio-max-nr': integer(
      () => kernel.aio.max,
      (_t, v) => {
        kernel.aio.max = v;
      },
      0,
      AIO_MAX,
    ),
    'aio-nr': () => kernel.aio.used,
    'dentry-state': '0\t0\t45\t0\t0\t0',
    'dir-notify-enable': 1,
    epoll: { max_user_watches: Math.floor(env.host.memTotal / 25 / 160) },
    'file-max': '9223372036854775807',
    'file-nr': () => `${openFiles(env)}\t0\t9223372036854775807`,
    'inode-nr': '0\t0',
    'inode-state': '0\t0\t0\t0\t0\t0\t0',
    inotify: {
      max_queued_events: inotifyLimit('queuedEvents'),
      max_user_instances: inotifyLimit('instances'),
      max_user_watches: inotifyLimit('watches'),
    },
    'lease-break-time': integer(leaseBreakTime, (_t, v) => setLeaseBreakTime(v), 0, 0x7fffffff),
    'leases-enable': 1,
    'mount-max': 4096,
    mqueue: {
      msg_default: 10,
      msg_max: 10,
      msgsize_default: 8192,
      msgsize_max: 8192,
      queues_max: 256,
    },
    nr_open: integer(
      () => kernel.openFilesMax,
      (_t, v) => {
        kernel.openFilesMax = v;
      },
      64,
      1048576,
    ),
    overflowgid: 65534,
    overflowuid: 65534,
    'pipe-max-size': integer(pipeMaxSize, (_t, v) => setPipeMaxSize(v), 4096, 0x7fffffff),
    'pipe-user-pages-hard': 0,
    'pipe-user-pages-soft': 16384,
    protected_fifos: nameProtection('fifos', 2),
    protected_hardlinks: nameProtection('hardlinks', 1),
    protected_regular: nameProtection('regular', 2),
    protected_symlinks: nameProtection('symlinks', 1),
    quota: {
      allocated_dquots: 0,
      cache_hits: 0,
      drops: 0,
      free_dquots: 0,
      lookups: 0,
      reads: 0,
      syncs: 0,
      writes: 0,
    },
    suid_dumpable: integer(
      () => kernel.core.suidDumpable,
      (_t, v) => {
        kernel.core.suidDumpable = v;
      },
      0,
      2,
    ),
  };
}

function openFiles(env: ProcEnv): number {
  let n = 0;
  for (const g of env.kernel.allGroups()) if (!g.leader.dead) n += g.leader.fdTable.fds().length;
  return n;
}
