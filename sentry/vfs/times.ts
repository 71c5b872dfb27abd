/** The time that file systems stamp inodes with: the wall clock at millisecond grain, as coarse as Linux's jiffies. */
import type { Timestamp } from './inode.ts';

let lastMs = -1;
let last: Timestamp = { sec: 0, nsec: 0 };

/** current_time(). Timestamps are immutable and shared between inodes. */
export function currentTime(): Timestamp {
  const ms = Date.now();
  if (ms !== lastMs) {
    lastMs = ms;
    const sec = Math.floor(ms / 1000);
    last = { sec, nsec: (ms - sec * 1000) * 1_000_000 };
  }
  return last;
}

export function isLater(a: Timestamp, b: Timestamp): boolean {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec);
}
