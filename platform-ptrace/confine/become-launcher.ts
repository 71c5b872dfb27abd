/** The CLI's last act: it becomes the launcher, with its pid, terminal, standard streams and signals. */
import { join } from 'node:path';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { fcntl, hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { launcherArgv, type LauncherOptions } from './launcher-protocol.ts';

const SYS_execve = 59;
const F_SETFD = 2;

/** A NULL-terminated array of C strings in one buffer. */
function stringArray(strings: readonly string[]): HostBuffer {
  const encoded = strings.map((s) => Buffer.from(`${s}\0`));
  const table = (strings.length + 1) * 8;
  const buffer = new HostBuffer(encoded.reduce((sum, b) => sum + b.length, table));
  let offset = table;
  encoded.forEach((b, i) => {
    buffer.view.setBigUint64(i * 8, BigInt(buffer.addr + offset), true);
    buffer.bytes.set(b, offset);
    offset += b.length;
  });
  return buffer;
}

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
  const path = Buffer.from(`${join(options.dist, 'launcher')}\0`);
  const pathBuffer = new HostBuffer(path.length);
  pathBuffer.bytes.set(path);
  const argv = stringArray(launcherArgv(options));
  const envp = stringArray([]);
  return hostSyscall(SYS_execve, pathBuffer.addr, argv.addr, envp.addr, 0, 0, 0);
}
