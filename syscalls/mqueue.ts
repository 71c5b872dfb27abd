/** POSIX message queues (ipc/mqueue.c; mq_overview(7)). The names have no leading slash here: the C library takes it off. */
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ERESTARTSYS,
  ETIMEDOUT,
} from '../sentry/abi/errno.ts';
import {
  NAME_MAX,
  O_ACCMODE,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  PATH_MAX,
} from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { MQ_PRIO_MAX, MqFile, MqInode, mqueueOf } from '../sentry/fsimpl/mqueue/mqueue.ts';
import {
  fd,
  inBuf,
  inStruct,
  int,
  octal,
  outBuf,
  outStruct,
  path,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { lookupDentry } from '../sentry/vfs/lookup.ts';
import { makeMount } from '../sentry/vfs/mount-namespace.ts';
import type { Mount } from '../sentry/vfs/mount.ts';
import type { SuperBlock } from '../sentry/vfs/super-block.ts';
import type { Path } from '../sentry/vfs/dentry.ts';
import { inodePermission, MAY_READ, MAY_WRITE, mayDelete } from '../sentry/vfs/permission.ts';
import { EPOLLIN, EPOLLOUT } from '../sentry/waiter/wait-queue.ts';
import { installFd } from './fd-install.ts';
import { SIGEVENT_SIZE, sysMqNotify } from './mq-notify.ts';

/** sizeof(struct mq_attr) */
const MQ_ATTR_SIZE = 64;
/** si_code of a queue's signal. */
const NS = 1_000_000_000;

/** The internal mount of a namespace's queues (ipc_ns->mq_mnt). */
const mounts = new WeakMap<SuperBlock, Mount>();

function rootOf(t: Task): Path {
  const sb = mqueueOf(t.ns.ipc);
  let mount = mounts.get(sb);
  if (mount === undefined) {
    mount = makeMount(sb, 0, 'none');
    mounts.set(sb, mount);
  }
  return { mount, dentry: mount.root };
}

/** lookup_one_len(): the name of a queue, or −errno. */
function queueName(t: Task, addr: number): string | number {
  const name = t.mem.copyInString(addr, PATH_MAX);
  if (typeof name === 'number') return name;
  if (name.length === 0) return -ENOENT;
  if (name === '.' || name === '..' || name.includes('/')) return -EACCES;
  return name.length > NAME_MAX ? -ENAMETOOLONG : name;
}

interface QueueAttr {
  maxMessages: number;
  messageSize: number;
}

/** mq_maxmsg and mq_msgsize of a struct mq_attr; a long that is no safe integer is out of every limit. */
function readAttr(t: Task, addr: number): QueueAttr | number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, MQ_ATTR_SIZE) !== 0) return -EFAULT;
  const long = (i: number): number => scratch.i32[2 * i + 1]! * 0x100000000 + scratch.u32[2 * i]!;
  return { maxMessages: long(1), messageSize: long(2) };
}

