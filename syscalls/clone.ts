/** clone, clone3, fork, vfork, pidfd_open, pidfd_getfd, set_tid_address. Linux: kernel/fork.c, kernel/pid.c. */
import { E2BIG, EBADF, EFAULT, EINVAL, ENOENT, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import { O_NONBLOCK } from '../sentry/abi/fcntl.ts';
import { NSIG, SIGCHLD } from '../sentry/abi/signal.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { PIDFD_THREAD, installPidfd, PidFdFile } from '../sentry/fsimpl/anon/pidfd.ts';
import { mayAttach } from '../sentry/fsimpl/cgroup/core-files.ts';
import { CgroupDir } from '../sentry/fsimpl/cgroup/dir.ts';
import type { CgroupSuperBlock } from '../sentry/fsimpl/cgroup/super-block.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import type { CssSet } from '../sentry/kernel/cgroup/css-set.ts';
import {
  fd,
  hex,
  inStruct,
  int,
  pid,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import {
  CLONE_CLEAR_SIGHAND_HI,
  CLONE_INTO_CGROUP_HI,
  CLONE_DETACHED,
  CLONE_NEWTIME,
  CLONE_NEW_ANY,
  CLONE_SIGHAND,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  cloneTask,
  CSIGNAL,
  type CloneArgs,
} from '../sentry/kernel/task-clone.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { inodePermission, MAY_WRITE } from '../sentry/vfs/permission.ts';
import { makeNamespaces } from './namespaces.ts';

/** Size of struct clone_args: first version, and the one with cgroup. */
const CLONE_ARGS_SIZE_VER0 = 64;
const CLONE_ARGS_SIZE_VER2 = 88;
const MAX_PID_NS_LEVEL = 32;

function plain(flags: number, exitSignal: number, stack: number): CloneArgs {
  return {
    flags,
    clearSighand: false,
    exitSignal,
    stack,
    tls: 0,
    parentTid: 0,
    childTid: 0,
    pidfd: 0,
    setTid: [],
    cset: null,
    makePidfd:
      (flags & CLONE_PIDFD) !== 0 ? (t, p) => installPidfd(t, p, (flags & CLONE_THREAD) !== 0) : null,
    makeNamespaces: (flags & CLONE_NEW_ANY) !== 0 ? makeNamespaces : null,
  };
}

function sysClone(t: Task, a: SyscallArgs): SysResult {
  const low = a.uint(0);
  // CLONE_DETACHED has been ignored since 2.6, except together with CLONE_PIDFD; bit 7 (CLONE_NEWTIME) is part of the signal here.
  const flags = (low & ~CSIGNAL) >>> 0;
  if ((flags & CLONE_PIDFD) !== 0 && (flags & (CLONE_PARENT_SETTID | CLONE_DETACHED)) !== 0) return -EINVAL;
  const args = plain(flags, low & CSIGNAL, a.addr(1));
  args.parentTid = a.addr(2);
  args.pidfd = a.addr(2);
  args.childTid = a.addr(3);
  args.tls = a.addr(4);
  return cloneTask(t, args);
}

function sysFork(t: Task): SysResult {
  return cloneTask(t, plain(0, SIGCHLD, 0));
}

function sysVfork(t: Task): SysResult {
  return cloneTask(t, plain(CLONE_VFORK | CLONE_VM, SIGCHLD, 0));
}

function copyCloneArgs(t: Task, addr: number, len: number): number {
  if (len > 4096) return -E2BIG;
  if (len < CLONE_ARGS_SIZE_VER0) return -EINVAL;
  return t.mem.copyInStruct(addr, len, CLONE_ARGS_SIZE_VER2);
}

/** Field `i` of struct clone_args, all of them u64. */
function field(i: number): number {
  return scratch.u32[2 * i + 1]! * 0x100000000 + scratch.u32[2 * i]!;
}

function sysClone3(t: Task, a: SyscallArgs): SysResult {
  const bad = copyCloneArgs(t, a.addr(0), a.size(1));
  if (bad !== 0) return bad;
  const lo = scratch.u32[0]!;
  const hi = scratch.u32[1]!;
  if ((hi & ~(CLONE_CLEAR_SIGHAND_HI | CLONE_INTO_CGROUP_HI)) !== 0) return -EINVAL;
  const intoCgroup = (hi & CLONE_INTO_CGROUP_HI) !== 0;
  const cgroup = field(10);
  if (intoCgroup && (cgroup > 0x7fffffff || a.size(1) < CLONE_ARGS_SIZE_VER2)) return -EINVAL;
  if ((lo & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME))) !== 0) return -EINVAL;
  const clearSighand = (hi & CLONE_CLEAR_SIGHAND_HI) !== 0;
  if (clearSighand && (lo & CLONE_SIGHAND) !== 0) return -EINVAL;
  const exitSignal = field(4);
  if (exitSignal > NSIG) return -EINVAL;
  if ((lo & (CLONE_THREAD | CLONE_PARENT)) !== 0 && exitSignal !== 0) return -EINVAL;
  const stack = field(5);
  const stackSize = field(6);
  if (stack === 0 ? stackSize > 0 : stackSize === 0) return -EINVAL;
  if (stack + stackSize > TASK_SIZE) return -EINVAL;
  const args = plain(lo, exitSignal, stack === 0 ? 0 : stack + stackSize);
  args.clearSighand = clearSighand;
  args.pidfd = field(1);
  args.childTid = field(2);
  args.parentTid = field(3);
  args.tls = field(7);
  const setTid = field(8);
  const setTidSize = field(9);
  if ((setTid === 0) !== (setTidSize === 0)) return -EINVAL;
  if (setTidSize > MAX_PID_NS_LEVEL) return -EINVAL;
  if (setTidSize > 0) {
    const wanted = readSetTid(t, setTid, setTidSize);
    if (typeof wanted === 'number') return wanted;
    args.setTid = wanted;
  }
  if (intoCgroup) {
    const cset = groupsNamed(t, cgroup, (lo & CLONE_THREAD) === 0);
    if (typeof cset === 'number') return cset;
    args.cset = cset;
  }
  return cloneTask(t, args);
}

