/**
 * The guest memory of one transfer (lib/iov_iter.c): one range, or the ranges of an iovec array. One kernel thread, so the
 * ranges live in module arrays: they are imported at each run of a handler and valid until it returns.
 */
import { EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

export const UIO_MAXIOV = 1024;
const IOVEC_SIZE = 16;
/** include/linux/fs.h MAX_RW_COUNT: INT_MAX rounded down to a page. */
export const MAX_RW_COUNT = 0x7ffff000;
/** ssize_t: sizes from here on are negative. */
export const SSIZE_LIMIT = 0x8000000000000000;

const base = new Float64Array(UIO_MAXIOV);
const length = new Float64Array(UIO_MAXIOV);
let count = 0;
/** Bytes of all ranges together, at most MAX_RW_COUNT. */
let total = 0;

export function iovTotal(): number {
  return total;
}

/** True if the transfer is one contiguous range. */
export function iovSingle(): boolean {
  return count === 1;
}

/** Bytes of the range that holds byte `skip`, from there on. */
export function iovRangeLeft(skip: number): number {
  let end = 0;
  for (let i = 0; i < count; i++) {
    end += length[i]!;
    if (skip < end) return end - skip;
  }
  return 0;
}

export function iovBase(): number {
  return base[0]!;
}

/** import_ubuf(): one range. 0 or −errno. */
export function importRange(addr: number, len: number): number {
  const n = Math.min(len, MAX_RW_COUNT);
  if (addr + n > TASK_SIZE) return -EFAULT;
  base[0] = addr;
  length[0] = n;
  count = 1;
  total = n;
  return 0;
}

/** The range of read(2) and write(2), which check all of it before they cut it (vfs_read). 0 or −errno. */
export function importBuffer(addr: number, len: number): number {
  return addr + len > TASK_SIZE ? -EFAULT : importRange(addr, len);
}

/** import_iovec(): `n` struct iovec at `addr`. 0 or −errno. */
export function importIovec(t: Task, addr: number, n: number): number {
  if (n < 0 || n > UIO_MAXIOV) return -EINVAL;
  const got = t.mem.copyInPartial(addr, scratch.bytes, 0, n * IOVEC_SIZE);
  // A negative length before the end of the memory counts first. The sign, exactly.
  for (let i = 0; (i + 1) * IOVEC_SIZE <= got; i++) if (scratch.i32[4 * i + 3]! < 0) return -EINVAL;
  if (got !== n * IOVEC_SIZE) return -EFAULT;
  count = n;
  total = 0;
  for (let i = 0; i < n; i++) {
    const at = scratch.u32[4 * i + 1]! * 0x100000000 + scratch.u32[4 * i]!;
    const len = scratch.u32[4 * i + 3]! * 0x100000000 + scratch.u32[4 * i + 2]!;
    // access_ok() of all of it, before it is cut.
    if (at + len > TASK_SIZE) return -EFAULT;
    const rest = Math.min(len, MAX_RW_COUNT - total);
    base[i] = at;
    length[i] = rest;
    total += rest;
  }
  return 0;
}

/** The ranges as they were imported, for whom another import must not change them. */
export function iovRanges(): { addr: number; len: number }[] {
  return Array.from({ length: count }, (_, i) => ({ addr: base[i]!, len: length[i]! }));
}

/** Imports such ranges again. */
export function importRanges(ranges: readonly { addr: number; len: number }[]): void {
  count = ranges.length;
  total = 0;
  ranges.forEach((r, i) => {
    base[i] = r.addr;
    length[i] = r.len;
    total += r.len;
  });
}

/** How many bytes follow the one at `iovAddress` in its range. */
export let iovRange = 0;

/** Address of the byte at position `skip`. */
export function iovAddress(skip: number): number {
  let rest = skip;
  let i = 0;
  while (rest >= length[i]!) rest -= length[i++]!;
  iovRange = length[i]! - rest;
  return base[i]! + rest;
}

/** Bytes from position `skip` on, at most `want`, that the guest has mapped with the wanted access. */
export function iovAccessible(t: Task, skip: number, want: number, write: boolean): number {
  let ok = 0;
  let rest = skip;
  for (let i = 0; i < count && ok < want; i++) {
    if (rest >= length[i]!) {
      rest -= length[i]!;
      continue;
    }
    const n = Math.min(length[i]! - rest, want - ok);
    const got = t.mem.accessible(base[i]! + rest, n, write);
    ok += got;
    rest = 0;
    if (got < n) break;
  }
  return ok;
}

/**
 * Delivers `src[off..off+n)` to the guest from position `skip` on. The range has been found accessible; what is torn away
 * meanwhile makes the count short. Returns bytes delivered.
 */
export function iovCopyOut(t: Task, skip: number, src: Uint8Array, off: number, n: number): number {
  let done = 0;
  let rest = skip;
  for (let i = 0; i < count && done < n; i++) {
    if (rest >= length[i]!) {
      rest -= length[i]!;
      continue;
    }
    const want = Math.min(length[i]! - rest, n - done);
    const at = base[i]! + rest;
    rest = 0;
    if (!t.mem.immediate && t.ctx.copyOut(at, src, off + done, want)) {
      done += want;
      continue;
    }
    const got = t.ctx.space.write(at, src, off + done, want);
    if (got > 0) done += got;
    if (got !== want) break;
  }
  return done;
}

/** Fetches up to `n` bytes from position `skip` on into `dst[off..)`: bytes fetched, or −EFAULT if none (and n > 0). */
export function iovCopyIn(t: Task, skip: number, dst: Uint8Array, off: number, n: number): number {
  let done = 0;
  let rest = skip;
  for (let i = 0; i < count && done < n; i++) {
    if (rest >= length[i]!) {
      rest -= length[i]!;
      continue;
    }
    const want = Math.min(length[i]! - rest, n - done);
    const got = t.mem.copyInPartial(base[i]! + rest, dst, off + done, want);
    rest = 0;
    if (got > 0) done += got;
    if (got !== want) return done > 0 ? done : -EFAULT;
  }
  return done;
}
