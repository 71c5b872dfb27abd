/** Calls on memory, and about it, that the kernel orders (sentry/platform `Orders`), as the host system calls that a guest's thread makes for them. */
import { dup } from '../sentry/host/sys.ffi.ts';
import type { Orders } from '../sentry/platform/platform.ts';
import * as NR from './order-numbers.ts';
import { ORDER_CMPXCHG } from './stub-layout.ts';

const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
// How a thread brings pages in (madvise(2), Linux 5.14).
const MADV_POPULATE_READ = 22;
const MADV_POPULATE_WRITE = 23;

export abstract class MemoryOrders implements Orders {
  /**
   * Queues host system call `nr`. `hostFd` is to be at `orderFd` when it is made, and is the order's from now on; −1: none.
   * `mayFail`: the orders behind it are carried out all the same.
   */
  protected abstract order(nr: number, args: readonly number[], hostFd?: number, mayFail?: boolean): void;

  /** Number in the guest's process of the descriptor that an order brings. */
  protected abstract get orderFd(): number;

  mmap(addr: number, len: number, prot: number, flags: number, hostFd: number, offset: number): void {
    if ((flags & MAP_ANONYMOUS) !== 0) this.order(NR.MMAP, [addr, len, prot, flags | MAP_FIXED, -1, 0]);
    // A descriptor that cannot be duplicated makes the mapping fail.
    else this.order(NR.MMAP, [addr, len, prot, flags | MAP_FIXED, this.orderFd, offset], dup(hostFd));
  }

  munmap(addr: number, len: number): void {
    this.order(NR.MUNMAP, [addr, len]);
  }

  mprotect(addr: number, len: number, prot: number): void {
    this.order(NR.MPROTECT, [addr, len, prot]);
  }

  pkeyMprotect(addr: number, len: number, prot: number, key: number): void {
    this.order(NR.PKEY_MPROTECT, [addr, len, prot, key]);
  }

  mremap(oldAddr: number, oldLen: number, newLen: number, newAddr: number): void {
    const flags = newAddr === oldAddr ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;
    this.order(NR.MREMAP, [oldAddr, oldLen, newLen, flags, newAddr]);
  }

  madvise(addr: number, len: number, advice: number): void {
    this.order(NR.MADVISE, [addr, len, advice]);
  }

  populate(addr: number, len: number, write: boolean, mayFail: boolean): void {
    this.order(NR.MADVISE, [addr, len, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ], -1, mayFail);
  }

  membarrier(command: number, flags: number, cpu: number): void {
    this.order(NR.MEMBARRIER, [command, flags, cpu]);
  }

  rseq(addr: number, len: number, flags: number, sig: number): void {
    this.order(NR.RSEQ, [addr, len, flags, sig]);
  }

  compareExchange(addr: number, expected: number, value: number): void {
    this.order(ORDER_CMPXCHG, [addr, expected, value]);
  }
}
