/** What the futex calls have in common about their arguments. */
import { EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import { CLOCK_MONOTONIC } from '../sentry/time/clock.ts';

/** 0, or what is wrong with a futex address: −EINVAL, −EFAULT. */
export function checkAddress(addr: number): number {
  if (addr % 4 !== 0) return -EINVAL;
  return addr > TASK_SIZE - 4 ? -EFAULT : 0;
}

/** An absolute time of either clock as a deadline on the monotonic one. */
export function absoluteDeadline(t: Task, ns: number, realtime: boolean): number {
  return realtime ? t.kernel.clock.monotonicOf(ns) : Math.max(0, ns - t.ns.time.shiftNs(CLOCK_MONOTONIC));
}
