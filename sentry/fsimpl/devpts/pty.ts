/**
 * Pty: a pseudo-terminal pair (drivers/tty/pty.c; pty(7)). The slave is a terminal with a line discipline; the master is
 * the other end of its cable: writes are keyboard input, reads fetch the screen's output.
 */
import { EBUSY, EIO } from '../../abi/errno.ts';
import { UNIX98_PTY_SLAVE_MAJOR, makedev } from '../../abi/device.ts';
import * as T from '../../abi/termios.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, WaitQueue } from '../../waiter/wait-queue.ts';
import { ByteQueue } from '../tty/byte-queue.ts';
import { NTty, type NTtyOwner } from '../tty/n-tty.ts';
import { TtyOutput } from '../tty/output.ts';
import { Termios } from '../tty/termios.ts';
import { Tty } from '../tty/tty.ts';
import { PtySlave } from './pty-slave.ts';

/** Flip buffers of each direction hold about as much (pty_common_install). */
const FLIP_SIZE = 8192;
/** Output that waits for the master, there and in its read buffer. */
const OUTPUT_SIZE = FLIP_SIZE + 4096;
const arriving = new Uint8Array(FLIP_SIZE);

export class Pty extends Tty implements NTtyOwner {
  readonly index: number;
  readonly termios = new Termios();
  /** Modes that cannot be changed (TIOCSLCKTRMIOS). */
  readonly lockedModes = Termios.zero();
  readonly output: TtyOutput;
  readonly ldisc: NTty;
  /** What the master has written and the line discipline had no room for. */
  private readonly input = new ByteQueue(FLIP_SIZE);
  private inputMoves = false;
  /** Of `input`, what the line discipline has been shown for flow control. */
  private shown = 0;
  /** Waiters on the master's side. */
  readonly masterWaiters = new WaitQueue();
  /** unlockpt(3) has not been called yet. */
  locked = true;
  private slaveOpens = 0;
  /** The last open of the slave failed: nobody reads or writes it until one succeeds (TTY_IO_ERROR). */
  ioError = false;
  /** The slave was open and its last file is closed: the master reads EIO. */
  slaveClosed = false;
  masterClosed = false;
  /** TCOOFF asked of the master: it cannot write. */
  masterStopped = false;
  /** TIOCPKT */
  packet = false;
  /** Pending TIOCPKT_* bits. */
  packetBits = 0;

  constructor(index: number) {
    super(makedev(UNIX98_PTY_SLAVE_MAJOR, index));
    this.index = index;
    this.output = new TtyOutput(this.termios, new ByteQueue(OUTPUT_SIZE));
    this.ldisc = new NTty(this.termios, this.output, this);
  }

  override get name(): string {
    return `pts/${this.index}`;
  }

  // NTtyOwner

  packetStatus(clear: number, set: number): void {
    if (!this.packet) return;
    this.packetBits = (this.packetBits & ~clear) | set;
    this.masterWaiters.wake(EPOLLPRI | EPOLLIN);
  }

  inputReady(): void {
    this.waiters.wake(EPOLLIN);
  }

  outputReady(): void {
    this.moveInput();
    if (this.output.queue.length > 0) this.masterWaiters.wake(EPOLLIN);
    if (this.masterMayWrite) this.masterWaiters.wake(EPOLLOUT);
    if (this.output.queue.room > 0 && !this.output.stopped) this.waiters.wake(EPOLLOUT);
  }

  // The master's side.

  get masterMayWrite(): boolean {
    return this.input.room > 0 && !this.masterStopped;
  }

  /** The master writes: how many characters are taken. */
  type(buf: Uint8Array, off: number, len: number): number {
    let n = this.input.length > 0 ? 0 : this.ldisc.receive(buf, off, len);
    n += this.input.write(buf, off + n, len - n);
    while (this.shown < this.input.length) this.ldisc.lookAhead(this.input.at(this.shown++));
    return n;
  }

