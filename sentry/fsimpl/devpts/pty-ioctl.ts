/**
 * Ioctls about the modes and queues of a pseudo-terminal; both ends mean the slave's (drivers/tty/tty_ioctl.c
 * tty_mode_ioctl, n_tty_ioctl_helper).
 */
import { EINVAL, EIO, EPERM } from '../../abi/errno.ts';
import { SIGTTOU } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import { TERMIO_SIZE, TERMIOS2_SIZE, TERMIOS_SIZE, Termios } from '../tty/termios.ts';
import { NOT_MINE } from '../tty/tty.ts';
import type { Pty } from './pty.ts';

const old = new Termios();
const usual = new Termios();

/** `master`: asked through the master, to which most of job control does not apply. NOT_MINE: not one of these. */
export function modeIoctl(pty: Pty, t: Task, cmd: number, arg: number, master: boolean): number {
  switch (cmd) {
    case T.TCGETS:
      return getModes(pty, t, arg, TERMIOS_SIZE);
    case T.TCGETS2:
      return getModes(pty, t, arg, TERMIOS2_SIZE);
    case T.TCGETA:
      return getModes(pty, t, arg, TERMIO_SIZE);
    case T.TCSETS:
    case T.TCSETSW:
      return setModes(pty, t, arg, TERMIOS_SIZE, false);
    case T.TCSETSF:
      return setModes(pty, t, arg, TERMIOS_SIZE, true);
    case T.TCSETS2:
    case T.TCSETSW2:
      return setModes(pty, t, arg, TERMIOS2_SIZE, false);
    case T.TCSETSF2:
      return setModes(pty, t, arg, TERMIOS2_SIZE, true);
    case T.TCSETA:
    case T.TCSETAW:
      return setModes(pty, t, arg, TERMIO_SIZE, false);
    case T.TCSETAF:
      return setModes(pty, t, arg, TERMIO_SIZE, true);
    case T.TIOCGLCKTRMIOS:
      pty.lockedModes.encode(scratch.view, TERMIOS_SIZE);
      return t.mem.copyOut(arg, scratch.bytes, 0, TERMIOS_SIZE);
    case T.TIOCSLCKTRMIOS:
      return lockModes(pty, t, arg);
    case T.TIOCGSOFTCAR:
      return t.mem.writeU32(arg, (pty.termios.cflag & T.CLOCAL) !== 0 ? 1 : 0);
    case T.TIOCSSOFTCAR:
      return setSoftCarrier(pty, t, arg);
    case T.TIOCGWINSZ:
      return pty.getWinsize(t, arg);
    case T.TIOCSWINSZ:
      return pty.setWinsize(t, arg);
    case T.TCXONC:
      return flowControl(pty, t, arg, master);
    case T.TIOCEXCL:
      pty.exclusive = true;
      return 0;
    case T.TIOCNXCL:
      pty.exclusive = false;
      return 0;
    case T.TIOCGEXCL:
      return t.mem.writeU32(arg, pty.exclusive ? 1 : 0);
    case T.TIOCGDEV:
      return t.mem.writeU32(arg, pty.rdev);
    case T.TIOCGETD:
      return t.mem.writeU32(arg, T.N_TTY);
    case T.TIOCSETD: {
      const r = t.mem.readU32(arg);
      return r < 0 ? r : scratch.u32[0] === T.N_TTY ? 0 : -EINVAL;
    }
    case T.TCSBRK:
    case T.TCSBRKP:
    case T.TIOCSBRK:
    case T.TIOCCBRK:
      // The cable has no break and output is never "on its way".
      return master ? 0 : pty.checkChange(t, SIGTTOU);
    case T.TIOCOUTQ:
      return t.mem.writeU32(arg, 0);
    case T.TIOCVHANGUP:
      if (!t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
      pty.hangup();
      return 0;
    case T.TIOCSTI:
      return fakeInput(pty, t, arg, master);
    case T.TIOCGPTPEER:
      return -EIO;
    default:
      return NOT_MINE;
  }
}

/** tiocsti() where dev.tty.legacy_tiocsti is 0; only of ptys whose two ends are in the sandbox. */
function fakeInput(pty: Pty, t: Task, arg: number, master: boolean): number {
  if (!t.creds.has(CAP_SYS_ADMIN)) return -EIO;
  const r = t.mem.copyIn(arg, scratch.bytes, 0, 1);
  if (r < 0) return r;
  if (master) pty.output.queue.write(scratch.bytes, 0, 1);
  else pty.ldisc.receive(scratch.bytes, 0, 1);
  pty.outputReady();
  return 0;
}

function getModes(pty: Pty, t: Task, arg: number, size: number): number {
  scratch.bytes.fill(0, 0, TERMIOS2_SIZE);
  if (size === TERMIO_SIZE) pty.termios.encodeTermio(scratch.view);
  else pty.termios.encode(scratch.view, size);
  return t.mem.copyOut(arg, scratch.bytes, 0, size);
}

/** set_termios(): those of the slave, whose job control applies through the master, too. */
function setModes(pty: Pty, t: Task, arg: number, size: number, flush: boolean): number {
  const refused = pty.checkChange(t, SIGTTOU);
  if (refused < 0) return refused;
  const r = t.mem.copyIn(arg, scratch.bytes, 0, size);
  if (r < 0) return r;
  old.copyFrom(pty.termios);
  if (flush) pty.flushInput();
  if (size === TERMIO_SIZE) pty.termios.decodeTermio(scratch.view);
  else pty.termios.decode(scratch.view, size);
  pty.termios.keepLocked(old, pty.lockedModes);
  pty.modesChanged(old);
  return 0;
}

function lockModes(pty: Pty, t: Task, arg: number): number {
  if (!t.creds.has(CAP_SYS_ADMIN) && !t.creds.has(CAP_CHECKPOINT_RESTORE)) return -EPERM;
  const r = t.mem.copyIn(arg, scratch.bytes, 0, TERMIOS_SIZE);
  if (r < 0) return r;
  pty.lockedModes.decode(scratch.view, TERMIOS_SIZE);
  return 0;
}

/** tty_change_softcar() */
function setSoftCarrier(pty: Pty, t: Task, arg: number): number {
  const r = t.mem.readU32(arg);
  if (r < 0) return r;
  old.copyFrom(pty.termios);
  const { cflag } = pty.termios;
  pty.termios.cflag = scratch.u32[0] !== 0 ? cflag | T.CLOCAL : cflag & ~T.CLOCAL;
  pty.modesChanged(old);
  return 0;
}

/**
 * tcflow(3). TCIOFF and TCION send the stop and start character to the other end; the master has its own, which are the
 * usual ones.
 */
function flowControl(pty: Pty, t: Task, arg: number, master: boolean): number {
  if (!master) {
    const r = pty.checkChange(t, SIGTTOU);
    if (r < 0) return r;
  }
  switch (arg) {
    case T.TCOOFF:
    case T.TCOON:
      if (master) pty.stopMaster(arg === T.TCOOFF);
      else pty.ldisc.flow(arg === T.TCOON);
      return 0;
    case T.TCIOFF:
    case T.TCION: {
      const c = (master ? usual : pty.termios).cc[arg === T.TCIOFF ? T.VSTOP : T.VSTART]!;
      if (c === 0) return 0;
      scratch.bytes[0] = c;
      if (master) pty.type(scratch.bytes, 0, 1);
      else pty.output.queue.write(scratch.bytes, 0, 1);
      pty.outputReady();
      return 0;
    }
    default:
      return -EINVAL;
  }
}
