/** The container's standard streams: descriptions over the donated host descriptors, and the terminal among them. */
import { errnoName } from '../sentry/abi/errno.ts';
import { O_RDWR } from '../sentry/abi/fcntl.ts';
import { S_IFMT, S_IFSOCK } from '../sentry/abi/stat.ts';
import { SIGCONT, SIGINT, SIGQUIT, SIGTSTP, SIGWINCH } from '../sentry/abi/signal.ts';
import { fstat } from '../sentry/host/file-io.ffi.ts';
import { openHostFd } from '../sentry/fsimpl/hostfd/host-file.ts';
import { hostTerminal, isHostTerminal, openHostTerminal } from '../sentry/fsimpl/tty/host-tty.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { DonatedSocket } from '../sentry/socket/unix/donated-socket.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../sentry/vfs/walk.ts';
import { SENTRY_STDIO_FD } from '../platform-ptrace/confine/launcher-protocol.ts';

/** True if a standard stream is a terminal: the container then has a /dev/console. */
export function startedOnTerminal(): boolean {
  return [0, 1, 2].some((i) => isHostTerminal(SENTRY_STDIO_FD + i));
}

/** Installs `fds` as descriptors 0, 1, 2. Those that name the same open file on the host stay separate descriptions. */
export function openStdio(t: Task, fds: readonly number[]): void {
  fds.forEach((hostFd, fd) => {
    const file = openStream(t, hostFd);
    if (typeof file === 'number') throw new Error(`standard stream ${fd}: ${errnoName(-file)}`);
    t.fdTable.replace(t, fd, file, false);
  });
  // As natively: the terminal is the controlling one, and the first process's group is in its foreground.
  hostTerminal()?.openedBy(t, true);
  t.group.session.hasShellOutside = hostTerminal() !== null;
}

function openStream(t: Task, hostFd: number): FileDescription | number {
  if (isHostTerminal(hostFd) && walk(t, t.fs.root, '/dev/console', LOOKUP_FOLLOW) === 0) {
    return openHostTerminal(t, hostFd, nd.path(), O_RDWR);
  }
  const st = fstat(hostFd);
  if (typeof st === 'number') return st;
  return (st.mode & S_IFMT) === S_IFSOCK ? DonatedSocket.open(t, hostFd) : openHostFd(hostFd);
}

/** Signals that the host's terminal driver sends to its foreground group, and SIGCONT that undoes one of them. */
const FROM_TERMINAL = [SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT];

/** Hands a signal that came from the host to the foreground group. False: it is for the first process. */
export function signalFromTerminal(signo: number): boolean {
  return FROM_TERMINAL.includes(signo) && (hostTerminal()?.signalFromHost(signo) ?? false);
}
