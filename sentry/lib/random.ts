/** Random bytes from the host's generator, fetched in pieces: one at a time they cost more than what they are for. */
import { randomFillSync } from 'node:crypto';

const POOL_SIZE = 4096;
const pool = Buffer.alloc(POOL_SIZE);
let used = POOL_SIZE;

/** Fills `dst[off..off+len)`. Bytes given out are wiped from the pool. */
export function fillRandom(dst: Uint8Array, off: number, len: number): void {
  if (len > POOL_SIZE / 4) {
    randomFillSync(dst, off, len);
    return;
  }
  if (used + len > POOL_SIZE) {
    randomFillSync(pool);
    used = 0;
  }
  pool.copy(dst, off, used, used + len);
  pool.fill(0, used, used + len);
  used += len;
}

const six = Buffer.alloc(6);

/** A random integer in [0, 2^48). */
export function random48(): number {
  fillRandom(six, 0, 6);
  return six.readUIntLE(0, 6);
}
