/** kcmp(2): whether two processes share a resource (kernel/kcmp.c). */
import { EBADF, EFAULT, EINVAL, ENOENT, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { EpollFile } from '../sentry/fsimpl/epoll/epoll-file.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import { hex, oneOf, pid, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const TYPES = {
  KCMP_FILE: 0,
  KCMP_VM: 1,
  KCMP_FILES: 2,
  KCMP_FS: 3,
  KCMP_SIGHAND: 4,
  KCMP_IO: 5,
  KCMP_SYSVSEM: 6,
  KCMP_EPOLL_TFD: 7,
};

const serials = new WeakMap<object, number>();
let nextSerial = 1;

/** A number of an object for ordering, which says nothing about addresses. */
function serial(o: object): number {
  let n = serials.get(o);
  if (n === undefined) serials.set(o, (n = nextSerial++));
  return n;
}

/** 0 equal, 1 less, 2 greater. */
function compare(a: object, b: object): number {
  return a === b ? 0 : serial(a) < serial(b) ? 1 : 2;
}

/** KCMP_EPOLL_TFD: the file of the first process's descriptor against one that an epoll of the second watches. */
function compareEpoll(t: Task, a: Task, b: Task, fd: number, slot: number): SysResult {
  if (t.mem.copyIn(slot, scratch.bytes, 0, 12) !== 0) return -EFAULT;
  const [efd, tfd, toff] = scratch.u32 as unknown as number[];
  const file = a.dead ? null : a.fdTable.getRaw(fd);
  const epoll = b.dead ? null : b.fdTable.getRaw(efd!);
  if (file === null || epoll === null) return -EBADF;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  const watched = epoll.watched(tfd!, toff!);
  return watched === null ? -ENOENT : compare(file, watched);
}

/** What a task has once it has ended. */
const NOTHING = {};

function held(o: Task, what: object): object {
  return o.dead ? NOTHING : what;
}

function sysKcmp(t: Task, a: SyscallArgs): SysResult {
  const x = t.pidNs.findTask(a.int(0));
  const y = t.pidNs.findTask(a.int(1));
  if (x === null || y === null) return -ESRCH;
  if (!mayTrace(t, x) || !mayTrace(t, y)) return -EPERM;
  switch (a.int(2)) {
    case TYPES.KCMP_FILE: {
      const f = x.dead ? null : x.fdTable.getRaw(a.int(3));
      const g = y.dead ? null : y.fdTable.getRaw(a.int(4));
      return f === null || g === null ? -EBADF : compare(f, g);
    }
    case TYPES.KCMP_VM:
      return compare(held(x, x.mm), held(y, y.mm));
    case TYPES.KCMP_FILES:
      return compare(held(x, x.fdTable), held(y, y.fdTable));
    case TYPES.KCMP_FS:
      return compare(held(x, x.fs), held(y, y.fs));
    case TYPES.KCMP_SIGHAND:
      return compare(x.group.handlers, y.group.handlers);
    case TYPES.KCMP_IO:
    case TYPES.KCMP_SYSVSEM:
      // No I/O contexts; undo lists are kept with the sets: neither process has one.
      return 0;
    case TYPES.KCMP_EPOLL_TFD:
      return compareEpoll(t, x, y, a.int(3), a.addr(4));
    default:
      return -EINVAL;
  }
}

export const kcmpRows: readonly SyscallRow[] = [
  { nr: 312, name: 'kcmp', fn: sysKcmp, args: [pid, pid, oneOf(TYPES), hex, hex], support: 'full' },
];
