/** Calls about other processes' insides that are refused as hardened Linux kernels refuse them. */
import { ENOSYS, EPERM } from '../sentry/abi/errno.ts';
import {
  int,
  long,
  pid,
  ptr,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';

function sysDenied(): SysResult {
  return -EPERM;
}

function sysAbsent(): SysResult {
  return -ENOSYS;
}

export const refusedRows: SyscallRow[] = [
  {
    nr: 101,
    name: 'ptrace',
    fn: sysDenied,
    args: [long, pid, ptr, ptr],
    support: 'none',
    note: 'EPERM, as under Yama scope 3',
  },
  { nr: 312, name: 'kcmp', fn: sysAbsent, args: [pid, pid, int], support: 'none', note: 'ENOSYS' },
  {
    nr: 334,
    name: 'rseq',
    fn: sysAbsent,
    args: [ptr, uint, int, uint],
    support: 'none',
    note: 'ENOSYS: the host may not write to memory behind the kernel; C libraries do without',
  },
];
