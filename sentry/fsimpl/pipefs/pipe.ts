/**
 * Pipe: the buffer between the ends of a pipe or FIFO (fs/pipe.c struct pipe_inode_info): pages in a ring that grows on demand, each with
 * bytes of its own. A page that came by a write is filled up by later ones; what was spliced, and packets (O_DIRECT), stay as they are.
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

/** fs.pipe-user-pages-soft in bytes, here for the whole sandbox: beyond it pipes are born small and may not grow. */
const SOFT_LIMIT = 64 * 1024 * 1024;
/** PIPE_MIN_DEF_BUFFERS pages */
const SMALL_SIZE = 8192;
let reserved = 0;

/** What may happen to a page: PIPE_BUF_FLAG_CAN_MERGE, PIPE_BUF_FLAG_PACKET. */
const MERGE = 1;
const PACKET = 2;
/** A drained pipe gives back what is beyond so many pages. */
const KEPT_PAGES = 4;

export class Pipe {
  private bytes = new Uint8Array(0);
  /** Where in its page each one's bytes begin, how many they are, and its flags. */
  private offsets = new Uint16Array(0);
  private lengths = new Uint16Array(0);
  private flags = new Uint8Array(0);
  /** Those in use: `count` pages from `first` on, around the ring. */
  private first = 0;
  private count = 0;
  /** Bytes held. */
  used = 0;
  capacity: number;

  constructor() {
    this.capacity = reserved + PIPE_DEF_SIZE > SOFT_LIMIT ? SMALL_SIZE : PIPE_DEF_SIZE;
    reserved += this.capacity;
  }

  /** The last end is closed. */
  release(): void {
    reserved -= this.capacity;
    this.capacity = 0;
    this.count = this.used = 0;
    this.resize(0);
  }

  private get slots(): number {
    return this.flags.length;
  }

  private slotOf(i: number): number {
    return (this.first + i) & (this.slots - 1);
  }

  /** Pages in use. */
  get pages(): number {
    return this.count;
  }

  /** Room for a writer who takes whole pages. */
  get free(): number {
    return this.capacity - this.count * PIPE_BUF;
  }

  /** EPOLLOUT: a page is free. */
  get writable(): boolean {
    return this.free > 0;
  }

  /** pipe_write(): bytes taken, all of them if they are at most PIPE_BUF, or −EAGAIN. Packets have a page each. */
  write(src: Uint8Array, off: number, len: number, packets = false): number {
    const done = this.fits(len);
    if (done > 0) {
      const last = this.slotOf(this.count - 1);
      const end = this.offsets[last]! + this.lengths[last]!;
      copyBytes(src, off, this.bytes, last * PIPE_BUF + end, done);
      this.lengths[last]! += done;
      this.used += done;
    }
    if (done === len) return len;
    return done + this.addPages(src, off + done, len - done, packets ? PACKET : MERGE, 0) || -EAGAIN;
  }

  /** How much of a write of `len` bytes goes into the last page: what is more than whole pages, if that fits. */
  fits(len: number): number {
    const part = len & (PIPE_BUF - 1);
    if (part === 0 || this.count === 0) return 0;
    const last = this.slotOf(this.count - 1);
    const end = this.offsets[last]! + this.lengths[last]!;
    return this.flags[last] === MERGE && end + part <= PIPE_BUF ? part : 0;
  }

  /** What is spliced in: pages that nothing is added to. The first byte's place in its page is `lead`. −EAGAIN: no room. */
  give(src: Uint8Array, off: number, len: number, lead: number): number {
    return this.addPages(src, off, len, 0, lead) || -EAGAIN;
  }

  private addPages(src: Uint8Array, off: number, len: number, flags: number, lead: number): number {
    const n = Math.min(len, this.free - lead);
    if (n <= 0) return 0;
    let left = Math.ceil((lead + n) / PIPE_BUF);
    this.makeRoom(this.count + left);
    for (let done = 0, begin = lead; left > 0; begin = 0) {
      // As many as lie side by side.
      const slot = this.slotOf(this.count);
      const run = Math.min(left, this.slots - slot);
      const part = Math.min(n - done, run * PIPE_BUF - begin);
      copyBytes(src, off + done, this.bytes, slot * PIPE_BUF + begin, part);
      done += part;
      for (let i = 0, rest = part, at = begin; i < run; i++, at = 0) {
        const length = Math.min(rest, PIPE_BUF - at);
        this.setPage(slot + i, at, length, flags);
        rest -= length;
      }
      this.count += run;
      left -= run;
    }
    this.used += n;
    return n;
  }

  private setPage(slot: number, offset: number, length: number, flags: number): void {
    this.offsets[slot] = offset;
    this.lengths[slot] = length;
    this.flags[slot] = flags;
  }

  /** Bytes in the first page; 0: there is none. */
  get firstPage(): number {
    return this.count === 0 ? 0 : this.lengths[this.first]!;
  }

