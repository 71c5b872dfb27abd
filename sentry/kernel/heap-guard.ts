/**
 * Memory for the kernel's own objects. Most kinds have Linux's limits, but those are per process or user, and descriptors of a
 * thousand processes are more than V8's heap holds, whose end is the sandbox's. When little of it is left, calls that make
 * something lasting are answered as in Linux when there is no memory for it; what frees and what merely works goes on.
 */
import { ENOMEM } from '../abi/errno.ts';
import type { Kernel } from './kernel.ts';
import type { SyscallRow } from './syscall-table.ts';

/** Parts of the heap: from the first on nothing new is made, until less than the second is used. */
const TIGHT = 0.75;
const RELAXED = 0.7;

export const MAKING_CALLS: ReadonlySet<string> = new Set(
  `open openat openat2 creat open_by_handle_at memfd_create mq_open dup dup2 dup3 pipe pipe2 socket socketpair accept accept4
  eventfd eventfd2 epoll_create epoll_create1 epoll_ctl inotify_init inotify_init1 inotify_add_watch signalfd signalfd4
  timerfd_create timer_create pidfd_open pidfd_getfd io_setup fork vfork clone clone3 unshare mmap mremap mprotect
  pkey_mprotect mkdir mkdirat mknod mknodat link linkat symlink symlinkat setxattr lsetxattr fsetxattr
  mount fsopen fsmount fspick open_tree move_mount seccomp add_key request_key semget shmget shmat msgget
  setgroups rt_sigqueueinfo rt_tgsigqueueinfo`.split(/\s+/),
);

export class HeapGuard {
  private readonly kernel: Kernel;
  private readonly usual: Kernel['table'];
  private readonly frugal: Kernel['table'];
  private isTight = false;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.usual = kernel.table;
    this.frugal = kernel.table.map((row) =>
      row !== null && MAKING_CALLS.has(row.name) ? ({ ...row, fn: () => -ENOMEM } satisfies SyscallRow) : row,
    );
  }

  /** `used` of `limit` bytes of the heap are in use, garbage among them: V8 has collected by the time it comes to that. */
  note(used: number, limit: number): void {
    const isTight = used > limit * (this.isTight ? RELAXED : TIGHT);
    if (isTight === this.isTight) return;
    this.isTight = isTight;
    this.kernel.table = isTight ? this.frugal : this.usual;
    this.kernel.report(
      isTight ? 'little memory is left for kernel objects' : 'there is memory for kernel objects again',
    );
  }
}
