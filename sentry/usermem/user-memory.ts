/**
 * Access to guest memory for syscall handlers: Linux's copy_from_user and copy_to_user. Everything is copied once into
 * private memory; a handler decides on the copy. Ranges are checked against the VMA table first, so that a bad
 * pointer is -EFAULT before anything happens; a mapping torn away by another thread meanwhile is -EFAULT later.
 */
import { E2BIG, EFAULT, ENAMETOOLONG } from '../abi/errno.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { PAGE_SIZE, TASK_SIZE, pageOffset } from '../lib/addr.ts';
import type { AddressSpace, Context } from '../platform/platform.ts';

/** What UserMemory wants from the VMA table. */
export interface AccessMap {
  /**
   * Number of bytes from `addr` (at most `len`) that are mapped with the wanted access. May grow a stack VMA, as a
   * fault would.
   */
  accessible(addr: number, len: number, write: boolean): number;
  /** What threads may touch depends on their protection keys: of `n` such bytes those that a thread with `pkru` may use. */
  readonly keyed: boolean;
  permitted(addr: number, n: number, write: boolean, pkru: number): number;
}

/** Shared scratch for structs: valid until the next handler runs; zero what you do not fill. */
export const scratch = new HostBuffer(64 * 1024);

const chunk = Buffer.alloc(PAGE_SIZE);

export class UserMemory {
  /** Traced: memory is read and written at once, as the tracer may change or look at it before the call ends. */
  immediate = false;
  /** All protection keys are open, as they are while a signal frame is made or taken back (sig_prepare_pkru). */
  anyKey = false;
  private ctx: Context;
  private map: AccessMap;
  private space: AddressSpace;

  constructor(ctx: Context, map: AccessMap) {
    this.ctx = ctx;
    this.map = map;
    this.space = ctx.space;
  }

  /** After execve or when a task gets another context. */
  rebind(ctx: Context, map: AccessMap): void {
    this.ctx = ctx;
    this.map = map;
    this.space = ctx.space;
  }

  /** AccessMap.accessible, of a thread that this memory is for. */
  accessible(addr: number, len: number, write: boolean): number {
    const { map } = this;
    const n = map.accessible(addr, len, write);
    return map.keyed && n > 0 && !this.anyKey ? map.permitted(addr, n, write, this.ctx.pkru) : n;
  }

  /** 0, or −EFAULT if any of the range lies outside user space or is not mapped with that access. */
  check(addr: number, len: number, write: boolean): number {
    if (addr < 0 || addr + len > TASK_SIZE) return -EFAULT;
    return this.accessible(addr, len, write) === len ? 0 : -EFAULT;
  }

  /** Copies exactly `len` bytes of guest memory to `dst[off..)`: 0 or −EFAULT. */
  copyIn(addr: number, dst: Uint8Array, off: number, len: number): number {
    if (len === 0) return 0;
    return this.copyInPartial(addr, dst, off, len) === len ? 0 : -EFAULT;
  }

  /** Copies up to `len` bytes, stopping at the first bad page: bytes copied (> 0) or −EFAULT. */
  copyInPartial(addr: number, dst: Uint8Array, off: number, len: number): number {
    if (len === 0) return 0;
    const got = this.immediate ? 0 : this.ctx.prefetched(addr, dst, off, len);
    if (got === len) return len;
    if (addr < 0 || addr >= TASK_SIZE) return -EFAULT;
    const ok = this.accessible(addr, Math.min(len, TASK_SIZE - addr), false);
    return ok === 0 ? -EFAULT : this.space.read(addr, dst, off, ok);
  }

  /**
   * copy_struct_from_user(): of a struct of which the caller has `len` bytes the first `known` to the start of `scratch`. What an older
   * caller lacks is zero, what a newer one has beyond them must be: 0, −EFAULT or −E2BIG. `len` is a page at most.
   */
  copyInStruct(addr: number, len: number, known: number): number {
    const { bytes } = scratch;
    bytes.fill(0, 0, known);
    if (len > known) {
      const n = this.copyInPartial(addr + known, bytes, known, len - known);
      for (let i = known; i < known + n; i++) if (bytes[i] !== 0) return -E2BIG;
      if (n !== len - known) return -EFAULT;
    }
    return this.copyIn(addr, bytes, 0, Math.min(len, known));
  }

  /** Copies exactly `len` bytes of `src[off..)` to the guest: 0 or −EFAULT. May be carried out at resume. */
  copyOut(addr: number, src: Uint8Array, off: number, len: number): number {
    if (len === 0) return 0;
    if (this.check(addr, len, true) !== 0) return -EFAULT;
    if (!this.immediate && this.ctx.copyOut(addr, src, off, len)) return 0;
    return this.space.write(addr, src, off, len) === len ? 0 : -EFAULT;
  }

  /** Copies up to `len` bytes, stopping at the first bad page: bytes copied (> 0) or −EFAULT. */
  copyOutPartial(addr: number, src: Uint8Array, off: number, len: number): number {
    if (len === 0) return 0;
    if (addr < 0 || addr >= TASK_SIZE) return -EFAULT;
    const ok = this.accessible(addr, Math.min(len, TASK_SIZE - addr), true);
    if (ok === 0) return -EFAULT;
    if (!this.immediate && this.ctx.copyOut(addr, src, off, ok)) return ok;
    return this.space.write(addr, src, off, ok);
  }

  /** NUL-terminated byte string of fewer than `max` bytes (latin1), −EFAULT, or −ENAMETOOLONG. */
  copyInString(addr: number, max: number): string | number {
    let result = '';
    let at = addr;
    while (result.length < max) {
      const want = Math.min(PAGE_SIZE - pageOffset(at), max - result.length);
      const n = this.copyInPrefix(at, want);
      if (n < 0) return n;
      const nul = chunk.indexOf(0);
      if (nul >= 0 && nul < n) return result + chunk.toString('latin1', 0, nul);
      result += chunk.toString('latin1', 0, n);
      at += n;
    }
    return -ENAMETOOLONG;
  }

  /** Like copyInPartial into `chunk`, but takes a prefetched part as it is: a string ends where its NUL is. */
  private copyInPrefix(addr: number, len: number): number {
    const got = this.immediate ? 0 : this.ctx.prefetched(addr, chunk, 0, len);
    if (got > 0) return got;
    return this.copyInPartial(addr, chunk, 0, len);
  }

  /** One little-endian uint32 at `addr` in `scratch.u32[0]`: 0 or −EFAULT. */
  readU32(addr: number): number {
    return this.copyIn(addr, scratch.bytes, 0, 4);
  }

  writeU32(addr: number, value: number): number {
    scratch.u32[0] = value;
    return this.copyOut(addr, scratch.bytes, 0, 4);
  }

  writeU64(addr: number, value: number): number {
    scratch.u32[0] = value >>> 0;
    scratch.u32[1] = Math.floor(value / 0x100000000) >>> 0;
    return this.copyOut(addr, scratch.bytes, 0, 8);
  }
}
