/**
 * Output side of the line discipline: OPOST processing and echoes, with the cursor column that erasing of tabs needs
 * (drivers/tty/n_tty.c do_output_char, __process_echoes).
 */
import * as T from '../../abi/termios.ts';
import type { ByteQueue } from './byte-queue.ts';
import { toUpper } from './ctype.ts';
import type { Termios } from './termios.ts';

const BS = 8;
const TAB = 9;
const NL = 10;
const CR = 13;
const SPACE = 32;
/** Echoes that wait while output is stopped or full; what exceeds it is lost, as in Linux. */
const ECHO_BUF_SIZE = 4096;
/** So many are not put off any longer (ECHO_COMMIT_WATERMARK). */
const ECHO_COMMIT_WATERMARK = 256;
/** Where so many bytes wait that the next ones may overrun them, the oldest go (ECHO_DISCARD_WATERMARK). */
const ECHO_DISCARD_WATERMARK = 3808;
/** N_TTY_BUF_SIZE - 1: what lies in the master's read buffer; more waits on the way there. */
export const ARRIVED_MAX = 4095;
// Entries of the echo buffer that are no ordinary characters (ECHO_OP_*).
const OP_ESCAPED = 255;
const OP_SET_CANON_COL = 256;
const OP_ERASE_TAB = 512;
const OP_ERASE_TAB_AFTER_TAB = 8192;

export function isControl(c: number): boolean {
  return c < 32 || c === 127;
}

/** How many bytes of Linux's echo buffer an entry takes. */
function sizeInEchoBuffer(e: number): number {
  return e < OP_ESCAPED ? 1 : e <= OP_SET_CANON_COL ? 2 : 4;
}

export class TtyOutput {
  readonly queue: ByteQueue;
  private readonly termios: Termios;
  /** Output is held by STOP (^S) or TCOOFF. */
  stopped = false;
  column = 0;
  /** Column where the line being edited starts. */
  canonColumn = 0;
  private held: number[] = [];
  /** While input is being received: how much the queue held before; what comes then is on its way. */
  private before = Infinity;

  constructor(termios: Termios, queue: ByteQueue) {
    this.termios = termios;
    this.queue = queue;
  }

  /** Continuation byte of a UTF-8 character, which takes no column. */
  isContinuation(c: number): boolean {
    return (this.termios.iflag & T.IUTF8) !== 0 && (c & 0xc0) === 0x80;
  }

  /** Writes one character as OPOST says; false if there is no room for it. */
  put(ch: number): boolean {
    const oflag = this.termios.oflag;
    const q = this.queue;
    if ((oflag & T.OPOST) === 0) {
      if (q.room < 1) return false;
      q.push(ch);
      return true;
    }
    if (q.room < 8) return false;
    let c = ch;
    switch (c) {
      case NL:
        if ((oflag & T.ONLRET) !== 0) this.column = 0;
        if ((oflag & T.ONLCR) !== 0) {
          this.canonColumn = this.column = 0;
          q.push(CR);
          q.push(NL);
          return true;
        }
        this.canonColumn = this.column;
        break;
      case CR:
        if ((oflag & T.ONOCR) !== 0 && this.column === 0) return true;
        if ((oflag & T.OCRNL) !== 0) {
          c = NL;
          if ((oflag & T.ONLRET) !== 0) this.canonColumn = this.column = 0;
          break;
        }
        this.canonColumn = this.column = 0;
        break;
      case TAB: {
        const spaces = 8 - (this.column & 7);
        this.column += spaces;
        if ((oflag & T.TABDLY) === T.XTABS) {
          for (let i = 0; i < spaces; i++) q.push(SPACE);
          return true;
        }
        break;
      }
      case BS:
        if (this.column > 0) this.column--;
        break;
      default:
        if (!isControl(c)) {
          if ((oflag & T.OLCUC) !== 0) c = toUpper(c);
          if (!this.isContinuation(c)) this.column++;
        }
    }
    q.push(c);
    return true;
  }

