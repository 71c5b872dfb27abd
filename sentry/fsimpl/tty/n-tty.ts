/**
 * The terminal line discipline (drivers/tty/n_tty.c): turns what the keyboard side sends into what the program reads,
 * with line editing, echo, signals and flow control.
 */
import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import { toLower } from './ctype.ts';
import { isControl, type TtyOutput } from './output.ts';
import type { Termios } from './termios.ts';

const N_TTY_BUF_SIZE = 4096;
const MASK = N_TTY_BUF_SIZE - 1;
const NL = 10;
const CR = 13;
/** __DISABLED_CHAR: a control character set to it is off; also stands for VEOF in the buffer. */
const DISABLED = 0;

/** What the discipline asks of the terminal it belongs to. */
export interface NTtyOwner {
  /** Sends a signal to the foreground process group. */
  signalForeground(sig: number): void;
  /** Flow control changed or queues were flushed: TIOCPKT_* bits for packet mode. */
  packetStatus(clear: number, set: number): void;
  /** There may be something to read. */
  inputReady(): void;
  /** There may be output to fetch or room for more. */
  outputReady(): void;
}

export class NTty {
  private readonly termios: Termios;
  private readonly output: TtyOutput;
  private readonly owner: NTtyOwner;
  private readonly buf = new Uint8Array(N_TTY_BUF_SIZE);
  /** Marks the last character of each line. */
  private readonly lineEnd = new Uint8Array(N_TTY_BUF_SIZE);
  // Positions count up forever; the buffer index is position & MASK.
  private head = 0;
  private tail = 0;
  private canonHead = 0;
  private lnext = false;
  private erasing = false;
  /** tty->flow.tco_stopped */
  private heldByCall = false;

  constructor(termios: Termios, output: TtyOutput, owner: NTtyOwner) {
    this.termios = termios;
    this.output = output;
    this.owner = owner;
  }

  private get icanon(): boolean {
    return (this.termios.lflag & (T.ICANON | T.EXTPROC)) === T.ICANON;
  }

  /** Characters a read could return now (FIONREAD, inq_canon): whole lines only in canonical mode, without their VEOFs. */
  get readable(): number {
    if (!this.icanon) return this.head - this.tail;
    let n = this.canonHead - this.tail;
    for (let p = this.tail; p !== this.canonHead; p++)
      if (this.lineEnd[p & MASK] === 1 && this.buf[p & MASK] === DISABLED) n--;
    return n;
  }

  /** A read would not wait; `min` characters are asked for without lines (input_available_p). */
  available(min: number): boolean {
    return this.icanon ? this.hasLine : this.head - this.tail >= min;
  }

  get hasLine(): boolean {
    return this.canonHead !== this.tail;
  }

  /** How many more characters are taken now (receive_room). */
  get room(): number {
    const free = N_TTY_BUF_SIZE - 1 - (this.head - this.tail);
    const room = (this.termios.iflag & T.PARMRK) !== 0 ? Math.floor(free / 2) : free;
    if (room > 0) return room;
    // Without a complete line erase characters must still get through; ordinary ones are lost.
    return this.icanon && this.canonHead === this.tail ? N_TTY_BUF_SIZE : 0;
  }

  /** Input from the other side: number of characters taken. */
  receive(src: Uint8Array, off: number, len: number): number {
    let n = 0;
    while (n < len && this.room > 0) this.receiveChar(src[off + n++]!);
    if (n > 0) {
      this.output.flushEchoes();
      if (this.available(1)) this.owner.inputReady();
      this.owner.outputReady();
    }
    return n;
  }

  private special(c: number, index: number): boolean {
    return c !== DISABLED && c === this.termios.cc[index];
  }

  private put(c: number): void {
    // The buffer is full of an unfinished line: the newest character makes room for a line end.
    if (this.head - this.tail >= N_TTY_BUF_SIZE) this.head--;
    this.buf[this.head & MASK] = c;
    this.lineEnd[this.head & MASK] = 0;
    this.head++;
  }

