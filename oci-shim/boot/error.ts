import {
  EACCES,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOEXEC,
  ENOTDIR,
  errnoName,
} from '../../sentry/abi/errno.ts';

/** A failure inside the sandbox that the user can understand; `exitCode` as a shell's or runc's. */
export class BootError extends Error {
  override name = 'BootError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A mount, mount point or device of the configuration that cannot be had. */
export class MountError extends BootError {
  constructor(message: string) {
    super(message, 125);
  }
}

/** The result, or a MountError saying what failed with which −errno. */
export function check<T>(result: T | number, what: string): T {
  if (typeof result === 'number') throw new MountError(`${what}: ${reason(-result)}`);
  return result;
}

/** strerror(3)'s words in the spelling of Go, by which engines know what happened. */
export function reason(errno: number): string {
  switch (errno) {
    case EACCES:
      return 'permission denied';
    case ENOENT:
      return 'no such file or directory';
    case ENOTDIR:
      return 'not a directory';
    case EISDIR:
      return 'is a directory';
    case ELOOP:
      return 'too many levels of symbolic links';
    case ENAMETOOLONG:
      return 'file name too long';
    case ENOEXEC:
      return 'exec format error';
    default:
      return errnoName(errno);
  }
}
