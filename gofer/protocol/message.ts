/**
 * Reading and writing of message bodies. A reader never throws and never reads beyond the message: after the first
 * violation `ok` is false and every further value is 0 or ''. Check `done()` once at the end.
 */
import { HDR_LENGTH, HDR_OP, HDR_SEQ, HDR_SIZE, HDR_STATUS, HDR_ZERO } from './layout.ts';

/** Memory a message lives in: private to the process, so it may be decoded in place. */
export interface MessageBuffer {
  readonly size: number;
  readonly bytes: Buffer;
  readonly view: DataView;
}

export class MessageReader {
  ok = true;
  private readonly buf: MessageBuffer;
  private pos = 0;
  private end = 0;

  constructor(buf: MessageBuffer) {
    this.buf = buf;
  }

  /** Starts on a packet of `length` bytes. False if its header is not sane. */
  begin(length: number): boolean {
    this.pos = HDR_SIZE;
    this.end = length;
    const v = this.buf.view;
    this.ok =
      length >= HDR_SIZE &&
      length <= this.buf.size &&
      v.getUint32(HDR_LENGTH, true) === length &&
      v.getUint16(HDR_ZERO, true) === 0;
    if (!this.ok) this.end = 0;
    return this.ok;
  }

  get op(): number {
    return this.buf.view.getUint16(HDR_OP, true);
  }

  get seq(): number {
    return this.buf.view.getUint32(HDR_SEQ, true);
  }

  get status(): number {
    return this.buf.view.getInt32(HDR_STATUS, true);
  }

  get remaining(): number {
    return this.end - this.pos;
  }

  /** Claims `n` bytes; offset of the first, or −1. */
  skip(n: number): number {
    if (!this.ok || n < 0 || n > this.end - this.pos) {
      this.ok = false;
      return -1;
    }
    const at = this.pos;
    this.pos += n;
    return at;
  }

  u8(): number {
    const at = this.skip(1);
    return at < 0 ? 0 : this.buf.view.getUint8(at);
  }

  u16(): number {
    const at = this.skip(2);
    return at < 0 ? 0 : this.buf.view.getUint16(at, true);
  }

  u32(): number {
    const at = this.skip(4);
    return at < 0 ? 0 : this.buf.view.getUint32(at, true);
  }

  i32(): number {
    return this.u32() | 0;
  }

  /** Unsigned 64 bits; 2^53 and more is a violation. */
  u64(): number {
    const at = this.skip(8);
    if (at < 0) return 0;
    const hi = this.buf.view.getUint32(at + 4, true);
    if (hi >= 0x200000) {
      this.ok = false;
      return 0;
    }
    return hi * 0x100000000 + this.buf.view.getUint32(at, true);
  }

  /** Seconds, signed 64 bits, cut to ±2^53: a file system may hold any, and programs set them. */
  time(): number {
    const at = this.skip(8);
    if (at < 0) return 0;
    const n = getI64(this.buf.view, at);
    return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, n));
  }

  /** u16 length and bytes, at most `max`. */
  string(max: number): string {
    return this.rawString(this.u16(), max);
  }

  /** u32 length and bytes, at most `max`. */
  longString(max: number): string {
    return this.rawString(this.u32(), max);
  }

  rawString(n: number, max: number): string {
    if (n > max) this.ok = false;
    const at = this.skip(n);
    return at < 0 ? '' : this.buf.bytes.toString('latin1', at, at + n);
  }

  /** True if everything was there and nothing is left over. */
  done(): boolean {
    if (this.pos !== this.end) this.ok = false;
    return this.ok;
  }
}

export class MessageWriter {
  /** Becomes true when something did not fit; the message must then not be sent. */
  overflow = false;
  pos = HDR_SIZE;
  private readonly buf: MessageBuffer;

  constructor(buf: MessageBuffer) {
    this.buf = buf;
  }

  begin(op: number, seq: number): void {
    const v = this.buf.view;
    this.overflow = false;
    this.pos = HDR_SIZE;
    v.setUint16(HDR_OP, op, true);
    v.setUint16(HDR_ZERO, 0, true);
    v.setUint32(HDR_SEQ, seq, true);
    v.setInt32(HDR_STATUS, 0, true);
  }

  /** Completes the header; length of the packet. */
  end(status = 0): number {
    if (status < 0) this.pos = HDR_SIZE;
    this.buf.view.setInt32(HDR_STATUS, status, true);
    this.buf.view.setUint32(HDR_LENGTH, this.pos, true);
    return this.pos;
  }

  get room(): number {
    return this.buf.size - this.pos;
  }

  /** Claims `n` bytes; offset of the first, or −1. */
  reserve(n: number): number {
    if (n > this.buf.size - this.pos) {
      this.overflow = true;
      return -1;
    }
    const at = this.pos;
    this.pos += n;
    return at;
  }

  u8(n: number): void {
    const at = this.reserve(1);
    if (at >= 0) this.buf.view.setUint8(at, n);
  }

  u16(n: number): void {
    const at = this.reserve(2);
    if (at >= 0) this.buf.view.setUint16(at, n, true);
  }

  u32(n: number): void {
    const at = this.reserve(4);
    if (at >= 0) this.buf.view.setUint32(at, n, true);
  }

  u64(n: number): void {
    const at = this.reserve(8);
    if (at >= 0) setI64(this.buf.view, at, n);
  }

  /** u16 length and bytes. */
  string(s: string): void {
    this.u16(s.length);
    this.rawString(s);
  }

  /** u32 length and bytes. */
  longString(s: string): void {
    this.u32(s.length);
    this.rawString(s);
  }

  rawString(s: string): void {
    const at = this.reserve(s.length);
    if (at >= 0) this.buf.bytes.write(s, at, 'latin1');
  }
}

export function getI64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
}

/** Writes a safe integer as 64 bits, two's complement. */
function setI64(view: DataView, at: number, n: number): void {
  const hi = Math.floor(n / 0x100000000);
  view.setUint32(at, n - hi * 0x100000000, true);
  view.setInt32(at + 4, hi, true);
}

/** A name one component long that can neither leave its directory nor be cut short: what walk and create accept. */
export function isValidName(name: string): boolean {
  const n = name.length;
  if (n === 0 || n > 255) return false;
  if (name === '.' || name === '..') return false;
  for (let i = 0; i < n; i++) {
    const c = name.charCodeAt(i);
    if (c === 0x2f || c === 0 || c > 0xff) return false;
  }
  return true;
}
