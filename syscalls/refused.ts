/**
 * Calls that a container does not get: to the unprivileged Linux's own errno, to others what a kernel says that is built
 * without the feature.
 */
import { EACCES, EINVAL, ENOSYS, EPERM } from '../sentry/abi/errno.ts';
import {
  CAP_PERFMON,
  CAP_SYS_ADMIN,
  CAP_SYS_BOOT,
  CAP_SYS_PACCT,
  CAP_SYS_PTRACE,
} from '../sentry/auth/capability.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { groupExit } from '../sentry/kernel/signal-send.ts';
import {
  hex,
  int,
  path,
  ptr,
  uint,
  ulong,
  type ArgKind,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

/** A row of a call that needs `cap`, or `other`: `errno` without it, ENOSYS with it. */
function refused(
  nr: number,
  name: string,
  args: ArgKind[],
  cap: number,
  other = cap,
  errno = EPERM,
): SyscallRow {
  const word = errno === EPERM ? 'EPERM' : 'EACCES';
  return {
    nr,
    name,
    fn: (t) => (t.creds.has(cap) || t.creds.has(other) ? -ENOSYS : -errno),
    args,
    support: 'none',
    note: `${word}, to the privileged ENOSYS`,
  };
}

const LINUX_REBOOT_MAGIC1 = 0xfee1dead;
/** Linus' and his daughters' birthdays. */
const LINUX_REBOOT_MAGIC2: readonly number[] = [672274793, 85072278, 369367448, 537993216];
const LINUX_REBOOT_CMD_RESTART = 0x01234567;
const LINUX_REBOOT_CMD_RESTART2 = 0xa1b2c3d4;
const LINUX_REBOOT_CMD_HALT = 0xcdef0123;
const LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc;
const SIGHUP = 1;
const SIGINT = 2;

/** reboot(2) in a PID namespace ends its init, which seems to have died of SIGHUP or SIGINT (reboot_pid_ns). */
function sysReboot(t: Task, a: SyscallArgs): SysResult {
  if (!t.creds.has(CAP_SYS_BOOT)) return -EPERM;
  if (a.uint(0) !== LINUX_REBOOT_MAGIC1 || !LINUX_REBOOT_MAGIC2.includes(a.uint(1))) return -EINVAL;
  const cmd = a.uint(2);
  const restarts = cmd === LINUX_REBOOT_CMD_RESTART || cmd === LINUX_REBOOT_CMD_RESTART2;
  const halts = cmd === LINUX_REBOOT_CMD_HALT || cmd === LINUX_REBOOT_CMD_POWER_OFF;
  const init = t.pidNs.reaper;
  if ((!restarts && !halts) || init === null) return -EINVAL;
  groupExit(init, restarts ? SIGHUP : SIGINT);
  groupExit(t.group, 0);
  return 0;
}

export const refusedRows: SyscallRow[] = [
  refused(163, 'acct', [path], CAP_SYS_PACCT),
  refused(167, 'swapon', [path, int], CAP_SYS_ADMIN),
  refused(168, 'swapoff', [path], CAP_SYS_ADMIN),
  { nr: 169, name: 'reboot', fn: sysReboot, args: [hex, hex, hex, ptr], support: 'full' },
  refused(298, 'perf_event_open', [ptr, int, int, int, ulong], CAP_PERFMON, CAP_SYS_ADMIN, EACCES),
  refused(300, 'fanotify_init', [uint, uint], CAP_SYS_ADMIN),
  refused(323, 'userfaultfd', [hex], CAP_SYS_PTRACE),
];
