import {
  EACCES,
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOEXEC,
  ENOSPC,
  ENOTDIR,
  EPERM,
  EROFS,
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
const REASONS: ReadonlyMap<number, string> = new Map([
  [EPERM, 'operation not permitted'],
  [ENOENT, 'no such file or directory'],
  [ENOEXEC, 'exec format error'],
  [EACCES, 'permission denied'],
  [EBUSY, 'device or resource busy'],
  [EEXIST, 'file exists'],
  [ENOTDIR, 'not a directory'],
  [EISDIR, 'is a directory'],
  [EINVAL, 'invalid argument'],
  [ENOSPC, 'no space left on device'],
  [EROFS, 'read-only file system'],
  [ENAMETOOLONG, 'file name too long'],
  [ELOOP, 'too many levels of symbolic links'],
]);

export const reason = (errno: number): string => REASONS.get(errno) ?? errnoName(errno);
