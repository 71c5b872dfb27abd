/** rseq(2): the host's, made by the thread itself (kernel/rseq.c). */
import { EINVAL, ENOSYS } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { lendState } from '../sentry/kernel/lent-state.ts';
import { hex, ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

const RSEQ_FLAG_UNREGISTER = 1;

function sysRseq(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(2);
  if (!t.kernel.knowsAllCpus(t.group.container)) return -ENOSYS;
  if (flags > RSEQ_FLAG_UNREGISTER) return -EINVAL;
  // What the host says of it is the call's result.
  t.ctx.rseq(a.addr(0), a.uint(1), flags, a.uint(3));
  lendState(t);
  return 0;
}

export const rseqRows: readonly SyscallRow[] = [
  {
    nr: 334,
    name: 'rseq',
    fn: sysRseq,
    args: [ptr, uint, hex, uint],
    support: 'full',
    note: 'ENOSYS where the container is told of fewer CPUs than the machine has',
  },
];
