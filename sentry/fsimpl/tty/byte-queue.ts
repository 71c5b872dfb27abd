/** Bounded queue of bytes. */
export class ByteQueue {
  private readonly bytes: Uint8Array;
  private head = 0;
  private count = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.count;
  }

  get room(): number {
    return this.bytes.length - this.count;
  }

  /** Preconditions: room > 0. */
  push(byte: number): void {
    this.bytes[(this.head + this.count++) % this.bytes.length] = byte;
  }

  /** Takes as much of `src[off..off+len)` as fits; returns how much. */
  write(src: Uint8Array, off: number, len: number): number {
    const n = Math.min(len, this.room);
    for (let i = 0; i < n; i++) this.push(src[off + i]!);
    return n;
  }

  read(dst: Uint8Array, off: number, len: number): number {
    const n = this.peek(dst, off, len);
    this.skip(n);
    return n;
  }

  /** Preconditions: i < length. */
  at(i: number): number {
    return this.bytes[(this.head + i) % this.bytes.length]!;
  }

  /** Copies up to `len` bytes and leaves them in; how many. */
  peek(dst: Uint8Array, off: number, len: number): number {
    const n = Math.min(len, this.count);
    const first = Math.min(n, this.bytes.length - this.head);
    dst.set(this.bytes.subarray(this.head, this.head + first), off);
    if (n > first) dst.set(this.bytes.subarray(0, n - first), off + first);
    return n;
  }

  /** Forgets what comes behind the first `n`. */
  truncate(n: number): void {
    this.count = Math.min(this.count, n);
  }

  /** Forgets the first `n`. Preconditions: n <= length. */
  skip(n: number): void {
    this.head = (this.head + n) % this.bytes.length;
    this.count -= n;
  }
}
