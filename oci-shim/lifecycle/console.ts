/** Descriptors for an engine. The terminal of a process: a new pty, whose master goes over the engine's console socket (runc terminals.md). */
import { closeSync, constants, openSync } from 'node:fs';
import { errnoName } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close, hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { connectStream, sendFd } from '../control/socket.ts';
import { UserError } from '../user-error.ts';

const SYS_ioctl = 16;
const TIOCSWINSZ = 0x5414;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

export interface ConsoleSize {
  readonly rows: number;
  readonly columns: number;
}

/** A terminal goes to whoever listens, and only if there is one to go. */
export function checkConsole(
  o: { readonly consoleSocket?: string; readonly detached: boolean },
  terminal: boolean,
): void {
  if (o.consoleSocket !== undefined && !(o.detached && terminal)) {
    throw new UserError('cannot use console socket if runc will not detach or allocate tty');
  }
  if (o.detached && terminal && o.consoleSocket === undefined) {
    throw new UserError('cannot allocate tty if runc will detach without setting console socket');
  }
}

/** Makes the pty and hands its master over. The slave is the caller's to close. */
export function openConsole(socketPath: string, size: ConsoleSize | null): number {
  const master = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY);
  try {
    const word = new HostBuffer(8);
    check('unlock the terminal', hostSyscall(SYS_ioctl, master, TIOCSPTLCK, word.addr, 0, 0, 0));
    const flags = constants.O_RDWR | constants.O_NOCTTY;
    const slave = check('open the terminal', hostSyscall(SYS_ioctl, master, TIOCGPTPEER, flags, 0, 0, 0));
    if (size !== null) {
      word.view.setUint16(0, size.rows, true);
      word.view.setUint16(2, size.columns, true);
      hostSyscall(SYS_ioctl, master, TIOCSWINSZ, word.addr, 0, 0, 0);
    }
    const socket = check(`connect to the console socket ${socketPath}`, connectStream(socketPath));
    try {
      check('send the terminal', sendFd(socket, '/dev/ptmx', master));
    } finally {
      close(socket);
    }
    return slave;
  } finally {
    closeSync(master);
  }
}

const SYS_pidfd_open = 434;

/** `--pidfd-socket`: whoever listens there gets a pidfd of the stub, by which it can be watched and signalled. */
export function sendPidfd(socketPath: string, pid: number): void {
  const pidfd = check('open the pidfd', hostSyscall(SYS_pidfd_open, pid, 0, 0, 0, 0, 0));
  try {
    const socket = check(`connect to the pidfd socket ${socketPath}`, connectStream(socketPath));
    try {
      check('send the pidfd', sendFd(socket, 'pidfd', pidfd));
    } finally {
      close(socket);
    }
  } finally {
    close(pidfd);
  }
}

function check(what: string, r: number): number {
  if (r < 0) throw new UserError(`cannot ${what}: ${errnoName(-r)}`);
  return r;
}
