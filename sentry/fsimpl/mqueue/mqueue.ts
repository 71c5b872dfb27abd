/** mqueue: the file system of POSIX message queues (ipc/mqueue.c; mq_overview(7)). One instance per IPC namespace. */
import { EINVAL, EMFILE, ENFILE, ENOENT, ENOSPC, ENXIO, EOVERFLOW } from '../../abi/errno.ts';
import { SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '../../abi/fcntl.ts';
import { S_IFREG, modeToDt } from '../../abi/stat.ts';
import { CAP_SYS_RESOURCE } from '../../auth/capability.ts';
import type { Credentials } from '../../auth/credentials.ts';
import type { IpcNamespace } from '../../kernel/namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM, WaitQueue } from '../../waiter/wait-queue.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, RWF_HIPRI } from '../../vfs/file-description.ts';
import { noOptions, registerFileSystem } from '../../vfs/fs-types.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import { applyAttr, now } from '../kernfs/attr.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';

const MQUEUE_MAGIC = 0x19800202;
// Defaults of /proc/sys/fs/mqueue, and what CAP_SYS_RESOURCE may go up to.
const QUEUES_MAX = 256;
const MSG_MAX = 10;
const MSGSIZE_MAX = 8192;
const HARD_MSGMAX = 65536;
const HARD_MSGSIZEMAX = 16 * 1024 * 1024;
export const MQ_PRIO_MAX = 32768;
const RLIMIT_MSGQUEUE = 12;
/** sizeof(struct msg_msg), sizeof(struct posix_msg_tree_node): counted against RLIMIT_MSGQUEUE. */
const MESSAGE_OVERHEAD = 48;

export interface Message {
  readonly priority: number;
  readonly data: Buffer;
}

/** Who is told about the first message of an empty queue (mq_notify). */
export interface Notification {
  readonly tgid: number;
  /** SIGEV_* */
  readonly method: number;
  readonly signo: number;
  readonly fire: (sender: Task) => void;
  /** It was taken back unused. */
  readonly removed: () => void;
}

const bytesByUid = new Map<number, number>();

export class MqInode extends Inode {
  readonly maxMessages: number;
  readonly messageSize: number;
  readonly waiters = new WaitQueue();
  /** Sorted: highest priority first, oldest first within one. */
  private readonly messages: Message[] = [];
  private bytes = 0;
  notification: Notification | null = null;
  /** Tasks blocked in mq_timedreceive: a message for them is no news to notify about. */
  receivers = 0;
  private readonly chargedUid: number;
  private readonly chargedBytes: number;

  constructor(sb: MqueueSuperBlock, perm: number, t: CallContext, maxMessages: number, messageSize: number) {
    super(sb, sb.nextIno(), S_IFREG | perm, t.creds.fsuid, t.creds.fsgid);
    this.maxMessages = maxMessages;
    this.messageSize = messageSize;
    this.size = 80;
    this.atime = this.mtime = this.ctime = now();
    this.chargedUid = t.creds.uid;
    this.chargedBytes = queueBytes(maxMessages, messageSize);
    bytesByUid.set(this.chargedUid, (bytesByUid.get(this.chargedUid) ?? 0) + this.chargedBytes);
  }

  override evict(): void {
    const left = (bytesByUid.get(this.chargedUid) ?? 0) - this.chargedBytes;
    if (left > 0) bytesByUid.set(this.chargedUid, left);
    else bytesByUid.delete(this.chargedUid);
    (this.sb as MqueueSuperBlock).queues--;
  }

  get count(): number {
    return this.messages.length;
  }

  get isFull(): boolean {
    return this.messages.length >= this.maxMessages;
  }

  /** Preconditions: not full. */
  send(data: Buffer, priority: number, sender: Task): void {
    const wasEmpty = this.messages.length === 0;
    let i = this.messages.length;
    while (i > 0 && this.messages[i - 1]!.priority < priority) i--;
    this.messages.splice(i, 0, { priority, data });
    this.bytes += data.length;
    this.mtime = this.ctime = now();
    if (wasEmpty && this.receivers === 0 && this.notification !== null) {
      // "The registration is removed after the notification" - mq_notify(3)
      const n = this.notification;
      this.notification = null;
      n.fire(sender);
    }
    this.waiters.wake(EPOLLIN | EPOLLRDNORM);
  }