/** cgroup_css_set_fork(): the caller's groups with the one that is open as `fd`, or −errno. */
function groupsNamed(t: Task, n: number, threadgroup: boolean): CssSet | number {
  const f = t.fdTable.getRaw(n);
  if (f === null || !(f.inode instanceof CgroupDir)) return -EBADF;
  const { cgroup } = f.inode;
  if (!cgroup.hierarchy.unified || cgroup.hierarchy.all !== t.cset.all) return -EBADF;
  if (cgroup.dead) return -ENOENT;
  const sb = f.inode.sb as CgroupSuperBlock;
  const may = inodePermission(t, f.inode.file('cgroup.procs')!, MAY_WRITE);
  if (may !== 0) return may;
  const w = { opener: t.creds, ns: t.ns.cgroup, sb };
  return mayAttach(t.cset.unified, cgroup, w, threadgroup) || t.cset.with(cgroup);
}

function readSetTid(t: Task, addr: number, count: number): number[] | number {
  if (count > t.pidNs.level + 1) return -EINVAL;
  const buf = Buffer.alloc(4 * count);
  if (t.mem.copyIn(addr, buf, 0, buf.length) !== 0) return -EFAULT;
  const wanted: number[] = [];
  for (let i = 0; i < count; i++) {
    const nr = buf.readInt32LE(4 * i);
    if (nr < 1) return -EINVAL;
    wanted.push(nr);
  }
  const { owner } = t.pidNs;
  if (!t.creds.hasIn(CAP_SYS_ADMIN, owner) && !t.creds.hasIn(CAP_CHECKPOINT_RESTORE, owner)) return -EPERM;
  return wanted;
}

function sysSetTidAddress(t: Task, a: SyscallArgs): SysResult {
  t.clearChildTid = a.addr(0);
  return t.tid;
}

function sysPidfdOpen(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(1);
  if ((flags & ~(O_NONBLOCK | PIDFD_THREAD)) !== 0) return -EINVAL;
  const nr = a.int(0);
  if (nr <= 0) return -EINVAL;
  const p = t.pidNs.find(nr);
  if (p === null) return -ESRCH;
  if (p.group === null && p.task === null) return -ESRCH;
  const thread = (flags & PIDFD_THREAD) !== 0;
  // "ENOENT: the process … is not a thread-group leader" (pidfd_prepare)
  if (p.group === null && !thread) return -ENOENT;
  const f = new PidFdFile(p, (flags & O_NONBLOCK) !== 0, thread);
  const n = t.fdTable.install(f, true, t.group.limits.openFiles);
  if (n < 0) f.unref();
  return n;
}

/** pidfd_getfd(2). Permission as for ptrace: same credentials, or CAP_SYS_PTRACE. */
function sysPidfdGetfd(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(2) !== 0) return -EINVAL;
  const f = t.fdTable.get(a.int(0));
  if (!(f instanceof PidFdFile)) return -EBADF;
  const target = f.target();
  if (target === null) return -ESRCH;
  if (!mayTrace(t, target)) return -EPERM;
  const theirs = target.fdTable.getRaw(a.int(1));
  if (theirs === null) return -EBADF;
  const n = t.fdTable.install(theirs.ref(), true, t.group.limits.openFiles);
  if (n < 0) theirs.unref();
  return n;
}

export const cloneRows: SyscallRow[] = [
  {
    nr: 56,
    name: 'clone',
    fn: sysClone,
    args: [hex, ptr, ptr, ptr, ptr],
    support: 'full',
  },
  { nr: 57, name: 'fork', fn: sysFork, args: [], support: 'full' },
  { nr: 58, name: 'vfork', fn: sysVfork, args: [], support: 'full' },
  { nr: 218, name: 'set_tid_address', fn: sysSetTidAddress, args: [ptr], support: 'full' },
  { nr: 434, name: 'pidfd_open', fn: sysPidfdOpen, args: [pid, uint], support: 'full' },
  {
    nr: 435,
    name: 'clone3',
    fn: sysClone3,
    args: [inStruct(CLONE_ARGS_SIZE_VER0, 'clone_args'), size],
    support: 'full',
  },
  { nr: 438, name: 'pidfd_getfd', fn: sysPidfdGetfd, args: [fd, int, uint], support: 'full' },
];
