/** VERASE, VWERASE and VKILL: takes characters off the line being edited, and off the screen (drivers/tty/n_tty.c eraser()). */
import * as T from '../../abi/termios.ts';
import { isWord } from './ctype.ts';
import type { LineBuffer } from './line-buffer.ts';
import { isControl, type TtyOutput } from './output.ts';
import type { Termios } from './termios.ts';

const TAB = 9;
const NL = 10;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;

export class LineEraser {
  private readonly termios: Termios;
  private readonly output: TtyOutput;
  private readonly line: LineBuffer;
  /** Under ECHOPRT what is erased is printed between `\` and `/`: the slash is still to come. */
  private erasing = false;

  constructor(termios: Termios, output: TtyOutput, line: LineBuffer) {
    this.termios = termios;
    this.output = output;
    this.line = line;
  }

  /** finish_erasing() */
  finish(): void {
    if (!this.erasing) return;
    this.output.echoRaw(SLASH);
    this.erasing = false;
  }

  /** The erasing is over without a slash. */
  forget(): void {
    this.erasing = false;
  }

  /** `c` is VERASE, VWERASE or VKILL. */
  erase(c: number): void {
    const { line } = this;
    if (line.atLineStart) return;
    const { lflag, cc } = this.termios;
    const echo = (lflag & T.ECHO) !== 0;
    const single = c === cc[T.VERASE];
    const kill = !single && c === cc[T.VKILL];
    if (kill && this.killsBlindly(echo)) return;
    let seenAlnums = false;
    while (!line.atLineStart) {
      let at = line.head;
      let last: number;
      do last = line.at(--at);
      while (this.output.isContinuation(last) && at !== line.canonHead);
      if (this.output.isContinuation(last)) break; // a partial character
      if (!single && !kill) {
        if (isWord(last)) seenAlnums = true;
        else if (seenAlnums) break;
      }
      const count = line.head - at;
      line.head = at;
      if (echo) this.echoErased(last, at, count, single);
      if (single) break;
    }
    if (line.atLineStart && echo) this.finish();
  }

  /** VKILL where the characters do not vanish from the screen one by one; false: they do. */
  private killsBlindly(echo: boolean): boolean {
    const { lflag, cc } = this.termios;
    const visual = T.ECHOK | T.ECHOKE | T.ECHOE;
    if (echo && (lflag & visual) === visual) return false;
    this.line.head = this.line.canonHead;
    if (echo) {
      this.finish();
      this.output.echo(cc[T.VKILL]!);
      if ((lflag & T.ECHOK) !== 0) this.output.echoRaw(NL);
    }
    return true;
  }

  /** A character of `count` bytes is gone, which lie at `at` still. */
  private echoErased(c: number, at: number, count: number, single: boolean): void {
    const { lflag, cc } = this.termios;
    if ((lflag & T.ECHOPRT) !== 0) {
      if (!this.erasing) {
        this.output.echoRaw(BACKSLASH);
        this.erasing = true;
      }
      this.output.echo(c);
      for (let i = 1; i < count; i++) this.output.echoRaw(this.line.at(at + i));
    } else if (single && (lflag & T.ECHOE) === 0) {
      this.output.echo(cc[T.VERASE]!);
    } else if (c === TAB) {
      this.echoErasedTab();
    } else {
      if (isControl(c) && (lflag & T.ECHOCTL) !== 0) this.output.echoErase();
      if (!isControl(c) || (lflag & T.ECHOCTL) !== 0) this.output.echoErase();
    }
  }

  /** Columns between the erased tab and the previous tab or the line's start decide how wide it was. */
  private echoErasedTab(): void {
    const { line } = this;
    let chars = 0;
    for (let p = line.head; p !== line.canonHead;) {
      const c = line.at(--p);
      if (c === TAB) {
        this.output.echoEraseTab(chars, true);
        return;
      }
      if (isControl(c)) chars += (this.termios.lflag & T.ECHOCTL) !== 0 ? 2 : 0;
      else if (!this.output.isContinuation(c)) chars++;
    }
    this.output.echoEraseTab(chars, false);
  }
}
