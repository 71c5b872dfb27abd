/** poll(2), ppoll(2), select(2), pselect6(2) (fs/select.c). */
import { EBADF, EFAULT, EINVAL, ERESTARTNOHAND } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  inBuf,
  inStruct,
  inoutStruct,
  int,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLNVAL,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDBAND,
  EPOLLRDNORM,
  EPOLLWRBAND,
  EPOLLWRNORM,
} from '../sentry/waiter/wait-queue.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { openFileLimit } from './fd-install.ts';
import { fileAt } from './io.ts';
import { deadlineIn, readTimespec, readTimeval, useSigMask, writeRemaining } from './wait-args.ts';

const POLLFD_SIZE = 8;

/** A poll or select in progress: when it ends and where the time left goes. */
class PollWait {
  readonly deadlineNs: number;
  readonly timeoutAddr: number;
  readonly unitNs: number;

  constructor(deadlineNs: number, timeoutAddr: number, unitNs: number) {
    this.deadlineNs = deadlineNs;
    this.timeoutAddr = timeoutAddr;
    this.unitNs = unitNs;
  }
}

const STICKY_TIMEOUTS = 0x4000000;

/** poll_select_finish(): with STICKY_TIMEOUTS the caller's timeout stays as it is - personality(2) */
function tellRemaining(t: Task, addr: number, deadlineNs: number, unitNs: number): void {
  if ((t.personality & STICKY_TIMEOUTS) === 0) writeRemaining(t, addr, deadlineNs, unitNs);
}

/** An error before anything was waited for: the time left is told all the same. */
function failed(t: Task, errno: number, timeoutNs: number, timeoutAddr: number, unitNs: number): number {
  if (t.blockState === null && timeoutNs > 0) tellRemaining(t, timeoutAddr, deadlineIn(t, timeoutNs), unitNs);
  return errno;
}

/** Interrupted: restarts unless a handler runs; the caller sees how much time is left. */
function interrupted(t: Task): SysResult {
  const w = t.blockState as PollWait;
  tellRemaining(t, w.timeoutAddr, w.deadlineNs, w.unitNs);
  return -ERESTARTNOHAND;
}

/** Parks, or ends with `none` if the time is over. `timeoutNs` counts in the first run only. */
function park(t: Task, timeoutNs: number, timeoutAddr: number, unitNs: number): SysResult {
  const w = (t.blockState as PollWait | null) ?? new PollWait(deadlineIn(t, timeoutNs), timeoutAddr, unitNs);
  t.blockState = w;
  return t.block(w.deadlineNs, interrupted);
}

// Sets of up to 8192 entries go through here; larger ones get a buffer of their own.
const pollBuffer = Buffer.alloc(64 * 1024);

function doPoll(t: Task, addr: number, nfds: number, timeoutNs: number, timeoutAddr: number): SysResult {
  if (nfds > openFileLimit(t)) return failed(t, -EINVAL, timeoutNs, timeoutAddr, 1);
  const bytes = nfds * POLLFD_SIZE;
  const buf = bytes <= pollBuffer.length ? pollBuffer : Buffer.alloc(bytes);
  if (bytes > 0 && t.mem.copyIn(addr, buf, 0, bytes) !== 0)
    return failed(t, -EFAULT, timeoutNs, timeoutAddr, 1);
  let ready = 0;
  for (let at = 0; at < bytes; at += POLLFD_SIZE) {
    const revents = pollOne(t, buf.readInt32LE(at), buf.readUInt16LE(at + 4));
    buf.writeUInt16LE(revents, at + 6);
    if (revents !== 0) ready++;
  }
  const over = ready > 0 || t.timedOut || (t.blockState === null && timeoutNs === 0);
  // A pending signal wins over a time that is up (do_sys_poll).
  if (over && ready === 0 && t.interrupted) return -ERESTARTNOHAND;
  if (over) {
    const w = t.blockState as PollWait | null;
    // An empty set, too, is in the caller's half of the addresses.
    if (bytes > 0 ? t.mem.copyOut(addr, buf, 0, bytes) !== 0 : addr > TASK_SIZE)
      return failed(t, -EFAULT, timeoutNs, timeoutAddr, 1);
    if (w !== null) tellRemaining(t, w.timeoutAddr, w.deadlineNs, w.unitNs);
    else if (timeoutAddr !== 0) tellRemaining(t, timeoutAddr, deadlineIn(t, timeoutNs), 1);
    return ready;
  }
  for (let at = 0; at < bytes; at += POLLFD_SIZE) {
    const fd = buf.readInt32LE(at);
    const f = fd < 0 ? null : fileAt(t, fd);
    if (f !== null) wantOf(t, f, buf.readUInt16LE(at + 4) | EPOLLERR | EPOLLHUP, nfds);
  }
  waitForWanted(t);
  return park(t, timeoutNs, timeoutAddr, 1);
}

