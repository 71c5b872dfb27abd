/**
 * NOTIFY_SOCKET (sd_notify(3)) as runc hands it on: the container has a socket of its own in /run/notify, and of what its programs
 * write there only that they are ready goes to the service manager, with the pid that this knows. `start` returns then.
 */
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../sentry/abi/errno.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import * as ms from '../../sentry/vfs/mount.ts';
import { datagramSocketIn, receiveDatagram, sendDatagram } from '../control/socket.ts';
import type { Bundle } from '../spec/bundle.ts';
import { NOTIFY_DIRECTORY, NOTIFY_NAME, NOTIFY_VARIABLE } from '../spec/notify.ts';
import { UserError } from '../user-error.ts';
import { warn } from './log.ts';

const DIRECTORY = 'notify';
const LOOK_MS = 100;

const managerSocket = (): string => process.env['NOTIFY_SOCKET'] ?? '';

/** `create` for a service manager: makes the socket's directory in the container's own, and shows it inside. */
export function addNotifyDirectory(bundle: Bundle, stateDir: string): void {
  if (managerSocket() === '') return;
  const path = join(stateDir, DIRECTORY);
  mkdirSync(path, { mode: 0o755 });
  const { config, exports } = bundle;
  const flags = ms.MS_NOSUID | ms.MS_NOEXEC | ms.MS_NODEV | ms.MS_RDONLY;
  exports.push({ path, readOnly: true, exclusive: false, hostSockets: true });
  config.exclusiveExports.push(false);
  const exportIndex = exports.length - 1;
  config.mounts.push({
    destination: NOTIFY_DIRECTORY,
    type: 'bind',
    exportIndex,
    source: path,
    flags,
    data: '',
  });
  // The mount point may have to be made; that the root is read-only is the sandbox's kernel's to see to then.
  exports[0]!.readOnly = config.root.overlay === 'memory';
  config.process.env.push(NOTIFY_VARIABLE);
}

export class NotifySocket {
  private readonly fd: number;
  private readonly manager: string;

  private constructor(fd: number, manager: string) {
    this.fd = fd;
    this.manager = manager;
  }

  /** Before the program runs. null: nobody wants to know, or `create` was not told so. */
  static open(stateDir: string): NotifySocket | null {
    const dir = join(stateDir, DIRECTORY);
    if (managerSocket() === '' || !existsSync(dir)) return null;
    const fd = datagramSocketIn(dir, NOTIFY_NAME, LOOK_MS);
    if (fd < 0) throw new UserError(`cannot make the socket for NOTIFY_SOCKET: ${errnoName(-fd)}`);
    chmodSync(join(dir, NOTIFY_NAME), 0o777);
    return new NotifySocket(fd, managerSocket());
  }

  /** Waits until a program says that it is ready, or nobody is left who could. */
  wait(mainPid: number, isOver: () => boolean): void {
    while (!this.look(mainPid, true) && !isOver());
    close(this.fd);
  }

  /** The same beside other things. */
  watch(mainPid: number): void {
    const timer = setInterval(() => {
      if (!this.look(mainPid, false)) return;
      clearInterval(timer);
      close(this.fd);
    }, LOOK_MS);
    timer.unref();
  }

  /** True when it has been said; `wait`: within LOOK_MS. */
  private look(mainPid: number, wait: boolean): boolean {
    const message = receiveDatagram(this.fd, wait);
    if (message === null || !message.startsWith('READY=')) return false;
    for (const line of [message.split('\n')[0]!, `MAINPID=${mainPid}`]) {
      const r = sendDatagram(this.manager, `${line}\n`);
      if (r < 0) warn(`NOTIFY_SOCKET ${this.manager}: ${errnoName(-r)}`);
    }
    return true;
  }
}
