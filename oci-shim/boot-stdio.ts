/** The container's standard streams: descriptions over the donated host descriptors. */
import { errnoName } from '../sentry/abi/errno.ts';
import { openHostFd } from '../sentry/fsimpl/hostfd/host-file.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';

/** Installs `fds` as descriptors 0, 1, 2. Those that name the same open file on the host stay separate descriptions. */
export function openStdio(t: Task, fds: readonly number[]): void {
  fds.forEach((hostFd, fd) => {
    const file: FileDescription | number = openHostFd(hostFd);
    if (typeof file === 'number') throw new Error(`standard stream ${fd}: ${errnoName(-file)}`);
    t.fdTable.replace(t, fd, file, false);
  });
}
