/** pidfd: a descriptor that refers to a process (kernel/fork.c pidfd_fops). Readable once the process has ended. */
import { EFAULT, EINVAL, ENOTTY, ESRCH } from '../../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import type { Pid } from '../../kernel/pid-namespace.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import { EPOLLHUP, EPOLLIN, EPOLLRDNORM, EPOLL_ALL, WaitEntry } from '../../waiter/wait-queue.ts';
import { openNamespaceOf } from '../proc/ns.ts';
import { pidfsInode } from './anon-inode.ts';

// include/uapi/linux/pidfd.h
const PIDFS_IOCTL_MAGIC = 0xff;
const PIDFD_GET_INFO = 11;
const PIDFD_INFO_PID = 1;
const PIDFD_INFO_CREDS = 2;
const PIDFD_INFO_EXIT = 8;
const PIDFD_INFO_SIZE_VER0 = 64;

/** A pidfd of `p` in the descriptor table of `t`: its number, or −errno. */
export function installPidfd(t: Task, p: Pid, thread = false): number {
  const f = new PidFdFile(p, false, thread);
  const n = t.fdTable.install(f, true, t.group.limits.openFiles);
  if (n < 0) f.unref();
  return n;
}

/** O_EXCL: of one thread rather than of a process. */
export const PIDFD_THREAD = 0x80;

export class PidFdFile extends FileDescription {
  readonly pid: Pid;
  /** It stands for one thread. */
  readonly thread: boolean;
  private readonly entry: WaitEntry;

  constructor(pid: Pid, nonblock: boolean, thread = false) {
    super(null, pidfsInode(), O_RDWR | (nonblock ? O_NONBLOCK : 0) | (thread ? PIDFD_THREAD : 0));
    this.thread = thread;
    this.pid = pid;
    this.entry = new WaitEntry((events) => this.waiters.wake(events));
    pid.waiters.add(this.entry, EPOLL_ALL);
  }

  protected override release(): void {
    this.entry.remove();
  }

  override takesOffset(_write: boolean): boolean {
    return true;
  }

  /** pidfd_poll() */
  override poll(): number {
    const { task, group: g } = this.pid;
    if (g === null && (!this.thread || task === null)) return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
    if (this.thread) return task === null || task.dead ? EPOLLIN | EPOLLRDNORM : 0;
    return g!.hasEnded ? EPOLLIN | EPOLLRDNORM : 0;
  }

  /** pidfd_ioctl() */
  override ioctl(t: CallContext, cmd: number, arg: number): number {
    const kind = (cmd >>> 8) & 0xff;
    const nr = cmd & 0xff;
    if (kind !== PIDFS_IOCTL_MAGIC || nr === 0 || nr > PIDFD_GET_INFO) return -ENOTTY;
    if (nr === PIDFD_GET_INFO) return this.info(t as Task, (cmd >>> 16) & 0x3fff, arg);
    if (cmd !== ((PIDFS_IOCTL_MAGIC << 8) | nr)) return -ENOTTY;
    const target = this.target();
    if (target === null) return -ESRCH;
    return arg !== 0 ? -EINVAL : openNamespaceOf(t as Task, target, nr);
  }

  /** The thread meant, or one that has not ended; null of zombies. */
  target(): Task | null {
    const { task, group: g } = this.pid;
    if (task !== null && !task.dead) return task;
    if (this.thread || g === null || g.isZombie) return null;
    return g.leader.dead ? (g.tasks.values().next().value ?? null) : g.leader;
  }

  /** pidfd_info(): struct pidfd_info of the sizes that Linux has had. */
  private info(t: Task, size: number, arg: number): number {
    if (arg === 0) return -EINVAL;
    if (size < PIDFD_INFO_SIZE_VER0) return -ENOTTY;
    if (t.mem.copyIn(arg, scratch.bytes, 0, 8) !== 0) return -EFAULT;
    const wanted = scratch.u32[0]!;
    const words = scratch.u32;
    scratch.bytes.fill(0, 0, PIDFD_INFO_SIZE_VER0);
    let mask = 0;
    const exit = this.pid.exitStatus;
    if ((wanted & PIDFD_INFO_EXIT) !== 0 && exit !== null) {
      mask |= PIDFD_INFO_EXIT;
      words[15] = exit;
    }
    const task = this.pid.group?.leader ?? this.pid.task;
    // current_in_pidns(): what is known of the reaped is also for those only who could have seen them.
    const nr = this.pid.nrIn(t.pidNs);
    if (nr === 0) return -ESRCH;
    if (task === null) {
      if ((wanted & PIDFD_INFO_EXIT) === 0) return -ESRCH;
    } else {
      const { userNs } = t.creds;
      const c = task.creds;
      mask |= PIDFD_INFO_PID | PIDFD_INFO_CREDS;
      const parent = task.group.parent;
      const ids = [c.uid, c.gid, c.euid, c.egid, c.suid, c.sgid, c.fsuid, c.fsgid];
      words[4] = nr;
      words[5] = task.group.pid.nrIn(t.pidNs);
      words[6] = parent === null ? 0 : parent.pid.nrIn(t.pidNs);
      ids.forEach((id, i) => (words[7 + i] = i % 2 === 0 ? userNs.fromUid(id) : userNs.fromGid(id)));
    }
    words[0] = mask;
    return t.mem.copyOut(arg, scratch.bytes, 0, PIDFD_INFO_SIZE_VER0);
  }

  override fdinfo(): string {
    const gone = this.pid.group === null && this.pid.task === null;
    const nr = gone ? -1 : this.pid.nr;
    return `Pid:\t${nr}\nNSpid:\t${nr}\n`;
  }
}