function sysMqOpen(t: Task, a: SyscallArgs): SysResult {
  const oflag = a.int(1);
  const attrAddr = a.addr(3);
  let attr: QueueAttr | null = null;
  if (attrAddr !== 0) {
    const given = readAttr(t, attrAddr);
    if (typeof given === 'number') return given;
    attr = given;
  }
  const name = queueName(t, a.addr(0));
  if (typeof name === 'number') return name;
  const root = rootOf(t);
  const dentry = lookupDentry(t, root.dentry, name);
  if (typeof dentry === 'number') return dentry;
  if (dentry.inode === null) {
    if ((oflag & O_CREAT) === 0) return -ENOENT;
    const sb = mqueueOf(t.ns.ipc);
    const q = sb.newQueue(t, a.uint(2) & 0o7777 & ~t.fs.umask, attr);
    if (typeof q === 'number') return q;
    sb.root.put(name, q);
    dentry.instantiate(q);
  } else {
    if ((oflag & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
    const acc = oflag & O_ACCMODE;
    if (acc === O_ACCMODE) return -EINVAL;
    const want = acc === O_RDONLY ? MAY_READ : acc === O_RDWR ? MAY_READ | MAY_WRITE : MAY_WRITE;
    const r = inodePermission(t, dentry.inode, want);
    if (r !== 0) return r;
  }
  const q = dentry.inode;
  if (!(q instanceof MqInode)) return -EINVAL;
  const file = new MqFile(q, { mount: root.mount, dentry }, oflag & (O_ACCMODE | O_NONBLOCK));
  // "mq_open … sets the close-on-exec flag"
  return installFd(t, file, true);
}

function sysMqUnlink(t: Task, a: SyscallArgs): SysResult {
  const name = queueName(t, a.addr(0));
  if (typeof name === 'number') return name;
  const root = rootOf(t);
  const dentry = lookupDentry(t, root.dentry, name);
  if (typeof dentry === 'number') return dentry;
  const inode = dentry.inode;
  if (inode === null) return -ENOENT;
  const refused = mayDelete(t, root.dentry.inode!, inode, false);
  if (refused !== 0) return refused;
  const r = root.dentry.inode!.unlink(name, inode);
  if (r === 0) dentry.markDeleted();
  return r;
}

class MqWait {
  readonly file: MqFile;
  /** What is to be sent, copied when the call began. */
  data: Buffer | null = null;
  readonly deadlineNs: number;
  readonly receiving: boolean;

  constructor(file: MqFile, deadlineNs: number, receiving: boolean) {
    this.file = file;
    this.deadlineNs = deadlineNs;
    this.receiving = receiving;
    file.ref();
  }
}

/** Deadline on the monotonic clock of the absolute CLOCK_REALTIME timespec at `addr`; −errno if malformed. */
function readDeadline(t: Task, addr: number): number {
  if (addr === 0) return Infinity;
  if (t.mem.copyIn(addr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const sec = scratch.i32[1]! * 0x100000000 + scratch.u32[0]!;
  const nsec = scratch.i32[3]! * 0x100000000 + scratch.u32[2]!;
  if (sec < 0 || nsec < 0 || nsec >= NS) return -EINVAL;
  const left = (sec - t.nowSec) * NS + (nsec - t.nowNsec);
  return Math.max(0, t.kernel.clock.monotonicNs() + left);
}

function endWait(w: MqWait | null): void {
  if (w === null) return;
  if (w.receiving) w.file.queue.receivers--;
  w.file.unref();
}

function interrupted(t: Task): SysResult {
  endWait(t.blockState as MqWait);
  return -ERESTARTSYS;
}

/** Parks the caller until the queue changes; the state is counted anew at each round. */
function park(t: Task, w: MqWait, events: number): SysResult {
  if (w.receiving) w.file.queue.receivers++;
  t.blockState = w;
  t.waitOn(w.file.waiters, events);
  return t.block(w.deadlineNs, interrupted);
}

function queueFile(t: Task, fdnum: number, write: boolean): MqFile | number {
  const f = t.fdTable.get(fdnum);
  if (!(f instanceof MqFile)) return -EBADF;
  return (write ? f.writable : f.readable) ? f : -EBADF;
}

function sysMqTimedsend(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as MqWait | null;
  const len = a.size(2);
  const priority = a.uint(3);
  let f: MqFile;
  let deadlineNs = Infinity;
  if (w === null) {
    deadlineNs = readDeadline(t, a.addr(4));
    if (deadlineNs < 0) return deadlineNs;
    if (priority >= MQ_PRIO_MAX) return -EINVAL;
    const found = queueFile(t, a.int(0), true);
    if (typeof found === 'number') return found;
    f = found;
  } else {
    f = w.file;
  }
  let data = w === null ? null : w.data;
  if (data === null) {
    if (len > f.queue.messageSize) return -EMSGSIZE;
    data = Buffer.alloc(len);
    if (t.mem.copyIn(a.addr(1), data, 0, len) !== 0) return -EFAULT;
  }
  if (!f.queue.isFull) {
    f.queue.send(data, priority, t);
    endWait(w);
    return 0;
  }
  if (w === null && (f.flags & O_NONBLOCK) !== 0) return -EAGAIN;
  if (w !== null && t.timedOut) {
    endWait(w);
    return -ETIMEDOUT;
  }
  const wait = w ?? new MqWait(f, deadlineNs, false);
  wait.data = data;
  return park(t, wait, EPOLLOUT);
}

function sysMqTimedreceive(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as MqWait | null;
  let f: MqFile;
  let deadlineNs = Infinity;
  if (w === null) {
    deadlineNs = readDeadline(t, a.addr(4));
    if (deadlineNs < 0) return deadlineNs;
    const found = queueFile(t, a.int(0), false);
    if (typeof found === 'number') return found;
    f = found;
    if (a.size(2) < f.queue.messageSize) return -EMSGSIZE;
  } else {
    f = w.file;
    f.queue.receivers--;
  }
  if (f.queue.count > 0) {
    const m = f.queue.receive();
    w?.file.unref();
    const prioAddr = a.addr(3);
    if (prioAddr !== 0 && t.mem.writeU32(prioAddr, m.priority) !== 0) return -EFAULT;
    const r = t.mem.copyOut(a.addr(1), m.data, 0, m.data.length);
    return r < 0 ? r : m.data.length;
  }
  if (w === null && (f.flags & O_NONBLOCK) !== 0) return -EAGAIN;
  if (w !== null && t.timedOut) {
    w.file.unref();
    return -ETIMEDOUT;
  }
  return park(t, w ?? new MqWait(f, deadlineNs, true), EPOLLIN);
}

function sysMqGetsetattr(t: Task, a: SyscallArgs): SysResult {
  const newAddr = a.addr(1);
  const oldAddr = a.addr(2);
  let flags = -1;
  if (newAddr !== 0) {
    if (t.mem.copyIn(newAddr, scratch.bytes, 0, MQ_ATTR_SIZE) !== 0) return -EFAULT;
    flags = scratch.u32[0]!;
    if ((flags & ~O_NONBLOCK) !== 0 || scratch.u32[1] !== 0) return -EINVAL;
  }
  const f = t.fdTable.get(a.int(0));
  if (!(f instanceof MqFile)) return -EBADF;
  const q = f.queue;
  scratch.bytes.fill(0, 0, MQ_ATTR_SIZE);
  scratch.u32[0] = f.flags & O_NONBLOCK;
  scratch.u32[2] = q.maxMessages;
  scratch.u32[4] = q.messageSize;
  scratch.u32[6] = q.count;
  if (newAddr !== 0) f.flags = (f.flags & ~O_NONBLOCK) | flags;
  return oldAddr === 0 ? 0 : t.mem.copyOut(oldAddr, scratch.bytes, 0, MQ_ATTR_SIZE);
}

const timespec = inStruct(16);

export const mqueueRows: SyscallRow[] = [
  {
    nr: 240,
    name: 'mq_open',
    fn: sysMqOpen,
    args: [path, int, octal, inStruct(MQ_ATTR_SIZE)],
    support: 'full',
  },
  { nr: 241, name: 'mq_unlink', fn: sysMqUnlink, args: [path], support: 'full' },
  {
    nr: 242,
    name: 'mq_timedsend',
    fn: sysMqTimedsend,
    args: [fd, inBuf(2), size, uint, timespec],
    support: 'full',
  },
  {
    nr: 243,
    name: 'mq_timedreceive',
    fn: sysMqTimedreceive,
    args: [fd, outBuf(2), size, outStruct(4), timespec],
    support: 'full',
  },
  {
    nr: 244,
    name: 'mq_notify',
    fn: sysMqNotify,
    args: [fd, inStruct(SIGEVENT_SIZE)],
    support: 'full',
  },
  {
    nr: 245,
    name: 'mq_getsetattr',
    fn: sysMqGetsetattr,
    args: [fd, inStruct(MQ_ATTR_SIZE), outStruct(MQ_ATTR_SIZE)],
    support: 'full',
  },
];
