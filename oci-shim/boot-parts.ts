/** Registers what the kernel leaves to others: drivers, file system types, hooks. */
import { registerMemDevices } from '../sentry/fsimpl/dev/mem.ts';
import { registerDevpts } from '../sentry/fsimpl/devpts/devpts.ts';
import type { HostFacts } from '../sentry/fsimpl/proc/env.ts';
import { registerProc } from '../sentry/fsimpl/proc/super-block.ts';
import { registerSysfs } from '../sentry/fsimpl/sysfs/sysfs.ts';
import {
  parseTmpfsOptions,
  setTmpfsMemoryTotal,
  TmpfsSuperBlock,
} from '../sentry/fsimpl/tmpfs/super-block.ts';
import type { Kernel } from '../sentry/kernel/kernel.ts';
import { registerFileSystem } from '../sentry/vfs/fs-types.ts';

export type { HostFacts };

export function registerParts(kernel: Kernel, env: { host: HostFacts }): void {
  registerMemDevices();
  registerDevpts();
  registerProc({ kernel, host: env.host });
  registerSysfs(env.host);
  registerSysfs(env.host);
  setTmpfsMemoryTotal(env.host.memTotal);
  registerFileSystem({
    name: 'tmpfs',
    nodev: true,
    mount: (_t, _source, _flags, data) => {
      const options = parseTmpfsOptions(data);
      return typeof options === 'number' ? options : new TmpfsSuperBlock(options);
    },
  });
}
