/** Descriptors beside the standard streams that the caller hands over for the process: --preserve-fds, and systemd's. */
import { readlinkSync } from 'node:fs';
import { UserError } from '../user-error.ts';

/** Room in a message of SCM_RIGHTS beside what the sandbox passes itself. */
const PRESERVED_MAX = 240;
const FIRST_FD = 3;

/** What Node opens first, at the first number that its caller has left free. */
const FIRST_OF_NODE = 'anon_inode:[eventpoll]';

function isCallers(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) !== FIRST_OF_NODE;
  } catch {
    return false;
  }
}

export function parsePreservedFds(value: string): number {
  const n = Number(value);
  if (!/^\d+$/.test(value) || n > PRESERVED_MAX)
    throw new UserError(`--preserve-fds ${value}: must be a number up to ${PRESERVED_MAX}`);
  checkHandedOver(`--preserve-fds ${n}`, n);
  return n;
}

function checkHandedOver(what: string, n: number): void {
  const last = FIRST_FD + n - 1;
  for (let fd = FIRST_FD; fd <= last; fd++) {
    if (!isCallers(fd))
      throw new UserError(
        `${what}: descriptor ${fd} is not open; the caller has to hand over ${FIRST_FD} to ${last}`,
      );
  }
}

/**
 * Sockets that systemd has opened for this command (sd_listen_fds(3)): the container's first process gets them before those of
 * --preserve-fds, as with runc. Their number, 0 if LISTEN_PID is another process.
 */
export function listenFds(env: NodeJS.ProcessEnv): number {
  const { LISTEN_PID: pid, LISTEN_FDS: value } = env;
  const n = Number(value);
  if (Number(pid) !== process.pid || !Number.isInteger(n) || n <= 0) return 0;
  if (n > PRESERVED_MAX) throw new UserError(`LISTEN_FDS=${value}: must be a number up to ${PRESERVED_MAX}`);
  checkHandedOver(`LISTEN_FDS=${value}`, n);
  return n;
}
