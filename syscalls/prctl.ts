/** prctl(2). Linux: kernel/sys.c, security/commoncap.c cap_task_prctl(). */
import { EFAULT, EINVAL, ENODEV, ENXIO, EPERM, ERANGE } from '../sentry/abi/errno.ts';
import {
  SECBIT_KEEP_CAPS,
  SECBIT_KEEP_CAPS_LOCKED,
  SECBIT_NO_CAP_AMBIENT_RAISE,
  SECURE_ALL_BITS,
  SECURE_ALL_LOCKS,
  SECURE_ALL_UNPRIVILEGED,
} from '../sentry/abi/securebits.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_LAST_CAP, CAP_SETPCAP, CAP_SYS_RESOURCE, CapSet } from '../sentry/auth/capability.ts';
import { hex, oneOf, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import { takeFutexes } from '../sentry/kernel/own-futexes.ts';
import { timersOf } from '../sentry/kernel/process-timers.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { getAuxv, setMdwe, setMm, setThpDisable } from './prctl-mm.ts';
import { prctlGetSeccomp, prctlSetSeccomp } from './seccomp.ts';

const PR = {
  PR_SET_PDEATHSIG: 1,
  PR_GET_PDEATHSIG: 2,
  PR_GET_DUMPABLE: 3,
  PR_SET_DUMPABLE: 4,
  PR_GET_UNALIGN: 5,
  PR_GET_KEEPCAPS: 7,
  PR_SET_KEEPCAPS: 8,
  PR_GET_TIMING: 13,
  PR_SET_TIMING: 14,
  PR_SET_NAME: 15,
  PR_GET_NAME: 16,
  PR_GET_SECCOMP: 21,
  PR_SET_SECCOMP: 22,
  PR_CAPBSET_READ: 23,
  PR_CAPBSET_DROP: 24,
  PR_GET_TSC: 25,
  PR_SET_TSC: 26,
  PR_GET_SECUREBITS: 27,
  PR_SET_SECUREBITS: 28,
  PR_SET_TIMERSLACK: 29,
  PR_GET_TIMERSLACK: 30,
  PR_TASK_PERF_EVENTS_DISABLE: 31,
  PR_TASK_PERF_EVENTS_ENABLE: 32,
  PR_MCE_KILL: 33,
  PR_MCE_KILL_GET: 34,
  PR_SET_MM: 35,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_GET_CHILD_SUBREAPER: 37,
  PR_SET_NO_NEW_PRIVS: 38,
  PR_GET_NO_NEW_PRIVS: 39,
  PR_GET_TID_ADDRESS: 40,
  PR_SET_THP_DISABLE: 41,
  PR_GET_THP_DISABLE: 42,
  PR_CAP_AMBIENT: 47,
  PR_GET_SPECULATION_CTRL: 52,
  PR_SET_SPECULATION_CTRL: 53,
  PR_SET_IO_FLUSHER: 57,
  PR_GET_IO_FLUSHER: 58,
  PR_SET_SYSCALL_USER_DISPATCH: 59,
  PR_SET_MDWE: 65,
  PR_GET_MDWE: 66,
  PR_SET_MEMORY_MERGE: 67,
  PR_GET_MEMORY_MERGE: 68,
  PR_TIMER_CREATE_RESTORE_IDS: 77,
  PR_GET_AUXV: 0x41555856,
  PR_SET_VMA: 0x53564d41,
} as const;

const PR_CAP_AMBIENT_IS_SET = 1;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_LOWER = 3;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const PR_TSC_ENABLE = 1;
const PR_TIMING_STATISTICAL = 0;
const PR_MCE_KILL_CLEAR = 0;
const PR_MCE_KILL_SET = 1;
const PR_MCE_KILL_DEFAULT = 2;
const NSIG = 64;
const COMM_LEN = 15;

function setName(t: Task, addr: number): SysResult {
  // strncpy_from_user() of 15 bytes: longer names are cut silently.
  let n = 0;
  while (n < COMM_LEN) {
    const got = t.mem.copyIn(addr + n, scratch.bytes, n, 1);
    if (got !== 0) return -EFAULT;
    if (scratch.bytes[n] === 0) break;
    n++;
  }
  t.comm = scratch.bytes.toString('latin1', 0, n);
  return 0;
}

function getName(t: Task, addr: number): SysResult {
  scratch.bytes.fill(0, 0, COMM_LEN + 1);
  scratch.bytes.write(t.comm, 0, 'latin1');
  return t.mem.copyOut(addr, scratch.bytes, 0, COMM_LEN + 1);
}

function setSecurebits(t: Task, a: SyscallArgs): SysResult {
  const o = t.creds;
  const want = a.uint(1);
  const locks = (o.securebits & SECURE_ALL_LOCKS) >>> 1;
  if (a.words[3] !== 0 || (want & ~(SECURE_ALL_LOCKS | SECURE_ALL_BITS)) !== 0) return -EPERM;
  if ((locks & (o.securebits ^ want)) !== 0) return -EPERM;
  if ((o.securebits & SECURE_ALL_LOCKS & ~want) !== 0) return -EPERM;
  const changed = o.securebits ^ want;
  const free = SECURE_ALL_UNPRIVILEGED | (SECURE_ALL_UNPRIVILEGED << 1);
  if (!o.hasOwn(CAP_SETPCAP) && (changed === 0 || (changed & ~free) !== 0)) return -EPERM;
  const n = o.clone();
  n.securebits = want;
  t.kernel.commitCreds(t, n);
  return 0;
}

function setKeepCaps(t: Task, a: SyscallArgs): SysResult {
  const on = a.addr(1);
  if (on > 1) return -EINVAL;
  const o = t.creds;
  if ((o.securebits & SECBIT_KEEP_CAPS_LOCKED) !== 0) return -EPERM;
  const n = o.clone();
  n.securebits = on === 1 ? n.securebits | SECBIT_KEEP_CAPS : n.securebits & ~SECBIT_KEEP_CAPS;
  t.kernel.commitCreds(t, n);
  return 0;
}

function dropBounding(t: Task, cap: number): SysResult {
  if (!t.creds.hasOwn(CAP_SETPCAP)) return -EPERM;
  if (cap > CAP_LAST_CAP) return -EINVAL;
  const n = t.creds.clone();
  n.bounding = n.bounding.without(CapSet.of(cap));
  t.kernel.commitCreds(t, n);
  return 0;
}

function ambient(t: Task, a: SyscallArgs): SysResult {
  const op = a.addr(1);
  const cap = a.addr(2);
  if (a.addr(3) !== 0 || a.addr(4) !== 0) return -EINVAL;
  const o = t.creds;
  const n = o.clone();
  if (op === PR_CAP_AMBIENT_CLEAR_ALL) {
    if (cap !== 0) return -EINVAL;
    n.ambient = CapSet.EMPTY;
    t.kernel.commitCreds(t, n);
    return 0;
  }
  if (cap > CAP_LAST_CAP) return -EINVAL;
  if (op === PR_CAP_AMBIENT_IS_SET) return o.ambient.has(cap) ? 1 : 0;
  if (op !== PR_CAP_AMBIENT_RAISE && op !== PR_CAP_AMBIENT_LOWER) return -EINVAL;
  const one = CapSet.of(cap);
  if (op === PR_CAP_AMBIENT_RAISE) {
    if (!o.permitted.has(cap) || !o.inheritable.has(cap)) return -EPERM;
    if ((o.securebits & SECBIT_NO_CAP_AMBIENT_RAISE) !== 0) return -EPERM;
    n.ambient = n.ambient.or(one);
  } else n.ambient = n.ambient.without(one);
  t.kernel.commitCreds(t, n);
  return 0;
}

/** All further arguments have to be zero: many options check it so that they can be extended. */
function rest(a: SyscallArgs, from: number): boolean {
  for (let i = from; i < 5; i++) if (a.addr(i) !== 0) return true;
  return false;
}

function noNewPrivs(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) !== 1 || rest(a, 2)) return -EINVAL;
  t.noNewPrivs = true;
  return 0;
}

