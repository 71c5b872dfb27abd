/**
 * Seccomp user notification (kernel/seccomp.c, seccomp_unotify(2)): calls that wait for the answer of whoever has the
 * filter's listener. The descriptor itself is fsimpl/anon/seccomp-listener.ts.
 */
import { EINPROGRESS, EINVAL, ENOENT, ENOSYS, ERESTARTSYS } from '../abi/errno.ts';
import { EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLL_ALL, WaitQueue } from '../waiter/wait-queue.ts';
import type { SeccompFilter } from './seccomp.ts';
import type { SysResult, SyscallRow } from './syscall-table.ts';
import type { Task } from './task.ts';

const ERRNO_MAX = 4095;

// Notification.state
export const NOTIFY_INIT = 0;
export const NOTIFY_SENT = 1;
export const NOTIFY_REPLIED = 2;

export class Notification {
  readonly id: number;
  readonly task: Task;
  /** struct seccomp_data as words. */
  readonly data: Uint32Array;
  /** What the call was. */
  readonly row: SyscallRow | null;
  state = NOTIFY_INIT;
  result: SysResult = -ENOSYS;
  /** SECCOMP_USER_NOTIF_FLAG_CONTINUE: the call runs after all. */
  proceed = false;
  readonly done = new WaitQueue();

  constructor(id: number, task: Task, data: Uint32Array) {
    this.id = id;
    this.task = task;
    this.data = data;
    this.row = task.row;
  }
}

export class SeccompListener {
  readonly waiters = new WaitQueue();
  private readonly pending = new Map<number, Notification>();
  private nextId = 1;
  /** SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: once the question was received only death ends the wait for the answer. */
  readonly waitsKillable: boolean;
  /** Nobody can answer any more. */
  closed = false;
  /** No task has the filter any more. */
  unused = false;

  constructor(waitsKillable: boolean) {
    this.waitsKillable = waitsKillable;
  }

  /** The oldest that nobody has received. */
  next(): Notification | null {
    for (const n of this.pending.values()) if (n.state === NOTIFY_INIT) return n;
    return null;
  }

  /** The one with this id that was received and not answered yet, or −errno. */
  received(id: number): Notification | number {
    const n = this.pending.get(id);
    if (n === undefined) return -ENOENT;
    return n.state === NOTIFY_SENT ? n : -EINPROGRESS;
  }

  setReceived(n: Notification): void {
    n.state = NOTIFY_SENT;
    this.waiters.wake(EPOLLOUT);
  }

  /** 0 or −errno. Results that are no error and no value of a call cannot be passed on: −EINVAL. */
  reply(id: number, result: SysResult, proceed: boolean): number {
    if (result < -ERRNO_MAX) return -EINVAL;
    const n = this.received(id);
    if (typeof n === 'number') return n;
    n.result = result;
    n.proceed = proceed;
    this.finish(n);
    return 0;
  }

  poll(): number {
    let events = 0;
    for (const n of this.pending.values()) {
      if (n.state === NOTIFY_INIT) events |= EPOLLIN;
      else if (n.state === NOTIFY_SENT) events |= EPOLLOUT;
    }
    return this.unused ? events | EPOLLHUP : events;
  }

  /** The last descriptor is closed: who waits gets ENOSYS. */
  close(): void {
    this.closed = true;
    for (const n of [...this.pending.values()]) this.finish(n);
  }

  private finish(n: Notification): void {
    n.state = NOTIFY_REPLIED;
    this.pending.delete(n.id);
    n.done.wake(EPOLL_ALL);
  }

  /** Parks the task, whose call has just begun, until there is an answer. */
  ask(t: Task, data: Uint32Array): SysResult {
    const n = new Notification(this.nextId++, t, data.slice());
    this.pending.set(n.id, n);
    const state: Waiting = { listener: this, notification: n };
    t.blockState = state;
    t.row = WAITING_ROW;
    this.waiters.wake(EPOLLIN);
    return waitForReply(t);
  }

  forget(n: Notification): void {
    this.pending.delete(n.id);
  }
}

interface Waiting {
  readonly listener: SeccompListener;
  readonly notification: Notification;
}

/** Stands in for the call's own row while it waits. */
const WAITING_ROW: SyscallRow = {
  nr: -1,
  name: 'seccomp notification',
  fn: waitForReply,
  args: [],
  support: 'full',
};

function waitForReply(t: Task): SysResult {
  const { listener, notification: n } = t.blockState as Waiting;
  if (n.state !== NOTIFY_REPLIED) {
    t.waitOn(n.done, EPOLL_ALL);
    const r = t.block(Infinity, interrupted);
    if (n.state === NOTIFY_SENT) t.killable = listener.waitsKillable;
    return r;
  }
  t.row = n.row;
  t.blockState = null;
  if (!n.proceed) return n.result;
  return n.row === null ? -ENOSYS : n.row.fn(t, t.args);
}

/** The call starts again after the handler, and asks again. */
function interrupted(t: Task): SysResult {
  const { listener, notification } = t.blockState as Waiting;
  listener.forget(notification);
  t.row = notification.row;
  return -ERESTARTSYS;
}

/** A task with filters is gone: listeners that nobody can ask any more hang up. */
export function seccompExit(t: Task): void {
  for (let f = t.seccomp; f !== null; f = f.prev) {
    const { listener } = f;
    if (listener === null || listener.unused || isUsed(t, f)) continue;
    listener.unused = true;
    listener.waiters.wake(EPOLLHUP);
  }
}

function isUsed(gone: Task, filter: SeccompFilter): boolean {
  for (const g of gone.kernel.allGroups()) {
    for (const o of g.tasks) if (o !== gone && o.seccomp?.isAbove(filter) === true) return true;
  }
  return false;
}
