/**
 * HostTty: a terminal that a process was started on from outside: the user's, as the container's /dev/console, or a pty
 * that was made for an engine, as one of the container's /dev/pts. Modes, editing and echo are the host's line discipline;
 * sessions and job control are the sandbox's own. To the host the sandbox is one job: signals of the keyboard reach the
 * stub (launcher), which hands them to the foreground group here.
 */
import { EINVAL, EIO, ENOTTY } from '../../abi/errno.ts';
import { TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR, makedev } from '../../abi/device.ts';
import { O_NOCTTY, O_PATH } from '../../abi/fcntl.ts';
import { SIGTTIN, SIGTTOU, SIGWINCH } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import { ioctl as hostIoctl } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { close, dup } from '../../host/sys.ffi.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { WaitQueue } from '../../waiter/wait-queue.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { registerCharDevice } from '../../vfs/device.ts';
import { FileDescription, RWF_WAITING, type TornRead } from '../../vfs/file-description.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { Inode } from '../../vfs/inode.ts';
import { openHostFd, type HostFile } from '../hostfd/host-file.ts';
import { TERMIO_SIZE, TERMIOS2_SIZE, TERMIOS_SIZE, Termios } from './termios.ts';
import { NOT_MINE, Tty, WINSIZE_SIZE } from './tty.ts';

/** /dev/console */
export const CONSOLE_RDEV = makedev(TTYAUX_MAJOR, 1);

const hostStruct = new HostBuffer(64);

export class HostTty extends Tty {
  private readonly hostFd: number;
  readonly modes = new Termios();

  readonly name: string;

  /** `ptsIndex` < 0: it is known as /dev/console only. */
  constructor(hostFd: number, ptsIndex: number) {
    super(ptsIndex < 0 ? CONSOLE_RDEV : makedev(UNIX98_PTY_SLAVE_MAJOR, ptsIndex));
    this.hostFd = hostFd;
    this.name = ptsIndex < 0 ? 'console' : `pts/${ptsIndex}`;
  }

  override openFile(_t: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number {
    const fd = dup(this.hostFd);
    if (fd < 0) return fd;
    const host = openHostFd(fd);
    return typeof host === 'number' ? host : new HostTtyFile(this, host, path, inode, flags);
  }

  /** Closes the descriptor of its own; open files have theirs. */
  release(): void {
    close(this.hostFd);
  }

  /** Reads the host's modes into `modes`: 0 or −errno. */
  fetchModes(): number {
    hostStruct.bytes.fill(0);
    const r = hostIoctl(this.hostFd, T.TCGETS, hostStruct.addr);
    if (r >= 0) this.modes.decode(hostStruct.view, TERMIOS_SIZE);
    return r;
  }

  storeModes(cmd: number): number {
    hostStruct.bytes.fill(0);
    this.modes.encode(hostStruct.view, TERMIOS_SIZE);
    return hostIoctl(this.hostFd, cmd, hostStruct.addr);
  }

  /** The host terminal's size may have changed (SIGWINCH came to the launcher). */
  fetchWinsize(): number {
    const r = hostIoctl(this.hostFd, T.TIOCGWINSZ, hostStruct.addr);
    if (r < 0) return r;
    for (let i = 0; i < 4; i++) this.winsize[i] = hostStruct.view.getUint16(2 * i, true);
    return 0;
  }

  override getWinsize(t: Task, arg: number): number {
    const r = this.fetchWinsize();
    return r < 0 ? r : super.getWinsize(t, arg);
  }

  override setWinsize(t: Task, arg: number): number {
    const r = t.mem.copyIn(arg, hostStruct.bytes, 0, WINSIZE_SIZE);
    if (r < 0) return r;
    // The host signals its own foreground group, and the launcher passes that on.
    return hostIoctl(this.hostFd, T.TIOCSWINSZ, hostStruct.addr);
  }

  /** A signal that the host's terminal driver or the user sent to the launcher. False: nobody is in the foreground. */
  signalFromHost(sig: number): boolean {
    if (this.foreground === null || this.foreground.members.size === 0) return false;
    if (sig === SIGWINCH) this.fetchWinsize();
    this.signalForeground(sig);
    return true;
  }
}

class HostTtyFile extends FileDescription {
  override rwFlags(): number {
    return RWF_WAITING;
  }

  override get fasync(): boolean {
    return true;
  }

  override readonly waiters: WaitQueue;
  private readonly tty: HostTty;
  private readonly host: HostFile;

  constructor(tty: HostTty, host: HostFile, path: Path, inode: Inode, flags: number) {
    super(path, inode, flags);
    this.tty = tty;
    this.host = host;
    this.waiters = host.waiters;
  }

  protected override release(): void {
    this.host.unref();
  }

  override get tornRead(): TornRead {
    return 'spilt';
  }

  override copyUnit(write: boolean): number {
    return write ? T.TTY_WRITE_UNIT : T.TTY_READ_UNIT;
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const r = this.tty.checkChange(t as Task, SIGTTIN);
    return r < 0 ? r : this.host.read(t, buf, off, len, pos);
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const { foreground } = this.tty;
    if (foreground !== null && (t as Task).group.processGroup !== foreground) {
      if (this.tty.fetchModes() === 0 && (this.tty.modes.lflag & T.TOSTOP) !== 0) {
        const r = this.tty.checkChange(t as Task, SIGTTOU);
        if (r < 0) return r;
      }
    }
    return this.host.write(t, buf, off, len, pos);
  }

