/** inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2) (fs/notify/inotify/inotify_user.c). */
import { EBADF, EINVAL, EMFILE } from '../sentry/abi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK, PATH_MAX } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import * as I from '../sentry/fsimpl/inotify/inotify.ts';
import {
  fd,
  flags,
  hex,
  int,
  path,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_Q_OVERFLOW, IN_UNMOUNT } from '../sentry/vfs/fsnotify.ts';
import { inodePermission, MAY_READ } from '../sentry/vfs/permission.ts';
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, nd, walk } from '../sentry/vfs/walk.ts';
import { installFd } from './fd-install.ts';
import { fileAt } from './io.ts';

/** Bits that inotify_add_watch(2) knows; one of them has to be there, be it an event or not. */
const ALL_INOTIFY_BITS =
  I.IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | I.IN_ONLYDIR | I.IN_DONT_FOLLOW |
  IN_EXCL_UNLINK | I.IN_MASK_ADD | I.IN_MASK_CREATE | IN_ISDIR | I.IN_ONESHOT; // prettier-ignore

function sysInotifyInit(t: Task): SysResult {
  return I.mayMakeInotify(t.creds) ? installFd(t, new I.InotifyFile(0, t.creds), false) : -EMFILE;
}

function sysInotifyInit1(t: Task, a: SyscallArgs): SysResult {
  const f = a.uint(0);
  if ((f & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  if (!I.mayMakeInotify(t.creds)) return -EMFILE;
  return installFd(t, new I.InotifyFile(f & O_NONBLOCK, t.creds), (f & O_CLOEXEC) !== 0);
}

function sysInotifyAddWatch(t: Task, a: SyscallArgs): SysResult {
  const mask = a.uint(2);
  if ((mask & ALL_INOTIFY_BITS) === 0 || (mask & ~ALL_INOTIFY_BITS) !== 0) return -EINVAL;
  if ((mask & I.IN_MASK_ADD) !== 0 && (mask & I.IN_MASK_CREATE) !== 0) return -EINVAL;
  const f = fileAt(t, a.int(0));
  if (f === null) return -EBADF;
  if (!(f instanceof I.InotifyFile)) return -EINVAL;
  const name = t.mem.copyInString(a.addr(1), PATH_MAX);
  if (typeof name === 'number') return name;
  const lookup =
    ((mask & I.IN_DONT_FOLLOW) === 0 ? LOOKUP_FOLLOW : 0) |
    ((mask & I.IN_ONLYDIR) !== 0 ? LOOKUP_DIRECTORY : 0);
  let r = walk(t, t.fs.cwd, name, lookup);
  if (r < 0) return r;
  const inode = nd.dentry.inode!;
  r = inodePermission(t, inode, MAY_READ);
  if (r < 0) return r;
  return f.addWatch(inode, mask);
}

function sysInotifyRmWatch(t: Task, a: SyscallArgs): SysResult {
  const f = fileAt(t, a.int(0));
  if (f === null) return -EBADF;
  return f instanceof I.InotifyFile ? f.removeWatch(a.int(1)) : -EINVAL;
}

export const inotifyRows: SyscallRow[] = [
  { nr: 253, name: 'inotify_init', fn: sysInotifyInit, args: [], support: 'full' },
  { nr: 254, name: 'inotify_add_watch', fn: sysInotifyAddWatch, args: [fd, path, hex], support: 'full' },
  { nr: 255, name: 'inotify_rm_watch', fn: sysInotifyRmWatch, args: [fd, int], support: 'full' },
  {
    nr: 294,
    name: 'inotify_init1',
    fn: sysInotifyInit1,
    args: [flags({ IN_NONBLOCK: O_NONBLOCK, IN_CLOEXEC: O_CLOEXEC })],
    support: 'full',
  },
];
