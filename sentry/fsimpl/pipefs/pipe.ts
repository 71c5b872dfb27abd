/**
 * Pipe: the buffer between the ends of a pipe or FIFO (fs/pipe.c struct pipe_inode_info). Bytes in a ring that grows on
 * demand up to the pipe's capacity; a list of segments is kept only once packets (O_DIRECT) have been written.
 * Knows nothing of blocking: what does not fit is −EAGAIN or a short count.
 */
import { EAGAIN, EBUSY, EPERM } from '../../abi/errno.ts';

/** Writes of at most so many bytes are atomic (POSIX, pipe(7)). */
export const PIPE_BUF = 4096;
/** PIPE_DEF_BUFFERS pages */
export const PIPE_DEF_SIZE = 65536;
/** fs.pipe-max-size: how far processes without CAP_SYS_RESOURCE may go. */
let maxSize = 1048576;

export function pipeMaxSize(): number {
  return maxSize;
}

export function setPipeMaxSize(size: number): void {
  maxSize = PIPE_BUF;
  while (maxSize < size) maxSize *= 2;
}

const RING_START = 4096;
/** fs.pipe-user-pages-soft in bytes, here for the whole sandbox: beyond it pipes are born small and may not grow. */
const SOFT_LIMIT = 64 * 1024 * 1024;
/** PIPE_MIN_DEF_BUFFERS pages */
const SMALL_SIZE = 8192;
let reserved = 0;

export class Pipe {
  private ring = new Uint8Array(0);
  private head = 0;
  /** Bytes held. */
  used = 0;
  capacity: number;
  /** Lengths in order: > 0 stream bytes, < 0 one packet. null: all of it is stream. */
  private segments: number[] | null = null;

  constructor() {
    this.capacity = reserved + PIPE_DEF_SIZE > SOFT_LIMIT ? SMALL_SIZE : PIPE_DEF_SIZE;
    reserved += this.capacity;
  }

  /** The last end is closed. */
  release(): void {
    reserved -= this.capacity;
    this.capacity = 0;
    this.ring = new Uint8Array(0);
  }

  /** Room for a writer. */
  get free(): number {
    return this.capacity - this.used;
  }

  /** EPOLLOUT: a page is free (pipe_full() in Linux counts pages). */
  get writable(): boolean {
    return this.free >= PIPE_BUF;
  }

  /** Takes bytes in: all of them if at most PIPE_BUF, else as many as fit. −EAGAIN if nothing may be taken. */
  write(src: Uint8Array, off: number, len: number): number {
    const free = this.free;
    if (free === 0 || (len <= PIPE_BUF && free < len)) return -EAGAIN;
    const n = Math.min(len, free);
    this.append(src, off, n);
    if (this.segments !== null) {
      const last = this.segments.length - 1;
      if (last >= 0 && this.segments[last]! > 0) this.segments[last]! += n;
      else this.segments.push(n);
    }
    return n;
  }

  /** Packet mode: cut into packets of at most PIPE_BUF. A packet takes a page, as in Linux. */
  writePackets(src: Uint8Array, off: number, len: number): number {
    let done = 0;
    while (done < len) {
      const n = Math.min(len - done, PIPE_BUF);
      if (this.free < PIPE_BUF || this.packetCount >= this.capacity / PIPE_BUF) break;
      if (this.segments === null) this.segments = this.used > 0 ? [this.used] : [];
      this.append(src, off + done, n);
      this.segments.push(-n);
      done += n;
    }
    return done > 0 || len === 0 ? done : -EAGAIN;
  }

  private get packetCount(): number {
    return this.segments === null ? 0 : this.segments.length;
  }

  /** Bytes that one read takes at most: a packet ends it. */
  get firstRead(): number {
    const first = this.segments === null ? 0 : this.segments[0]!;
    return first < 0 ? -first : this.used;
  }

  /** Takes bytes out (dst null: throws them away); 0 if empty. A packet ends the read and what does not fit of it is dropped. */
  read(dst: Uint8Array | null, off: number, len: number): number {
    if (this.segments === null) {
      const n = Math.min(len, this.used);
      if (dst !== null) this.copyTo(0, dst, off, n);
      this.drop(n);
      return n;
    }
    let done = 0;
    while (done < len && this.segments.length > 0) {
      const seg = this.segments[0]!;
      const size = Math.abs(seg);
      if (seg < 0 && done > 0) break;
      const n = Math.min(size, len - done);
      if (dst !== null) this.copyTo(0, dst, off + done, n);
      done += n;
      if (seg < 0 || n === size) {
        this.drop(size);
        this.segments.shift();
      } else {
        this.drop(n);
        this.segments[0] = size - n;
      }
      if (seg < 0) break;
    }
    if (this.segments.length === 0) this.segments = null;
    return done;
  }

  /** Copies up to `len` bytes from `skip` on without taking them (tee). */
  peek(skip: number, dst: Uint8Array, off: number, len: number): number {
    const n = Math.max(0, Math.min(len, this.used - skip));
    this.copyTo(skip, dst, off, n);
    return n;
  }

  /** fcntl(F_SETPIPE_SZ): the new capacity or −errno. */
  setCapacity(size: number, privileged: boolean): number {
    let rounded = PIPE_BUF;
    while (rounded < size) rounded *= 2;
    if (rounded > this.capacity && rounded > maxSize && !privileged) return -EPERM;
    if (rounded > this.capacity && reserved + rounded - this.capacity > SOFT_LIMIT && !privileged)
      return -EPERM;
    if (this.used > rounded) return -EBUSY;
    reserved += rounded - this.capacity;
    this.capacity = rounded;
    if (this.ring.length > rounded) this.resize(rounded);
    return rounded;
  }

  private append(src: Uint8Array, off: number, n: number): void {
    if (this.used + n > this.ring.length) {
      let size = Math.max(this.ring.length, RING_START);
      while (size < this.used + n) size *= 2;
      this.resize(Math.min(size, this.capacity));
    }
    const size = this.ring.length;
    let tail = this.head + this.used;
    if (tail >= size) tail -= size;
    const first = Math.min(n, size - tail);
    copyBytes(src, off, this.ring, tail, first);
    if (first < n) copyBytes(src, off + first, this.ring, 0, n - first);
    this.used += n;
  }

  private copyTo(skip: number, dst: Uint8Array, off: number, n: number): void {
    const size = this.ring.length;
    let from = this.head + skip;
    if (from >= size) from -= size;
    const first = Math.min(n, size - from);
    copyBytes(this.ring, from, dst, off, first);
    if (first < n) copyBytes(this.ring, 0, dst, off + first, n - first);
  }

  private drop(n: number): void {
    this.used -= n;
    this.head += n;
    if (this.head >= this.ring.length) this.head -= this.ring.length;
    // A drained pipe gives its big buffer back.
    if (this.used === 0) {
      this.head = 0;
      if (this.ring.length > RING_START * 4) this.ring = new Uint8Array(RING_START);
    }
  }

  private resize(size: number): void {
    const next = new Uint8Array(size);
    this.copyTo(0, next, 0, this.used);
    this.ring = next;
    this.head = 0;
  }
}

/** Copies without making a view where Buffer can do it. */
function copyBytes(src: Uint8Array, from: number, dst: Uint8Array, to: number, n: number): void {
  if (n <= 0) return;
  if (n < 24) {
    for (let i = 0; i < n; i++) dst[to + i] = src[from + i]!;
    return;
  }
  Buffer.prototype.copy.call(src, dst, to, from, from + n);
}