function setDumpable(t: Task, value: number): SysResult {
  if (value !== 0 && value !== 1) return -EINVAL;
  t.mm.dumpable = value;
  return 0;
}

function setPdeathsig(t: Task, sig: number): SysResult {
  if (sig > NSIG) return -EINVAL;
  t.pdeathSignal = sig;
  return 0;
}

/** Options about the task itself. */
function sysPrctl(t: Task, a: SyscallArgs): SysResult {
  const value = a.addr(1);
  switch (a.int(0)) {
    case PR.PR_SET_PDEATHSIG:
      return setPdeathsig(t, value);
    case PR.PR_GET_PDEATHSIG:
      return t.mem.writeU32(value, t.pdeathSignal);
    case PR.PR_GET_DUMPABLE:
      return t.mm.dumpable;
    case PR.PR_SET_DUMPABLE:
      return setDumpable(t, value);
    case PR.PR_SET_NAME:
      return setName(t, value);
    case PR.PR_GET_NAME:
      return getName(t, value);
    case PR.PR_SET_TIMERSLACK:
      t.timerSlackNs = value <= 0 ? t.defaultTimerSlackNs : value;
      return 0;
    case PR.PR_GET_TIMERSLACK:
      return t.timerSlackNs;
    case PR.PR_SET_CHILD_SUBREAPER:
      t.group.childSubreaper = value !== 0;
      return 0;
    case PR.PR_GET_CHILD_SUBREAPER:
      return t.mem.writeU32(value, t.group.childSubreaper ? 1 : 0);
    case PR.PR_GET_TID_ADDRESS:
      return t.mem.writeU64(value, t.clearChildTid);
    case PR.PR_GET_SECCOMP:
      return prctlGetSeccomp(t);
    case PR.PR_SET_SECCOMP:
      return prctlSetSeccomp(t, a);
    default:
      return prctlPrivileges(t, a, value);
  }
}

