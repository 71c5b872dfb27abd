/** seccomp(2) and prctl(PR_SET_SECCOMP). Linux: kernel/seccomp.c. */
import { EINVAL } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

/** As a kernel without CONFIG_SECCOMP. */
export function prctlGetSeccomp(_t: Task): SysResult {
  return -EINVAL;
}

export function prctlSetSeccomp(_t: Task, _a: SyscallArgs): SysResult {
  return -EINVAL;
}

function sysSeccomp(): SysResult {
  return -EINVAL;
}

export const seccompRows: SyscallRow[] = [
  {
    nr: 317,
    name: 'seccomp',
    fn: sysSeccomp,
    args: [uint, uint, ptr],
    support: 'none',
    note: 'guest filters: EINVAL',
  },
];
