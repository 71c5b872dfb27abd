/** Calls about other processes' insides that are refused as hardened Linux kernels refuse them. */
import { ENOSYS } from '../sentry/abi/errno.ts';
import { int, ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';

function sysAbsent(): SysResult {
  return -ENOSYS;
}

export const refusedRows: SyscallRow[] = [
  {
    nr: 334,
    name: 'rseq',
    fn: sysAbsent,
    args: [ptr, uint, int, uint],
    support: 'none',
    note: 'ENOSYS: the host may not write to memory behind the kernel; C libraries do without',
  },
];