/** Options about privileges. */
function prctlPrivileges(t: Task, a: SyscallArgs, value: number): SysResult {
  switch (a.int(0)) {
    case PR.PR_GET_KEEPCAPS:
      return (t.creds.securebits & SECBIT_KEEP_CAPS) !== 0 ? 1 : 0;
    case PR.PR_SET_KEEPCAPS:
      return setKeepCaps(t, a);
    case PR.PR_CAPBSET_READ:
      return value > CAP_LAST_CAP ? -EINVAL : t.creds.bounding.has(value) ? 1 : 0;
    case PR.PR_CAPBSET_DROP:
      return dropBounding(t, value);
    case PR.PR_GET_SECUREBITS:
      return t.creds.securebits;
    case PR.PR_SET_SECUREBITS:
      return setSecurebits(t, a);
    case PR.PR_SET_NO_NEW_PRIVS:
      return noNewPrivs(t, a);
    case PR.PR_GET_NO_NEW_PRIVS:
      return rest(a, 1) ? -EINVAL : t.noNewPrivs ? 1 : 0;
    case PR.PR_CAP_AMBIENT:
      return ambient(t, a);
    default:
      return prctlMachine(t, a, value);
  }
}

/** When a broken page of memory kills: remembered, the host does not tell of such pages. */
function setMceKill(t: Task, a: SyscallArgs, action: number): SysResult {
  const policy = a.addr(2);
  if (rest(a, 3)) return -EINVAL;
  if (action === PR_MCE_KILL_CLEAR) {
    if (policy !== 0) return -EINVAL;
    t.mceKill = PR_MCE_KILL_DEFAULT;
    return 0;
  }
  if (action !== PR_MCE_KILL_SET || policy > PR_MCE_KILL_DEFAULT) return -EINVAL;
  t.mceKill = policy;
  return 0;
}

// Misfeatures and answers of PR_GET_SPECULATION_CTRL.
const PR_SPEC_INDIRECT_BRANCH = 1;
const PR_SPEC_L1D_FLUSH = 2;
const PR_SPEC_ENABLE = 2;
const PR_SPEC_DISABLE = 4;
const PR_SPEC_FORCE_DISABLE = 8;

/** No thread has a choice here: mitigations are the host's affair (ssb_prctl_get() and its kin without PR_SPEC_PRCTL). */
function getSpeculation(which: number): SysResult {
  if (which > PR_SPEC_L1D_FLUSH) return -ENODEV;
  return which === PR_SPEC_L1D_FLUSH ? PR_SPEC_FORCE_DISABLE : PR_SPEC_ENABLE;
}

function setSpeculation(which: number, how: number): SysResult {
  if (which > PR_SPEC_L1D_FLUSH) return -ENODEV;
  if (which === PR_SPEC_L1D_FLUSH) return -EPERM;
  if (which !== PR_SPEC_INDIRECT_BRANCH) return -ENXIO;
  if (how === PR_SPEC_ENABLE) return 0;
  return how === PR_SPEC_DISABLE || how === PR_SPEC_FORCE_DISABLE ? -EPERM : -ERANGE;
}

const PR_SYS_DISPATCH_OFF = 0;
const PR_SYS_DISPATCH_EXCLUSIVE_ON = 1;
const PR_SYS_DISPATCH_INCLUSIVE_ON = 2;

