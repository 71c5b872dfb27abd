/** msgget(2), msgsnd(2), msgrcv(2), msgctl(2) (ipc/msg.c). */
import {
  E2BIG,
  EACCES,
  EAGAIN,
  EFAULT,
  EIDRM,
  EINVAL,
  ENOMSG,
  EPERM,
  ERESTARTNOHAND,
} from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_RESOURCE } from '../sentry/auth/capability.ts';
import { sysvipcTables } from '../sentry/fsimpl/proc/sysvipc.ts';
import { IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT } from '../sentry/kernel/ipc/ipc-ids.ts';
import { sysvTables } from '../sentry/kernel/ipc/ipc-state.ts';
import { MsgQueue, type Message, type MsgTable } from '../sentry/kernel/ipc/msg.ts';
import {
  hex,
  int,
  long,
  octal,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { EPOLLIN, EPOLLOUT } from '../sentry/waiter/wait-queue.ts';
import { ipcToSet, removeIpc, statIpc, type IpcKind } from './ipc-control.ts';

const MSG_NOERROR = 0o10000;
const MSG_EXCEPT = 0o20000;
const MSG_COPY = 0o40000;
const MSG_STAT = 11;
const MSG_INFO = 12;
const MSG_STAT_ANY = 13;

/** struct msqid64_ds. */
const KIND: IpcKind<MsgQueue> = {
  dsSize: 120,
  statAny: MSG_STAT_ANY,
  fill(q, b) {
    b.writeUIntLE(q.stime, 48, 6);
    b.writeUIntLE(q.rtime, 56, 6);
    b.writeUIntLE(q.ctime, 64, 6);
    b.writeUInt32LE(q.bytes, 72);
    b.writeUInt32LE(q.messages.length, 80);
    b.writeUInt32LE(q.maxBytes, 88);
    b.writeInt32LE(q.lspid, 96);
    b.writeInt32LE(q.lrpid, 100);
  },
};

const tableOf = (t: Task): MsgTable => sysvTables(t.ns.ipc).msg;

function sysMsgget(t: Task, a: SyscallArgs): SysResult {
  const key = a.int(0);
  const flags = a.int(1);
  const { msg: table, limits } = sysvTables(t.ns.ipc);
  const create = (): MsgQueue => {
    const q = new MsgQueue(key, flags, t.creds, limits.msgmnb);
    q.ctime = t.nowSec;
    return q;
  };
  return table.get(key, flags, t.creds, create, () => 0);
}

/** A send or receive in progress: the queue may lose its identifier meanwhile. */
interface MsgWait {
  readonly queue: MsgQueue;
  readonly message: Message | null;
}

function sysMsgsnd(t: Task, a: SyscallArgs): SysResult {
  let w = t.blockState as MsgWait | null;
  if (w === null) {
    const len = a.size(2);
    const head = Buffer.alloc(8);
    if (t.mem.copyIn(a.addr(1), head, 0, 8) !== 0) return -EFAULT;
    if (len > sysvTables(t.ns.ipc).limits.msgmax) return -EINVAL;
    const typeLo = head.readUInt32LE(0);
    const typeHi = head.readInt32LE(4);
    const type = typeHi * 0x100000000 + typeLo;
    if (type < 1 || a.int(0) < 0) return -EINVAL;
    const text = Buffer.alloc(len);
    if (t.mem.copyIn(a.addr(1) + 8, text, 0, len) !== 0) return -EFAULT;
    const queue = tableOf(t).find(a.int(0));
    if (typeof queue === 'number') return queue;
    w = { queue, message: { type, typeLo, typeHi, text } };
  }
  return send(t, w, a.int(3));
}

function send(t: Task, w: MsgWait, flags: number): SysResult {
  const q = w.queue;
  const m = w.message!;
  if (q.removed) return -EIDRM;
  if (!q.permits(t.creds, 2)) return -EACCES;
  if (!q.hasRoom(m.text.length)) {
    if ((flags & IPC_NOWAIT) !== 0) return -EAGAIN;
    t.blockState = w;
    t.waitOn(q.writers, EPOLLOUT | EPOLLIN);
    return t.block(Infinity, -ERESTARTNOHAND);
  }
  q.add(m);
  q.lspid = t.tgid;
  q.stime = t.nowSec;
  q.readers.wake(EPOLLIN);
  return 0;
}

function sysMsgrcv(t: Task, a: SyscallArgs): SysResult {
  const len = a.size(2);
  const flags = a.int(4);
  if (a.int(0) < 0 || len >= 0x8000000000000000) return -EINVAL;
  if ((flags & MSG_COPY) !== 0) {
    if ((flags & MSG_EXCEPT) !== 0 || (flags & IPC_NOWAIT) === 0) return -EINVAL;
    return copyMessage(t, a, len);
  }
  let w = t.blockState as MsgWait | null;
  if (w === null) {
    const queue = tableOf(t).find(a.int(0));
    if (typeof queue === 'number') return queue;
    w = { queue, message: null };
  }
  const q = w.queue;
  if (q.removed) return -EIDRM;
  if (!q.permits(t.creds, 4)) return -EACCES;
  const i = q.findMessage(a.long(3), (flags & MSG_EXCEPT) !== 0);
  if (i < 0) {
    if ((flags & IPC_NOWAIT) !== 0) return -ENOMSG;
    t.blockState = w;
    t.waitOn(q.readers, EPOLLIN);
    return t.block(Infinity, -ERESTARTNOHAND);
  }
  const m = q.messages[i]!;
  if (m.text.length > len && (flags & MSG_NOERROR) === 0) return -E2BIG;
  q.take(i);
  q.lrpid = t.tgid;
  q.rtime = t.nowSec;
  q.writers.wake(EPOLLOUT);
  return deliver(t, a.addr(1), m, Math.min(m.text.length, len));
}

/** MSG_COPY: the message at an index, which stays in the queue. */
function copyMessage(t: Task, a: SyscallArgs, len: number): SysResult {
  const q = tableOf(t).find(a.int(0));
  if (typeof q === 'number') return q;
  if (!q.permits(t.creds, 4)) return -EACCES;
  const m = q.messages[a.long(3)];
  if (m === undefined) return -ENOMSG;
  if (m.text.length > len && (a.int(4) & MSG_NOERROR) === 0) return -E2BIG;
  return deliver(t, a.addr(1), m, Math.min(m.text.length, len));
}

/** The message is taken even if it cannot be delivered, as in Linux. */
function deliver(t: Task, addr: number, m: Message, len: number): SysResult {
  const b = Buffer.alloc(8 + len);
  b.writeUInt32LE(m.typeLo, 0);
  b.writeInt32LE(m.typeHi, 4);
  m.text.copy(b, 8, 0, len);
  return t.mem.copyOut(addr, b, 0, b.length) !== 0 ? -EFAULT : len;
}

function sysMsgctl(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  const cmd = a.int(1);
  const table = tableOf(t);
  if (id < 0 || cmd < 0) return -EINVAL;
  switch (cmd) {
    case IPC_RMID:
      return removeIpc(t, table, id);
    case IPC_SET:
      return set(t, a, table);
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY:
      return statIpc(t, table, id, a.addr(2), cmd, KIND);
    case IPC_INFO:
    case MSG_INFO:
      return info(t, a.addr(2), table, cmd === MSG_INFO);
    default:
      return -EINVAL;
  }
}

function set(t: Task, a: SyscallArgs, table: MsgTable): SysResult {
  const b = Buffer.alloc(KIND.dsSize);
  const q = ipcToSet(t, table, a.int(0), a.addr(2), b);
  if (typeof q === 'number') return q;
  const maxBytes = b.readUInt32LE(92) !== 0 ? Infinity : b.readUInt32LE(88);
  if (maxBytes > sysvTables(t.ns.ipc).limits.msgmnb && !t.creds.has(CAP_SYS_RESOURCE)) return -EPERM;
  const r = q.setPerm(b, t.creds.userNs);
  if (r !== 0) return r;
  // However privileged, a queue does not become larger than a MiB: it lives in the kernel's heap.
  q.maxBytes = Math.min(maxBytes, 1 << 20);
  q.ctime = t.nowSec;
  q.readers.wake(EPOLLIN);
  q.writers.wake(EPOLLOUT);
  return 0;
}

/** struct msginfo. */
function info(t: Task, addr: number, table: MsgTable, use: boolean): SysResult {
  const b = Buffer.alloc(32);
  const { msgmni, msgmnb, msgmax } = sysvTables(t.ns.ipc).limits;
  const queues = table.all();
  const sum = (of: (q: MsgQueue) => number): number => queues.reduce((n, q) => n + of(q), 0);
  b.writeInt32LE(use ? table.count : Math.min(0x7fffffff, Math.floor((msgmni * msgmnb) / 1024)), 0);
  b.writeInt32LE(use ? sum((q) => q.messages.length) : msgmnb, 4);
  b.writeInt32LE(msgmax, 8);
  b.writeInt32LE(msgmnb, 12);
  b.writeInt32LE(msgmni, 16);
  b.writeInt32LE(16, 20);
  b.writeInt32LE(use ? sum((q) => q.bytes) : msgmnb, 24);
  b.writeUInt16LE(0xffff, 28);
  return t.mem.copyOut(addr, b, 0, b.length) !== 0 ? -EFAULT : table.highest;
}

/** A line of /proc/sysvipc/msg (sysvipc_msg_proc_show). */
function procLine(q: MsgQueue): string {
  const n = (v: number, width: number): string => String(v).padStart(width);
  return (
    `${n(q.key, 10)} ${n(q.id, 10)}  ${q.mode.toString(8).padStart(4)}  ${n(q.bytes, 10)} ` +
    `${n(q.messages.length, 10)} ${n(q.lspid, 5)} ${n(q.lrpid, 5)} ${n(q.uid, 5)} ${n(q.gid, 5)} ` +
    `${n(q.cuid, 5)} ${n(q.cgid, 5)} ${n(q.stime, 10)} ${n(q.rtime, 10)} ${n(q.ctime, 10)}\n`
  );
}
sysvipcTables.msg = (t): string => tableOf(t).all().map(procLine).join('');

export const msgRows: readonly SyscallRow[] = [
  { nr: 68, name: 'msgget', fn: sysMsgget, args: [hex, octal], support: 'full' },
  { nr: 69, name: 'msgsnd', fn: sysMsgsnd, args: [int, ptr, size, octal], support: 'full' },
  {
    nr: 70,
    name: 'msgrcv',
    fn: sysMsgrcv,
    args: [int, ptr, size, long, octal],
    support: 'full',
  },
  { nr: 71, name: 'msgctl', fn: sysMsgctl, args: [int, int, ptr], support: 'full' },
];