  /** Preconditions: not empty. */
  receive(): Message {
    const m = this.messages.shift()!;
    this.bytes -= m.data.length;
    this.atime = this.ctime = now();
    this.waiters.wake(EPOLLOUT | EPOLLWRNORM);
    return m;
  }

  /** remove_notification(), if it is that process's. */
  unregister(tgid: number): void {
    const n = this.notification;
    if (n?.tgid !== tgid) return;
    this.notification = null;
    n.removed();
  }

  statusLine(): string {
    const n = this.notification;
    const field = (value: number, width: number): string => String(value).padEnd(width);
    return (
      `QSIZE:${field(this.bytes, 10)} NOTIFY:${field(n?.method ?? 0, 5)} ` +
      `SIGNO:${field(n?.signo ?? 0, 5)} NOTIFY_PID:${field(n?.tgid ?? 0, 6)}\n`
    );
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription {
    return new MqFile(this, path, flags);
  }

  override setAttr(change: AttrChange): number {
    return applyAttr(this, change);
  }
}

export class MqFile extends FileDescription {
  override rwFlags(): number {
    return RWF_HIPRI;
  }

  override canSplice(): boolean {
    return false;
  }

  readonly queue: MqInode;
  override readonly waiters: WaitQueue;

  constructor(queue: MqInode, path: Path, flags: number) {
    super(path, queue, flags);
    this.queue = queue;
    this.waiters = queue.waiters;
  }

  override get seekable(): boolean {
    return true;
  }

  /** default_llseek() */
  override seek(_t: CallContext, offset: number, whence: number): number {
    const { size } = this.queue;
    if ((whence === SEEK_DATA || whence === SEEK_HOLE) && offset >= size) return -ENXIO;
    let pos = offset;
    if (whence === SEEK_CUR) pos += this.pos;
    else if (whence === SEEK_END) pos += size;
    else if (whence === SEEK_HOLE) pos = size;
    else if (whence !== SEEK_SET && whence !== SEEK_DATA) return -EINVAL;
    if (pos < 0) return -EINVAL;
    this.pos = pos;
    return pos;
  }

  /** simple_setattr(): a size that says nothing. */
  override truncate(_t: CallContext, size: number): number {
    this.queue.size = size;
    this.queue.mtime = this.queue.ctime = now();
    return 0;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const text = Buffer.from(this.queue.statusLine(), 'latin1');
    if (pos >= text.length) return 0;
    const end = Math.min(text.length, pos + len);
    buf.set(text.subarray(pos, end), off);
    return end - pos;
  }

  override poll(): number {
    const q = this.queue;
    return (q.count > 0 ? EPOLLIN | EPOLLRDNORM : 0) | (q.isFull ? 0 : EPOLLOUT | EPOLLWRNORM);
  }

  /** Any close by the process that asked for notification ends its registration. */
  override flush(t: CallContext): number {
    this.queue.unregister(t.tgid);
    return 0;
  }
}

class MqueueRoot extends KernfsDir {
  private readonly nodes = new Map<string, MqInode>();

  override lookup(name: string): Inode | number {
    return this.nodes.get(name) ?? -ENOENT;
  }

  put(name: string, q: MqInode): void {
    this.nodes.set(name, q);
    q.hold();
  }

  /** open(2) with O_CREAT in the mounted directory makes a queue with default attributes. */
  override create(name: string, mode: number, uid: number, gid: number): Inode | number {
    const sb = this.sb as MqueueSuperBlock;
    if (sb.queues >= QUEUES_MAX) return -ENOSPC;
    const who = { creds: { fsuid: uid, fsgid: gid, uid } as Credentials } as CallContext;
    const q = sb.makeQueue(mode, who, MSG_MAX, MSGSIZE_MAX);
    this.put(name, q);
    return q;
  }