/** set_syscall_user_dispatch() */
function setDispatch(t: Task, a: SyscallArgs): SysResult {
  const mode = a.addr(1);
  const start = a.size(2);
  const len = a.size(3);
  const selector = a.addr(4);
  if (mode === PR_SYS_DISPATCH_OFF) {
    if (start !== 0 || len !== 0 || selector !== 0) return -EINVAL;
    t.dispatch = null;
    return 0;
  }
  const inclusive = mode === PR_SYS_DISPATCH_INCLUSIVE_ON;
  if (!inclusive && mode !== PR_SYS_DISPATCH_EXCLUSIVE_ON) return -EINVAL;
  const wraps = len === 0 || start + len >= 2 ** 64;
  if (wraps && (inclusive || start !== 0)) return -EINVAL;
  if (selector >= TASK_SIZE) return -EFAULT;
  takeFutexes(t.mm);
  t.mm.space.forgetAnswers();
  t.reclaim();
  t.dispatch = { start, len, inclusive, selector };
  return 0;
}

const PR_TIMER_CREATE_RESTORE_IDS_ON = 1;
const PR_TIMER_CREATE_RESTORE_IDS_GET = 2;

/** posixtimer_create_prctl() */
function restoreTimerIds(t: Task, a: SyscallArgs): SysResult {
  const what = a.addr(1);
  if (rest(a, 2) || what > PR_TIMER_CREATE_RESTORE_IDS_GET) return -EINVAL;
  const timers = timersOf(t.group);
  if (what === PR_TIMER_CREATE_RESTORE_IDS_GET) return timers.restoresIds ? 1 : 0;
  timers.restoresIds = what === PR_TIMER_CREATE_RESTORE_IDS_ON;
  return 0;
}

/** Options about the machine and memory: answered as the sandbox is, most cannot be changed. */
function prctlMachine(t: Task, a: SyscallArgs, value: number): SysResult {
  switch (a.int(0)) {
    case PR.PR_GET_TIMING:
      return PR_TIMING_STATISTICAL;
    case PR.PR_SET_TIMING:
      return value === PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case PR.PR_GET_TSC:
      return t.mem.writeU32(value, PR_TSC_ENABLE);
    case PR.PR_SET_TSC:
      return value === PR_TSC_ENABLE ? 0 : -EINVAL;
    case PR.PR_MCE_KILL:
      return setMceKill(t, a, value);
    case PR.PR_MCE_KILL_GET:
      return rest(a, 1) ? -EINVAL : t.mceKill;
    case PR.PR_TASK_PERF_EVENTS_DISABLE:
    case PR.PR_TASK_PERF_EVENTS_ENABLE:
      return 0;
    case PR.PR_SET_THP_DISABLE:
      return setThpDisable(t, a);
    case PR.PR_GET_THP_DISABLE:
      return rest(a, 1) ? -EINVAL : t.mm.thpDisabled;
    case PR.PR_SET_MEMORY_MERGE:
      if (rest(a, 2)) return -EINVAL;
      t.mm.mergesAll = value !== 0;
      return 0;
    case PR.PR_GET_MEMORY_MERGE:
      return rest(a, 1) ? -EINVAL : t.mm.mergesAll ? 1 : 0;
    case PR.PR_SET_MDWE:
      return setMdwe(t, a);
    case PR.PR_GET_MDWE:
      return rest(a, 1) ? -EINVAL : t.mm.mdwe;
    case PR.PR_GET_SPECULATION_CTRL:
      return rest(a, 2) ? -EINVAL : getSpeculation(value);
    case PR.PR_SET_SPECULATION_CTRL:
      return rest(a, 3) ? -EINVAL : setSpeculation(value, a.addr(2));
    case PR.PR_SET_MM:
      return setMm(t, a);
    case PR.PR_GET_AUXV:
      return getAuxv(t, a);
    case PR.PR_SET_SYSCALL_USER_DISPATCH:
      return setDispatch(t, a);
    case PR.PR_TIMER_CREATE_RESTORE_IDS:
      return restoreTimerIds(t, a);
    case PR.PR_SET_IO_FLUSHER:
      if (!t.creds.has(CAP_SYS_RESOURCE)) return -EPERM;
      if (value > 1 || rest(a, 2)) return -EINVAL;
      t.ioFlusher = value === 1;
      return 0;
    case PR.PR_GET_IO_FLUSHER:
      if (!t.creds.has(CAP_SYS_RESOURCE)) return -EPERM;
      return rest(a, 1) ? -EINVAL : t.ioFlusher ? 1 : 0;
    default:
      // PR_SET_VMA_ANON_NAME among them: as without CONFIG_ANON_VMA_NAME.
      return -EINVAL;
  }
}

export const prctlRows: SyscallRow[] = [
  {
    nr: 157,
    name: 'prctl',
    fn: sysPrctl,
    args: [oneOf(PR), hex, hex, hex, hex],
    support: 'partial',
    note: 'PR_SET_TSC off, PR_SET_VMA, PR_FUTEX_HASH, another heap by PR_SET_MM and speculation controls are refused',
  },
];