/** Sets up to this size are waited for entry by entry. */
const FEW = 16;
const wanted = new Map<FileDescription, number>();

/** Of a large set: a file is waited for once, however often it stands there. */
function wantOf(t: Task, f: FileDescription, events: number, count: number): void {
  if (count <= FEW) t.waitOn(f.waiters, events);
  else wanted.set(f, (wanted.get(f) ?? 0) | events);
}

function waitForWanted(t: Task): void {
  if (wanted.size === 0) return;
  for (const [f, events] of wanted) t.waitOn(f.waiters, events);
  wanted.clear();
}

function pollOne(t: Task, fd: number, events: number): number {
  if (fd < 0) return 0;
  const f = fileAt(t, fd);
  return f === null ? EPOLLNVAL : f.poll() & (events | EPOLLERR | EPOLLHUP | EPOLLNVAL) & 0xffff;
}

function sysPoll(t: Task, a: SyscallArgs): SysResult {
  const ms = a.int(2);
  return doPoll(t, a.addr(0), a.uint(1), ms < 0 ? Infinity : ms * 1_000_000, 0);
}

function sysPpoll(t: Task, a: SyscallArgs): SysResult {
  let timeout = Infinity;
  if (t.blockState === null) {
    timeout = readTimespec(t, a.addr(2));
    if (timeout < 0) return timeout;
    const r = useSigMask(t, a.addr(3), a.size(4));
    if (r < 0) return r;
  }
  return doPoll(t, a.addr(0), a.uint(1), timeout, a.addr(2));
}

// What select's three sets mean in poll events.
const SELECT_IN = EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLNVAL;
const SELECT_OUT = EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR | EPOLLNVAL;
const SELECT_EX = EPOLLPRI | EPOLLNVAL;
const MAX_SELECT_FDS = 65536;
/** Three input sets, then three result sets. */
const sets = new Uint8Array((6 * MAX_SELECT_FDS) / 8);
const SET_BYTES = MAX_SELECT_FDS / 8;

function bit(set: number, fd: number): boolean {
  return ((sets[set * SET_BYTES + (fd >>> 3)]! >>> (fd & 7)) & 1) !== 0;
}

function setBit(set: number, fd: number): void {
  sets[set * SET_BYTES + (fd >>> 3)]! |= 1 << (fd & 7);
}

/** Checks every descriptor of the sets: number of set result bits, or −EBADF. */
function scanSets(t: Task, n: number): number {
  let found = 0;
  for (let fd = 0; fd < n; fd++) {
    if ((fd & 7) === 0) {
      const b = fd >>> 3;
      if ((sets[b]! | sets[SET_BYTES + b]! | sets[2 * SET_BYTES + b]!) === 0) {
        fd += 7;
        continue;
      }
    }
    if (wantedEvents(fd) === 0) continue;
    const f = t.fdTable.getRaw(fd);
    if (f === null) return -EBADF;
    const events = f.isPathOnly ? EPOLLNVAL : f.poll();
    if (bit(0, fd) && (events & SELECT_IN) !== 0) {
      setBit(3, fd);
      found++;
    }
    if (bit(1, fd) && (events & SELECT_OUT) !== 0) {
      setBit(4, fd);
      found++;
    }
    if (bit(2, fd) && (events & SELECT_EX) !== 0) {
      setBit(5, fd);
      found++;
    }
  }
  return found;
}

function wantedEvents(fd: number): number {
  return (bit(0, fd) ? SELECT_IN : 0) | (bit(1, fd) ? SELECT_OUT : 0) | (bit(2, fd) ? SELECT_EX : 0);
}

