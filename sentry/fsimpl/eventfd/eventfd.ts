/** EventFile: a 64-bit counter (fs/eventfd.c). Kept as two uint32; its greatest value is 2^64 − 2. */
import { EAGAIN, EFAULT, EINVAL } from '../../abi/errno.ts';
import { O_RDWR } from '../../abi/fcntl.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { FileDescription, RWF_HIPRI, type TornRead } from '../../vfs/file-description.ts';
import { EPOLLERR, EPOLLIN, EPOLLOUT } from '../../waiter/wait-queue.ts';
import { anonInode } from '../anon/anon-inode.ts';

const U32 = 0x100000000;

export class EventFile extends FileDescription {
  private lo: number;
  private hi = 0;
  private readonly semaphore: boolean;

  constructor(initial: number, semaphore: boolean, flags: number) {
    super(null, anonInode('eventfd'), O_RDWR | flags);
    this.lo = initial >>> 0;
    this.semaphore = semaphore;
  }

  override get tornRead(): TornRead {
    return 'lost';
  }

  override copyUnit(): number {
    return Infinity;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (len < 8) return -EINVAL;
    if (this.lo === 0 && this.hi === 0) return -EAGAIN;
    let lo = this.lo;
    let hi = this.hi;
    if (this.semaphore) {
      lo = 1;
      hi = 0;
      if (this.lo === 0) this.hi--;
      this.lo = (this.lo - 1) >>> 0;
    } else {
      this.lo = 0;
      this.hi = 0;
    }
    putU32(buf, off, lo);
    putU32(buf, off + 4, hi);
    this.waiters.wake(EPOLLOUT);
    return 8;
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (len !== 8) return -EINVAL;
    const lo = getU32(buf, off);
    const hi = getU32(buf, off + 4);
    if (lo === U32 - 1 && hi === U32 - 1) return -EINVAL;
    return this.signal(lo, hi) ? 8 : -EAGAIN;
  }

  override writeNowhere(_t: CallContext, len: number): number {
    return len !== 8 ? -EINVAL : -EFAULT;
  }

  /** Adds to the counter; false (and nothing changed) if it would exceed 2^64 − 2. */
  signal(lo: number, hi: number): boolean {
    let sumLo = this.lo + lo;
    let sumHi = this.hi + hi;
    if (sumLo >= U32) {
      sumLo -= U32;
      sumHi++;
    }
    if (sumHi >= U32 || (sumHi === U32 - 1 && sumLo === U32 - 1)) return false;
    this.lo = sumLo;
    this.hi = sumHi;
    this.waiters.wake(EPOLLIN);
    return true;
  }

  /** eventfd_signal(): a kernel's own event; the counter stops at its end. */
  add(n: number): void {
    if (this.signal(n, 0)) return;
    this.lo = U32 - 1;
    this.hi = U32 - 1;
    this.waiters.wake(EPOLLIN | EPOLLERR);
  }

  override rwFlags(write: boolean): number {
    return write ? RWF_HIPRI : super.rwFlags(write);
  }

  override canSplice(): boolean {
    return false;
  }

  /** noop_llseek() */
  override seek(): number {
    return this.pos;
  }

  override poll(): number {
    let events = 0;
    if (this.lo !== 0 || this.hi !== 0) events |= EPOLLIN;
    if (this.hi === U32 - 1 && this.lo === U32 - 1) events |= EPOLLERR;
    if (this.hi < U32 - 1 || this.lo < U32 - 2) events |= EPOLLOUT;
    return events;
  }

  override fdinfo(): string {
    const count = this.hi * U32 + this.lo;
    return `eventfd-count: ${count.toString(16).padStart(16, ' ')}\neventfd-id: 0\neventfd-semaphore: ${this.semaphore ? 1 : 0}\n`;
  }
}

function getU32(b: Uint8Array, o: number): number {
  return (b[o]! | (b[o + 1]! << 8) | (b[o + 2]! << 16) | (b[o + 3]! << 24)) >>> 0;
}

export function putU32(b: Uint8Array, o: number, v: number): void {
  b[o] = v;
  b[o + 1] = v >>> 8;
  b[o + 2] = v >>> 16;
  b[o + 3] = v >>> 24;
}
