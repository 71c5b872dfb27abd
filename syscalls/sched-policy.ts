/**
 * Scheduling policies: sched_setscheduler(2), sched_setattr(2) and what they tell back (kernel/sched/syscalls.c). The host schedules
 * guest threads; what a guest sets here is remembered, with the checks of Linux.
 */
import { E2BIG, EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import {
  RT_PRIORITY_MAX,
  SCHED_BATCH,
  SCHED_DEADLINE,
  SCHED_FIFO,
  SCHED_IDLE,
  SCHED_OTHER,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
} from '../sentry/abi/sched.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_NICE } from '../sentry/auth/capability.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { futexRank } from '../sentry/kernel/futex.ts';
import { RLIMIT_RTPRIO, RLIMIT_RTTIME } from '../sentry/kernel/limits.ts';
import { takeFutexes } from '../sentry/kernel/own-futexes.ts';
import { timersOf } from '../sentry/kernel/process-timers.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const SCHED_FLAG_RESET_ON_FORK = 1;
const SCHED_FLAG_KEEP_POLICY = 8;
const SCHED_FLAG_KEEP_PARAMS = 0x10;
const SCHED_FLAG_UTIL_CLAMP = 0x60;
const SCHED_FLAG_ALL = 0x7f;
/** struct sched_attr, first published version and the one with util clamps. */
const SCHED_ATTR_SIZE_VER0 = 48;
const SCHED_ATTR_SIZE_VER1 = 56;

/** kernel.sched_deadline_period_min_us and …_max_us, in ns. */
const DEADLINE_PERIOD_MIN_NS = 100_000;
const DEADLINE_PERIOD_MAX_NS = 4_194_304_000;
const DEADLINE_RUNTIME_MIN_NS = 1024;

/** struct sched_attr as far as it is looked at; policy −1: as it is. */
interface SchedAttr {
  policy: number;
  flags: number;
  nice: number;
  priority: number;
  /** Runtime, deadline and period in ns. */
  deadline: readonly [number, number, number];
}

const NO_DEADLINE = [0, 0, 0] as const;

export function isRealTime(policy: number): boolean {
  return policy === SCHED_FIFO || policy === SCHED_RR;
}

function isFair(policy: number): boolean {
  return policy === SCHED_OTHER || policy === SCHED_BATCH;
}

export function isPolicy(policy: number): boolean {
  return isRealTime(policy) || isFair(policy) || policy === SCHED_IDLE || policy === SCHED_DEADLINE;
}

/** The task of a thread id, 0: the caller. */
export function findTask(t: Task, nr: number): Task | number {
  if (nr < 0) return -EINVAL;
  if (nr === 0) return t;
  return t.pidNs.findTask(nr) ?? -ESRCH;
}

/** May `t` change the scheduling of `o`? (check_same_owner) */
export function owns(t: Task, o: Task): boolean {
  const c = t.creds;
  return c.euid === o.creds.euid || c.euid === o.creds.uid || c.hasIn(CAP_SYS_NICE, o.creds.userNs);
}

/** cap_safe_nice(): nobody's scheduling is changed by who may do less, whoever they are. */
export function mayNice(t: Task, o: Task): boolean {
  const c = t.creds;
  return o.creds.permitted.isSubsetOf(c.permitted) || c.hasIn(CAP_SYS_NICE, o.creds.userNs);
}

/** is_nice_reduction() */
function mayHaveNice(o: Task, nice: number): boolean {
  return 20 - nice <= o.group.limits.nice;
}

/** __checkparam_dl() */
function validDeadline([runtime, deadline, given]: SchedAttr['deadline']): boolean {
  const period = given === 0 ? deadline : given;
  if (deadline === 0 || runtime < DEADLINE_RUNTIME_MIN_NS) return false;
  if (period < deadline || deadline < runtime) return false;
  return period >= DEADLINE_PERIOD_MIN_NS && period <= DEADLINE_PERIOD_MAX_NS;
}

/** What needs no CAP_SYS_NICE (user_check_sched_setscheduler). */
function isModest(t: Task, o: Task, attr: SchedAttr, policy: number, reset: boolean): boolean {
  if (isFair(policy) && attr.nice < o.nice && !mayHaveNice(o, attr.nice)) return false;
  if (isRealTime(policy)) {
    const limit = o.group.limits.cur(RLIMIT_RTPRIO);
    if (policy !== o.schedPolicy && limit === 0) return false;
    if (attr.priority > o.schedPriority && attr.priority > limit) return false;
  }
  if (policy === SCHED_DEADLINE) return false;
  if (o.schedPolicy === SCHED_IDLE && policy !== SCHED_IDLE && !mayHaveNice(o, o.nice)) return false;
  return owns(t, o) && (!o.schedResetOnFork || reset);
}

/** __sched_setscheduler() */
function setScheduler(t: Task, o: Task, attr: SchedAttr): SysResult {
  const keeps = attr.policy < 0;
  const policy = keeps ? o.schedPolicy : attr.policy;
  const reset = keeps ? o.schedResetOnFork : (attr.flags & SCHED_FLAG_RESET_ON_FORK) !== 0;
  if (!isPolicy(policy) || (attr.flags & ~SCHED_FLAG_ALL) !== 0) return -EINVAL;
  if (attr.priority > RT_PRIORITY_MAX) return -EINVAL;
  if (policy === SCHED_DEADLINE && !validDeadline(attr.deadline)) return -EINVAL;
  if (isRealTime(policy) !== (attr.priority !== 0)) return -EINVAL;
  if (!isModest(t, o, attr, policy, reset) && !t.creds.has(CAP_SYS_NICE)) return -EPERM;
  if (!mayNice(t, o)) return -EPERM;
  // As a kernel without CONFIG_UCLAMP_TASK.
  if ((attr.flags & SCHED_FLAG_UTIL_CLAMP) !== 0) return -EOPNOTSUPP;
  o.schedResetOnFork = reset;
  // The policy counts as a parameter here (__setscheduler_params).
  if ((attr.flags & SCHED_FLAG_KEEP_PARAMS) !== 0) return 0;
  o.schedPolicy = policy;
  if (isRealTime(policy) && o.group.limits.cur(RLIMIT_RTTIME) !== Infinity)
    timersOf(o.group).watchRtTime(o.group);
  o.schedPriority = attr.priority;
  if (futexRank(o) > 0 && o.mm.userCount > 0) takeFutexes(o.mm);
  o.schedDeadline = policy === SCHED_DEADLINE ? attr.deadline : null;
  if (isFair(policy)) o.nice = attr.nice;
  return 0;
}

/** sched_setscheduler(2) and sched_setparam(2) (_sched_setscheduler). */
function setPriority(t: Task, o: Task, policy: number, priority: number): SysResult {
  const reset = policy >= 0 && (policy & SCHED_RESET_ON_FORK) !== 0;
  return setScheduler(t, o, {
    policy: reset ? policy & ~SCHED_RESET_ON_FORK : policy,
    flags: reset ? SCHED_FLAG_RESET_ON_FORK : 0,
    nice: o.nice,
    priority: priority >>> 0,
    deadline: NO_DEADLINE,
  });
}

export function sysSchedSetscheduler(t: Task, a: SyscallArgs): SysResult {
  if (a.int(1) < 0 || a.addr(2) === 0 || a.int(0) < 0) return -EINVAL;
  if (t.mem.copyIn(a.addr(2), scratch.bytes, 0, 4) !== 0) return -EFAULT;
  const priority = scratch.i32[0]!;
  const o = findTask(t, a.int(0));
  return typeof o === 'number' ? o : setPriority(t, o, a.int(1), priority);
}

export function sysSchedSetparam(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) === 0 || a.int(0) < 0) return -EINVAL;
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 4) !== 0) return -EFAULT;
  const priority = scratch.i32[0]!;
  const o = findTask(t, a.int(0));
  return typeof o === 'number' ? o : setPriority(t, o, -1, priority);
}

