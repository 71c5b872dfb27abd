/** vhangup(2): hangs up the caller's controlling terminal (fs/open.c). */
import { EPERM } from '../sentry/abi/errno.ts';
import { CAP_SYS_TTY_CONFIG } from '../sentry/auth/capability.ts';
import { Pty } from '../sentry/fsimpl/devpts/pty.ts';
import type { SysResult, SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

function sysVhangup(t: Task): SysResult {
  if (!t.creds.has(CAP_SYS_TTY_CONFIG)) return -EPERM;
  const { tty } = t.group.processGroup.session;
  if (tty instanceof Pty) tty.hangup();
  return 0;
}

export const vhangupRows: readonly SyscallRow[] = [
  {
    nr: 153,
    name: 'vhangup',
    fn: sysVhangup,
    args: [],
    support: 'partial',
    note: 'a terminal that was handed in from outside stays',
  },
];
