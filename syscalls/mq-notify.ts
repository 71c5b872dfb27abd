/** mq_notify(2) (ipc/mqueue.c do_mq_notify, __do_notify, remove_notification). */
import { EBADF, EBUSY, EFAULT, EINVAL, ENOTSOCK } from '../sentry/abi/errno.ts';
import { NSIG } from '../sentry/abi/signal.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { MqFile, type Notification } from '../sentry/fsimpl/mqueue/mqueue.ts';
import { SIGEV_NONE, SIGEV_SIGNAL } from '../sentry/kernel/process-timers.ts';
import { SigInfo } from '../sentry/kernel/sig-info.ts';
import { sendGroupSignal } from '../sentry/kernel/signal-send.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { NetlinkSocket } from '../sentry/socket/netlink/netlink-socket.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

export const SIGEVENT_SIZE = 64;
const SIGEV_THREAD = 2;
const SI_MESGQ = -3;
/** The C library's cookie, whose last byte says what has happened. */
const NOTIFY_COOKIE_LEN = 32;
const NOTIFY_WOKENUP = 1;
const NOTIFY_REMOVED = 2;

export function sysMqNotify(t: Task, a: SyscallArgs): SysResult {
  const n = a.addr(1) === 0 ? null : readEvent(t, a.addr(1));
  if (typeof n === 'number') return n;
  const f = t.fdTable.get(a.int(0));
  if (!(f instanceof MqFile)) return -EBADF;
  const q = f.queue;
  if (n === null) {
    q.unregister(t.tgid);
    return 0;
  }
  if (q.notification !== null) return -EBUSY;
  q.notification = n;
  return 0;
}

/** struct sigevent: value at 0, signo at 8, notify at 12. */
function readEvent(t: Task, addr: number): Notification | number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, SIGEVENT_SIZE) !== 0) return -EFAULT;
  const { u32, i32 } = scratch;
  const signo = i32[2]!;
  const method = i32[3]!;
  switch (method) {
    case SIGEV_NONE:
      return { tgid: t.tgid, method, signo: 0, fire: nothing, removed: nothing };
    case SIGEV_SIGNAL:
      return signo < 0 || signo > NSIG ? -EINVAL : bySignal(t, signo, u32[0]!, u32[1]!);
    case SIGEV_THREAD:
      return byMessage(t, signo, u32[1]! * 0x100000000 + u32[0]!);
    default:
      return -EINVAL;
  }
}

function nothing(): void {
  // Nobody is told.
}

function bySignal(t: Task, signo: number, valueLo: number, valueHi: number): Notification {
  const { group, tgid } = t;
  const fire = (sender: Task): void => {
    if (signo === 0) return;
    const info = new SigInfo(signo, SI_MESGQ);
    info.bytes.writeInt32LE(sender.group.pid.nrIn(group.pid.ns), 16);
    info.bytes.writeUInt32LE(sender.creds.uid, 20);
    info.bytes.writeUInt32LE(valueLo, 24);
    info.bytes.writeUInt32LE(valueHi, 28);
    sendGroupSignal(group, info);
  };
  return { tgid, method: SIGEV_SIGNAL, signo, fire, removed: nothing };
}

/** The C library has a thread that reads cookies from a netlink socket and calls the function they stand for. */
function byMessage(t: Task, socketFd: number, cookieAddr: number): Notification | number {
  const cookie = Buffer.alloc(NOTIFY_COOKIE_LEN);
  if (t.mem.copyIn(cookieAddr, cookie, 0, NOTIFY_COOKIE_LEN) !== 0) return -EFAULT;
  const socket = t.fdTable.get(socketFd);
  if (socket === null) return -EBADF;
  if (!(socket instanceof Socket)) return -ENOTSOCK;
  if (!(socket instanceof NetlinkSocket)) return -EINVAL;
  const tell = (what: number): void => {
    cookie[NOTIFY_COOKIE_LEN - 1] = what;
    socket.deliver(cookie);
  };
  return {
    tgid: t.tgid,
    method: SIGEV_THREAD,
    signo: 0,
    fire: () => tell(NOTIFY_WOKENUP),
    removed: () => tell(NOTIFY_REMOVED),
  };
}