export function sysSchedGetscheduler(t: Task, a: SyscallArgs): SysResult {
  const o = findTask(t, a.int(0));
  return typeof o === 'number' ? o : o.schedPolicy | (o.schedResetOnFork ? SCHED_RESET_ON_FORK : 0);
}

/** 64 bits of the caller's structure; what is no period of anything is Infinity. */
function u64At(word: number): number {
  const hi = scratch.u32[word + 1]!;
  return hi >= 0x200000 ? Infinity : hi * 0x100000000 + scratch.u32[word]!;
}

/** sched_copy_attr() */
function readAttr(t: Task, addr: number): SchedAttr | number {
  const first = t.mem.readU32(addr);
  if (first < 0) return first;
  const given = scratch.u32[0]!;
  const len = given === 0 ? SCHED_ATTR_SIZE_VER0 : given;
  if (len < SCHED_ATTR_SIZE_VER0 || len > PAGE_SIZE) return wrongSize(t, addr);
  for (let at = SCHED_ATTR_SIZE_VER1; at < len; at += SCHED_ATTR_SIZE_VER1) {
    const n = Math.min(SCHED_ATTR_SIZE_VER1, len - at);
    if (t.mem.copyIn(addr + at, scratch.bytes, 0, n) !== 0) return -EFAULT;
    if (scratch.bytes.subarray(0, n).some((b) => b !== 0)) return wrongSize(t, addr);
  }
  if (t.mem.copyIn(addr, scratch.bytes, 0, Math.min(len, SCHED_ATTR_SIZE_VER1)) !== 0) return -EFAULT;
  const flags = scratch.u32[2]!;
  if ((flags & SCHED_FLAG_UTIL_CLAMP) !== 0 && len < SCHED_ATTR_SIZE_VER1) return -EINVAL;
  return {
    policy: scratch.i32[1]!,
    // The upper half has no flags.
    flags: scratch.u32[3] === 0 ? flags : -1,
    nice: Math.max(-20, Math.min(19, scratch.i32[4]!)),
    priority: scratch.u32[5]!,
    deadline: [u64At(6), u64At(8), u64At(10)],
  };
}

