/** Registers what the kernel leaves to others: drivers, file system types, hooks. */
import { EINVAL } from '../../sentry/abi/errno.ts';
import { registerEmptyFileSystems } from '../../sentry/fsimpl/empty/empty.ts';
import { registerCgroup } from '../../sentry/fsimpl/cgroup/register.ts';
import { registerMemDevices } from '../../sentry/fsimpl/dev/mem.ts';
import { registerDevpts } from '../../sentry/fsimpl/devpts/devpts.ts';
import { registerFuse } from '../../sentry/fsimpl/fuse/super-block.ts';
import type { HostFacts } from '../../sentry/fsimpl/proc/env.ts';
import { registerMqueue } from '../../sentry/fsimpl/mqueue/mqueue.ts';
import { setSysctl } from '../../sentry/fsimpl/proc/sysctl.ts';
import { registerProc } from '../../sentry/fsimpl/proc/super-block.ts';
import { registerSysfs } from '../../sentry/fsimpl/sysfs/sysfs.ts';
import { parseTmpfsOptions, setTmpfsMemoryTotal, TMPFS_VALUES } from '../../sentry/fsimpl/tmpfs/options.ts';
import {
  mountRamfs,
  mountTmpfs,
  setTmpfsGuard,
  tmpfsBytesInUse,
} from '../../sentry/fsimpl/tmpfs/super-block.ts';
import { registerConsole } from '../../sentry/fsimpl/tty/host-tty.ts';
import { cgroupOperations } from '../../sentry/kernel/cgroup/operations.ts';
import type { Kernel } from '../../sentry/kernel/kernel.ts';
import { installUnixPaths } from '../../syscalls/unix-paths.ts';
import { installSocketTables } from '../../sentry/socket/proc-net.ts';
import { registerOverlay } from '../../sentry/fsimpl/overlay/mount.ts';
import { registerFileSystem } from '../../sentry/vfs/fs-types.ts';
import { installTerminals } from '../../syscalls/terminals.ts';

export type { HostFacts };

export function registerParts(kernel: Kernel, env: { host: HostFacts }): void {
  kernel.cpuCount = env.host.cpus.length;
  kernel.memTotal = env.host.memTotal;
  kernel.machine = env.host.machine ?? {
    cpus: kernel.cpuCount,
    memory: kernel.memTotal,
    highestCpu: kernel.cpuCount - 1,
  };
  registerMemDevices();
  registerDevpts();
  const proc = { kernel, host: env.host };
  kernel.sharedBytes = tmpfsBytesInUse;
  registerProc(proc);
  kernel.setSysctl = (t, path, value) => setSysctl(proc, t, path, value);
  registerSysfs(proc);
  registerCgroup(proc, cgroupOperations);
  registerMqueue();
  registerEmptyFileSystems();
  registerOverlay();
  registerFuse();
  registerConsole();
  installTerminals();
  installSocketTables(kernel);
  installUnixPaths();
  setTmpfsMemoryTotal(env.host.memTotal);
  setTmpfsGuard((bytes) => bytes + Math.max(0, kernel.figures?.memoryPinned() ?? 0) <= kernel.memTotal);
  registerFileSystem({
    name: 'tmpfs',
    optionNames: TMPFS_VALUES,
    nodev: true,
    checkOption: (option) => {
      const parsed = parseTmpfsOptions(option);
      return typeof parsed === 'number' ? parsed : 0;
    },
    mount: (t, _source, _flags, data) => mountTmpfs(t, data),
  });
  registerFileSystem({
    name: 'ramfs',
    nodev: true,
    mount: (t, _source, _flags, data) => mountRamfs(t, data),
  });
  // Known by name, for the kernel's own use (SB_NOUSER).
  for (const name of ['pipefs', 'sockfs']) {
    registerFileSystem({ name, nodev: true, mount: () => -EINVAL });
  }
}
