/** The number of --preserve-fds: descriptors beside the standard streams that the caller hands over for the process. */
import { readlinkSync } from 'node:fs';
import { UserError } from '../user-error.ts';

/** Room in a message of SCM_RIGHTS beside what the sandbox passes itself. */
const PRESERVED_MAX = 240;

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
  for (let fd = 3; fd < 3 + n; fd++) {
    if (!isCallers(fd))
      throw new UserError(
        `--preserve-fds ${n}: descriptor ${fd} is not open; the caller has to hand over 3 to ${2 + n}`,
      );
  }
  return n;
}
