/** futex_wake(2), futex_wait(2), futex_requeue(2): the operations of futex(2) as calls of their own (kernel/futex/syscalls.c). */
import { EAGAIN, EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  futexQueue,
  loadOwnWord,
  requeue,
  wakeQueue,
  FUTEX_BITSET_MATCH_ANY,
} from '../sentry/kernel/futex.ts';
import { gatherWaiters, takeFutexes } from '../sentry/kernel/own-futexes.ts';
import {
  hex,
  inStruct,
  int,
  ptr,
  ulong,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { FutexWaiter } from '../sentry/kernel/futex.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../sentry/time/clock.ts';
import { absoluteDeadline, checkAddress } from './futex-args.ts';
import { validWaiter } from './futex-waitv.ts';
import { continueWait, futexWait, wakeWord } from './futex.ts';
import { readTimespec } from './wait-args.ts';

const FUTEX2_SIZE_MASK = 3;
const FUTEX2_SIZE_U32 = 2;
const FUTEX2_PRIVATE = 128;
const WAITV_SIZE = 24;

/** futex_flags_valid(): words of 32 bits, without NUMA nodes. */
function validFlags(flags: number): boolean {
  return (
    (flags & ~(FUTEX2_SIZE_MASK | FUTEX2_PRIVATE)) === 0 && (flags & FUTEX2_SIZE_MASK) === FUTEX2_SIZE_U32
  );
}

/** Argument `i` as a mask or value of 32 bits: −1 if a higher bit is set. */
function word(a: SyscallArgs, i: number): number {
  return a.words[2 * i + 1] !== 0 ? -1 : a.uint(i);
}

function sysFutexWake(t: Task, a: SyscallArgs): SysResult {
  if (!validFlags(a.uint(3))) return -EINVAL;
  const mask = word(a, 1);
  if (mask < 0) return -EINVAL;
  const count = a.int(2);
  if (mask === 0) return -EINVAL;
  const shared = (a.uint(3) & FUTEX2_PRIVATE) === 0;
  const wait = shared ? null : gatherWaiters(t);
  if (wait !== null) return wait;
  // Unlike FUTEX_WAKE, "0 waiters" means none (FLAGS_STRICT).
  return wakeWord(t, a.addr(0), shared, count < 0 ? 1 : count, mask);
}

function sysFutexWait(t: Task, a: SyscallArgs): SysResult {
  const waiting = t.blockState as FutexWaiter | null;
  if (waiting !== null) return continueWait(t, waiting);
  if (!validFlags(a.uint(3))) return -EINVAL;
  const value = word(a, 1);
  const mask = word(a, 2);
  if (value < 0 || mask < 0) return -EINVAL;
  let deadline = Infinity;
  if (a.addr(4) !== 0) {
    const clock = a.int(5);
    if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_REALTIME) return -EINVAL;
    const ns = readTimespec(t, a.addr(4));
    if (ns < 0) return ns;
    deadline = absoluteDeadline(t, ns, clock === CLOCK_REALTIME);
  }
  const shared = (a.uint(3) & FUTEX2_PRIVATE) === 0;
  if (!shared) takeFutexes(t.mm);
  return futexWait(t, { addr: a.addr(0), shared, value, bitset: mask, deadline });
}

const pair = Buffer.alloc(2 * WAITV_SIZE);

function sysFutexRequeue(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(1) !== 0 || a.addr(0) === 0) return -EINVAL;
  if (t.mem.copyIn(a.addr(0), pair, 0, pair.length) !== 0) return -EFAULT;
  const wake = a.int(2);
  const move = a.int(3);
  if (!validWaiter(pair, 0) || !validWaiter(pair, WAITV_SIZE)) return -EINVAL;
  // "For now mandate both flags are identical, like the sys_futex() interface has."
  if (pair.readUInt32LE(16) !== pair.readUInt32LE(WAITV_SIZE + 16)) return -EINVAL;
  if (wake < 0 || move < 0) return -EINVAL;
  const addrOf = (i: number): number =>
    pair.readUInt32LE(i * WAITV_SIZE + 12) * 0x100000000 + pair.readUInt32LE(i * WAITV_SIZE + 8);
  const shared = (pair.readUInt32LE(16) & FUTEX2_PRIVATE) === 0;
  const bad = checkAddress(addrOf(0)) || checkAddress(addrOf(1));
  if (bad !== 0) return bad;
  const wait = shared ? null : gatherWaiters(t);
  if (wait !== null) return wait;
  const from = futexQueue(t.mm, addrOf(0), shared);
  if (typeof from === 'number') return from;
  const to = futexQueue(t.mm, addrOf(1), shared);
  if (typeof to === 'number') return to;
  const now = loadOwnWord(t, addrOf(0));
  if (now < 0) return now;
  if (now !== pair.readUInt32LE(0)) return -EAGAIN;
  const woken = wake === 0 ? 0 : wakeQueue(from, wake, FUTEX_BITSET_MATCH_ANY);
  if (woken < 0) return woken;
  const moved = requeue(from, to, move);
  return moved < 0 ? moved : woken + moved;
}

export const futex2Rows: readonly SyscallRow[] = [
  { nr: 454, name: 'futex_wake', fn: sysFutexWake, args: [ptr, ulong, int, hex], support: 'full' },
  {
    nr: 455,
    name: 'futex_wait',
    fn: sysFutexWait,
    args: [ptr, ulong, ulong, hex, inStruct(16, 'timespec'), int],
    support: 'full',
  },
  { nr: 456, name: 'futex_requeue', fn: sysFutexRequeue, args: [ptr, hex, int, int], support: 'full' },
];