/** Tells the size that this kernel knows. */
function wrongSize(t: Task, addr: number): SysResult {
  t.mem.writeU32(addr, SCHED_ATTR_SIZE_VER1);
  return -E2BIG;
}

export function sysSchedSetattr(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) === 0 || a.int(0) < 0 || a.uint(2) !== 0) return -EINVAL;
  const attr = readAttr(t, a.addr(1));
  if (typeof attr === 'number') return attr;
  if (attr.policy < 0) return -EINVAL;
  if ((attr.flags & SCHED_FLAG_KEEP_POLICY) !== 0) attr.policy = -1;
  const o = findTask(t, a.int(0));
  if (typeof o === 'number') return o;
  if ((attr.flags & SCHED_FLAG_KEEP_PARAMS) !== 0) {
    if (o.schedPolicy === SCHED_DEADLINE) attr.deadline = o.schedDeadline ?? NO_DEADLINE;
    else if (isRealTime(o.schedPolicy)) attr.priority = o.schedPriority;
    else attr.nice = o.nice;
  }
  return setScheduler(t, o, attr);
}

export function sysSchedGetattr(t: Task, a: SyscallArgs): SysResult {
  const len = a.uint(2);
  if (a.addr(1) === 0 || a.int(0) < 0 || a.uint(3) !== 0) return -EINVAL;
  if (len < SCHED_ATTR_SIZE_VER0 || len > PAGE_SIZE) return -EINVAL;
  const o = findTask(t, a.int(0));
  if (typeof o === 'number') return o;
  // What the caller knows of besides is zero.
  scratch.bytes.fill(0, 0, len);
  scratch.u32[0] = Math.min(len, SCHED_ATTR_SIZE_VER1);
  scratch.u32[1] = o.schedPolicy;
  scratch.u32[2] = o.schedResetOnFork ? SCHED_FLAG_RESET_ON_FORK : 0;
  if (isRealTime(o.schedPolicy)) scratch.u32[5] = o.schedPriority;
  else if (o.schedDeadline === null) scratch.i32[4] = o.nice;
  else {
    for (let i = 0; i < 3; i++) {
      scratch.u32[6 + 2 * i] = o.schedDeadline[i]! % 0x100000000;
      scratch.u32[7 + 2 * i] = Math.floor(o.schedDeadline[i]! / 0x100000000);
    }
  }
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, len);
}
