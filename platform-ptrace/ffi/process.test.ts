// The sentry's sleep, with time limits that guests choose.
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { waitForAny } from '../ptrace/ptrace.ffi.ts';
import { waitForEvents, WAIT_WAKE } from './process.ffi.ts';

/** nanosleep(2) until the end of time. */
const FAR_NS = 2 ** 63 * 1e9;

test.each([-1, FAR_NS, Infinity, 1e18])('with a limit of %d ns it sees what is readable', (limit) => {
  const readable = openSync('/dev/zero', 'r');
  expect(waitForEvents(-1, -1, readable, limit, 0) & WAIT_WAKE).toBe(WAIT_WAKE);
  expect(waitForAny(readable, limit)).toBe(-1);
  closeSync(readable);
});
