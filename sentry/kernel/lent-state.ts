/**
 * Signal mask and robust list lent to the thread itself. A thread's life has more calls about these two than about anything else
 * (pthread_create and pthread_join: five of ten), and mostly nobody else wants to know. Where the platform can, the thread then
 * answers rt_sigprocmask(2) and set_robust_list(2), and rseq(2), which fails, by itself (Context.lend). The kernel takes both
 * back at its first look at Task.sigMask or Task.robustList, and before anything that depends on a mask changes: a signal is
 * queued, a tracer or a filter comes. So whatever is pending, its mask is in the kernel.
 */
import type { SeccompFilter } from './seccomp.ts';
import type { Task } from './task.ts';

const NR_RT_SIGPROCMASK = 14;
const NR_SET_ROBUST_LIST = 273;
const NR_RSEQ = 334;

function minds(filter: SeccompFilter | null): boolean {
  return (
    filter !== null &&
    !(
      filter.alwaysAllows(NR_RT_SIGPROCMASK) &&
      filter.alwaysAllows(NR_SET_ROBUST_LIST) &&
      filter.alwaysAllows(NR_RSEQ)
    )
  );
}

/** Lends `t` its own, unless somebody wants to see such calls or a signal waits. */
export function lendState(t: Task): void {
  if (t.work || t.restoreSigMask || t.ptrace !== null || t.dispatch !== null || t.kernel.trace !== null)
    return;
  if (!t.pending.bits.isEmpty || !t.group.pending.bits.isEmpty || minds(t.seccomp)) return;
  t.lend();
}
