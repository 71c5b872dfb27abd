/** From the configuration to a server: opens the roots of the mounts. */
import { AT_FDCWD, O_CLOEXEC, O_NOFOLLOW, O_PATH, openAt } from '../host/fs.ffi.ts';
import type { ExportConfig } from './config.ts';
import { InodeTable, newMount } from './inode-table.ts';
import type { ServerMount } from './inode-table.ts';
import { GoferServer } from './server.ts';

function openMounts(mounts: readonly ExportConfig[], table: InodeTable): ServerMount[] {
  return mounts.map((m, index) => {
    const mount = newMount(index, m);
    const fd = openAt(AT_FDCWD, m.path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) throw new Error(`exports[${index}]: open ${m.path}: errno ${-fd}`);
    const root = table.addRoot(mount, fd);
    if (typeof root === 'number') throw new Error(`exports[${index}]: stat ${m.path}: errno ${-root}`);
    return mount;
  });
}

/** Makes a server from its configuration. The process must be in its final root. */
export function makeServer(mounts: readonly ExportConfig[], table: InodeTable): GoferServer {
  const procFd = openAt(AT_FDCWD, '/proc/self/fd', O_PATH | O_CLOEXEC);
  if (procFd < 0) throw new Error(`open /proc/self/fd: errno ${-procFd}`);
  return new GoferServer(table, openMounts(mounts, table), procFd);
}
