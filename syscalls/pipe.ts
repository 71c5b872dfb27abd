/** pipe(2), pipe2(2). */
import { EINVAL, ENOPKG } from '../sentry/abi/errno.ts';
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { makePipe } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { flags, outStruct, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { installPair } from './fd-install.ts';

/** O_EXCL, include/uapi/linux/watch_queue.h */
const O_NOTIFICATION_PIPE = 0o200;

function sysPipe(t: Task, a: SyscallArgs): SysResult {
  const [r, w] = makePipe(t, 0);
  return installPair(t, r, w, false, a.addr(0));
}

function sysPipe2(t: Task, a: SyscallArgs): SysResult {
  const f = a.uint(1);
  if ((f & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_NOTIFICATION_PIPE)) !== 0) return -EINVAL;
  // Without CONFIG_WATCH_QUEUE.
  if ((f & O_NOTIFICATION_PIPE) !== 0) return -ENOPKG;
  const [r, w] = makePipe(t, f & (O_NONBLOCK | O_DIRECT));
  return installPair(t, r, w, (f & O_CLOEXEC) !== 0, a.addr(0));
}

export const pipeRows: SyscallRow[] = [
  { nr: 22, name: 'pipe', fn: sysPipe, args: [outStruct(8, 'int[2]')], support: 'full' },
  {
    nr: 293,
    name: 'pipe2',
    fn: sysPipe2,
    args: [outStruct(8, 'int[2]'), flags({ O_CLOEXEC, O_DIRECT, O_NONBLOCK })],
    support: 'full',
  },
];
