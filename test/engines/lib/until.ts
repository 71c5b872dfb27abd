/** Waiting for a state, not for a time: what a loaded machine does late is still right. */
import { spawnSync } from 'node:child_process';

const DEADLINE_MS = 240_000;

/** Waits until `holds` answers true; fails naming `what` and `details` if it never does. */
export function until(what: string, holds: () => boolean, details: () => string = () => ''): void {
  const end = Date.now() + DEADLINE_MS;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS / 1000} s: ${what}\n${details()}`);
    spawnSync('sleep', ['0.1']);
  }
}

/** A shell command that repeats `command` until it succeeds; only the output of the time it does is seen. */
export const retry = (command: string): string =>
  `i=0; until o=$(${command} 2>/dev/null); do i=$((i+1)); test $i -lt 600 || exit 99; sleep 0.1; done; echo "$o"`;
