/** signalfd(2): taking signals by reading (fs/signalfd.c). The file answers for the process that reads or polls it. */
import { EAGAIN, EBADF, EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { anonInode } from '../sentry/fsimpl/anon/anon-inode.ts';
import { putU32 } from '../sentry/fsimpl/eventfd/eventfd.ts';
import type { SigInfo } from '../sentry/kernel/sig-info.ts';
import { UNBLOCKABLE_LO } from '../sentry/kernel/sig-set.ts';
import {
  fd,
  flags,
  inStruct,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { dequeueSignal } from '../sentry/kernel/task-run.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { ThreadGroup } from '../sentry/kernel/thread-group.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { CallContext } from '../sentry/vfs/call-context.ts';
import { FileDescription, type TornRead } from '../sentry/vfs/file-description.ts';
import { EPOLLIN, WaitEntry } from '../sentry/waiter/wait-queue.ts';
import { installFd } from './fd-install.ts';
import { fileAt } from './io.ts';

/** sizeof(struct signalfd_siginfo) */
const INFO_SIZE = 128;

class SignalFile extends FileDescription {
  /** Signals that are not wanted. */
  notLo = 0;
  notHi = 0;
  private group: ThreadGroup;
  private readonly entry = new WaitEntry(() => {
    if (this.poll() !== 0) this.waiters.wake(EPOLLIN);
  });

  constructor(t: Task, flagBits: number) {
    super(null, anonInode('signalfd'), O_RDWR | flagBits);
    this.group = t.group;
    this.group.signalWaiters.add(this.entry, EPOLLIN);
  }

  /** Signals of another process count once it uses the file. */
  private follow(t: Task): void {
    if (t.group === this.group) return;
    this.entry.remove();
    this.group = t.group;
    this.group.signalWaiters.add(this.entry, EPOLLIN);
  }

  override get tornRead(): TornRead {
    return 'lost';
  }

  override read(c: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (len < INFO_SIZE) return -EINVAL;
    const t = c as Task;
    this.follow(t);
    let done = 0;
    while (done + INFO_SIZE <= len) {
      const info = dequeueSignal(t, this.notLo, this.notHi);
      if (info === null) break;
      putInfo(buf, off + done, info);
      done += INFO_SIZE;
    }
    return done > 0 ? done : -EAGAIN;
  }

  /** noop_llseek() */
  override seek(): number {
    return this.pos;
  }

  override poll(): number {
    if (this.group.pending.next(this.notLo, this.notHi) !== 0) return EPOLLIN;
    for (const t of this.group.tasks) {
      if (t.pending.next(this.notLo, this.notHi) !== 0) return EPOLLIN;
    }
    return 0;
  }

  setMask(lo: number, hi: number): void {
    this.notLo = (~lo | UNBLOCKABLE_LO) >>> 0;
    this.notHi = ~hi >>> 0;
    if (this.poll() !== 0) this.waiters.wake(EPOLLIN);
  }

  override fdinfo(): string {
    const hex = (v: number): string => (~v >>> 0).toString(16).padStart(8, '0');
    return `sigmask:\t${hex(this.notHi)}${hex(this.notLo)}\n`;
  }

  protected override release(): void {
    this.entry.remove();
  }
}

/** signalfd_copyinfo(): the fields that siginfo_t's union shares are given in every reading that is harmless. */
function putInfo(buf: Uint8Array, at: number, info: SigInfo): void {
  buf.fill(0, at, at + INFO_SIZE);
  const b = info.bytes;
  putU32(buf, at, info.signo);
  putU32(buf, at + 4, info.errno);
  putU32(buf, at + 8, info.code);
  putU32(buf, at + 12, b.readUInt32LE(16)); // ssi_pid
  putU32(buf, at + 16, b.readUInt32LE(20)); // ssi_uid
  putU32(buf, at + 40, b.readUInt32LE(24)); // ssi_status
  putU32(buf, at + 44, b.readUInt32LE(24)); // ssi_int
  putU32(buf, at + 48, b.readUInt32LE(24)); // ssi_ptr
  putU32(buf, at + 52, b.readUInt32LE(28));
}

function doSignalfd(t: Task, fdnum: number, maskAddr: number, sizemask: number, flagBits: number): SysResult {
  if (sizemask !== 8) return -EINVAL;
  if (t.mem.copyIn(maskAddr, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  if ((flagBits & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const lo = scratch.u32[0]!;
  const hi = scratch.u32[1]!;
  if (fdnum !== -1) {
    const f = fileAt(t, fdnum);
    if (f === null) return -EBADF;
    if (!(f instanceof SignalFile)) return -EINVAL;
    f.setMask(lo, hi);
    return fdnum;
  }
  const f = new SignalFile(t, flagBits & O_NONBLOCK);
  f.setMask(lo, hi);
  return installFd(t, f, (flagBits & O_CLOEXEC) !== 0);
}

function sysSignalfd(t: Task, a: SyscallArgs): SysResult {
  return doSignalfd(t, a.int(0), a.addr(1), a.size(2), 0);
}

function sysSignalfd4(t: Task, a: SyscallArgs): SysResult {
  return doSignalfd(t, a.int(0), a.addr(1), a.size(2), a.uint(3));
}

const mask = inStruct(8, 'sigset');

export const signalfdRows: SyscallRow[] = [
  { nr: 282, name: 'signalfd', fn: sysSignalfd, args: [fd, mask, size], support: 'full' },
  {
    nr: 289,
    name: 'signalfd4',
    fn: sysSignalfd4,
    args: [fd, mask, size, flags({ SFD_NONBLOCK: O_NONBLOCK, SFD_CLOEXEC: O_CLOEXEC })],
    support: 'full',
  },
];