  private receiveChar(ch: number): void {
    const { iflag, lflag } = this.termios;
    let c = ch;
    if ((iflag & T.ISTRIP) !== 0) c &= 0x7f;
    if ((iflag & T.IUCLC) !== 0 && (lflag & T.IEXTEN) !== 0) c = toLower(c);
    if ((lflag & T.EXTPROC) !== 0) {
      this.put(c);
      return;
    }
    if (this.lnext) {
      this.lnext = false;
      this.restartAny();
      this.ordinary(c);
      return;
    }
    if ((iflag & T.IXON) !== 0) {
      if (this.special(c, T.VSTART)) {
        this.start();
        return;
      }
      if (this.special(c, T.VSTOP)) {
        this.stop();
        return;
      }
    }
    if ((lflag & T.ISIG) !== 0) {
      const sig = this.signalOf(c);
      if (sig !== 0) {
        this.signalChar(sig, c);
        return;
      }
    }
    this.restartAny();
    if (c === CR) {
      if ((iflag & T.IGNCR) !== 0) return;
      if ((iflag & T.ICRNL) !== 0) c = NL;
    } else if (c === NL && (iflag & T.INLCR) !== 0) {
      c = CR;
    }
    if ((lflag & T.ICANON) !== 0 && this.canonChar(c)) return;
    this.ordinary(c, ch === CR);
  }

  private signalOf(c: number): number {
    if (this.special(c, T.VINTR)) return SIGINT;
    if (this.special(c, T.VQUIT)) return SIGQUIT;
    return this.special(c, T.VSUSP) ? SIGTSTP : 0;
  }

  private restartAny(): void {
    if (this.output.stopped && (this.termios.iflag & (T.IXON | T.IXANY)) === (T.IXON | T.IXANY)) this.start();
  }

  /** n_tty_receive_signal_char() */
  private signalChar(sig: number, c: number): void {
    this.signal(sig);
    if ((this.termios.iflag & T.IXON) !== 0) this.start();
    if ((this.termios.lflag & T.ECHO) !== 0) this.output.echo(c);
    else this.output.flushEchoes();
  }

  /** isig(): "flush the input and output queues on interrupt, quit and suspend" unless NOFLSH; what the master can read stays. */
  signal(sig: number): void {
    this.owner.signalForeground(sig);
    if ((this.termios.lflag & T.NOFLSH) !== 0) return;
    this.output.discardEchoes();
    this.output.discardOnTheWay();
    this.flushInput();
    this.owner.packetStatus(0, T.TIOCPKT_FLUSHREAD | T.TIOCPKT_FLUSHWRITE);
    this.owner.outputReady();
  }

  /** `fromCr`: a line feed made by ICRNL, which is not echoed as ^J. */
  private ordinary(c: number, fromCr = false): void {
    const { iflag, lflag } = this.termios;
    if ((lflag & T.ECHO) !== 0) {
      this.finishErasing();
      if (c === NL && fromCr) {
        this.output.echoRaw(NL);
      } else {
        if (this.canonHead === this.head) this.output.setCanonColumn();
        this.output.echo(c);
      }
    }
    if (this.icanon && this.head - this.tail >= N_TTY_BUF_SIZE - 1) return;
    if ((iflag & T.PARMRK) !== 0 && c === 0xff) this.put(c);
    this.put(c);
  }

