/** The listener of a seccomp filter: receives calls, answers them, puts descriptors into the caller (seccomp_unotify(2)). */
import { EBADF, EFAULT, EINPROGRESS, EINVAL, ENOENT } from '../../abi/errno.ts';
import { O_CLOEXEC, O_RDWR } from '../../abi/fcntl.ts';
import type { SeccompListener } from '../../kernel/seccomp-notify.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import { EPOLLIN, EPOLL_ALL, WaitEntry } from '../../waiter/wait-queue.ts';
import { anonInode } from './anon-inode.ts';

// include/uapi/linux/seccomp.h
const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102;
const SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG_DIR = 0x80082102;
const SECCOMP_IOCTL_NOTIF_ADDFD = 0x40182103;
const SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1;
const SECCOMP_ADDFD_FLAG_SETFD = 1;
const SECCOMP_ADDFD_FLAG_SEND = 2;
/** sizeof struct seccomp_notif, seccomp_notif_resp, seccomp_notif_addfd. */
const NOTIF_SIZE = 80;
const RESP_SIZE = 24;
const ADDFD_SIZE = 24;
const U32 = 0x100000000;

export class SeccompListenerFile extends FileDescription {
  private readonly listener: SeccompListener;
  private readonly entry: WaitEntry;

  constructor(listener: SeccompListener) {
    super(null, anonInode('seccomp notify'), O_RDWR);
    this.listener = listener;
    this.entry = new WaitEntry((events) => this.waiters.wake(events));
    listener.waiters.add(this.entry, EPOLL_ALL);
  }

  protected override release(): void {
    this.entry.remove();
    this.listener.close();
  }

  override poll(): number {
    return this.listener.poll();
  }

  override ioctl(ctx: CallContext, cmd: number, arg: number): number {
    const t = ctx as Task;
    switch (cmd) {
      case SECCOMP_IOCTL_NOTIF_RECV:
        return this.receive(t, arg);
      case SECCOMP_IOCTL_NOTIF_SEND:
        return this.send(t, arg);
      case SECCOMP_IOCTL_NOTIF_ID_VALID:
      case SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG_DIR:
        return this.isValid(t, arg);
      case SECCOMP_IOCTL_NOTIF_ADDFD:
        return this.addFd(t, arg);
      case SECCOMP_IOCTL_NOTIF_SET_FLAGS:
        return (arg & ~SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) === 0 ? 0 : -EINVAL;
      default:
        return -EINVAL;
    }
  }

  /** Waits for a call, whatever O_NONBLOCK says. */
  private receive(t: Task, addr: number): number {
    if (t.mem.copyIn(addr, scratch.bytes, 0, NOTIF_SIZE) !== 0) return -EFAULT;
    for (let i = 0; i < NOTIF_SIZE; i++) if (scratch.bytes[i] !== 0) return -EINVAL;
    const n = this.listener.next();
    if (n === null) {
      t.waitOn(this.listener.waiters, EPOLLIN);
      return t.block();
    }
    const { u32 } = scratch;
    u32[0] = n.id;
    u32[1] = 0;
    u32[2] = n.task.pid.nrIn(t.pidNs);
    u32[3] = 0;
    u32.set(n.data, 4);
    if (t.mem.copyOut(addr, scratch.bytes, 0, NOTIF_SIZE) !== 0) return -EFAULT;
    this.listener.setReceived(n);
    return 0;
  }

  private send(t: Task, addr: number): number {
    if (t.mem.copyIn(addr, scratch.bytes, 0, RESP_SIZE) !== 0) return -EFAULT;
    const { u32, i32 } = scratch;
    const id = u32[1]! * U32 + u32[0]!;
    const value = i32[3]! * U32 + u32[2]!;
    const error = i32[4]!;
    const flags = u32[5]!;
    if ((flags & ~SECCOMP_USER_NOTIF_FLAG_CONTINUE) !== 0) return -EINVAL;
    const proceed = flags !== 0;
    if (proceed && (error !== 0 || value !== 0)) return -EINVAL;
    return this.listener.reply(id, error !== 0 ? error : value, proceed);
  }

  private isValid(t: Task, addr: number): number {
    if (t.mem.copyIn(addr, scratch.bytes, 0, 8) !== 0) return -EFAULT;
    const id = scratch.u32[1]! * U32 + scratch.u32[0]!;
    return typeof this.listener.received(id) === 'number' ? -ENOENT : 0;
  }

  /** seccomp_notify_addfd(): the number in the target. */
  private addFd(t: Task, addr: number): number {
    if (t.mem.copyIn(addr, scratch.bytes, 0, ADDFD_SIZE) !== 0) return -EFAULT;
    const { u32 } = scratch;
    const id = u32[1]! * U32 + u32[0]!;
    const flags = u32[2]!;
    const newFd = u32[4]!;
    const fdFlags = u32[5]!;
    if ((fdFlags & ~O_CLOEXEC) !== 0) return -EINVAL;
    if ((flags & ~(SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND)) !== 0) return -EINVAL;
    if (newFd !== 0 && (flags & SECCOMP_ADDFD_FLAG_SETFD) === 0) return -EINVAL;
    const file = t.fdTable.getRaw(u32[3]! | 0);
    if (file === null) return -EBADF;
    const n = this.listener.received(id);
    if (typeof n === 'number') return n === -EINPROGRESS ? n : -ENOENT;
    const cloexec = fdFlags !== 0;
    const target = n.task;
    const limit = target.group.limits.openFiles;
    let fd: number;
    if ((flags & SECCOMP_ADDFD_FLAG_SETFD) !== 0) {
      if (newFd >= limit) return -EBADF;
      target.fdTable.replace(target, newFd, file.ref(), cloexec);
      fd = newFd;
    } else {
      fd = target.fdTable.install(file.ref(), cloexec, limit);
      if (fd < 0) file.unref();
    }
    if (fd >= 0 && (flags & SECCOMP_ADDFD_FLAG_SEND) !== 0) this.listener.reply(id, fd, false);
    return fd;
  }
}