  /** Writes a buffer; returns how many characters were taken. */
  write(buf: Uint8Array, off: number, len: number): number {
    this.flushEchoes();
    if (this.stopped) return 0;
    if ((this.termios.oflag & T.OPOST) === 0) return this.queue.write(buf, off, len);
    let n = 0;
    while (n < len && this.put(buf[off + n]!)) n++;
    return n;
  }

  /** No echo has room any more. */
  get echoesLost(): boolean {
    return this.held.length >= ECHO_BUF_SIZE;
  }

  /**
   * Echoes a character as it is, through OPOST (echo_char_raw): when all of the input at hand has been looked at, so that a stop
   * character in it holds the echoes of what came before, and an interrupt loses them.
   */
  echoRaw(c: number): void {
    if (this.held.length < ECHO_BUF_SIZE) this.held.push(c);
    if (this.held.length % ECHO_COMMIT_WATERMARK === 0) this.flushEchoes();
  }

  /** Echoes a character; control characters as ^X under ECHOCTL (echo_char). */
  echo(c: number): void {
    if ((this.termios.lflag & T.ECHOCTL) !== 0 && isControl(c) && c !== TAB) {
      this.echoRaw(0x5e);
      this.echoRaw(c ^ 0x40);
    } else {
      this.echoRaw(c);
    }
  }

  /** Moves back over one column. */
  echoErase(): void {
    this.echoRaw(BS);
    this.echoRaw(SPACE);
    this.echoRaw(BS);
  }

  /**
   * Moves back over a tab after which the cursor stood `chars` columns behind the line's start, or behind the previous tab
   * if `afterTab` (echo_erase_tab).
   */
  echoEraseTab(chars: number, afterTab: boolean): void {
    this.echoRaw((afterTab ? OP_ERASE_TAB_AFTER_TAB : OP_ERASE_TAB) + chars);
  }

  /** The edited line starts where the cursor is. */
  setCanonColumn(): void {
    this.echoRaw(OP_SET_CANON_COL);
  }

  /** __process_echoes() */
  flushEchoes(): void {
    if (this.held.length === 0) return;
    let n = 0;
    if (!this.stopped) while (n < this.held.length && this.putEcho(this.held[n]!)) n++;
    let bytes = 0;
    for (let i = this.held.length; i > n; i--) {
      bytes += sizeInEchoBuffer(this.held[i - 1]!);
      if (bytes >= ECHO_DISCARD_WATERMARK) n = i;
    }
    if (n > 0) this.held = this.held.slice(n);
  }

  private putEcho(e: number): boolean {
    if (e < OP_ESCAPED) return this.put(e);
    if (e === OP_ESCAPED) {
      // Escaped in Linux's echo buffer, and then not for OPOST.
      if (this.queue.room < 1) return false;
      this.queue.push(e);
      this.column++;
      return true;
    }
    if (e === OP_SET_CANON_COL) {
      this.canonColumn = this.column;
      return true;
    }
    if (this.queue.room < 8) return false;
    const from =
      e >= OP_ERASE_TAB_AFTER_TAB ? e - OP_ERASE_TAB_AFTER_TAB : e - OP_ERASE_TAB + this.canonColumn;
    for (let back = 8 - (from & 7); back > 0; back--) {
      this.queue.push(BS);
      if (this.column > 0) this.column--;
    }
    return true;
  }

  /** What the master can read now; the rest of the queue has not reached it. */
  get arrived(): number {
    return Math.min(this.queue.length, ARRIVED_MAX);
  }

  /** Input is being received, or has been: nothing of what is echoed meanwhile reaches the master before the end. */
  receiving(on: boolean): void {
    this.before = on ? this.queue.length : Infinity;
  }

  /** pty_flush_buffer(): throws away what has not reached the master. */
  discardOnTheWay(): void {
    this.queue.truncate(Math.min(this.before, ARRIVED_MAX));
  }

  /** Echoes that wait are forgotten (isig). */
  discardEchoes(): void {
    this.held = [];
  }
}
