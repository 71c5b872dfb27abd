/**
 * Priorities and CPU affinity, and the rows of scheduling. Linux: kernel/sched/syscalls.c, kernel/sys.c, block/ioprio.c. The host
 * schedules guest threads and hears of affinity; what else a guest sets is remembered and told back, with the checks of Linux.
 */
import { EACCES, EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import { RT_PRIORITY_MAX, SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE, SCHED_RR } from '../sentry/abi/sched.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_NICE } from '../sentry/auth/capability.ts';
import {
  int,
  pid,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import {
  mayNice,
  findTask,
  isPolicy,
  isRealTime,
  owns,
  sysSchedGetattr,
  sysSchedGetscheduler,
  sysSchedSetattr,
  sysSchedSetparam,
  sysSchedSetscheduler,
} from './sched-policy.ts';

const PRIO_PROCESS = 0;
const PRIO_PGRP = 1;
const PRIO_USER = 2;
/** Slice that SCHED_RR and fair tasks report. */
const RR_INTERVAL_NS = 100_000_000;

function sysSchedYield(): SysResult {
  return 0;
}

function sysSchedGetparam(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) === 0) return -EINVAL;
  const o = findTask(t, a.int(0));
  return typeof o === 'number' ? o : t.mem.writeU32(a.addr(1), o.schedPriority);
}

/** Scheduling by BPF programs: nobody has loaded any. */
const SCHED_EXT = 7;

function maxPriority(policy: number, most: number): SysResult {
  if (isRealTime(policy)) return most;
  return isPolicy(policy) || policy === SCHED_EXT ? 0 : -EINVAL;
}

function sysSchedGetPriorityMax(_t: Task, a: SyscallArgs): SysResult {
  return maxPriority(a.int(0), RT_PRIORITY_MAX);
}

function sysSchedGetPriorityMin(_t: Task, a: SyscallArgs): SysResult {
  return maxPriority(a.int(0), 1);
}

function sysSchedRrGetInterval(t: Task, a: SyscallArgs): SysResult {
  const o = findTask(t, a.int(0));
  if (typeof o === 'number') return o;
  const sliceless = o.schedPolicy === SCHED_FIFO || o.schedPolicy === SCHED_DEADLINE;
  const ns = sliceless ? 0 : o.schedPolicy === SCHED_RR ? RR_INTERVAL_NS : 4_000_000;
  scratch.bytes.fill(0, 0, 16);
  scratch.u32[2] = ns;
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 16);
}

/** Mask of the sandbox's CPUs. */
function allCpus(t: Task): Uint8Array {
  const n = t.kernel.cpusOf(t.group.container);
  const mask = new Uint8Array(8 * Math.ceil(n / 64));
  for (let cpu = 0; cpu < n; cpu++) mask[cpu >> 3]! |= 1 << (cpu & 7);
  return mask;
}

function sysSchedSetaffinity(t: Task, a: SyscallArgs): SysResult {
  const all = allCpus(t);
  // cpumask_size(): whole words
  const words = new Uint8Array(Math.ceil(all.length / 8) * 8);
  if (t.mem.copyIn(a.addr(2), words, 0, Math.min(a.uint(1), words.length)) !== 0) return -EFAULT;
  const mask = words.subarray(0, all.length);
  // Unlike the policy calls, a negative pid is merely nobody's.
  const o = a.int(0) < 0 ? -ESRCH : findTask(t, a.int(0));
  if (typeof o === 'number') return o;
  if (!owns(t, o) || !mayNice(t, o)) return -EPERM;
  let any = 0;
  let left = 0;
  for (let i = 0; i < mask.length; i++) {
    any |= mask[i]! &= all[i]!;
    left |= mask[i]! ^ all[i]!;
  }
  if (any === 0) return -EINVAL;
  o.affinity = left === 0 ? null : mask;
  o.ctx.bindTo(o.affinity);
  return 0;
}

