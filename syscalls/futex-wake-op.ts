/** FUTEX_WAKE_OP (kernel/futex/waitwake.c futex_wake_op()): changes a word, then wakes waiters of two. */
import { EAGAIN, EINVAL, ENOSYS } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { FUTEX_BITSET_MATCH_ANY, futexQueue, loadOwnWord, wakeQueue } from '../sentry/kernel/futex.ts';
import { SYS_DETACHED, type SysResult } from '../sentry/kernel/syscall-table.ts';
import { TASK_DETACHED, type Task } from '../sentry/kernel/task.ts';
import { checkAddress } from './futex-args.ts';

const FUTEX_OP_SET = 0;
const FUTEX_OP_ADD = 1;
const FUTEX_OP_OR = 2;
const FUTEX_OP_ANDN = 3;
const FUTEX_OP_XOR = 4;
const FUTEX_OP_OPARG_SHIFT = 8;

/** Bits [at, at+12) as a signed number. */
const signed12 = (word: number, at: number): number => ((word >> at) << 20) >> 20;

/** The word after the operation, or −1 for an unknown one. */
function apply(encoded: number, old: number): number {
  let arg = signed12(encoded, 12);
  const op = (encoded >>> 28) & 15;
  if ((op & FUTEX_OP_OPARG_SHIFT) !== 0) arg = 1 << (arg & 31);
  switch (op & 7) {
    case FUTEX_OP_SET:
      return arg >>> 0;
    case FUTEX_OP_ADD:
      return (old + arg) >>> 0;
    case FUTEX_OP_OR:
      return (old | arg) >>> 0;
    case FUTEX_OP_ANDN:
      return (old & ~arg) >>> 0;
    case FUTEX_OP_XOR:
      return (old ^ arg) >>> 0;
    default:
      return -1;
  }
}

/** Does the old value pass? −ENOSYS for an unknown comparison. */
function compare(encoded: number, old: number): boolean | number {
  const arg = signed12(encoded, 0);
  const value = old | 0;
  switch ((encoded >>> 24) & 15) {
    case 0:
      return value === arg;
    case 1:
      return value !== arg;
    case 2:
      return value < arg;
    case 3:
      return value <= arg;
    case 4:
      return value > arg;
    case 5:
      return value >= arg;
    default:
      return -ENOSYS;
  }
}

/** The change is the guest thread's own atomic operation, repeated until nobody was faster. */
export function futexWakeOp(t: Task, a: SyscallArgs, shared: boolean): SysResult {
  const bad = checkAddress(a.addr(0)) || checkAddress(a.addr(4));
  if (bad !== 0) return bad;
  const first = futexQueue(t.mm, a.addr(0), shared);
  if (typeof first === 'number') return first;
  const second = futexQueue(t.mm, a.addr(4), shared);
  if (typeof second === 'number') return second;
  return exchange(t, a);
}

/** The kernel gives the word up to faster threads after so many attempts, with EAGAIN. */
const ATTEMPTS = 128;

function exchange(t: Task, a: SyscallArgs, attempt = 0): SysResult {
  const addr = a.addr(4);
  const old = loadOwnWord(t, addr, true);
  if (old < 0) return old;
  const value = apply(a.uint(5), old);
  if (value < 0) return -ENOSYS;
  t.state = TASK_DETACHED;
  t.ctx.compareExchange(addr, old, value);
  t.ctx.runOrders((r) => {
    if (t.dead) return;
    if (r === -EAGAIN && !t.killed && attempt < ATTEMPTS) {
      const again = exchange(t, a, attempt + 1);
      if (again !== SYS_DETACHED) t.kernel.endDetached(t, again);
      return;
    }
    t.kernel.endDetached(t, r !== 0 ? r : wakeBoth(t, a, old));
  });
  return SYS_DETACHED;
}

const FUTEX_PRIVATE_FLAG = 128;

function wakeBoth(t: Task, a: SyscallArgs, old: number): SysResult {
  const shared = (a.int(1) & FUTEX_PRIVATE_FLAG) === 0;
  const passes = compare(a.uint(5), old);
  if (typeof passes === 'number') return passes;
  const first = futexQueue(t.mm, a.addr(0), shared);
  if (typeof first === 'number') return first;
  const woken = wakeQueue(first, Math.max(a.int(2), 1), FUTEX_BITSET_MATCH_ANY);
  if (woken < 0 || !passes) return woken;
  const second = futexQueue(t.mm, a.addr(4), shared);
  if (typeof second === 'number') return second;
  const more = wakeQueue(second, Math.max(a.int(3), 1), FUTEX_BITSET_MATCH_ANY);
  return more < 0 ? -EINVAL : woken + more;
}
