/** pidfd: a descriptor that refers to a process (kernel/fork.c pidfd_fops). Readable once the process has ended. */
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.ts';
import type { Pid } from '../../kernel/pid-namespace.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import { EPOLLIN, EPOLLRDNORM, EPOLL_ALL, WaitEntry } from '../../waiter/wait-queue.ts';
import { anonInode } from './anon-inode.ts';

export class PidFdFile extends FileDescription {
  readonly pid: Pid;
  private readonly entry: WaitEntry;

  constructor(pid: Pid, nonblock: boolean) {
    super(null, anonInode('pidfd'), O_RDWR | (nonblock ? O_NONBLOCK : 0));
    this.pid = pid;
    this.entry = new WaitEntry((events) => this.waiters.wake(events));
    pid.waiters.add(this.entry, EPOLL_ALL);
  }

  protected override release(): void {
    this.entry.remove();
  }

  override poll(): number {
    const g = this.pid.group;
    return g === null || g.isZombie ? EPOLLIN | EPOLLRDNORM : 0;
  }

  override fdinfo(): string {
    const g = this.pid.group;
    const nr = g === null ? -1 : this.pid.nr;
    return `Pid:\t${nr}\nNSpid:\t${nr}\n`;
  }
}
