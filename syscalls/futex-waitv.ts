/** futex_waitv(2): waits for the first of several words (kernel/futex/waitwake.c futex_wait_multiple). */
import { EAGAIN, EFAULT, EINVAL, ERESTARTSYS, ETIMEDOUT } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { FUTEX_BITSET_MATCH_ANY, FutexWaiter, futexQueue, loadOwnWord } from '../sentry/kernel/futex.ts';
import { takeFutexes } from '../sentry/kernel/own-futexes.ts';
import { inStruct, int, ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../sentry/time/clock.ts';
import { absoluteDeadline, checkAddress } from './futex-args.ts';
import { readTimespec } from './wait-args.ts';

const FUTEX2_SIZE_U32 = 2;
const FUTEX2_PRIVATE = 128;
const FUTEX_WAITV_MAX = 128;

/** State of a futex_waitv in progress. */
interface WaitVector {
  readonly waiters: FutexWaiter[];
  readonly deadline: number;
}

/** futex_waitv(2): waits for the first of several words; the index of the one that was woken. */
function sysFutexWaitv(t: Task, a: SyscallArgs): SysResult {
  let v = t.blockState as WaitVector | null;
  if (v === null) {
    const r = startVector(t, a);
    if (typeof r === 'number') return r;
    v = r;
  } else {
    const woken = wokenIndex(v);
    if (woken >= 0 || t.timedOut) {
      for (const w of v.waiters) w.remove();
      return woken < 0 ? -ETIMEDOUT : woken;
    }
  }
  t.blockState = v;
  return t.block(v.deadline, vectorInterrupted);
}

/** futex_unqueue_multiple(): the last that has been woken, −1 if none has. */
function wokenIndex(v: WaitVector): number {
  let index = -1;
  for (const w of v.waiters) if (w.woken) ({ index } = w);
  return index;
}

function vectorInterrupted(t: Task): SysResult {
  const v = t.blockState as WaitVector;
  const woken = wokenIndex(v);
  for (const w of v.waiters) w.remove();
  return woken < 0 ? -ERESTARTSYS : woken;
}

function startVector(t: Task, a: SyscallArgs): WaitVector | number {
  takeFutexes(t.mm);
  const count = a.uint(1);
  const clock = a.int(4);
  if (a.uint(2) !== 0) return -EINVAL;
  if (count === 0 || count > FUTEX_WAITV_MAX || a.addr(0) === 0) return -EINVAL;
  let deadline = Infinity;
  if (a.addr(3) !== 0) {
    if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_REALTIME) return -EINVAL;
    const ns = readTimespec(t, a.addr(3));
    if (ns < 0) return ns;
    deadline = absoluteDeadline(t, ns, clock === CLOCK_REALTIME);
  }
  const list = Buffer.alloc(count * 24);
  if (t.mem.copyIn(a.addr(0), list, 0, list.length) !== 0) return -EFAULT;
  // All flags are looked at before any address, and all addresses before any word (futex_parse_waitv, futex_wait_multiple_setup).
  for (let i = 0; i < count; i++) if (!validWaiter(list, i * 24)) return -EINVAL;
  const v: WaitVector = { waiters: [], deadline };
  let r = 0;
  for (let i = 0; i < count && r === 0; i++) r = addToVector(t, v, list, i);
  for (let i = 0; i < count && r === 0; i++) {
    const now = loadOwnWord(t, addressOf(list, i * 24));
    if (now !== list.readUInt32LE(i * 24)) r = now < 0 ? now : -EAGAIN;
  }
  if (r === 0) return v;
  for (const w of v.waiters) w.remove();
  return r;
}

/** struct futex_waitv at `at`: a value of 32 bits, known flags, nothing reserved. */
export function validWaiter(list: Buffer, at: number): boolean {
  const flags = list.readUInt32LE(at + 16);
  if ((flags & ~(3 | FUTEX2_PRIVATE)) !== 0 || (flags & 3) !== FUTEX2_SIZE_U32) return false;
  return list.readUInt32LE(at + 20) === 0 && list.readUInt32LE(at + 4) === 0;
}

function addressOf(list: Buffer, at: number): number {
  return list.readUInt32LE(at + 12) * 0x100000000 + list.readUInt32LE(at + 8);
}

function addToVector(t: Task, v: WaitVector, list: Buffer, i: number): number {
  const addr = addressOf(list, i * 24);
  const bad = checkAddress(addr);
  if (bad !== 0) return bad;
  const q = futexQueue(t.mm, addr, (list.readUInt32LE(i * 24 + 16) & FUTEX2_PRIVATE) === 0);
  if (typeof q === 'number') return q;
  const w = new FutexWaiter(t, FUTEX_BITSET_MATCH_ANY, v, i);
  w.enqueue(q);
  v.waiters.push(w);
  return 0;
}

export const futexWaitvRows: readonly SyscallRow[] = [
  {
    nr: 449,
    name: 'futex_waitv',
    fn: sysFutexWaitv,
    args: [ptr, uint, uint, inStruct(16, 'timespec'), int],
    support: 'full',
  },
];
