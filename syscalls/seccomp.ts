/** seccomp(2) and prctl(PR_SET_SECCOMP). Linux: kernel/seccomp.c. */
import { EACCES, EBUSY, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { loadSeccomp } from '../sentry/kernel/seccomp-bpf.ts';
import { BPF_MAXINSNS } from '../sentry/lib/bpf.ts';
import {
  BpfRules,
  MAX_CHAIN_INSNS,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
  SeccompFilter,
  hasListener,
} from '../sentry/kernel/seccomp.ts';
import { takeFutexes, takeFutexesFor } from '../sentry/kernel/own-futexes.ts';
import { SeccompListener } from '../sentry/kernel/seccomp-notify.ts';
import { SeccompListenerFile } from '../sentry/fsimpl/anon/seccomp-listener.ts';
import { installFd } from './fd-install.ts';
import { flags, oneOf, ptr, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const SECCOMP_SET_MODE_STRICT = 0;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_GET_ACTION_AVAIL = 2;
const SECCOMP_GET_NOTIF_SIZES = 3;
const SECCOMP_MODE_STRICT = 1;
const SECCOMP_MODE_FILTER = 2;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_FILTER_FLAG_LOG = 2;
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
const SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 16;
const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32;
const KNOWN_FLAGS =
  SECCOMP_FILTER_FLAG_TSYNC |
  SECCOMP_FILTER_FLAG_LOG |
  SECCOMP_FILTER_FLAG_SPEC_ALLOW |
  SECCOMP_FILTER_FLAG_NEW_LISTENER |
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
const ACTIONS = [
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_USER_NOTIF,
  SECCOMP_RET_LOG,
  SECCOMP_RET_ALLOW,
];

export function prctlGetSeccomp(t: Task): SysResult {
  if (t.seccomp === null) return 0;
  return t.seccomp.strict ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER;
}

export function prctlSetSeccomp(t: Task, a: SyscallArgs): SysResult {
  switch (a.addr(1)) {
    case SECCOMP_MODE_STRICT:
      return setStrict(t);
    case SECCOMP_MODE_FILTER:
      return setFilter(t, 0, a.addr(2));
    default:
      return -EINVAL;
  }
}

function setStrict(t: Task): SysResult {
  if (t.seccomp !== null && !t.seccomp.strict) return -EINVAL;
  t.seccomp ??= new SeccompFilter(null, null);
  takeFutexes(t.mm);
  t.mm.space.forgetAnswers();
  t.reclaim();
  return 0;
}

/** The program of struct sock_fprog: length and pointer (seccomp_prepare_filter). */
function readProgram(t: Task, addr: number): Buffer | number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const len = scratch.u32[0]! & 0xffff;
  const at = scratch.u32[3]! * 0x100000000 + scratch.u32[2]!;
  if (len === 0 || len > BPF_MAXINSNS) return -EINVAL;
  // "The filter would let an unprivileged caller attack a set-user-ID program".
  if (!t.noNewPrivs && !t.creds.hasOwn(CAP_SYS_ADMIN)) return -EACCES;
  const bytes = Buffer.alloc(8 * len);
  return t.mem.copyIn(at, bytes, 0, bytes.length) !== 0 ? -EFAULT : bytes;
}

function setFilter(t: Task, flags: number, addr: number): SysResult {
  if ((flags & ~KNOWN_FLAGS) !== 0) return -EINVAL;
  const listens = (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) !== 0;
  // Both would use the return value.
  const syncs = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  if (listens && (flags & syncs) === SECCOMP_FILTER_FLAG_TSYNC) return -EINVAL;
  const killable = (flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) !== 0;
  if (killable && !listens) return -EINVAL;
  const bytes = readProgram(t, addr);
  if (typeof bytes === 'number') return bytes;
  if (t.seccomp?.strict === true) return -EINVAL;
  const program = loadSeccomp(bytes);
  if (program === null) return -EINVAL;
  const filter = new SeccompFilter(new BpfRules(program), t.seccomp, (flags & SECCOMP_FILTER_FLAG_LOG) !== 0);
  if (filter.depth > MAX_CHAIN_INSNS) return -ENOMEM;
  const fd = listens ? newListener(t, filter, killable) : 0;
  if (fd < 0) return fd;
  if ((flags & SECCOMP_FILTER_FLAG_TSYNC) !== 0) {
    const other = syncThreads(t, filter);
    if (other !== 0) {
      if (listens) t.fdTable.close(t, fd);
      return (flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH) !== 0 ? -ESRCH : other;
    }
  }
  takeFutexesFor(t, filter);
  t.mm.space.forgetAnswers();
  t.reclaim();
  t.seccomp = filter;
  return fd;
}

/** The filter's listener as a descriptor, or −errno: a chain has one at most. */
function newListener(t: Task, filter: SeccompFilter, killable: boolean): number {
  if (hasListener(filter.prev)) return -EBUSY;
  const listener = new SeccompListener(killable);
  const fd = installFd(t, new SeccompListenerFile(listener), true);
  if (fd >= 0) filter.listener = listener;
  return fd;
}

/** seccomp_can_sync_threads(), seccomp_sync_threads(): 0, or the number of a thread that has gone its own way. */
function syncThreads(t: Task, filter: SeccompFilter): number {
  for (const o of t.group.tasks) {
    if (o !== t && o.seccomp !== null && !filter.isAbove(o.seccomp)) return o.tid;
  }
  for (const o of t.group.tasks) {
    takeFutexesFor(o, filter);
    o.reclaim();
    o.seccomp = filter;
    if (t.noNewPrivs) o.noNewPrivs = true;
  }
  return 0;
}

function sysSeccomp(t: Task, a: SyscallArgs): SysResult {
  switch (a.uint(0)) {
    case SECCOMP_SET_MODE_STRICT:
      return a.uint(1) !== 0 || a.addr(2) !== 0 ? -EINVAL : setStrict(t);
    case SECCOMP_SET_MODE_FILTER:
      return setFilter(t, a.uint(1), a.addr(2));
    case SECCOMP_GET_ACTION_AVAIL:
      if (a.uint(1) !== 0) return -EINVAL;
      if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 4) !== 0) return -EFAULT;
      return ACTIONS.includes(scratch.u32[0]!) ? 0 : -EOPNOTSUPP;
    case SECCOMP_GET_NOTIF_SIZES:
      if (a.uint(1) !== 0) return -EINVAL;
      // seccomp_notif, seccomp_notif_resp, seccomp_data.
      scratch.view.setUint16(0, 80, true);
      scratch.view.setUint16(2, 24, true);
      scratch.view.setUint16(4, 64, true);
      return t.mem.copyOut(a.addr(2), scratch.bytes, 0, 6);
    default:
      return -EINVAL;
  }
}

export const seccompRows: SyscallRow[] = [
  {
    nr: 317,
    name: 'seccomp',
    fn: sysSeccomp,
    args: [
      oneOf({
        SECCOMP_SET_MODE_STRICT,
        SECCOMP_SET_MODE_FILTER,
        SECCOMP_GET_ACTION_AVAIL,
        SECCOMP_GET_NOTIF_SIZES,
      }),
      flags({
        SECCOMP_FILTER_FLAG_TSYNC,
        SECCOMP_FILTER_FLAG_LOG,
        SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        SECCOMP_FILTER_FLAG_NEW_LISTENER,
        SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
        SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
      }),
      ptr,
    ],
    support: 'partial',
    note: 'nothing is logged',
  },
];