function sysSchedGetaffinity(t: Task, a: SyscallArgs): SysResult {
  const len = a.uint(1);
  const all = allCpus(t);
  // The number of bits is an unsigned int.
  if (Math.imul(len, 8) >>> 0 < t.kernel.cpusOf(t.group.container) || len % 8 !== 0) return -EINVAL;
  const o = a.int(0) < 0 ? -ESRCH : findTask(t, a.int(0));
  if (typeof o === 'number') return o;
  const n = Math.min(len, all.length);
  return t.mem.copyOut(a.addr(2), o.affinity ?? all, 0, n) !== 0 ? -EFAULT : n;
}

/** getcpu(2), as a call: one of those that the caller may run on. The vDSO knows better. */
function sysGetcpu(t: Task, a: SyscallArgs): SysResult {
  const i = t.affinity === null ? 0 : t.affinity.findIndex((bits) => bits !== 0);
  const cpu = t.affinity === null ? 0 : i * 8 + 31 - Math.clz32(t.affinity[i]! & -t.affinity[i]!);
  if (a.addr(0) !== 0 && t.mem.writeU32(a.addr(0), cpu) !== 0) return -EFAULT;
  if (a.addr(1) !== 0 && t.mem.writeU32(a.addr(1), 0) !== 0) return -EFAULT;
  return 0;
}

/** Tasks that getpriority(2), setpriority(2), ioprio_* address. Types are PRIO_*. */
function targets(t: Task, which: number, who: number): Task[] {
  switch (which) {
    case PRIO_PROCESS: {
      const o = who === 0 ? t : t.pidNs.findTask(who);
      return o === null ? [] : [o];
    }
    case PRIO_PGRP: {
      const g = who === 0 ? t.group.processGroup : t.pidNs.findProcessGroup(who);
      return g === null ? [] : [...g.members].flatMap((m) => [...m.tasks]);
    }
    default: {
      const uid = who === 0 ? t.creds.uid : t.creds.userNs.toUid(who >>> 0);
      return t.pidNs.groups().flatMap((g) => [...g.tasks].filter((o) => o.creds.uid === uid));
    }
  }
}

function sysGetpriority(t: Task, a: SyscallArgs): SysResult {
  const which = a.int(0);
  if (which < PRIO_PROCESS || which > PRIO_USER) return -EINVAL;
  let best = -ESRCH;
  // "The raw system call returns 20 - nice": 1 to 40.
  for (const o of targets(t, which, a.int(1))) best = Math.max(best, 20 - o.nice);
  return best;
}

function sysSetpriority(t: Task, a: SyscallArgs): SysResult {
  const which = a.int(0);
  if (which < PRIO_PROCESS || which > PRIO_USER) return -EINVAL;
  const nice = Math.max(-20, Math.min(19, a.int(2)));
  let result = -ESRCH;
  for (const o of targets(t, which, a.int(1))) {
    const c = t.creds;
    let r = 0;
    if (c.euid !== o.creds.uid && c.euid !== o.creds.euid && !c.has(CAP_SYS_NICE)) r = -EPERM;
    else if (nice < o.nice && 20 - nice > o.group.limits.nice && !c.has(CAP_SYS_NICE)) r = -EACCES;
    else if (!mayNice(t, o)) r = -EPERM;
    else o.nice = nice;
    if (r !== 0) result = r;
    else if (result === -ESRCH) result = 0;
  }
  return result;
}

const IOPRIO_WHO_PROCESS = 1;
const IOPRIO_WHO_USER = 3;
const IOPRIO_CLASS_RT = 1;
const IOPRIO_CLASS_BE = 2;
const IOPRIO_CLASS_IDLE = 3;

/** Unlike that of priorities, user 0 is root. */
function ioTargets(t: Task, which: number, who: number): Task[] {
  if (which !== IOPRIO_WHO_USER) return targets(t, which - 1, who);
  const uid = t.creds.userNs.toUid(who >>> 0);
  return t.pidNs.groups().flatMap((g) => [...g.tasks].filter((o) => o.creds.uid === uid));
}

/** get_task_ioprio(): without a priority of its own a task has that of its policy and nice value. */
function effectiveIoprio(o: Task): number {
  if (o.ioprio >> 13 !== 0) return o.ioprio;
  const rt = o.schedPolicy === SCHED_FIFO || o.schedPolicy === SCHED_RR || o.schedPolicy === SCHED_DEADLINE;
  const cls = o.schedPolicy === SCHED_IDLE ? IOPRIO_CLASS_IDLE : rt ? IOPRIO_CLASS_RT : IOPRIO_CLASS_BE;
  return (cls << 13) | ((o.nice + 20) / 5);
}