  override poll(): number {
    return this.host.poll();
  }

  /** Only what is listed here reaches the host, always with arguments made anew. */
  override ioctl(ctx: CallContext, cmd: number, arg: number): number {
    const t = ctx as Task;
    const tty = this.tty;
    const job = tty.jobIoctl(t, cmd, arg, false, this.readable);
    if (job !== NOT_MINE) return job;
    switch (cmd) {
      case T.TCGETS:
        return this.getModes(t, arg, TERMIOS_SIZE);
      case T.TCGETS2:
        return this.getModes(t, arg, TERMIOS2_SIZE);
      case T.TCGETA:
        return this.getModes(t, arg, TERMIO_SIZE);
      case T.TCSETS:
      case T.TCSETSW:
      case T.TCSETSF:
        return this.setModes(t, cmd, arg, TERMIOS_SIZE);
      case T.TCSETS2:
      case T.TCSETSW2:
      case T.TCSETSF2:
        return this.setModes(t, T.TCSETS + (cmd - T.TCSETS2), arg, TERMIOS2_SIZE);
      case T.TCSETA:
      case T.TCSETAW:
      case T.TCSETAF:
        return this.setModes(t, T.TCSETS + (cmd - T.TCSETA), arg, TERMIO_SIZE);
      case T.TIOCGWINSZ:
        return tty.getWinsize(t, arg);
      case T.TIOCSWINSZ:
        return tty.setWinsize(t, arg);
      case T.FIONREAD:
        return this.host.ioctl(t, cmd, arg);
      case T.TIOCOUTQ:
        return t.mem.writeU32(arg, 0);
      case T.TIOCGETD:
        return t.mem.writeU32(arg, T.N_TTY);
      case T.TIOCSETD: {
        const r = t.mem.readU32(arg);
        return r < 0 ? r : scratch.u32[0] === T.N_TTY ? 0 : -EINVAL;
      }
      case T.TIOCGDEV:
        return t.mem.writeU32(arg, tty.rdev);
      case T.TIOCGEXCL:
        return t.mem.writeU32(arg, tty.exclusive ? 1 : 0);
      case T.TCFLSH:
        return this.flushQueues(t, arg);
      case T.TCSBRK:
      case T.TCSBRKP:
      case T.TCXONC:
        // Waiting for output and flow control stay the host's own affair.
        return tty.checkChange(t, SIGTTOU);
      case T.TIOCSTI:
        return -EIO;
      default:
        return -ENOTTY;
    }
  }

  private getModes(t: Task, arg: number, size: number): number {
    const r = this.tty.fetchModes();
    if (r < 0) return r;
    scratch.bytes.fill(0, 0, TERMIOS2_SIZE);
    if (size === TERMIO_SIZE) this.tty.modes.encodeTermio(scratch.view);
    else this.tty.modes.encode(scratch.view, size);
    return t.mem.copyOut(arg, scratch.bytes, 0, size);
  }

  private setModes(t: Task, cmd: number, arg: number, size: number): number {
    const check = this.tty.checkChange(t, SIGTTOU);
    if (check < 0) return check;
    const r = t.mem.copyIn(arg, scratch.bytes, 0, size);
    if (r < 0) return r;
    const fetched = this.tty.fetchModes();
    if (fetched < 0) return fetched;
    if (size === TERMIO_SIZE) this.tty.modes.decodeTermio(scratch.view);
    else this.tty.modes.decode(scratch.view, size);
    // A stopped terminal never drains: the kernel must not wait for it.
    if (cmd === T.TCSETSF) this.dropInput(t);
    return this.tty.storeModes(T.TCSETS);
  }

  private flushQueues(t: Task, queue: number): number {
    const r = this.tty.checkChange(t, SIGTTOU);
    if (r < 0) return r;
    if (queue !== T.TCIFLUSH && queue !== T.TCOFLUSH && queue !== T.TCIOFLUSH) return -EINVAL;
    if (queue !== T.TCOFLUSH) this.dropInput(t);
    return 0;
  }

  /** Throws away what can be read now; a terminal holds at most 4 KiB of lines. */
  private dropInput(t: Task): void {
    const sink = Buffer.alloc(1024);
    for (let i = 0; i < 8 && this.host.read(t, sink, 0, sink.length, -1) > 0; i++);
  }
}

/** True if the host fd is a terminal. */
export function isHostTerminal(hostFd: number): boolean {
  return hostIoctl(hostFd, T.TCGETS, hostStruct.addr) === 0;
}

/** A standard stream on `tty`, over a host fd that names the same terminal and is taken over. `path` is what ttyname(3) finds. */
export function openHostTerminal(
  tty: HostTty,
  hostFd: number,
  path: Path,
  flags: number,
): FileDescription | number {
  const host = openHostFd(hostFd);
  return typeof host === 'number' ? host : new HostTtyFile(tty, host, path, path.dentry.inode!, flags);
}

/** /dev/console */
export function registerConsole(): void {
  registerCharDevice(TTYAUX_MAJOR, 1, (t, path, inode, flags) => {
    const tty = (t as Task).group.container?.console;
    if (!(tty instanceof HostTty)) return -EIO;
    const f = tty.openFile(t, path, inode, flags);
    if (typeof f !== 'number' && (flags & (O_NOCTTY | O_PATH)) === 0) tty.openedBy(t as Task, f.readable);
    return f;
  });
}
