/** sysfs(2): file system types by number (fs/filesystems.c). Superseded by /proc/filesystems, still asked by old programs. */
import { EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { int, long, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { fileSystemTypes } from '../sentry/vfs/fs-types.ts';
import { getname } from './path.ts';

function sysSysfs(t: Task, a: SyscallArgs): SysResult {
  const names = [...fileSystemTypes()].map((type) => type.name);
  switch (a.int(0)) {
    case 1: {
      const name = getname(t, a.addr(1));
      if (typeof name === 'number') return name;
      const index = names.indexOf(name);
      return index < 0 ? -EINVAL : index;
    }
    case 2: {
      const name = names[a.uint(1)];
      if (name === undefined) return -EINVAL;
      const bytes = Buffer.from(`${name}\0`, 'latin1');
      return t.mem.copyOut(a.addr(2), bytes, 0, bytes.length) !== 0 ? -EFAULT : 0;
    }
    case 3:
      return names.length;
    default:
      return -EINVAL;
  }
}

export const sysfsRows: readonly SyscallRow[] = [
  { nr: 139, name: 'sysfs', fn: sysSysfs, args: [int, long, long], support: 'full' },
];