  /** flush_to_ldisc(): what waits goes on as far as there is room. */
  private moveInput(): void {
    if (this.inputMoves) return;
    this.inputMoves = true;
    while (this.input.length > 0 && this.ldisc.room > 0) {
      const n = this.ldisc.receive(arriving, 0, this.input.peek(arriving, 0, this.ldisc.room));
      this.input.skip(n);
      this.shown = Math.max(this.shown - n, 0);
    }
    this.inputMoves = false;
  }

  private dropInput(): void {
    this.input.truncate(0);
    this.shown = 0;
  }

  /** tcflush(3) on the master: its input is the slave's output, its own output what waits for the slave. */
  flushMasterQueues(queue: number): void {
    if (queue !== T.TCOFLUSH) this.output.queue.truncate(0);
    if (queue !== T.TCIFLUSH) this.dropInput();
    this.outputReady();
  }

  /** Modes were changed by an ioctl (pty_set_termios). */
  modesChanged(old: Termios): void {
    const t = this.termios;
    t.cflag = ((t.cflag & ~(T.CSIZE | T.PARENB)) | T.CS8 | T.CREAD) >>> 0;
    if (this.packet) {
      const flow = usualFlow(t);
      const extproc = ((old.lflag | t.lflag) & T.EXTPROC) !== 0;
      if (usualFlow(old) !== flow) {
        const bits = flow ? T.TIOCPKT_DOSTOP : T.TIOCPKT_NOSTOP;
        this.packetStatus(T.TIOCPKT_DOSTOP | T.TIOCPKT_NOSTOP, bits);
      }
      if (extproc) this.packetStatus(0, T.TIOCPKT_IOCTL);
    }
    this.ldisc.modesChanged(old.lflag, old.iflag);
  }

  override openFile(t: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number {
    if (this.masterClosed) return -EIO;
    if (this.exclusive && !t.creds.has(CAP_SYS_ADMIN)) return -EBUSY;
    this.ioError = this.locked;
    if (this.locked) return -EIO;
    this.slaveOpens++;
    this.slaveClosed = false;
    return new PtySlave(this, path, inode, flags);
  }

  slaveReleased(): void {
    if (--this.slaveOpens > 0) return;
    this.exclusive = false;
    if (this.ioError) return; // pty_close() is silent
    this.slaveClosed = true;
    this.masterWaiters.wake(EPOLLIN | EPOLLOUT | EPOLLHUP);
  }

  masterReleased(): void {
    this.masterClosed = true;
    this.hangup();
  }

  /** tty_vhangup() of the slave. */
  hangup(): void {
    this.hangupSession();
    this.waiters.wake(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
    this.masterWaiters.wake(EPOLLIN | EPOLLOUT | EPOLLHUP);
  }

  /** TCOOFF and TCOON asked of the master. */
  stopMaster(on: boolean): void {
    this.masterStopped = on;
    this.outputReady();
  }

  /** n_tty_flush_buffer(): what the slave could have read. */
  flushInput(): void {
    this.ldisc.flushInput();
    this.packetStatus(0, T.TIOCPKT_FLUSHREAD);
  }

  /** tcflush(3) on the slave; `queue` is TCIFLUSH, TCOFLUSH or TCIOFLUSH. */
  flushQueues(queue: number): void {
    const { room } = this.output.queue;
    if (queue !== T.TCOFLUSH) {
      this.dropInput();
      this.flushInput();
    }
    if (queue !== T.TCIFLUSH) {
      this.output.discardOnTheWay();
      this.packetStatus(0, T.TIOCPKT_FLUSHWRITE);
    }
    // A writer hears of it if it made room; a flush of the input is for the other side.
    if (this.output.queue.room > room) this.outputReady();
    else if (queue !== T.TCOFLUSH && this.ldisc.room > 0 && !this.masterStopped)
      this.masterWaiters.wake(EPOLLOUT);
  }
}

/** XON/XOFF by the usual ^S and ^Q: what packet mode reports as DOSTOP. */
function usualFlow(t: Termios): boolean {
  return (t.iflag & T.IXON) !== 0 && t.cc[T.VSTOP] === 0x13 && t.cc[T.VSTART] === 0x11;
}