  /** Editing characters and line ends of canonical mode; false: an ordinary character. */
  private canonChar(c: number): boolean {
    const { iflag, lflag } = this.termios;
    const iexten = (lflag & T.IEXTEN) !== 0;
    if (this.special(c, T.VERASE) || this.special(c, T.VKILL) || (iexten && this.special(c, T.VWERASE))) {
      this.erase(c);
      return true;
    }
    if (iexten && this.special(c, T.VLNEXT)) {
      this.lnext = true;
      if ((lflag & T.ECHO) !== 0) {
        this.finishErasing();
        if ((lflag & T.ECHOCTL) !== 0) {
          this.output.echoRaw(0x5e);
          this.output.echoRaw(8);
        }
      }
      return true;
    }
    if (iexten && (lflag & T.ECHO) !== 0 && this.special(c, T.VREPRINT)) {
      this.finishErasing();
      this.output.echo(c);
      this.output.echoRaw(NL);
      for (let p = this.canonHead; p !== this.head && !this.output.echoesLost; p++)
        this.output.echo(this.buf[p & MASK]!);
      return true;
    }
    if (c === NL) {
      if ((lflag & (T.ECHO | T.ECHONL)) !== 0) this.output.echoRaw(NL);
      this.endLine(c);
      return true;
    }
    if (this.special(c, T.VEOF)) {
      this.endLine(DISABLED);
      return true;
    }
    if (this.special(c, T.VEOL) || (iexten && this.special(c, T.VEOL2))) {
      if ((lflag & T.ECHO) !== 0) {
        if (this.canonHead === this.head) this.output.setCanonColumn();
        this.output.echo(c);
      }
      if ((iflag & T.PARMRK) !== 0 && c === 0xff) this.put(c);
      this.endLine(c);
      return true;
    }
    return false;
  }

  private endLine(c: number): void {
    this.put(c);
    this.lineEnd[(this.head - 1) & MASK] = 1;
    this.canonHead = this.head;
  }

  private finishErasing(): void {
    if (!this.erasing) return;
    this.output.echoRaw(0x2f);
    this.erasing = false;
  }

  /** eraser(): VERASE, VWERASE and VKILL. */
  private erase(c: number): void {
    if (this.head === this.canonHead) return;
    const { lflag, cc } = this.termios;
    const echo = (lflag & T.ECHO) !== 0;
    const kill = c === cc[T.VKILL] && c !== cc[T.VERASE];
    const word = !kill && c !== cc[T.VERASE];
    if (kill) {
      const visual = T.ECHOK | T.ECHOKE | T.ECHOE;
      if (!echo) {
        this.head = this.canonHead;
        return;
      }
      if ((lflag & visual) !== visual) {
        this.head = this.canonHead;
        this.finishErasing();
        this.output.echo(cc[T.VKILL]!);
        if ((lflag & T.ECHOK) !== 0) this.output.echoRaw(NL);
        return;
      }
    }
    let seenAlnums = false;
    while (this.head !== this.canonHead) {
      let at = this.head;
      let last: number;
      do last = this.buf[--at & MASK]!;
      while (this.output.isContinuation(last) && at !== this.canonHead);
      if (this.output.isContinuation(last)) break; // a partial character
      if (word) {
        if (isWord(last)) seenAlnums = true;
        else if (seenAlnums) break;
      }
      const count = this.head - at;
      this.head = at;
      if (echo) this.echoErased(last, at, count, !kill && !word);
      if (!kill && !word) break;
    }
    if (this.head === this.canonHead && echo) this.finishErasing();
  }

  private echoErased(c: number, at: number, count: number, single: boolean): void {
    const { lflag, cc } = this.termios;
    if ((lflag & T.ECHOPRT) !== 0) {
      if (!this.erasing) {
        this.output.echoRaw(0x5c);
        this.erasing = true;
      }
      this.output.echo(c);
      for (let i = 1; i < count; i++) this.output.echoRaw(this.buf[(at + i) & MASK]!);
    } else if (single && (lflag & T.ECHOE) === 0) {
      this.output.echo(cc[T.VERASE]!);
    } else if (c === 9) {
      this.echoErasedTab();
    } else {
      if (isControl(c) && (lflag & T.ECHOCTL) !== 0) this.output.echoErase();
      if (!isControl(c) || (lflag & T.ECHOCTL) !== 0) this.output.echoErase();
    }
  }

