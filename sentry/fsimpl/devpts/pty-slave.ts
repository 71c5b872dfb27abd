/** Open files on the slave of a pseudo-terminal: n_tty_read, n_tty_write, n_tty_poll (drivers/tty/n_tty.c). */
import { EAGAIN, EINVAL, EIO, ENOTTY } from '../../abi/errno.ts';
import { O_NONBLOCK } from '../../abi/fcntl.ts';
import { SIGTTIN, SIGTTOU } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import type { Task } from '../../kernel/task.ts';
import { Timer } from '../../time/timer-queue.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDNORM,
  EPOLLWRNORM,
  type WaitQueue,
} from '../../waiter/wait-queue.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, RWF_WAITING, type TornRead } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { NOT_MINE } from '../tty/tty.ts';
import { modeIoctl } from './pty-ioctl.ts';
import type { Pty } from './pty.ts';

/** Unit of VTIME. */
const DECISECOND_NS = 100_000_000;
/** A VTIME wait that nobody came back to within this time was interrupted: the next read starts anew. */
const STALE_NS = 50_000_000;

export class PtySlave extends FileDescription {
  override rwFlags(): number {
    return RWF_WAITING;
  }

  override get fasync(): boolean {
    return true;
  }

  override readonly waiters: WaitQueue;
  readonly pty: Pty;
  // A read under VTIME: until when, and how many characters were there when the time started.
  private deadlineNs = Infinity;
  private countThen = 0;
  private readonly timer = new Timer(() => this.pty.waiters.wake(EPOLLIN));
  private timers: Task['kernel']['timers'] | null = null;

  constructor(pty: Pty, path: Path, inode: Inode, flags: number) {
    super(path, inode, flags);
    this.pty = pty;
    this.waiters = pty.waiters;
  }

  protected override release(): void {
    this.timers?.disarm(this.timer);
    this.pty.slaveReleased();
  }

  override get tornRead(): TornRead {
    return 'spilt';
  }

  override copyUnit(write: boolean): number {
    return write ? T.TTY_WRITE_UNIT : T.TTY_READ_UNIT;
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const { ldisc, termios } = this.pty;
    if (this.pty.hungUp) return 0;
    if (this.pty.ioError) return -EIO;
    const r = this.pty.checkChange(t as Task, SIGTTIN);
    if (r < 0) return r;
    if (len === 0) return 0;
    if ((termios.lflag & (T.ICANON | T.EXTPROC)) === T.ICANON) {
      return ldisc.hasLine ? ldisc.readLine(buf, off, len) : -EAGAIN;
    }
    const min = termios.cc[T.VMIN]!;
    const time = termios.cc[T.VTIME]!;
    const count = ldisc.readable;
    const enough = count >= Math.max(1, Math.min(min, len));
    const partial = count > 0 && (this.flags & O_NONBLOCK) !== 0;
    if (enough || partial) {
      this.endTimed();
      return ldisc.readRaw(buf, off, len);
    }
    if (min === 0 && time === 0) return 0;
    // VTIME counts from the call if VMIN is 0, otherwise from the last character - termios(3).
    if (time === 0 || (min > 0 && count === 0)) return -EAGAIN;
    if (!this.timeIsUp(t as Task, time, count)) return -EAGAIN;
    return count > 0 ? ldisc.readRaw(buf, off, len) : 0;
  }

  private timeIsUp(t: Task, time: number, count: number): boolean {
    const now = t.kernel.clock.monotonicNs();
    const fresh =
      this.deadlineNs === Infinity || count !== this.countThen || now > this.deadlineNs + STALE_NS;
    if (fresh) {
      this.countThen = count;
      this.deadlineNs = now + time * DECISECOND_NS;
      this.timers = t.kernel.timers;
      this.timers.arm(this.timer, this.deadlineNs);
      return false;
    }
    if (now < this.deadlineNs) return false;
    this.endTimed();
    return true;
  }

  private endTimed(): void {
    if (this.deadlineNs === Infinity) return;
    this.deadlineNs = Infinity;
    this.timers?.disarm(this.timer);
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const pty = this.pty;
    if (pty.hungUp || pty.ioError) return -EIO;
    if ((pty.termios.lflag & T.TOSTOP) !== 0) {
      const r = pty.checkChange(t as Task, SIGTTOU);
      if (r < 0) return r;
    }
    if (len === 0) return 0;
    const n = pty.output.write(buf, off, len);
    if (n === 0) return -EAGAIN;
    pty.masterWaiters.wake(EPOLLIN);
    return n;
  }

  override poll(): number {
    const { ldisc, termios, output, hungUp } = this.pty;
    if (hungUp) return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDNORM | EPOLLWRNORM;
    const canonical = (termios.lflag & (T.ICANON | T.EXTPROC)) === T.ICANON;
    const min = canonical || termios.cc[T.VTIME] !== 0 ? 1 : Math.max(1, termios.cc[T.VMIN]!);
    let mask = ldisc.available(min) ? EPOLLIN | EPOLLRDNORM : 0;
    if (output.queue.room > 0 && !output.stopped) mask |= EPOLLOUT | EPOLLWRNORM;
    return mask;
  }

  override ioctl(ctx: CallContext, cmd: number, arg: number): number {
    const t = ctx as Task;
    const pty = this.pty;
    if (pty.hungUp) return cmd === T.TIOCSPGRP ? -ENOTTY : -EIO;
    const job = pty.jobIoctl(t, cmd, arg, false, this.readable);
    if (job !== NOT_MINE) return job;
    if (cmd === T.FIONREAD) return t.mem.writeU32(arg, pty.ldisc.readable);
    if (cmd === T.TCFLSH) {
      const r = pty.checkChange(t, SIGTTOU);
      if (r < 0) return r;
      if (arg !== T.TCIFLUSH && arg !== T.TCOFLUSH && arg !== T.TCIOFLUSH) return -EINVAL;
      pty.flushQueues(arg);
      return 0;
    }
    const mode = modeIoctl(pty, t, cmd, arg, false);
    return mode === NOT_MINE ? -ENOTTY : mode;
  }
}
