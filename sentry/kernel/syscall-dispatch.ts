/**
 * Syscall user dispatch: a thread has its system calls handed back to itself as SIGSYS, all but those of one range of
 * addresses, or while a byte of its says so (kernel/entry/syscall_user_dispatch.c; prctl(2) PR_SET_SYSCALL_USER_DISPATCH).
 */
import { SIGSEGV, SIGSYS, SYS_USER_DISPATCH } from '../abi/signal.ts';
import { RIP } from '../arch/regs.ts';
import { scratch } from '../usermem/user-memory.ts';
import { forceSignal, groupExit } from './signal-send.ts';
import { sigInfoSeccomp } from './sig-info.ts';
import type { SysResult } from './syscall-table.ts';
import type { Task } from './task.ts';

const SYSCALL_DISPATCH_FILTER_ALLOW = 0;
const SYSCALL_DISPATCH_FILTER_BLOCK = 1;

export interface UserDispatch {
  readonly start: number;
  readonly len: number;
  /** Only the calls of the range are handed back, instead of all others. */
  readonly inclusive: boolean;
  /** Address of the byte that switches; 0: always on. */
  readonly selector: number;
}

/** syscall_user_dispatch(): null if the call goes on. */
export function checkDispatch(t: Task, d: UserDispatch): SysResult | null {
  const at = t.ctx.regs().get(RIP);
  const within = at >= d.start && at < d.start + d.len;
  if (within !== d.inclusive) return null;
  if (d.selector !== 0) {
    if (t.mem.copyIn(d.selector, scratch.bytes, 0, 1) !== 0) return endBy(t, SIGSEGV);
    const state = scratch.bytes[0];
    if (state === SYSCALL_DISPATCH_FILTER_ALLOW) return null;
    if (state !== SYSCALL_DISPATCH_FILTER_BLOCK) return endBy(t, SIGSYS);
  }
  forceSignal(t, sigInfoSeccomp(at, t.sysno, 0, SYS_USER_DISPATCH));
  return t.sysno;
}

/** force_exit_sig(): the process ends without a core file. */
function endBy(t: Task, sig: number): SysResult {
  groupExit(t.group, sig);
  return t.sysno;
}
