/** Open file on the master of a pseudo-terminal (drivers/tty/pty.c). One open of /dev/ptmx makes one pair. */
import { EAGAIN, EINVAL, EIO, ENOTTY } from '../../abi/errno.ts';
import { O_ACCMODE, O_CLOEXEC, O_NOCTTY, O_NONBLOCK } from '../../abi/fcntl.ts';
import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import {
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
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

/** What the master needs of its devpts instance. */
export interface PtyOwner {
  /** The master is closed: the name goes. */
  remove(pty: Pty): void;
  /** Opens the slave by the instance's own root, whatever is mounted over /dev/pts (TIOCGPTPEER). */
  openPeer(t: CallContext, pty: Pty, master: Path, flags: number): FileDescription | number;
}

export class PtyMaster extends FileDescription {
  override rwFlags(): number {
    return RWF_WAITING;
  }

  override get fasync(): boolean {
    return true;
  }

  override readonly waiters: WaitQueue;
  readonly pty: Pty;
  private readonly ptyOwner: PtyOwner;
  private exclusive = false;

  constructor(pty: Pty, owner: PtyOwner, path: Path, inode: Inode, flags: number) {
    super(path, inode, flags);
    this.pty = pty;
    this.ptyOwner = owner;
    this.waiters = pty.masterWaiters;
  }

  override fdinfo(): string {
    return `tty-index:\t${this.pty.index}\n`;
  }

  protected override release(): void {
    this.ptyOwner.remove(this.pty);
    this.pty.masterReleased();
  }

  override get tornRead(): TornRead {
    return 'spilt';
  }

  override copyUnit(write: boolean): number {
    return write ? T.TTY_WRITE_UNIT : T.TTY_READ_UNIT;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const pty = this.pty;
    const queue = pty.output.queue;
    if (len === 0) return 0;
    if (pty.packet && pty.packetBits !== 0) {
      buf[off] = pty.packetBits;
      pty.packetBits = 0;
      return 1;
    }
    pty.output.flushEchoes();
    if (queue.length === 0) return pty.slaveClosed || pty.hungUp ? -EIO : -EAGAIN;
    let head = 0;
    if (pty.packet) {
      buf[off] = T.TIOCPKT_DATA;
      head = 1;
    }
    const n = queue.read(buf, off + head, Math.min(len - head, pty.output.arrived));
    pty.output.flushEchoes();
    pty.waiters.wake(EPOLLOUT);
    return head + n;
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (this.pty.hungUp) return -EIO;
    if (len === 0) return 0;
    if (this.pty.masterStopped) return -EAGAIN;
    const n = this.pty.type(buf, off, len);
    return n === 0 ? -EAGAIN : n;
  }

  override poll(): number {
    const pty = this.pty;
    let mask = pty.output.queue.length > 0 ? EPOLLIN | EPOLLRDNORM : 0;
    if (pty.packet && pty.packetBits !== 0) mask |= EPOLLPRI | EPOLLIN | EPOLLRDNORM;
    if (pty.slaveClosed || pty.hungUp) mask |= EPOLLHUP;
    if (pty.masterMayWrite) mask |= EPOLLOUT | EPOLLWRNORM;
    return mask;
  }

  override ioctl(ctx: CallContext, cmd: number, arg: number): number {
    const t = ctx as Task;
    const pty = this.pty;
    switch (cmd) {
      case T.TIOCGPTN:
        return t.mem.writeU32(arg, pty.index);
      case T.TIOCSPTLCK: {
        const r = t.mem.readU32(arg);
        if (r === 0) pty.locked = scratch.u32[0] !== 0;
        return r;
      }
      case T.TIOCGPTLCK:
        return t.mem.writeU32(arg, pty.locked ? 1 : 0);
      case T.TIOCPKT: {
        const r = t.mem.readU32(arg);
        if (r === 0) this.setPacket(scratch.u32[0] !== 0);
        return r;
      }
      case T.TIOCGPKT:
        return t.mem.writeU32(arg, pty.packet ? 1 : 0);
      case T.TIOCSIG:
        if (arg !== SIGINT && arg !== SIGQUIT && arg !== SIGTSTP) return -EINVAL;
        pty.signalForeground(arg);
        return 0;
      case T.TIOCGPTPEER:
        return this.openPeer(t, arg);
      case T.TIOCEXCL:
      case T.TIOCNXCL:
        // Of the master, which cannot be opened again.
        this.exclusive = cmd === T.TIOCEXCL;
        return 0;
      case T.TIOCGEXCL:
        return t.mem.writeU32(arg, this.exclusive ? 1 : 0);
      case T.FIONREAD:
        return t.mem.writeU32(arg, pty.output.arrived);
      case T.TCFLSH:
        if (arg !== T.TCIFLUSH && arg !== T.TCOFLUSH && arg !== T.TCIOFLUSH) return -EINVAL;
        pty.flushMasterQueues(arg);
        return 0;
      case T.TIOCNOTTY:
        return -ENOTTY;
      default: {
        const job = pty.jobIoctl(t, cmd, arg, true, this.readable);
        if (job !== NOT_MINE) return job;
        const mode = modeIoctl(pty, t, cmd, arg, true);
        return mode === NOT_MINE ? -ENOTTY : mode;
      }
    }
  }

  private setPacket(on: boolean): void {
    if (on && !this.pty.packet) this.pty.packetBits = 0;
    this.pty.packet = on;
  }

  private openPeer(t: Task, flags: number): number {
    const kept = flags & (O_ACCMODE | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    const f = this.ptyOwner.openPeer(t, this.pty, this.path!, kept);
    if (typeof f === 'number') return f;
    // do_dentry_open(); O_CLOEXEC stays to be seen by F_GETFL.
    f.flags &= ~O_NOCTTY;
    const fd = t.fdTable.install(f, (flags & O_CLOEXEC) !== 0, t.group.limits.openFiles);
    if (fd < 0) f.unref();
    return fd;
  }
}
