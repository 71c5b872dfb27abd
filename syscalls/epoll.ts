/** epoll_create(2), epoll_ctl(2), epoll_wait(2) and variants (fs/eventpoll.c). */
import { EBADF, EFAULT, EINTR, EINVAL, EPERM } from '../sentry/abi/errno.ts';
import { O_CLOEXEC } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { EpollFile } from '../sentry/fsimpl/epoll/epoll-file.ts';
import {
  fd,
  flags,
  inStruct,
  int,
  oneOf,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { EPOLLIN } from '../sentry/waiter/wait-queue.ts';
import { installFd } from './fd-install.ts';
import { fileAt } from './io.ts';
import { deadlineIn, readTimespec, useSigMask } from './wait-args.ts';

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EVENT_SIZE = 12;
/** INT_MAX / sizeof(struct epoll_event) */
const EP_MAX_EVENTS = 178956970;
/** Events copied to the guest at once. */
const BATCH = 4096;

function sysEpollCreate(t: Task, a: SyscallArgs): SysResult {
  return a.int(0) <= 0 ? -EINVAL : installFd(t, new EpollFile(), false);
}

function sysEpollCreate1(t: Task, a: SyscallArgs): SysResult {
  const f = a.uint(0);
  return (f & ~O_CLOEXEC) !== 0 ? -EINVAL : installFd(t, new EpollFile(), f !== 0);
}

function sysEpollCtl(t: Task, a: SyscallArgs): SysResult {
  const op = a.int(1);
  if (op !== EPOLL_CTL_DEL && t.mem.copyIn(a.addr(3), scratch.bytes, 0, EVENT_SIZE) !== 0) return -EFAULT;
  const events = scratch.view.getInt32(0, true);
  const dataLo = scratch.view.getUint32(4, true);
  const dataHi = scratch.view.getUint32(8, true);
  const ep = fileAt(t, a.int(0));
  const file = fileAt(t, a.int(2));
  if (ep === null || file === null) return -EBADF;
  if (!file.pollable) return -EPERM;
  if (!(ep instanceof EpollFile) || file === ep) return -EINVAL;
  if (op === EPOLL_CTL_ADD) return ep.add(a.int(2), file, events, dataLo, dataHi);
  if (op === EPOLL_CTL_DEL) return ep.delete(a.int(2), file);
  if (op === EPOLL_CTL_MOD) return ep.modify(a.int(2), file, events, dataLo, dataHi);
  return -EINVAL;
}

class EpollWait {
  readonly ep: EpollFile;
  readonly deadlineNs: number;

  constructor(ep: EpollFile, deadlineNs: number) {
    this.ep = ep;
    this.deadlineNs = deadlineNs;
  }
}

// Where the events of the call in hand go, and how many of them are in scratch.
let waiter: Task;
let target = 0;
let collected = 0;
let fault = 0;

/** Writes one struct epoll_event (packed) into scratch. */
function emit(events: number, dataLo: number, dataHi: number): void {
  if (collected === BATCH) flush();
  const at = collected++ * EVENT_SIZE;
  scratch.view.setUint32(at, events >>> 0, true);
  scratch.view.setUint32(at + 4, dataLo, true);
  scratch.view.setUint32(at + 8, dataHi, true);
}

function flush(): void {
  const r = waiter.mem.copyOut(target, scratch.bytes, 0, collected * EVENT_SIZE);
  if (r < 0) fault = -EFAULT;
  target += collected * EVENT_SIZE;
  collected = 0;
}

function interrupted(t: Task): SysResult {
  (t.blockState as EpollWait).ep.unref();
  return -EINTR;
}

function finish(w: EpollWait | null, result: SysResult): SysResult {
  w?.ep.unref();
  return result;
}

/** `timeoutNs`: ns, Infinity or −errno of reading it; looked at in the first run only. */
function epollWait(t: Task, a: SyscallArgs, timeoutNs: number): SysResult {
  const w = t.blockState as EpollWait | null;
  const addr = a.addr(1);
  const max = a.int(2);
  const ep = w === null ? fileAt(t, a.int(0)) : w.ep;
  if (ep === null) return -EBADF;
  // ep_check_params()
  if (w === null) {
    if (max <= 0 || max > EP_MAX_EVENTS) return -EINVAL;
    if (addr + max * EVENT_SIZE > TASK_SIZE) return -EFAULT;
  }
  if (!(ep instanceof EpollFile)) return -EINVAL;
  const limit = Math.min(max, ep.candidates);
  if (limit > 0) {
    if (t.mem.check(addr, limit * EVENT_SIZE, true) !== 0) {
      if (ep.poll() !== 0) return finish(w, -EFAULT);
    } else {
      waiter = t;
      target = addr;
      collected = 0;
      fault = 0;
      const n = ep.collect(limit, emit);
      if (n > 0) {
        flush();
        return finish(w, fault < 0 ? fault : n);
      }
    }
  }
  if (t.timedOut || (w === null && timeoutNs === 0)) return finish(w, 0);
  const state = w ?? new EpollWait(ep.ref(), deadlineIn(t, timeoutNs));
  t.blockState = state;
  t.waitOn(ep.waiters, EPOLLIN);
  return t.block(state.deadlineNs, interrupted);
}

function timeoutMs(ms: number): number {
  return ms < 0 ? Infinity : ms * 1_000_000;
}

function sysEpollWait(t: Task, a: SyscallArgs): SysResult {
  return epollWait(t, a, timeoutMs(a.int(3)));
}

function sysEpollPwait(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState === null) {
    const r = useSigMask(t, a.addr(4), a.size(5));
    if (r < 0) return r;
  }
  return epollWait(t, a, timeoutMs(a.int(3)));
}

function sysEpollPwait2(t: Task, a: SyscallArgs): SysResult {
  let timeout = Infinity;
  if (t.blockState === null) {
    timeout = readTimespec(t, a.addr(3));
    if (timeout < 0) return timeout;
    const r = useSigMask(t, a.addr(4), a.size(5));
    if (r < 0) return r;
  }
  return epollWait(t, a, timeout);
}

const ctlOps = oneOf({ EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD });
const sigmask = inStruct(8, 'sigset');

export const epollRows: SyscallRow[] = [
  { nr: 213, name: 'epoll_create', fn: sysEpollCreate, args: [int], support: 'full' },
  { nr: 232, name: 'epoll_wait', fn: sysEpollWait, args: [fd, ptr, int, int], support: 'full' },
  {
    nr: 233,
    name: 'epoll_ctl',
    fn: sysEpollCtl,
    args: [fd, ctlOps, fd, inStruct(EVENT_SIZE, 'epoll_event')],
    support: 'full',
  },
  {
    nr: 281,
    name: 'epoll_pwait',
    fn: sysEpollPwait,
    args: [fd, ptr, int, int, sigmask, size],
    support: 'full',
  },
  { nr: 291, name: 'epoll_create1', fn: sysEpollCreate1, args: [flags({ O_CLOEXEC })], support: 'full' },
  {
    nr: 441,
    name: 'epoll_pwait2',
    fn: sysEpollPwait2,
    args: [fd, ptr, int, inStruct(16, 'timespec'), sigmask, size],
    support: 'full',
  },
];
