/**
 * What has been typed and not been read (read_buf and read_flags of drivers/tty/n_tty.c): complete lines, then the one that is
 * being edited. Without canonical mode the lines have no meaning.
 */

export const N_TTY_BUF_SIZE = 4096;
const MASK = N_TTY_BUF_SIZE - 1;
/** __DISABLED_CHAR: a control character set to it is off; also stands for VEOF in the buffer. */
export const DISABLED = 0;

export class LineBuffer {
  private readonly chars = new Uint8Array(N_TTY_BUF_SIZE);
  /** Marks the last character of each line. */
  private readonly lineEnd = new Uint8Array(N_TTY_BUF_SIZE);
  // Positions count up forever; the index is position & MASK.
  /** Behind the newest character. */
  head = 0;
  private tail = 0;
  /** Behind the last complete line: where the one being edited starts. */
  canonHead = 0;

  /** Characters in all. */
  get length(): number {
    return this.head - this.tail;
  }

  get hasLine(): boolean {
    return this.canonHead !== this.tail;
  }

  /** Nothing of the line being edited has been typed. */
  get atLineStart(): boolean {
    return this.canonHead === this.head;
  }

  /** Characters of complete lines, without their VEOFs; with them if the lines fill the buffer (inq_canon). */
  get lengthOfLines(): number {
    let n = this.canonHead - this.tail;
    if (n === N_TTY_BUF_SIZE) return n;
    for (let p = this.tail; p !== this.canonHead; p++)
      if (this.lineEnd[p & MASK] === 1 && this.chars[p & MASK] === DISABLED) n--;
    return n;
  }

  at(position: number): number {
    return this.chars[position & MASK]!;
  }

  put(c: number): void {
    // The buffer is full of an unfinished line: the newest character makes room for a line end.
    if (this.length >= N_TTY_BUF_SIZE) this.head--;
    this.chars[this.head & MASK] = c;
    this.lineEnd[this.head & MASK] = 0;
    this.head++;
  }

  endLine(c: number): void {
    this.put(c);
    this.endHere();
  }

  private endHere(): void {
    this.lineEnd[(this.head - 1) & MASK] = 1;
    this.canonHead = this.head;
  }

  /** Takes a line or part of one: characters taken, 0 for end of file. Preconditions: hasLine. */
  readLine(dst: Uint8Array, off: number, len: number): number {
    let n = 0;
    while (this.hasLine) {
      const ends = this.lineEnd[this.tail & MASK] === 1;
      const c = this.at(this.tail);
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
    return n;
  }

  /** Takes whatever is there. */
  readRaw(dst: Uint8Array, off: number, len: number): number {
    const n = Math.min(len, this.length);
    for (let i = 0; i < n; i++) dst[off + i] = this.at(this.tail++);
    if (this.canonHead < this.tail) this.canonHead = this.tail;
    return n;
  }

  clear(): void {
    this.tail = this.canonHead = this.head;
    this.lineEnd.fill(0);
  }

  /** Canonical mode begins or ends: what was typed before counts as one line, or as none. */
  joinLines(canonical: boolean): void {
    this.lineEnd.fill(0);
    if (canonical && this.length > 0) this.endHere();
    else this.canonHead = this.tail;
  }
}
