/** The calls of io_uring(7); see syscalls/uring. */
import { fd, hex, ptr, size, uint, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import { sysIoUringEnter } from './uring/enter.ts';
import { sysIoUringRegister } from './uring/register.ts';
import { sysIoUringSetup } from './uring/setup.ts';

export const ioUringRows: readonly SyscallRow[] = [
  {
    nr: 425,
    name: 'io_uring_setup',
    fn: sysIoUringSetup,
    args: [uint, ptr],
    support: 'partial',
    note: 'IORING_SETUP_SQPOLL (EPERM), rings in memory of the caller’s, mixed completions',
  },
  {
    nr: 426,
    name: 'io_uring_enter',
    fn: sysIoUringEnter,
    args: [fd, uint, uint, hex, ptr, size],
    support: 'partial',
    note: 'IORING_REGISTER_PROBE tells which operations there are; what a request points to is read when it is carried out',
  },
  {
    nr: 427,
    name: 'io_uring_register',
    fn: sysIoUringRegister,
    args: [fd, uint, ptr, uint],
    support: 'partial',
    note: 'tags, affinity of workers, NAPI, clocks, other rings’ buffers, changing sizes',
  },
];
