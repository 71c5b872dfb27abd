/** Argument and environment lists of execve from guest memory (fs/exec.c count(), copy_strings()). */
import { E2BIG, EFAULT } from '../sentry/abi/errno.ts';
import { pageDown } from '../sentry/lib/addr.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { MAX_ARG_STRLEN } from '../sentry/loader/stack.ts';

/** More pointers than can ever fit beside each other in 6 MiB. */
const MAX_STRINGS = 0x100000;

// Strings of one list lie close together: they are read in pieces of this size and found there.
const window = Buffer.alloc(32 * 1024);
let windowStart = 0;
let windowEnd = 0;

const page = Buffer.alloc(4096);

/** The list at `addr`, or −EFAULT, −E2BIG. A null pointer is an empty list (Linux allows it). */
export function readStrings(t: Task, addr: number): string[] | number {
  const list: string[] = [];
  if (addr === 0) return list;
  let at = addr;
  let bytes = 0;
  windowEnd = 0;
  for (;;) {
    const n = t.mem.copyInPartial(at, page, 0, 4096 - (at % 4096));
    if (n < 8) return -EFAULT;
    for (let i = 0; i + 8 <= n; i += 8) {
      const p = page.readUInt32LE(i) + page.readUInt32LE(i + 4) * 0x100000000;
      if (p === 0) return list;
      const s = readString(t, p);
      if (typeof s === 'number') return s;
      bytes += s.length + 9;
      if (list.length >= MAX_STRINGS || bytes > 8 * 1024 * 1024) return -E2BIG;
      list.push(s);
    }
    at += n - (n % 8);
  }
}

function readString(t: Task, p: number): string | number {
  for (let tries = 0; tries < 2; tries++) {
    if (p >= windowStart && p < windowEnd) {
      const from = p - windowStart;
      const to = window.indexOf(0, from);
      if (to >= 0 && to < windowEnd - windowStart) return window.toString('latin1', from, to);
    }
    // From the start of its page on: the strings of an environment that has been changed lie in any order.
    windowStart = pageDown(p);
    const n = t.mem.copyInPartial(windowStart, window, 0, window.length);
    windowEnd = windowStart + Math.max(n, 0);
    if (n < 0) return n;
  }
  // Longer than the window.
  const s = t.mem.copyInString(p, MAX_ARG_STRLEN);
  return typeof s === 'number' && s !== -EFAULT ? -E2BIG : s;
}