  override unlink(name: string, inode: Inode): number {
    if (this.nodes.get(name) !== inode) return -ENOENT;
    this.nodes.delete(name);
    inode.nlink = 0;
    inode.ctime = now();
    inode.drop();
    return 0;
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    let off = FIRST_ENTRY;
    for (const [name, q] of this.nodes) {
      if (off >= from) yield { name, ino: q.ino, type: modeToDt(q.mode), off };
      off++;
    }
  }
}

class MqueueSuperBlock extends KernfsSuperBlock {
  readonly fsType = 'mqueue';
  override readonly noExec = true;
  readonly magic = MQUEUE_MAGIC;
  override readonly root: MqueueRoot;
  queues = 0;

  constructor() {
    super();
    this.root = new MqueueRoot(this, 0o1777);
    // mqueue_get_inode(): 2 * DIRENT_SIZE, however many queues there are.
    this.root.size = 40;
  }

  makeQueue(perm: number, t: CallContext, maxMessages: number, messageSize: number): MqInode {
    this.queues++;
    return new MqInode(this, perm & 0o7777, t, maxMessages, messageSize);
  }

  /** mqueue_create_attr(): a new queue with the given or default limits, or −errno. */
  newQueue(
    t: Task,
    perm: number,
    attr: { maxMessages: number; messageSize: number } | null,
  ): MqInode | number {
    const privileged = t.creds.has(CAP_SYS_RESOURCE);
    const { ipc } = t.ns;
    const msgMax = ipc.limit('fs/mqueue/msg_max', MSG_MAX);
    const sizeMax = ipc.limit('fs/mqueue/msgsize_max', MSGSIZE_MAX);
    if (this.queues >= ipc.limit('fs/mqueue/queues_max', QUEUES_MAX) && !privileged) return -ENOSPC;
    const max = attr?.maxMessages ?? Math.min(msgMax, ipc.limit('fs/mqueue/msg_default', MSG_MAX));
    const size = attr?.messageSize ?? Math.min(sizeMax, ipc.limit('fs/mqueue/msgsize_default', MSGSIZE_MAX));
    if (max <= 0 || size <= 0) return -EINVAL;
    if (max > (privileged ? HARD_MSGMAX : msgMax) || size > (privileged ? HARD_MSGSIZEMAX : sizeMax)) {
      return -EINVAL;
    }
    const bytes = queueBytes(max, size);
    if (bytes > Number.MAX_SAFE_INTEGER) return -EOVERFLOW;
    if ((bytesByUid.get(t.creds.uid) ?? 0) + bytes > t.group.limits.cur(RLIMIT_MSGQUEUE)) return -EMFILE;
    // A queue that exists holds memory of the kernel's; all of them together are bounded.
    if (this.queues >= 4 * QUEUES_MAX) return -ENFILE;
    return this.makeQueue(perm, t, max, size);
  }
}

function queueBytes(max: number, size: number): number {
  return max * size + max * MESSAGE_OVERHEAD + Math.min(max, MQ_PRIO_MAX) * MESSAGE_OVERHEAD;
}

const instances = new WeakMap<IpcNamespace, MqueueSuperBlock>();
/** Mounted by the kernel itself before the first process: becomes the first namespace's. */
let early: MqueueSuperBlock | null = null;

export function mqueueOf(ns: IpcNamespace): MqueueSuperBlock {
  let sb = instances.get(ns);
  if (sb === undefined) {
    sb = early ?? new MqueueSuperBlock();
    early = null;
    instances.set(ns, sb);
  }
  return sb;
}

export function registerMqueue(): void {
  registerFileSystem({
    name: 'mqueue',
    nodev: true,
    owner: (t) => (t as Task).ns.ipc.owner,
    checkOption: noOptions,
    mount: (t, _source, _flags, data) =>
      noOptions(data) || (t === null ? (early ??= new MqueueSuperBlock()) : mqueueOf((t as Task).ns.ipc)),
  });
}
