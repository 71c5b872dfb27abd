/** Putting new files into the caller's descriptor table. */
import type { Task } from '../sentry/kernel/task.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

/** Installs `f`, taking over the caller's reference whatever happens: the descriptor or −EMFILE. */
export function installFd(t: Task, f: FileDescription, cloexec: boolean): number {
  const fd = t.fdTable.install(f, cloexec, openFileLimit(t));
  if (fd < 0) f.unref();
  return fd;
}

/** RLIMIT_NOFILE. */
export function openFileLimit(t: Task): number {
  return t.group.limits.openFiles;
}

/** Installs both files and writes the descriptors to the int[2] at `addr` (pipe2, socketpair): 0 or −errno with nothing left. */
export function installPair(
  t: Task,
  first: FileDescription,
  second: FileDescription,
  cloexec: boolean,
  addr: number,
): number {
  const a = installFd(t, first, cloexec);
  if (a < 0) {
    second.unref();
    return a;
  }
  const b = installFd(t, second, cloexec);
  if (b < 0) {
    t.fdTable.close(t, a);
    return b;
  }
  scratch.i32[0] = a;
  scratch.i32[1] = b;
  const r = t.mem.copyOut(addr, scratch.bytes, 0, 8);
  if (r < 0) {
    t.fdTable.close(t, a);
    t.fdTable.close(t, b);
  }
  return r;
}
