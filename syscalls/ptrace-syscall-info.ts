/** PTRACE_GET_SYSCALL_INFO and PTRACE_SET_SYSCALL_INFO: the call that a tracee has stopped at (kernel/ptrace.c). */
import { EFAULT, EINVAL, ERANGE } from '../sentry/abi/errno.ts';
import * as P from '../sentry/abi/ptrace.ts';
import { SIGTRAP } from '../sentry/abi/signal.ts';
import { ORIG_RAX, R10, R8, R9, RAX, RDI, RDX, RIP, RSI, RSP } from '../sentry/arch/regs.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { AUDIT_ARCH_X86_64 } from '../sentry/kernel/seccomp.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { load, store } from './ptrace-regs.ts';

/** sizeof(struct ptrace_syscall_info): op, reserved, flags, arch, ip, sp; nr and args, or rval and is_error; ret_data */
const SYSCALL_INFO_SIZE = 88;
const ARGUMENTS = [RDI, RSI, RDX, R10, R8, R9];
// PTRACE_SYSCALL_INFO_*
const NONE = 0;
const ENTRY = 1;
const EXIT = 2;
const SECCOMP = 3;

function kindOfStop(c: Task): number {
  const { stopCode, message } = c.ptrace!;
  if (stopCode === (SIGTRAP | (P.PTRACE_EVENT_SECCOMP << 8))) return SECCOMP;
  if (stopCode !== (SIGTRAP | 0x80)) return NONE;
  return message === P.PTRACE_EVENTMSG_SYSCALL_ENTRY ? ENTRY : EXIT;
}

/** As much as the caller has room for; how much there is. */
export function getSyscallInfo(t: Task, c: Task, a: SyscallArgs): SysResult {
  const { bytes, u32 } = scratch;
  const { words } = load(c);
  const copy = (at: number, r: number): void => {
    u32[at] = words[2 * r]!;
    u32[at + 1] = words[2 * r + 1]!;
  };
  bytes.fill(0, 0, SYSCALL_INFO_SIZE);
  const kind = kindOfStop(c);
  bytes[0] = kind;
  u32[1] = AUDIT_ARCH_X86_64;
  copy(2, RIP);
  copy(4, RSP);
  let size = 24;
  if (kind === EXIT) {
    const { result } = c.ptrace!;
    copy(6, RAX);
    bytes[32] = result < 0 && result >= -4095 ? 1 : 0;
    size = 33;
  } else if (kind !== NONE) {
    copy(6, ORIG_RAX);
    ARGUMENTS.forEach((r, i) => copy(8 + 2 * i, r));
    if (kind === SECCOMP) u32[20] = c.ptrace!.message;
    size = kind === SECCOMP ? 84 : 80;
  }
  const n = Math.min(a.size(2), size);
  return t.mem.copyOut(a.addr(3), bytes, 0, n) !== 0 ? -EFAULT : size;
}

/** Another call, other arguments, another result: 0 or −errno. */
export function setSyscallInfo(t: Task, c: Task, a: SyscallArgs): SysResult {
  const { bytes, u32, i32 } = scratch;
  if (a.size(2) < SYSCALL_INFO_SIZE) return -EINVAL;
  if (t.mem.copyIn(a.addr(3), bytes, 0, SYSCALL_INFO_SIZE) !== 0) return -EFAULT;
  const kind = kindOfStop(c);
  if (bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0 || bytes[0] !== kind || kind === NONE)
    return -EINVAL;
  const isCall = kind !== EXIT;
  if (isCall && i32[7] !== i32[6]! >> 31) return -ERANGE;
  const { words } = load(c);
  const take = (r: number, at: number): void => {
    words[2 * r] = u32[at]!;
    words[2 * r + 1] = u32[at + 1]!;
  };
  take(isCall ? ORIG_RAX : RAX, 6);
  // "Setting syscall arguments is not just pointless" then.
  if (isCall && i32[6] !== -1) ARGUMENTS.forEach((r, i) => take(r, 8 + 2 * i));
  return store(c);
}