function doSelect(t: Task, a: SyscallArgs, timeoutNs: number, unitNs: number): SysResult {
  if (a.int(0) < 0) return failed(t, -EINVAL, timeoutNs, a.addr(4), unitNs);
  // Linux clamps to the size of the descriptor table: higher bits are ignored.
  const n = Math.min(a.int(0), t.fdTable.allocated, MAX_SELECT_FDS);
  const bytes = Math.ceil(n / 64) * 8;
  for (let s = 0; s < 3; s++) {
    sets.fill(0, s * SET_BYTES, s * SET_BYTES + bytes);
    sets.fill(0, (3 + s) * SET_BYTES, (3 + s) * SET_BYTES + bytes);
    const addr = a.addr(1 + s);
    if (addr !== 0 && t.mem.copyIn(addr, sets, s * SET_BYTES, bytes) !== 0)
      return failed(t, -EFAULT, timeoutNs, a.addr(4), unitNs);
  }
  const found = scanSets(t, n);
  if (found < 0) return failed(t, found, timeoutNs, a.addr(4), unitNs);
  const over = found > 0 || t.timedOut || (t.blockState === null && timeoutNs === 0);
  if (over && found === 0 && t.interrupted) return -ERESTARTNOHAND;
  if (over) {
    for (let s = 0; s < 3; s++) {
      const addr = a.addr(1 + s);
      if (addr !== 0 && t.mem.copyOut(addr, sets, (3 + s) * SET_BYTES, bytes) !== 0)
        return failed(t, -EFAULT, timeoutNs, a.addr(4), unitNs);
    }
    const w = t.blockState as PollWait | null;
    tellRemaining(t, a.addr(4), w === null ? deadlineIn(t, timeoutNs) : w.deadlineNs, unitNs);
    return found;
  }
  for (let fd = 0; fd < n; fd++) {
    const events = wantedEvents(fd);
    if (events !== 0) wantOf(t, t.fdTable.getRaw(fd)!, events, n);
  }
  waitForWanted(t);
  return park(t, timeoutNs, a.addr(4), unitNs);
}

function sysSelect(t: Task, a: SyscallArgs): SysResult {
  let timeout = Infinity;
  if (t.blockState === null) {
    timeout = readTimeval(t, a.addr(4));
    if (timeout < 0) return timeout;
  }
  return doSelect(t, a, timeout, 1000);
}

function sysPselect6(t: Task, a: SyscallArgs): SysResult {
  let timeout = Infinity;
  if (t.blockState === null) {
    if (a.addr(5) !== 0 && t.mem.check(a.addr(5), 16, false) !== 0) return -EFAULT;
    timeout = readTimespec(t, a.addr(4));
    if (timeout < 0) return timeout;
    // The sixth argument is a pointer to { const sigset_t *ss; size_t ss_len }.
    if (a.addr(5) !== 0) {
      if (t.mem.copyIn(a.addr(5), scratch.bytes, 0, 16) !== 0) return -EFAULT;
      const set = scratch.u32[1]! * 0x100000000 + scratch.u32[0]!;
      const r = useSigMask(t, set, scratch.u32[3]! * 0x100000000 + scratch.u32[2]!);
      if (r < 0) return r;
    }
  }
  return doSelect(t, a, timeout, 1);
}

const pollfds = inBuf(1, POLLFD_SIZE);
const sigmask = inStruct(8, 'sigset');

export const pollRows: SyscallRow[] = [
  { nr: 7, name: 'poll', fn: sysPoll, args: [pollfds, uint, int], support: 'full' },
  {
    nr: 23,
    name: 'select',
    fn: sysSelect,
    args: [int, ptr, ptr, ptr, inoutStruct(16)],
    support: 'full',
  },
  {
    nr: 270,
    name: 'pselect6',
    fn: sysPselect6,
    args: [int, ptr, ptr, ptr, inoutStruct(16), inStruct(16)],
    support: 'full',
  },
  {
    nr: 271,
    name: 'ppoll',
    fn: sysPpoll,
    args: [pollfds, uint, inStruct(16, 'timespec'), sigmask, size],
    support: 'full',
  },
];
