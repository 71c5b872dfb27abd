/** flock(2) on a container's lock file: one command at a time changes its state. Ends with the process, however it ends. */
import { closeSync, openSync } from 'node:fs';
import { EAGAIN, EINTR, errnoName } from '../../sentry/abi/errno.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { UserError } from '../user-error.ts';

const SYS_flock = 73;
const LOCK_EX_NB = 2 | 4;
const RETRY_MS = 5;
/** Longer than any hook's usual timeout; a command that holds the lock that long is stuck. */
const TIMEOUT_MS = 60_000;

export function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

export class FileLock {
  private readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Waits for the lock. null: the file does not exist. */
  static take(path: string, timeoutMs = TIMEOUT_MS): FileLock | null {
    let fd: number;
    try {
      fd = openSync(path, 'r+');
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw e;
    }
    for (let waited = 0; ; waited += RETRY_MS) {
      const r = hostSyscall(SYS_flock, fd, LOCK_EX_NB, 0, 0, 0, 0);
      if (r === 0) return new FileLock(fd);
      if (r !== -EAGAIN && r !== -EINTR) throw new UserError(`${path}: flock: ${errnoName(-r)}`);
      if (waited >= timeoutMs) {
        closeSync(fd);
        throw new UserError(`${path}: another command has been working on this container for too long`);
      }
      sleepMs(RETRY_MS);
    }
  }

  release(): void {
    closeSync(this.fd);
  }
}
