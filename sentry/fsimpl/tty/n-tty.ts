/**
 * The terminal line discipline (drivers/tty/n_tty.c): turns what the keyboard side sends into what the program reads,
 * with echo, signals and flow control. What has been typed is in a `LineBuffer`.
 */
import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.ts';
import * as T from '../../abi/termios.ts';
import { toLower } from './ctype.ts';
import { DISABLED, LineBuffer, N_TTY_BUF_SIZE } from './line-buffer.ts';
import { LineEraser } from './line-eraser.ts';
import type { TtyOutput } from './output.ts';
import type { Termios } from './termios.ts';

const NL = 10;
const CR = 13;
const CARET = 0x5e;
const BS = 8;

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
  private readonly line = new LineBuffer();
  private readonly eraser: LineEraser;
  /** VLNEXT: the next character is an ordinary one. */
  private lnext = false;
  /** tty->flow.tco_stopped */
  private heldByCall = false;
  /** Of the next characters, so many were looked at for flow control when there was no room for them (lookahead_count). */
  private lookedAt = 0;
  /** The input that is being received began with some of them. */
  private overtaken = false;

  constructor(termios: Termios, output: TtyOutput, owner: NTtyOwner) {
    this.termios = termios;
    this.output = output;
    this.owner = owner;
    this.eraser = new LineEraser(termios, output, this.line);
  }

  private get icanon(): boolean {
    return (this.termios.lflag & (T.ICANON | T.EXTPROC)) === T.ICANON;
  }

  /** Characters a read could return now (FIONREAD, inq_canon): whole lines only in canonical mode, without their VEOFs. */
  get readable(): number {
    return this.icanon ? this.line.lengthOfLines : this.line.length;
  }

  /** A read would not wait; `min` characters are asked for without lines (input_available_p). */
  available(min: number): boolean {
    return this.icanon ? this.line.hasLine : this.line.length >= min;
  }

  get hasLine(): boolean {
    return this.line.hasLine;
  }

  /** How many more characters are taken now (receive_room). */
  get room(): number {
    const free = N_TTY_BUF_SIZE - this.line.length;
    const room = ((this.termios.iflag & T.PARMRK) !== 0 ? Math.ceil(free / 3) : free) - 1;
    if (room > 0) return room;
    // Without a complete line erase characters must still get through; ordinary ones are lost.
    return this.icanon && !this.line.hasLine ? N_TTY_BUF_SIZE : 0;
  }

  /** Input from the other side: number of characters taken. */
  receive(src: Uint8Array, off: number, len: number): number {
    let n = 0;
    this.output.receiving(true);
    this.overtaken = this.lookedAt > 0;
    while (n < len && this.room > 0) this.receiveChar(src[off + n++]!);
    this.output.receiving(false);
    if (n > 0) {
      this.output.flushEchoes();
      if (this.available(1)) this.owner.inputReady();
      this.owner.outputReady();
    }
    return n;
  }

  /** There is no room for this character, but stop and start are obeyed at once (n_tty_lookahead_flow_ctrl). */
  lookAhead(c: number): void {
    this.lookedAt++;
    if ((this.termios.iflag & T.IXON) !== 0) this.flowControl(c);
  }

  private controlsFlow(c: number): boolean {
    return this.special(c, T.VSTART) || this.special(c, T.VSTOP);
  }

  /** n_tty_receive_char_flow_ctrl() */
  private flowControl(c: number): boolean {
    if (!this.controlsFlow(c)) return false;
    if (this.special(c, T.VSTART)) {
      this.start();
      this.output.flushEchoes();
    } else {
      this.stop();
    }
    return true;
  }

  private special(c: number, index: number): boolean {
    return c !== DISABLED && c === this.termios.cc[index];
  }

  private receiveChar(ch: number): void {
    const { iflag, lflag } = this.termios;
    const seen = this.lookedAt > 0;
    if (seen) this.lookedAt--;
    let c = ch;
    if ((iflag & T.ISTRIP) !== 0) c &= 0x7f;
    if ((iflag & T.IUCLC) !== 0 && (lflag & T.IEXTEN) !== 0) c = toLower(c);
    if ((lflag & T.EXTPROC) !== 0) {
      this.line.put(c);
      return;
    }
    if (this.lnext) {
      this.lnext = false;
      this.restartAny();
      this.ordinary(c);
      return;
    }
    if ((iflag & T.IXON) !== 0 && (seen ? this.controlsFlow(c) : this.flowControl(c))) return;
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
    // Linux takes them off a count that is 0 by now: it is huge until the next flush by a call.
    if (this.overtaken) this.lookedAt = Infinity;
    this.owner.packetStatus(0, T.TIOCPKT_FLUSHREAD | T.TIOCPKT_FLUSHWRITE);
    this.owner.outputReady();
  }

  /** `fromCr`: a line feed made by ICRNL, which is not echoed as ^J. */
  private ordinary(c: number, fromCr = false): void {
    const { iflag, lflag } = this.termios;
    if ((lflag & T.ECHO) !== 0) {
      this.eraser.finish();
      if (c === NL && fromCr) {
        this.output.echoRaw(NL);
      } else {
        if (this.line.atLineStart) this.output.setCanonColumn();
        this.output.echo(c);
      }
    }
    if (this.icanon && this.line.length >= N_TTY_BUF_SIZE - 1) return;
    if ((iflag & T.PARMRK) !== 0 && c === 0xff) this.line.put(c);
    this.line.put(c);
  }

  /** Editing characters and line ends of canonical mode; false: an ordinary character. */
  private canonChar(c: number): boolean {
    const { iflag, lflag } = this.termios;
    const iexten = (lflag & T.IEXTEN) !== 0;
    if (this.special(c, T.VERASE) || this.special(c, T.VKILL) || (iexten && this.special(c, T.VWERASE))) {
      this.eraser.erase(c);
      return true;
    }
    if (iexten && this.special(c, T.VLNEXT)) {
      this.lnext = true;
      if ((lflag & T.ECHO) !== 0) {
        this.eraser.finish();
        if ((lflag & T.ECHOCTL) !== 0) {
          this.output.echoRaw(CARET);
          this.output.echoRaw(BS);
        }
      }
      return true;
    }
    if (iexten && (lflag & T.ECHO) !== 0 && this.special(c, T.VREPRINT)) {
      this.eraser.finish();
      this.output.echo(c);
      this.output.echoRaw(NL);
      const { line, output } = this;
      for (let p = line.canonHead; p !== line.head && !output.echoesLost; p++) output.echo(line.at(p));
      return true;
    }
    if (c === NL) {
      if ((lflag & (T.ECHO | T.ECHONL)) !== 0) this.output.echoRaw(NL);
      this.line.endLine(c);
      return true;
    }
    if (this.special(c, T.VEOF)) {
      this.line.endLine(DISABLED);
      return true;
    }
    if (this.special(c, T.VEOL) || (iexten && this.special(c, T.VEOL2))) {
      if ((lflag & T.ECHO) !== 0) {
        if (this.line.atLineStart) this.output.setCanonColumn();
        this.output.echo(c);
      }
      if ((iflag & T.PARMRK) !== 0 && c === 0xff) this.line.put(c);
      this.line.endLine(c);
      return true;
    }
    return false;
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
    const n = this.line.readLine(dst, off, len);
    this.owner.outputReady();
    return n;
  }

  /** Whatever is there. */
  readRaw(dst: Uint8Array, off: number, len: number): number {
    const n = this.line.readRaw(dst, off, len);
    this.owner.outputReady();
    return n;
  }

  /** reset_buffer_flags(): a literal next character stays one. */
  flushInput(): void {
    this.line.clear();
    this.eraser.forget();
    this.lookedAt = 0;
  }

  /** The modes have changed from `oldLflag`, `oldIflag` (n_tty_set_termios). */
  modesChanged(oldLflag: number, oldIflag: number): void {
    const { lflag, iflag } = this.termios;
    if (((oldLflag ^ lflag) & (T.ICANON | T.EXTPROC)) !== 0) {
      this.line.joinLines((lflag & T.ICANON) !== 0);
      this.lnext = false;
      this.eraser.forget();
    }
    if ((iflag & T.IXON) === 0 && (oldIflag & T.IXON) !== 0) this.start();
    this.owner.inputReady();
    this.owner.outputReady();
  }
}
