/** POLL_ADD and POLL_REMOVE (io_uring/poll.c). */
import { ECANCELED, EINVAL, ENOENT } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { EPOLLERR, EPOLLHUP, WaitEntry } from '../../sentry/waiter/wait-queue.ts';
import { ADDR, anySet, BUF_INDEX, FILE_INDEX, OFF, ownRow } from './op-calls.ts';
import type { Op } from './op.ts';
import type { Request } from './request.ts';

class Poll {
  events: number;
  isMulti: boolean;
  /** Its file has called since it was looked at; so it is at first. */
  isDue = true;
  readonly entry: WaitEntry;

  constructor(r: Request, events: number, isMulti: boolean) {
    this.events = events;
    this.isMulti = isMulti;
    this.entry = new WaitEntry(() => {
      this.isDue = true;
      r.worker?.wake();
    });
  }
}

const always = (events: number): number => (events | EPOLLERR | EPOLLHUP) >>> 0;

function poll(t: Task, r: Request): SysResult {
  const p = r.state as Poll;
  const f = r.file!;
  if (p.entry.queue === null) f.waiters.add(p.entry, p.events);
  if (p.isDue) {
    p.isDue = false;
    const ready = (f.poll() & p.events) >>> 0;
    if (ready !== 0) return ready;
  }
  return t.block(Infinity, -ECANCELED);
}

const pollRow = ownRow('POLL_ADD', poll);

export const POLL_ADD: Op = {
  name: 'POLL_ADD',
  needsFile: true,
  usesPrio: false,
  selectsBuffer: false,
  prep(r) {
    if (anySet(r, [OFF, ADDR, BUF_INDEX]) || (r.len & ~U.IORING_POLL_ADD_MULTI) !== 0) return -EINVAL;
    const isMulti = r.len !== 0;
    if (isMulti && r.has(U.IOSQE_CQE_SKIP_SUCCESS)) return -EINVAL;
    r.state = new Poll(r, always(r.opFlags), isMulti);
    return 0;
  },
  begin: () => pollRow,
  goesOn(r, result) {
    return result > 0 && (r.state as Poll).isMulti;
  },
  end(r) {
    (r.state as Poll | null)?.entry.remove();
  },
};

const UPDATES = U.IORING_POLL_UPDATE_EVENTS | U.IORING_POLL_UPDATE_USER_DATA;

/** Request of the ring with this user_data that is carried out by `op`. */
export function findRequest(r: Request, op: Op, lo: number, hi: number): Request | null {
  for (const other of r.ring.requests)
    if (other.op === op && other.sqe[8] === lo && other.sqe[9] === hi) return other;
  return null;
}

function remove(r: Request): SysResult {
  const { sqe, len } = r;
  const target = findRequest(r, POLL_ADD, sqe[4]!, sqe[5]!);
  if (target === null) return -ENOENT;
  if ((len & UPDATES) === 0) return target.cancel();
  const p = target.state as Poll;
  if ((len & U.IORING_POLL_UPDATE_EVENTS) !== 0) {
    p.events = always(r.opFlags);
    p.isMulti = (len & U.IORING_POLL_ADD_MULTI) !== 0;
    p.entry.remove();
  }
  if ((len & U.IORING_POLL_UPDATE_USER_DATA) !== 0) {
    target.sqe[8] = sqe[2]!;
    target.sqe[9] = sqe[3]!;
  }
  // It is armed anew, and looks at once.
  p.isDue = true;
  target.worker?.wake();
  return 0;
}

const removeRow = ownRow('POLL_REMOVE', (_t, r) => remove(r));

export const POLL_REMOVE: Op = {
  name: 'POLL_REMOVE',
  needsFile: false,
  usesPrio: false,
  selectsBuffer: false,
  prep(r) {
    if (anySet(r, [BUF_INDEX, FILE_INDEX])) return -EINVAL;
    if ((r.len & ~(UPDATES | U.IORING_POLL_ADD_MULTI)) !== 0) return -EINVAL;
    if (r.len === U.IORING_POLL_ADD_MULTI) return -EINVAL;
    if ((r.len & U.IORING_POLL_UPDATE_USER_DATA) === 0 && anySet(r, [OFF])) return -EINVAL;
    return (r.len & U.IORING_POLL_UPDATE_EVENTS) === 0 && r.opFlags !== 0 ? -EINVAL : 0;
  },
  begin: () => removeRow,
};