  /** Columns between the erased tab and the previous tab or the line's start decide how wide it was. */
  private echoErasedTab(): void {
    let chars = 0;
    for (let p = this.head; p !== this.canonHead;) {
      const c = this.buf[--p & MASK]!;
      if (c === 9) {
        this.output.echoEraseTab(chars, true);
        return;
      }
      if (isControl(c)) chars += (this.termios.lflag & T.ECHOCTL) !== 0 ? 2 : 0;
      else if (!this.output.isContinuation(c)) chars++;
    }
    this.output.echoEraseTab(chars, false);
  }

  // Flow control.

  stop(): void {
    if (this.output.stopped) return;
    this.output.stopped = true;
    this.owner.packetStatus(T.TIOCPKT_START, T.TIOCPKT_STOP);
  }

  start(): void {
    if (!this.output.stopped || this.heldByCall) return;
    this.output.stopped = false;
    this.owner.packetStatus(T.TIOCPKT_STOP, T.TIOCPKT_START);
    this.output.flushEchoes();
    this.owner.outputReady();
  }

  /** TCOOFF and TCOON of tcflow(3): start characters do not end what TCOOFF began, nor TCOON what a stop character did. */
  flow(on: boolean): void {
    if (on !== this.heldByCall) return;
    this.heldByCall = !on;
    if (on) this.start();
    else this.stop();
  }

  // The program's side.

  /** A line or part of one: bytes read, 0 for end of file. Preconditions: hasLine. */
  readLine(dst: Uint8Array, off: number, len: number): number {
    let n = 0;
    while (this.tail !== this.canonHead) {
      const at = this.tail & MASK;
      const ends = this.lineEnd[at] === 1;
      const c = this.buf[at]!;
      if (ends && c === DISABLED) {
        // VEOF ends the line and is not part of it, even if the buffer is full just before it.
        this.tail++;
        break;
      }
      if (n === len) break;
      dst[off + n++] = c;
      this.tail++;
      if (ends) break;
    }
    this.owner.outputReady();
    return n;
  }

  /** Whatever is there. */
  readRaw(dst: Uint8Array, off: number, len: number): number {
    const n = Math.min(len, this.head - this.tail);
    for (let i = 0; i < n; i++) dst[off + i] = this.buf[this.tail++ & MASK]!;
    if (this.canonHead < this.tail) this.canonHead = this.tail;
    this.owner.outputReady();
    return n;
  }

  flushInput(): void {
    this.tail = this.canonHead = this.head;
    this.lnext = false;
    this.erasing = false;
    this.lineEnd.fill(0);
  }

  /** The modes have changed from `oldLflag`, `oldIflag` (n_tty_set_termios). */
  modesChanged(oldLflag: number, oldIflag: number): void {
    const { lflag, iflag } = this.termios;
    if (((oldLflag ^ lflag) & (T.ICANON | T.EXTPROC)) !== 0) {
      this.lineEnd.fill(0);
      if ((lflag & T.ICANON) === 0 || this.head === this.tail) {
        this.canonHead = this.tail;
      } else {
        // What was typed before counts as a line.
        this.lineEnd[(this.head - 1) & MASK] = 1;
        this.canonHead = this.head;
      }
      this.lnext = false;
      this.erasing = false;
    }
    if ((iflag & T.IXON) === 0 && (oldIflag & T.IXON) !== 0) this.start();
    this.owner.inputReady();
    this.owner.outputReady();
  }
}

/** Letters, digits and underscore, Latin-1 letters included (isalnum of lib/ctype.c). */
function isWord(c: number): boolean {
  return (
    (c >= 48 && c <= 57) ||
    (c >= 65 && c <= 90) ||
    (c >= 97 && c <= 122) ||
    c === 95 ||
    (c >= 0xc0 && c !== 0xd7 && c !== 0xf7)
  );
}