function sysIoprioSet(t: Task, a: SyscallArgs): SysResult {
  // Sixteen bits: the class, a hint, the level.
  const prio = a.uint(2) & 0xffff;
  const cls = prio >> 13;
  if (cls > 3 || (cls === 0 && (prio & 7) !== 0)) return -EINVAL;
  if (cls === 1 && !t.creds.has(CAP_SYS_NICE)) return -EPERM;
  const which = a.int(0);
  if (which < 1 || which > 3) return -EINVAL;
  const found = ioTargets(t, which, a.int(1));
  const c = t.creds;
  for (const o of found) {
    // set_task_ioprio()
    if (o.creds.uid !== c.euid && o.creds.uid !== c.uid && !c.has(CAP_SYS_NICE)) return -EPERM;
    if (!mayNice(t, o)) return -EPERM;
    o.ioprio = prio;
  }
  return found.length > 0 ? 0 : -ESRCH;
}

function sysIoprioGet(t: Task, a: SyscallArgs): SysResult {
  const which = a.int(0);
  if (which < 1 || which > 3) return -EINVAL;
  const found = ioTargets(t, which, a.int(1));
  if (found.length === 0) return -ESRCH;
  if (which === IOPRIO_WHO_PROCESS) return found[0]!.ioprio;
  // ioprio_best(): the lowest number, of what goes for each.
  return Math.min(...found.map(effectiveIoprio));
}

const remembered = 'remembered and told back; the host schedules';

export const schedulerRows: SyscallRow[] = [
  { nr: 24, name: 'sched_yield', fn: sysSchedYield, args: [], support: 'full' },
  { nr: 140, name: 'getpriority', fn: sysGetpriority, args: [int, int], support: 'full' },
  {
    nr: 141,
    name: 'setpriority',
    fn: sysSetpriority,
    args: [int, int, int],
    support: 'partial',
    note: remembered,
  },
  {
    nr: 142,
    name: 'sched_setparam',
    fn: sysSchedSetparam,
    args: [pid, ptr],
    support: 'partial',
    note: remembered,
  },
  { nr: 143, name: 'sched_getparam', fn: sysSchedGetparam, args: [pid, ptr], support: 'full' },
  {
    nr: 144,
    name: 'sched_setscheduler',
    fn: sysSchedSetscheduler,
    args: [pid, int, ptr],
    support: 'partial',
    note: remembered,
  },
  { nr: 145, name: 'sched_getscheduler', fn: sysSchedGetscheduler, args: [pid], support: 'full' },
  { nr: 146, name: 'sched_get_priority_max', fn: sysSchedGetPriorityMax, args: [int], support: 'full' },
  { nr: 147, name: 'sched_get_priority_min', fn: sysSchedGetPriorityMin, args: [int], support: 'full' },
  { nr: 148, name: 'sched_rr_get_interval', fn: sysSchedRrGetInterval, args: [pid, ptr], support: 'full' },
  { nr: 203, name: 'sched_setaffinity', fn: sysSchedSetaffinity, args: [pid, size, ptr], support: 'full' },
  { nr: 204, name: 'sched_getaffinity', fn: sysSchedGetaffinity, args: [pid, size, ptr], support: 'full' },
  {
    nr: 251,
    name: 'ioprio_set',
    fn: sysIoprioSet,
    args: [int, int, int],
    support: 'partial',
    note: remembered,
  },
  { nr: 252, name: 'ioprio_get', fn: sysIoprioGet, args: [int, int], support: 'full' },
  { nr: 309, name: 'getcpu', fn: sysGetcpu, args: [ptr, ptr, ptr], support: 'full' },
  {
    nr: 314,
    name: 'sched_setattr',
    fn: sysSchedSetattr,
    args: [pid, ptr, uint],
    support: 'partial',
    note: remembered,
  },
  { nr: 315, name: 'sched_getattr', fn: sysSchedGetattr, args: [pid, ptr, uint, uint], support: 'full' },
];
