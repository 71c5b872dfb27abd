/** close(2), and the waiting of lingering sockets (fs/open.c, net/ipv4/tcp.c tcp_close()). */
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { EPOLL_ALL } from '../sentry/waiter/wait-queue.ts';
import { endIo, IoWait } from './io.ts';

export function sysClose(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  if (w !== null) return linger(t, w);
  const f = t.fdTable.getRaw(a.int(0));
  const wait = f === null ? 0 : f.closing();
  if (wait < 0) return wait;
  const time = f instanceof Socket && f.refCount === 1 ? f.beginLinger() : 0;
  if (time === 0) return t.fdTable.close(t, a.int(0));
  const state = new IoWait(t, f!, time);
  t.fdTable.close(t, a.int(0));
  return linger(t, state);
}

/** The number is free already; the socket is let go in the end. */
function linger(t: Task, w: IoWait): SysResult {
  if (t.timedOut || !(w.file as Socket).lingering) return endIo(w, 0);
  t.blockState = w;
  t.waitOn(w.file.waiters, EPOLL_ALL);
  return t.block(w.deadlineNs, () => endIo(t.blockState as IoWait, 0));
}
