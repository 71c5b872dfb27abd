/** Termios: modes and control characters of a terminal, and their three forms in guest memory. */
import * as T from '../../abi/termios.ts';

/** Size of struct termios (TCGETS), struct termios2 (TCGETS2) and struct termio (TCGETA). */
export const TERMIOS_SIZE = 36;
export const TERMIOS2_SIZE = 44;
export const TERMIO_SIZE = 18;
const TERMIO_NCC = 8;

/** INIT_C_CC of include/asm-generic/termios-base.h */
const DEFAULT_CC = '\x03\x1c\x7f\x15\x04\x00\x01\x00\x11\x13\x1a\x00\x12\x0f\x17\x16\x00\x00\x00';
const DEFAULT_SPEED = 38400;

export class Termios {
  iflag = T.ICRNL | T.IXON;
  oflag = T.OPOST | T.ONLCR;
  cflag = T.B38400 | T.CS8 | T.CREAD;
  lflag = T.ISIG | T.ICANON | T.ECHO | T.ECHOE | T.ECHOK | T.ECHOCTL | T.ECHOKE | T.IEXTEN;
  line = T.N_TTY;
  readonly cc = Buffer.from(DEFAULT_CC, 'latin1');
  ispeed = DEFAULT_SPEED;
  ospeed = DEFAULT_SPEED;

  copyFrom(o: Termios): void {
    this.iflag = o.iflag;
    this.oflag = o.oflag;
    this.cflag = o.cflag;
    this.lflag = o.lflag;
    this.line = o.line;
    this.cc.set(o.cc);
    this.ispeed = o.ispeed;
    this.ospeed = o.ospeed;
  }

  /** unset_locked_termios(): what is set in `locked` stays as it is in `old`. */
  keepLocked(old: Termios, locked: Termios): void {
    this.iflag = keepBits(this.iflag, old.iflag, locked.iflag);
    this.oflag = keepBits(this.oflag, old.oflag, locked.oflag);
    this.cflag = keepBits(this.cflag, old.cflag, locked.cflag);
    this.lflag = keepBits(this.lflag, old.lflag, locked.lflag);
    if (locked.line !== 0) this.line = old.line;
    for (let i = 0; i < T.NCCS; i++) if (locked.cc[i] !== 0) this.cc[i] = old.cc[i]!;
  }

  /** Nothing set: no mode is locked. */
  static zero(): Termios {
    const zero = Termios.raw();
    zero.cflag = 0;
    zero.cc.fill(0);
    return zero;
  }

  /** What a pseudo-terminal master starts with: no processing at all (drivers/tty/pty.c unix98_pty_init). */
  static raw(): Termios {
    const raw = new Termios();
    raw.iflag = 0;
    raw.oflag = 0;
    raw.lflag = 0;
    return raw;
  }

  /** Fills a TERMIOS_SIZE or TERMIOS2_SIZE buffer. */
  encode(view: DataView, size: number): void {
    view.setUint32(0, this.iflag, true);
    view.setUint32(4, this.oflag, true);
    view.setUint32(8, this.cflag, true);
    view.setUint32(12, this.lflag, true);
    view.setUint8(16, this.line);
    for (let i = 0; i < T.NCCS; i++) view.setUint8(17 + i, this.cc[i]!);
    if (size < TERMIOS2_SIZE) return;
    view.setUint32(36, this.ispeed, true);
    view.setUint32(40, this.ospeed, true);
  }

  decode(view: DataView, size: number): void {
    this.iflag = view.getUint32(0, true);
    this.oflag = view.getUint32(4, true);
    this.cflag = view.getUint32(8, true);
    this.lflag = view.getUint32(12, true);
    this.line = view.getUint8(16);
    for (let i = 0; i < T.NCCS; i++) this.cc[i] = view.getUint8(17 + i);
    if (size < TERMIOS2_SIZE) return;
    this.ispeed = view.getUint32(36, true);
    this.ospeed = view.getUint32(40, true);
  }

  /** struct termio: the low halves of the flags and eight control characters. */
  encodeTermio(view: DataView): void {
    view.setUint16(0, this.iflag & 0xffff, true);
    view.setUint16(2, this.oflag & 0xffff, true);
    view.setUint16(4, this.cflag & 0xffff, true);
    view.setUint16(6, this.lflag & 0xffff, true);
    view.setUint8(8, this.line);
    for (let i = 0; i < TERMIO_NCC; i++) view.setUint8(9 + i, this.cc[i]!);
    view.setUint8(17, 0);
  }

  /** Upper halves of the flags stay (user_termio_to_kernel_termios). */
  decodeTermio(view: DataView): void {
    this.iflag = ((this.iflag & ~0xffff) | view.getUint16(0, true)) >>> 0;
    this.oflag = ((this.oflag & ~0xffff) | view.getUint16(2, true)) >>> 0;
    this.cflag = ((this.cflag & ~0xffff) | view.getUint16(4, true)) >>> 0;
    this.lflag = ((this.lflag & ~0xffff) | view.getUint16(6, true)) >>> 0;
    this.line = view.getUint8(8);
    for (let i = 0; i < TERMIO_NCC; i++) this.cc[i] = view.getUint8(9 + i);
  }
}

function keepBits(now: number, old: number, locked: number): number {
  return ((now & ~locked) | (old & locked)) >>> 0;
}
