/** kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal. Linux: kernel/signal.c. */
import { E2BIG, EBADF, EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import {
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGINFO_SIZE,
  SIGIO,
  SIGSEGV,
  SIGSYS,
  SIGTRAP,
  SI_ASYNCNL,
  SI_DETHREAD,
  SI_KERNEL,
  SI_TKILL,
  SI_USER,
} from '../sentry/abi/signal.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PidDir } from '../sentry/fsimpl/proc/pid-dir.ts';
import { PidFdFile } from '../sentry/fsimpl/anon/pidfd.ts';
import type { PidNamespace } from '../sentry/kernel/pid-namespace.ts';
import { SigInfo, sigInfoUser } from '../sentry/kernel/sig-info.ts';
import {
  checkKill,
  copySigInfo,
  sendGroupSignal,
  sendTaskSignal,
  validSignal,
} from '../sentry/kernel/signal-send.ts';
import {
  fd,
  inStruct,
  pid,
  signal,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Pid } from '../sentry/kernel/pid-namespace.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { ThreadGroup } from '../sentry/kernel/thread-group.ts';

function userInfo(t: Task, sig: number, code: number, ns: PidNamespace): SigInfo {
  return sigInfoUser(sig, code, t.group.pid.nrIn(ns), t.creds.uid);
}

/** Sender in an ancestor namespace of the receiver: SIGKILL and SIGSTOP reach even that namespace's init. */
function fromOutside(t: Task, g: ThreadGroup): boolean {
  return t.group.pid.nrIn(g.pid.ns) === 0;
}

/** kill_pid_info(): permission, then the signal to the process, of whose threads `to` is asked first. */
function killGroup(
  t: Task,
  g: ThreadGroup,
  sig: number,
  info: SigInfo | null,
  to: Task | null = null,
): number {
  const bad = checkKill(t, g, sig);
  if (bad !== 0 || sig === 0 || g.isZombie) return bad;
  return sendGroupSignal(g, info ?? userInfo(t, sig, SI_USER, g.pid.ns), fromOutside(t, g), to);
}

/** Any thread's number names its process. */
function killPid(t: Task, p: Pid | null, sig: number, info: SigInfo | null): number {
  const g = p?.group ?? p?.task?.group;
  if (p === null || g === undefined) return -ESRCH;
  return validSignal(sig) ? killGroup(t, g, sig, info, p.task) : -EINVAL;
}

/** Sends to each of `groups`: 0 if one was reached, else the last refusal. */
function killMany(t: Task, groups: Iterable<ThreadGroup>, sig: number, info: SigInfo | null = null): number {
  let result = -ESRCH;
  for (const g of [...groups]) {
    const r = killGroup(t, g, sig, info === null ? null : copySigInfo(info));
    if (r === 0) result = 0;
    else if (result !== 0) result = r;
  }
  return result;
}

function sysKill(t: Task, a: SyscallArgs): SysResult {
  const nr = a.int(0);
  const sig = a.int(1);
  if (nr === -0x80000000) return -ESRCH;
  if (nr > 0) return killPid(t, t.pidNs.find(nr), sig, null);
  if (nr === -1) {
    const others = t.pidNs.groups().filter((g) => g !== t.group && g.pid.nrIn(t.pidNs) > 1);
    if (!validSignal(sig)) return others.length > 0 ? -EINVAL : -ESRCH;
    if (others.length === 0) return -ESRCH;
    // "On Linux, kill(-1) does not report EPERM if at least one process could be signalled".
    const r = killMany(t, others, sig);
    return r === -EPERM ? -EPERM : r;
  }
  const pgrp = nr === 0 ? t.group.processGroup : t.pidNs.findProcessGroup(-nr);
  if (pgrp === null) return -ESRCH;
  return validSignal(sig) ? killMany(t, pgrp.members, sig) : -EINVAL;
}

function killThread(t: Task, tgid: number, tid: number, sig: number, info: SigInfo | null): number {
  const target = t.pidNs.findTask(tid);
  if (target === null || (tgid > 0 && target.group.pid.nrIn(t.pidNs) !== tgid)) return -ESRCH;
  if (!validSignal(sig)) return -EINVAL;
  const bad = checkKill(t, target.group, sig);
  if (bad !== 0 || sig === 0) return bad;
  const sent = info ?? userInfo(t, sig, SI_TKILL, target.pidNs);
  return sendTaskSignal(target, sent, fromOutside(t, target.group));
}

function sysTkill(t: Task, a: SyscallArgs): SysResult {
  return a.int(0) <= 0 ? -EINVAL : killThread(t, 0, a.int(0), a.int(1), null);
}

function sysTgkill(t: Task, a: SyscallArgs): SysResult {
  if (a.int(0) <= 0 || a.int(1) <= 0) return -EINVAL;
  return killThread(t, a.int(0), a.int(1), a.int(2), null);
}

/** sizeof(struct kernel_siginfo): what there is behind it is for layouts to come. */
const KNOWN_SIZE = 48;
const NSIGPOLL = 6;
/** Highest codes of signals that have their own (kernel/signal.c sig_sicodes). */
const OWN_CODES = new Map([
  [SIGILL, 11],
  [SIGFPE, 15],
  [SIGSEGV, 10],
  [SIGBUS, 5],
  [SIGTRAP, 6],
  [SIGCHLD, 6],
  [SIGIO, 6],
  [SIGSYS, 2],
]);

/** known_siginfo_layout() */
function isKnownLayout(sig: number, code: number): boolean {
  if (code > SI_USER) return code === SI_KERNEL || code <= (OWN_CODES.get(sig) ?? NSIGPOLL);
  return code >= SI_DETHREAD || code === SI_ASYNCNL;
}

/** copy_siginfo_from_user(): siginfo of the caller's making; the signal number is the call's. */
function readInfo(t: Task, addr: number, sig: number): SigInfo | number {
  const info = new SigInfo(sig, 0);
  if (t.mem.copyIn(addr, info.bytes, 0, KNOWN_SIZE) !== 0) return -EFAULT;
  info.signo = sig;
  if (isKnownLayout(sig, info.code)) return info;
  const { bytes } = scratch;
  if (t.mem.copyIn(addr + KNOWN_SIZE, bytes, 0, SIGINFO_SIZE - KNOWN_SIZE) !== 0) return -EFAULT;
  for (let i = 0; i < SIGINFO_SIZE - KNOWN_SIZE; i++) if (bytes[i] !== 0) return -E2BIG;
  return info;
}

/** "Not even root can pretend to send signals from the kernel", nor tkill: kernel/signal.c */
function isForged(info: SigInfo): boolean {
  return info.code >= 0 || info.code === SI_TKILL;
}

function sysRtSigqueueinfo(t: Task, a: SyscallArgs): SysResult {
  const nr = a.int(0);
  const sig = a.int(1);
  const info = readInfo(t, a.addr(2), sig);
  if (typeof info === 'number') return info;
  if (isForged(info) && nr !== t.tid) return -EPERM;
  return killPid(t, nr > 0 ? t.pidNs.find(nr) : null, sig, info);
}

function sysRtTgsigqueueinfo(t: Task, a: SyscallArgs): SysResult {
  const tgid = a.int(0);
  const tid = a.int(1);
  const sig = a.int(2);
  const info = readInfo(t, a.addr(3), sig);
  if (typeof info === 'number') return info;
  if (tgid <= 0 || tid <= 0) return -EINVAL;
  if (isForged(info) && tid !== t.tid) return -EPERM;
  return killThread(t, tgid, tid, sig, info);
}

/** pidfd_to_pid(): a pidfd, or a directory of /proc as before pidfd_open(2). */
function pidOf(f: FileDescription): Pid | null {
  if (f instanceof PidFdFile) return f.pid;
  return f.inode instanceof PidDir && !f.inode.subject.isThread ? f.inode.subject.pid : null;
}

const PIDFD_SIGNAL_THREAD = 1;
const PIDFD_SIGNAL_THREAD_GROUP = 2;
const PIDFD_SIGNAL_PROCESS_GROUP = 4;
type Scope =
  typeof PIDFD_SIGNAL_THREAD | typeof PIDFD_SIGNAL_THREAD_GROUP | typeof PIDFD_SIGNAL_PROCESS_GROUP;

/** What the flags say that the signal is for, or the descriptor; null: more than one thing, or nothing known. */
function scopeOf(flags: number, f: FileDescription | null): Scope | null {
  switch (flags) {
    case 0:
      return f instanceof PidFdFile && f.thread ? PIDFD_SIGNAL_THREAD : PIDFD_SIGNAL_THREAD_GROUP;
    case PIDFD_SIGNAL_THREAD:
    case PIDFD_SIGNAL_THREAD_GROUP:
    case PIDFD_SIGNAL_PROCESS_GROUP:
      return flags;
    default:
      return null;
  }
}

function sendTo(t: Task, pid: Pid, scope: Scope, sig: number, info: SigInfo | null): number {
  if (scope === PIDFD_SIGNAL_PROCESS_GROUP) {
    if (pid.processGroup === null) return -ESRCH;
    return validSignal(sig) ? killMany(t, pid.processGroup.members, sig, info) : -EINVAL;
  }
  if (scope === PIDFD_SIGNAL_THREAD) {
    if (pid.task === null) return pid.group === null ? -ESRCH : 0;
    return killThread(t, 0, pid.task.pid.nrIn(t.pidNs), sig, info);
  }
  return killPid(t, pid, sig, info);
}

function sysPidfdSendSignal(t: Task, a: SyscallArgs): SysResult {
  const sig = a.int(1);
  const scope = scopeOf(a.uint(3), t.fdTable.get(a.int(0)));
  if (scope === null) return -EINVAL;
  const f = t.fdTable.get(a.int(0));
  const pid = f === null ? null : pidOf(f);
  if (pid === null) return -EBADF;
  let info: SigInfo | null = null;
  if (a.addr(2) !== 0) {
    const given = readInfo(t, a.addr(2), sig);
    if (typeof given === 'number') return given;
    // The number in the struct has to be the call's.
    const stated = copySigInfo(given);
    if (t.mem.copyIn(a.addr(2), stated.bytes, 0, 4) !== 0) return -EFAULT;
    if (stated.signo !== sig) return -EINVAL;
    const own = pid === t.pid && scope !== PIDFD_SIGNAL_PROCESS_GROUP;
    if (!own && isForged(given)) return -EPERM;
    info = given;
  }
  return sendTo(t, pid, scope, sig, info);
}

const siginfo = inStruct(SIGINFO_SIZE, 'siginfo');

export const killRows: SyscallRow[] = [
  { nr: 62, name: 'kill', fn: sysKill, args: [pid, signal], support: 'full' },
  { nr: 129, name: 'rt_sigqueueinfo', fn: sysRtSigqueueinfo, args: [pid, signal, siginfo], support: 'full' },
  { nr: 200, name: 'tkill', fn: sysTkill, args: [pid, signal], support: 'full' },
  { nr: 234, name: 'tgkill', fn: sysTgkill, args: [pid, pid, signal], support: 'full' },
  {
    nr: 297,
    name: 'rt_tgsigqueueinfo',
    fn: sysRtTgsigqueueinfo,
    args: [pid, pid, signal, siginfo],
    support: 'full',
  },
  {
    nr: 424,
    name: 'pidfd_send_signal',
    fn: sysPidfdSendSignal,
    args: [fd, signal, siginfo, uint],
    support: 'full',
  },
];
