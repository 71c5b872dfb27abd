/**
 * Futexes on private words concern one address space only, so where the platform can, its threads use the host's
 * (AddressSpace.ownFutexes). That is decided for a whole address space at its first such call: who waits on the host is
 * found by calls on the host only. What has to see the calls (strace, a tracer, a seccomp filter, a clock of its own), keeps waiters of its own
 * (PI, futex_waitv), or puts them in an order that the host does not know (real-time policies), brings them back into the kernel, for good.
 * sched_yield(2) and short sleeps go with them: locks that spin, and threads that look after others (Go's sysmon), call them.
 */
import { ERESTARTNOINTR } from '../abi/errno.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import { OWN_FUTEX_OPS } from '../platform/platform.ts';
import { futexRank } from './futex.ts';
import type { SeccompFilter } from './seccomp.ts';
import type { SysResult } from './syscall-table.ts';
import type { Task } from './task.ts';

/** sched_yield, nanosleep, futex, clock_nanosleep */
const OWN_CALLS: readonly number[] = [24, 35, 202, 230];

/** May a filter have something to say about calls that such threads make themselves? */
function mindsFutexes(filter: SeccompFilter | null): boolean {
  return filter !== null && !OWN_CALLS.every((nr) => filter.alwaysAllows(nr));
}

/** True if `t` makes futex calls with `op` on words at `addr` and `addr2` by itself, so that the kernel must not. */
export function ownsFutex(t: Task, op: number, addr: number, addr2: number): boolean {
  const { mm } = t;
  if (!OWN_FUTEX_OPS.has(op)) return false;
  if (mm.futexes === 'undecided') {
    const seen = t.ns.time.shifted || t.kernel.trace !== null || t.ptrace !== null || mindsFutexes(t.seccomp);
    mm.futexes = !seen && futexRank(t) === 0 && mm.space.ownFutexes(true) ? 'own' : 'kernel';
  }
  return mm.futexes === 'own' && addr < mm.maxAddr && addr2 < mm.maxAddr;
}

/** From now on the kernel sees all futex calls of an address space. Those that wait on the host come here. */
export function takeFutexes(mm: MemoryManager): void {
  const own = mm.futexes === 'own';
  mm.futexes = 'kernel';
  if (own) mm.space.ownFutexes(false);
}

/** A look at whether interrupted threads have come. */
const LOOK_NS = 50_000;

/**
 * The same for a call of `t` that looks for waiters. Null, or the call's result if it is to run again because some have not come
 * from the host yet.
 */
export function gatherWaiters(t: Task): SysResult | null {
  takeFutexes(t.mm);
  return t.mm.space.isInterrupting ? t.block(t.kernel.clock.deadlineIn(LOOK_NS), -ERESTARTNOINTR) : null;
}

/** `t` is about to be bound by a filter. */
export function takeFutexesFor(t: Task, filter: SeccompFilter): void {
  if (mindsFutexes(filter)) takeFutexes(t.mm);
}