  /** Bytes that one read takes at most: a packet ends it. */
  get firstRead(): number {
    let n = 0;
    for (let i = 0; i < this.count; i++) {
      const slot = this.slotOf(i);
      n += this.lengths[slot]!;
      if (this.flags[slot] === PACKET) break;
    }
    return n;
  }

  /** Takes bytes out (dst null: throws them away); 0 if empty. A packet ends the read and what does not fit of it is dropped. */
  read(dst: Uint8Array | null, off: number, len: number): number {
    let done = 0;
    while (done < len && this.count > 0) {
      const slot = this.first;
      const packet = this.flags[slot] === PACKET;
      const n = Math.min(len - done, packet ? this.lengths[slot]! : this.sideBySide());
      if (dst !== null) copyBytes(this.bytes, slot * PIPE_BUF + this.offsets[slot]!, dst, off + done, n);
      done += n;
      this.skip(packet ? this.lengths[slot]! : n);
      if (packet) break;
    }
    return done;
  }

  /** Bytes from the first one on that lie side by side and are no packet's. */
  private sideBySide(): number {
    let n = this.lengths[this.first]!;
    let end = this.offsets[this.first]! + n;
    for (let i = 1; i < this.count && end === PIPE_BUF; i++) {
      const slot = this.first + i;
      if (slot >= this.slots || this.flags[slot] === PACKET || this.offsets[slot] !== 0) break;
      end = this.lengths[slot]!;
      n += end;
    }
    return n;
  }

  /** Throws the first `n` bytes away, of packets as of streams. */
  skip(n: number): void {
    this.used -= n;
    for (let left = n; left > 0;) {
      const length = this.lengths[this.first]!;
      if (left < length) {
        this.offsets[this.first]! += left;
        this.lengths[this.first]! -= left;
        return;
      }
      left -= length;
      this.first = this.slotOf(1);
      this.count--;
    }
    if (this.count > 0) return;
    this.first = 0;
    if (this.slots > KEPT_PAGES) this.resize(1);
  }

  /** Copies up to `len` bytes without taking them. */
  peek(dst: Uint8Array, off: number, len: number): number {
    let done = 0;
    for (let i = 0; i < this.count && done < len; i++) {
      const slot = this.slotOf(i);
      const n = Math.min(this.lengths[slot]!, len - done);
      copyBytes(this.bytes, slot * PIPE_BUF + this.offsets[slot]!, dst, off + done, n);
      done += n;
    }
    return done;
  }

  /** splice_pipe_to_pipe(), link_pipe(): up to `len` bytes, page by page, to another pipe, and out of this one if `take`: how many. */
  passTo(to: Pipe, len: number, take: boolean): number {
    let done = 0;
    for (let i = 0; done < len && i < this.count && to.writable; take || i++) {
      const from = this.slotOf(i);
      const n = Math.min(this.lengths[from]!, len - done);
      const whole = take && n === this.lengths[from];
      to.makeRoom(to.count + 1);
      const slot = to.slotOf(to.count++);
      const offset = this.offsets[from]!;
      const at = from * PIPE_BUF + offset;
      copyBytes(this.bytes, at, to.bytes, slot * PIPE_BUF + offset, n);
      to.setPage(slot, offset, n, whole ? this.flags[from]! : this.flags[from]! & ~MERGE);
      to.used += n;
      done += n;
      if (take) this.skip(n);
    }
    return done;
  }

  /** fcntl(F_SETPIPE_SZ): the new capacity or −errno. */
  setCapacity(size: number, privileged: boolean): number {
    let rounded = PIPE_BUF;
    while (rounded < size) rounded *= 2;
    if (rounded > this.capacity && rounded > maxSize && !privileged) return -EPERM;
    if (rounded > this.capacity && reserved + rounded - this.capacity > SOFT_LIMIT && !privileged)
      return -EPERM;
    if (this.count * PIPE_BUF > rounded) return -EBUSY;
    reserved += rounded - this.capacity;
    this.capacity = rounded;
    if (this.slots * PIPE_BUF > rounded) this.resize(rounded / PIPE_BUF);
    return rounded;
  }

  private makeRoom(pages: number): void {
    if (pages <= this.slots) return;
    let slots = Math.max(1, this.slots);
    while (slots < pages) slots *= 2;
    this.resize(slots);
  }

  /** `slots`: 0 or a power of two, not fewer than are in use. */
  private resize(slots: number): void {
    const bytes = new Uint8Array(slots * PIPE_BUF);
    const offsets = new Uint16Array(slots);
    const lengths = new Uint16Array(slots);
    const flags = new Uint8Array(slots);
    for (let i = 0; i < this.count; i++) {
      const slot = this.slotOf(i);
      offsets[i] = this.offsets[slot]!;
      lengths[i] = this.lengths[slot]!;
      flags[i] = this.flags[slot]!;
      const from = slot * PIPE_BUF + offsets[i]!;
      copyBytes(this.bytes, from, bytes, i * PIPE_BUF + offsets[i]!, lengths[i]!);
    }
    this.bytes = bytes;
    this.offsets = offsets;
    this.lengths = lengths;
    this.flags = flags;
    this.first = 0;
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
