/**
 * membarrier(2) (kernel/sched/membarrier.c). The barriers are the host's: the calling thread asks for them itself, as it is one
 * of the host's processes whose threads are meant. The expedited global barrier would interrupt CPUs of others on the host: the one
 * that waits does the same for the guest, if slower, and needs no registration there.
 */
import { EINVAL, EPERM } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  int,
  oneOf,
  SYS_DETACHED,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { TASK_DETACHED, type Task } from '../sentry/kernel/task.ts';

const MEMBARRIER_CMD_QUERY = 0;
const MEMBARRIER_CMD_GLOBAL = 1;
const MEMBARRIER_CMD_GLOBAL_EXPEDITED = 2;
const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 4;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ = 128;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ = 256;
const MEMBARRIER_CMD_GET_REGISTRATIONS = 512;

/** The third argument names a CPU. */
const MEMBARRIER_CMD_FLAG_CPU = 1;

const COMMANDS = {
  MEMBARRIER_CMD_QUERY,
  MEMBARRIER_CMD_GLOBAL,
  MEMBARRIER_CMD_GLOBAL_EXPEDITED,
  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
  MEMBARRIER_CMD_GET_REGISTRATIONS,
};
const SUPPORTED = Object.values(COMMANDS).reduce((all, c) => all | c, 0);

/** Those for special kinds of the private barrier are shown as one for the plain one, too, which they do not allow. */
function registrations(commands: number): number {
  const kinds =
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
  return (commands & kinds) === 0 ? commands : commands | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
}

function sysMembarrier(t: Task, a: SyscallArgs): SysResult {
  const command = a.int(0);
  const flags = a.uint(1);
  if (flags !== 0 && (flags !== MEMBARRIER_CMD_FLAG_CPU || command !== MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ))
    return -EINVAL;
  switch (command) {
    case MEMBARRIER_CMD_QUERY:
      return SUPPORTED;
    case MEMBARRIER_CMD_GET_REGISTRATIONS:
      return registrations(t.mm.membarriers);
    case MEMBARRIER_CMD_GLOBAL:
    case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
      return askHost(t, MEMBARRIER_CMD_GLOBAL, false);
    case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
      t.mm.membarriers |= command;
      return 0;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ:
      return (t.mm.membarriers & command) !== 0 ? 0 : askHost(t, command, true);
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ:
      // "EPERM: The current process was not registered prior to using private expedited commands."
      if ((t.mm.membarriers & (command * 2)) === 0) return -EPERM;
      return t.mm.userCount === 1 ? 0 : askHost(t, command, false, flags, a.int(2));
    default:
      return -EINVAL;
  }
}

function askHost(t: Task, command: number, isRegistration: boolean, flags = 0, cpu = 0): SysResult {
  t.state = TASK_DETACHED;
  t.ctx.membarrier(command, flags, cpu);
  t.ctx.runOrders((r) => {
    if (r === 0 && isRegistration) t.mm.membarriers |= command;
    // The host of all platforms has these commands (4.16); one that refuses them says so.
    t.kernel.endDetached(t, r);
  });
  return SYS_DETACHED;
}

export const membarrierRows: readonly SyscallRow[] = [
  {
    nr: 324,
    name: 'membarrier',
    fn: sysMembarrier,
    args: [oneOf(COMMANDS), uint, int],
    support: 'full',
  },
];
