/** The CLI's last act: it becomes the launcher, with its pid, terminal, standard streams and signals. */
import { join } from 'node:path';
import { execve } from '../../sentry/host/spawn.ffi.ts';
import { fcntl } from '../../sentry/host/sys.ffi.ts';
import { launcherArgv, type LauncherOptions } from './launcher-protocol.ts';

const F_SETFD = 2;

/** Returns only on failure: −errno. The launcher's environment is empty: nothing inside needs the caller's. */
export function becomeLauncher(options: LauncherOptions): number {
  const inherited = [
    options.logFd,
    options.sentryConfigFd,
    options.goferConfigFd,
    options.joinFd,
    ...(options.donatedFds ?? []),
    ...(options.joinProcsFds ?? []),
    ...(options.lateProcsFds ?? []),
    ...(options.guestProcsFds ?? []),
    ...(options.leaveProcsFds ?? []),
  ];
  // Node marks its standard streams close-on-exec, too.
  for (const fd of [0, 1, 2, ...inherited]) if (fd !== undefined) fcntl(fd, F_SETFD, 0);
  return execve(join(options.dist, 'launcher'), launcherArgv(options));
}
