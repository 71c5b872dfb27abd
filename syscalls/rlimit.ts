/** getrlimit(2), setrlimit(2), prlimit64(2) (kernel/sys.c do_prlimit()). */
import { EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_RESOURCE } from '../sentry/auth/capability.ts';
import * as limits from '../sentry/kernel/limits.ts';
import { timersOf } from '../sentry/kernel/process-timers.ts';
import {
  inStruct,
  oneOf,
  outStruct,
  pid,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { ThreadGroup } from '../sentry/kernel/thread-group.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const { RLIMIT_NOFILE, RLIM_NLIMITS, RLIMIT_CPU, RLIMIT_AS, RLIMIT_STACK, RLIMIT_DATA } = limits;
const NAMES = {
  RLIMIT_CPU,
  RLIMIT_FSIZE: limits.RLIMIT_FSIZE,
  RLIMIT_DATA,
  RLIMIT_STACK,
  RLIMIT_CORE: limits.RLIMIT_CORE,
  RLIMIT_NPROC: limits.RLIMIT_NPROC,
  RLIMIT_NOFILE,
  RLIMIT_MEMLOCK: limits.RLIMIT_MEMLOCK,
  RLIMIT_AS,
};

/** A uint64 of scratch as a limit: RLIM_INFINITY and everything that no number can hold is Infinity. */
function limitAt(word: number): number {
  const hi = scratch.u32[word + 1]!;
  return hi >= 0x200000 ? Infinity : hi * 0x100000000 + scratch.u32[word]!;
}

function putLimit(word: number, v: number): void {
  scratch.u32[word] = v === Infinity ? 0xffffffff : v >>> 0;
  scratch.u32[word + 1] = v === Infinity ? 0xffffffff : Math.floor(v / 0x100000000);
}

/** Sets what scratch holds as struct rlimit64. */
function setLimit(t: Task, g: ThreadGroup, resource: number): number {
  const cur = limitAt(0);
  const max = limitAt(2);
  // Of values that are both infinite here, too.
  const [curLow, curHigh, maxLow, maxHigh] = scratch.u32 as unknown as number[];
  if (curHigh! > maxHigh! || (curHigh === maxHigh && curLow! > maxLow!)) return -EINVAL;
  if (resource === RLIMIT_NOFILE && max > t.kernel.openFilesMax) return -EPERM;
  if (max > g.limits.max(resource) && !t.creds.has(CAP_SYS_RESOURCE)) return -EPERM;
  g.limits.set(resource, cur, max);
  if (resource === RLIMIT_CPU) timersOf(g).watchCpuLimit(g);
  if (resource === limits.RLIMIT_RTTIME && cur !== Infinity) timersOf(g).watchRtTime(g);
  return 0;
}

function getLimit(g: ThreadGroup, resource: number): void {
  putLimit(0, g.limits.cur(resource));
  putLimit(2, g.limits.max(resource));
}

function sysGetrlimit(t: Task, a: SyscallArgs): SysResult {
  const resource = a.uint(0);
  if (resource >= RLIM_NLIMITS) return -EINVAL;
  getLimit(t.group, resource);
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 16);
}

function sysSetrlimit(t: Task, a: SyscallArgs): SysResult {
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 16) !== 0) return -EFAULT;
  const resource = a.uint(0);
  return resource >= RLIM_NLIMITS ? -EINVAL : setLimit(t, t.group, resource);
}

/** check_prlimit_permission(): same ids all over, or CAP_SYS_RESOURCE. */
function mayLimit(t: Task, o: Task): boolean {
  const { uid, gid } = t.creds;
  const c = o.creds;
  const same =
    c.uid === uid && c.euid === uid && c.suid === uid && c.gid === gid && c.egid === gid && c.sgid === gid;
  return same || t.creds.hasIn(CAP_SYS_RESOURCE, c.userNs);
}

function sysPrlimit64(t: Task, a: SyscallArgs): SysResult {
  const nr = a.int(0);
  const resource = a.uint(1);
  const newAddr = a.addr(2);
  const oldAddr = a.addr(3);
  if (newAddr !== 0 && t.mem.check(newAddr, 16, false) !== 0) return -EFAULT;
  const other = nr === 0 ? t : t.pidNs.findTask(nr);
  if (other === null) return -ESRCH;
  if (other.group !== t.group && !mayLimit(t, other)) return -EPERM;
  if (resource >= RLIM_NLIMITS) return -EINVAL;
  const g = other.group;
  const cur = g.limits.cur(resource);
  const max = g.limits.max(resource);
  if (newAddr !== 0) {
    if (t.mem.copyIn(newAddr, scratch.bytes, 0, 16) !== 0) return -EFAULT;
    const r = setLimit(t, g, resource);
    if (r !== 0) return r;
  }
  if (oldAddr === 0) return 0;
  putLimit(0, cur);
  putLimit(2, max);
  return t.mem.copyOut(oldAddr, scratch.bytes, 0, 16);
}

const note = 'RLIMIT_RTTIME may be noticed late by as much again';

export const rlimitRows: readonly SyscallRow[] = [
  {
    nr: 97,
    name: 'getrlimit',
    fn: sysGetrlimit,
    args: [oneOf(NAMES), outStruct(16, 'rlimit')],
    support: 'full',
  },
  {
    nr: 160,
    name: 'setrlimit',
    fn: sysSetrlimit,
    args: [oneOf(NAMES), inStruct(16, 'rlimit')],
    support: 'partial',
    note,
  },
  {
    nr: 302,
    name: 'prlimit64',
    fn: sysPrlimit64,
    args: [pid, oneOf(NAMES), inStruct(16, 'rlimit'), outStruct(16, 'rlimit')],
    support: 'partial',
    note,
  },
];
