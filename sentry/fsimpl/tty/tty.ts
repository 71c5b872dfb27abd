/**
 * Tty: what all terminals have in common (drivers/tty/tty_io.c, tty_jobctrl.c): size, exclusive mode, the session it
 * controls, and the ioctls about them. See ioctl_tty(2).
 */
import { EINVAL, EIO, ENOTTY, EPERM, ESRCH } from '../../abi/errno.ts';
import { SIGTTOU, SIGWINCH } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { ControllingTty, ProcessGroup, Session } from '../../kernel/job-control.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { WaitQueue } from '../../waiter/wait-queue.ts';
import { jobControl } from './job-control.ts';

export const WINSIZE_SIZE = 8;
/** Not an ioctl of this layer (Linux: -ENOIOCTLCMD). */
export const NOT_MINE = -0x20000;

export abstract class Tty implements ControllingTty {
  session: Session | null = null;
  foreground: ProcessGroup | null = null;
  readonly rdev: number;
  /** struct winsize: rows, columns, and both in pixels. */
  readonly winsize = new Uint16Array(4);
  /** TIOCEXCL */
  exclusive = false;
  /** tty_vhangup() happened: open files are dead. */
  hungUp = false;
  /** Readers, writers and pollers of this terminal. */
  readonly waiters = new WaitQueue();

  constructor(rdev: number) {
    this.rdev = rdev;
  }

  /** Name as in /dev, for /proc. */
  abstract readonly name: string;

  /** Another open file on this terminal: by its own node, /dev/tty or /dev/console. */
  abstract openFile(t: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number;

  signalForeground(sig: number): void {
    if (this.foreground !== null) jobControl()?.signalGroup(this.foreground, sig);
  }

  /** True if `t`'s session has this controlling terminal. */
  controls(t: Task): boolean {
    return t.group.session.tty === this;
  }

  /** 0, or what a background process gets (SIGTTIN, SIGTTOU). */
  checkChange(t: Task, sig: number): number {
    return jobControl()?.check(t, this, sig) ?? 0;
  }

  /** Sets the size; SIGWINCH goes to the foreground group if it is new (tty_do_resize). */
  resize(rows: number, cols: number, xpixel: number, ypixel: number): void {
    const w = this.winsize;
    if (w[0] === rows && w[1] === cols && w[2] === xpixel && w[3] === ypixel) return;
    w[0] = rows;
    w[1] = cols;
    w[2] = xpixel;
    w[3] = ypixel;
    this.signalForeground(SIGWINCH);
  }

  getWinsize(t: Task, arg: number): number {
    for (let i = 0; i < 4; i++) scratch.view.setUint16(2 * i, this.winsize[i]!, true);
    return t.mem.copyOut(arg, scratch.bytes, 0, WINSIZE_SIZE);
  }

  setWinsize(t: Task, arg: number): number {
    const r = t.mem.copyIn(arg, scratch.bytes, 0, WINSIZE_SIZE);
    if (r < 0) return r;
    const v = scratch.view;
    this.resize(v.getUint16(0, true), v.getUint16(2, true), v.getUint16(4, true), v.getUint16(6, true));
    return 0;
  }

  /** open(2) without O_NOCTTY makes it the controlling terminal of a session leader that has none. */
  openedBy(t: Task, readable: boolean): void {
    const session = t.group.session;
    if (session.leader === t.group && session.tty === null && this.session === null && readable) {
      jobControl()?.setControllingTty(t, this);
    }
  }

  /**
   * ioctls of job control; `viaMaster`: asked through the master of a pseudo-terminal, which needs not be the caller's
   * controlling terminal. NOT_MINE: not one of them.
   */
  jobIoctl(t: Task, cmd: number, arg: number, viaMaster: boolean, readable: boolean): number {
    switch (cmd) {
      case T.TIOCSCTTY:
        return this.setControlling(t, arg, readable);
      case T.TIOCNOTTY:
        if (!this.controls(t)) return -ENOTTY;
        if (t.group.session.leader === t.group) jobControl()?.disassociate(t.group.session, false);
        return 0;
      case T.TIOCGPGRP: {
        if (!viaMaster && !this.controls(t)) return -ENOTTY;
        const nr = this.foreground === null ? 0 : this.foreground.pid.nrIn(t.group.pid.ns);
        return t.mem.writeU32(arg, nr);
      }
      case T.TIOCSPGRP:
        return this.setForeground(t, arg);
      case T.TIOCGSID:
        if (!viaMaster && !this.controls(t)) return -ENOTTY;
        if (this.session === null) return -ENOTTY;
        return t.mem.writeU32(arg, this.session.pid.nrIn(t.group.pid.ns));
      default:
        return NOT_MINE;
    }
  }

  /** tiocsctty() */
  private setControlling(t: Task, arg: number, readable: boolean): number {
    const session = t.group.session;
    const isLeader = session.leader === t.group;
    if (isLeader && this.session === session) return 0;
    if (!isLeader || session.tty !== null) return -EPERM;
    const admin = t.creds.has(CAP_SYS_ADMIN);
    if (this.session !== null && (arg !== 1 || !admin)) return -EPERM;
    if (!readable && !admin) return -EPERM;
    jobControl()?.setControllingTty(t, this);
    return 0;
  }

  /** tiocspgrp() */
  private setForeground(t: Task, arg: number): number {
    const r = this.checkChange(t, SIGTTOU);
    if (r < 0) return r === -EIO ? -ENOTTY : r;
    const e = t.mem.readU32(arg);
    if (e < 0) return e;
    const nr = scratch.i32[0]!;
    if (nr < 0) return -EINVAL;
    if (!this.controls(t) || this.session !== t.group.session) return -ENOTTY;
    const group = t.group.pid.ns.findProcessGroup(nr);
    if (group === null) return -ESRCH;
    if (group.session !== t.group.session) return -EPERM;
    this.foreground = group;
    return 0;
  }

  /** The other side is gone for good: the session loses its terminal, its leader is told, readers and writers wake. */
  protected hangupSession(): void {
    this.hungUp = true;
    const session = this.session;
    if (session === null) return;
    jobControl()?.hangupLeader(session);
    session.tty = null;
    this.session = null;
    this.foreground = null;
  }
}
