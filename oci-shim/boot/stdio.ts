/** The standard streams of a process that came from outside: descriptions over donated host descriptors, a terminal among them. */
import { MEM_MAJOR, makedev } from '../../sentry/abi/device.ts';
import { errnoName } from '../../sentry/abi/errno.ts';
import { O_RDWR } from '../../sentry/abi/fcntl.ts';
import { S_IFCHR, S_IFMT, S_IFREG, S_IFSOCK } from '../../sentry/abi/stat.ts';
import { SIGCONT, SIGINT, SIGQUIT, SIGTSTP, SIGWINCH } from '../../sentry/abi/signal.ts';
import { fstat } from '../../sentry/host/file-io.ffi.ts';
import { close, dup } from '../../sentry/host/sys.ffi.ts';
import { DevptsSuperBlock } from '../../sentry/fsimpl/devpts/devpts.ts';
import { openHostFd } from '../../sentry/fsimpl/hostfd/host-file.ts';
import { HostTty, isHostTerminal, openHostTerminal } from '../../sentry/fsimpl/tty/host-tty.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import type { Path } from '../../sentry/vfs/dentry.ts';
import type { FileDescription } from '../../sentry/vfs/file-description.ts';
import { DonatedSocket } from '../../sentry/socket/unix/donated-socket.ts';
import { isDevice } from '../../sentry/vfs/device.ts';
import { attachMount, cloneTree } from '../../sentry/vfs/mount-namespace.ts';
import { vfsMknod } from '../../sentry/vfs/namei.ts';
import { vfsOpen } from '../../sentry/vfs/open.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../sentry/vfs/walk.ts';

const NULL_RDEV = makedev(MEM_MAJOR, 3);
const CONSOLE = '/dev/console';

export interface StdioTerminal {
  readonly tty: HostTty;
  readonly path: Path;
  /** When the process has ended: whoever reads the other side sees the end of it once no file is open any more. */
  readonly release: () => void;
}

export const hasTerminal = (fds: readonly number[]): boolean => fds.some(isHostTerminal);

/**
 * Installs `fds` as descriptors 0, 1, 2; they are taken over. Those that name the same open file on the host stay separate
 * descriptions. `isNew`: a terminal among them was made for this process, nobody else uses it. Returns that terminal.
 */
export function openStdio(t: Task, fds: readonly number[], isNew: boolean): StdioTerminal | null {
  let terminal: StdioTerminal | null = null;
  fds.forEach((hostFd, fd) => {
    if (terminal === null && isHostTerminal(hostFd)) terminal = makeTerminal(t, hostFd, isNew);
    const file = openStream(t, hostFd, terminal);
    if (typeof file === 'number') throw new Error(`standard stream ${fd}: ${errnoName(-file)}`);
    t.fdTable.replace(t, fd, file, false);
  });
  const made = terminal as StdioTerminal | null;
  const tty = made?.tty ?? null;
  // As natively: the terminal is the controlling one, and the process's group is in its foreground.
  tty?.openedBy(t, true);
  // A shell of the user's continues what it has stopped; an engine does not.
  t.group.session.hasShellOutside = tty !== null && !isNew;
  return made;
}

/** A new one is the container's /dev/pts/N, the user's own is its /dev/console. null: the container has neither. */
function makeTerminal(t: Task, hostFd: number, isNew: boolean): StdioTerminal | null {
  const keep = dup(hostFd);
  if (keep < 0) return null;
  if (isNew && walk(t, t.fs.root, '/dev/pts', LOOKUP_FOLLOW) === 0) {
    const at = nd.path();
    const sb = at.dentry.inode!.sb;
    if (sb instanceof DevptsSuperBlock && at.dentry === at.mount.root) {
      const made: HostTty[] = [];
      const path = sb.adopt(t, at, (index) => (made[0] = new HostTty(keep, index)));
      if (typeof path !== 'number') {
        path.dentry.inode!.uid = t.creds.uid;
        const tty = made[0]!;
        const index = Number(path.dentry.name);
        const release = (): void => {
          sb.remove({ index });
          tty.release();
        };
        return { tty, path, release };
      }
    }
  }
  if (walk(t, t.fs.root, CONSOLE, LOOKUP_FOLLOW) !== 0) {
    close(keep);
    return null;
  }
  const tty = new HostTty(keep, -1);
  return { tty, path: nd.path(), release: () => tty.release() };
}

/** A new terminal of a container's first process is its /dev/console, too, as under runc. What went wrong: −errno. */
export function showAsConsole(t: Task, { path }: StdioTerminal): number {
  if (!(path.mount.sb instanceof DevptsSuperBlock)) return 0;
  if (walk(t, t.fs.root, CONSOLE, LOOKUP_FOLLOW) !== 0) {
    const r = vfsMknod(t, t.fs.root, CONSOLE, S_IFREG | 0o666, 0);
    if (r !== 0) return r;
  }
  const r = walk(t, t.fs.root, CONSOLE, LOOKUP_FOLLOW);
  return r === 0 ? attachMount(cloneTree(path, false), nd.path()) : r;
}

/** What is the host's /dev/null becomes the container's (reOpenDevNull of runc). null: it is another file, or there is none. */
function openNull(t: Task, hostFd: number): FileDescription | null {
  const st = fstat(hostFd);
  if (typeof st === 'number' || (st.mode & S_IFMT) !== S_IFCHR || st.rdev !== NULL_RDEV) return null;
  const file = vfsOpen(t, t.fs.root, '/dev/null', O_RDWR, 0);
  if (typeof file === 'number') return null;
  // An image may have anything of that name.
  if (!isDevice(file.inode) || file.inode.rdev !== NULL_RDEV) {
    file.unref();
    return null;
  }
  close(hostFd);
  return file;
}

function openStream(t: Task, hostFd: number, terminal: StdioTerminal | null): FileDescription | number {
  const none = openNull(t, hostFd);
  if (none !== null) return none;
  if (terminal !== null && isHostTerminal(hostFd)) {
    return openHostTerminal(terminal.tty, hostFd, terminal.path, O_RDWR);
  }
  const st = fstat(hostFd);
  if (typeof st === 'number') return st;
  if ((st.mode & S_IFMT) === S_IFSOCK) return DonatedSocket.open(t, hostFd);
  const file = openHostFd(hostFd);
  // Engines make the streams as root; the user of the process may open them again (/dev/stderr), as under runc.
  if (typeof file !== 'number') file.inode.setAttr({ uid: t.creds.uid });
  return file;
}

/** Signals that the host's terminal driver sends to its foreground group, and SIGCONT that undoes one of them. */
const FROM_TERMINAL = [SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT];

/** Hands a signal that came from the host to the foreground group. False: it is for the process itself. */
export function signalFromTerminal(tty: HostTty | null, signo: number): boolean {
  return tty !== null && FROM_TERMINAL.includes(signo) && tty.signalFromHost(signo);
}
