/** exit, exit_group, wait4, waitid. Linux: kernel/exit.c. */
import { EAGAIN, EBADF, EFAULT, EINVAL, ENOSYS, ESRCH } from '../sentry/abi/errno.ts';
import { SIGCHLD } from '../sentry/abi/signal.ts';
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  WUNTRACED,
} from '../sentry/abi/wait.ts';
import { O_NONBLOCK } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { PidFdFile } from '../sentry/fsimpl/anon/pidfd.ts';
import { groupExit } from '../sentry/kernel/signal-send.ts';
import {
  flags,
  int,
  oneOf,
  outStruct,
  pid,
  SYS_BLOCKED,
  SYS_DETACHED,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { endTask } from '../sentry/kernel/task-exit.ts';
import { WaitOutcome, waitForChild, type WaitRequest } from '../sentry/kernel/task-wait.ts';
import type { ResourceUsage } from '../sentry/kernel/thread-group.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { servedMounts } from '../sentry/vfs/served-call.ts';

/** sizeof(struct rusage) */
export const RUSAGE_SIZE = 144;
const WAIT4_OPTIONS = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
const WAITID_OPTIONS = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;

/** The last thread's files that have to wait before they are closed (FLUSH of FUSE): 0 or UNANSWERED. */
function closeFiles(t: Task): number {
  const { fdTable } = t;
  if (servedMounts === 0 || t.group.tasks.size > 1 || fdTable.shared) return 0;
  for (const fd of fdTable.fds()) {
    const wait = fdTable.getRaw(fd)!.closing();
    if (wait < 0) return wait;
    fdTable.close(t, fd);
  }
  return 0;
}

function sysExit(t: Task, a: SyscallArgs): SysResult {
  const wait = closeFiles(t);
  if (wait < 0) return wait;
  const status = (a.int(0) & 0xff) << 8;
  endTask(t, status, -ENOSYS, true);
  return SYS_DETACHED;
}

function sysExitGroup(t: Task, a: SyscallArgs): SysResult {
  const wait = closeFiles(t);
  if (wait < 0) return wait;
  const status = (a.int(0) & 0xff) << 8;
  groupExit(t.group, status);
  // The way out sees that the process is leaving.
  return -ENOSYS;
}

/** Writes struct rusage to guest memory: 0 or −EFAULT. */
export function putRusage(t: Task, addr: number, u: ResourceUsage): number {
  const v = scratch.view;
  scratch.bytes.fill(0, 0, RUSAGE_SIZE);
  const time = (at: number, ns: number): void => {
    v.setUint32(at, Math.floor(ns / 1e9), true);
    v.setUint32(at + 8, Math.floor((ns % 1e9) / 1000), true);
  };
  const long = (at: number, n: number): void => {
    v.setUint32(at, n >>> 0, true);
    v.setUint32(at + 4, Math.floor(n / 0x100000000), true);
  };
  time(0, u.utimeNs);
  time(16, u.stimeNs);
  long(32, u.maxRssKb);
  long(64, u.minFaults);
  long(72, u.majFaults);
  long(128, u.voluntarySwitches);
  long(136, u.involuntarySwitches);
  return t.mem.copyOut(addr, scratch.bytes, 0, RUSAGE_SIZE);
}

const outcome = new WaitOutcome();

function sysWait4(t: Task, a: SyscallArgs): SysResult {
  const options = a.uint(2);
  if ((options & ~WAIT4_OPTIONS) !== 0) return -EINVAL;
  const upid = a.int(0);
  // "pid == INT_MIN": ESRCH since 4.13.
  if (upid === -0x80000000) return -ESRCH;
  const request: WaitRequest = { type: P_ALL, pid: null, options: (options | WEXITED) >>> 0 };
  if (upid < -1) {
    request.type = P_PGID;
    request.pid = t.pidNs.find(-upid);
  } else if (upid === 0) {
    request.type = P_PGID;
    request.pid = t.group.processGroup.pid;
  } else if (upid > 0) {
    request.type = P_PID;
    request.pid = t.pidNs.find(upid);
  }
  const r = waitForChild(t, request, outcome);
  if (r !== 1) return r;
  const nr = outcome.pid;
  if (a.addr(1) !== 0 && t.mem.writeU32(a.addr(1), outcome.status) !== 0) return -EFAULT;
  if (a.addr(3) !== 0 && putRusage(t, a.addr(3), outcome.usage) !== 0) return -EFAULT;
  return nr;
}

/** Whom waitid(2) means; −errno. */
function waitidTarget(t: Task, type: number, id: number, options: number): WaitRequest | number {
  switch (type) {
    case P_ALL:
      return { type: P_ALL, pid: null, options };
    case P_PID:
      if (id <= 0) return -EINVAL;
      return { type: P_PID, pid: t.pidNs.find(id), options };
    case P_PGID:
      if (id < 0) return -EINVAL;
      return { type: P_PGID, pid: id === 0 ? t.group.processGroup.pid : t.pidNs.find(id), options };
    case P_PIDFD: {
      if (id < 0) return -EINVAL;
      const f = t.fdTable.get(id);
      if (!(f instanceof PidFdFile)) return -EBADF;
      return {
        type: P_PID,
        pid: f.pid,
        options: ((f.flags & O_NONBLOCK) !== 0 ? options | WNOHANG : options) >>> 0,
      };
    }
    default:
      return -EINVAL;
  }
}

/** kernel_waitid(): 1 with the outcome of a child, 0 or an error. */
function doWaitid(t: Task, type: number, id: number, options: number): SysResult {
  if ((options & ~WAITID_OPTIONS) !== 0) return -EINVAL;
  if ((options & (WEXITED | WSTOPPED | WCONTINUED)) === 0) return -EINVAL;
  const request = waitidTarget(t, type, id, options);
  if (typeof request === 'number') return request;
  const r = waitForChild(t, request, outcome);
  // With a non-blocking pidfd nothing to report is EAGAIN rather than 0.
  return r === 0 && request.options !== options ? -EAGAIN : r;
}

function sysWaitid(t: Task, a: SyscallArgs): SysResult {
  const r = doWaitid(t, a.int(0), a.int(1), a.uint(3));
  if (r === SYS_BLOCKED) return r;
  const found = r === 1;
  if (found && a.addr(4) !== 0 && putRusage(t, a.addr(4), outcome.usage) !== 0) return -EFAULT;
  // An error leaves zeros, too.
  if (a.addr(2) !== 0) {
    scratch.bytes.fill(0, 0, 128);
    if (found) {
      const v = scratch.view;
      v.setInt32(0, SIGCHLD, true);
      v.setInt32(8, outcome.code, true);
      v.setInt32(16, outcome.pid, true);
      v.setUint32(20, t.creds.userNs.fromUid(outcome.uid), true);
      v.setInt32(24, outcome.siStatus, true);
    }
    // Linux writes these members only, the rest of the caller's struct stays.
    if (t.mem.copyOut(a.addr(2), scratch.bytes, 0, 12) !== 0) return -EFAULT;
    if (t.mem.copyOut(a.addr(2) + 16, scratch.bytes, 16, 12) !== 0) return -EFAULT;
  }
  return found ? 0 : r;
}

const waitOptions = flags({
  WNOHANG,
  WUNTRACED,
  WEXITED,
  WCONTINUED,
  WNOWAIT,
  __WNOTHREAD,
  __WALL,
  __WCLONE,
});

export const waitRows: SyscallRow[] = [
  { nr: 60, name: 'exit', fn: sysExit, args: [int], support: 'full' },
  {
    nr: 61,
    name: 'wait4',
    fn: sysWait4,
    args: [pid, outStruct(4), waitOptions, outStruct(RUSAGE_SIZE, 'rusage')],
    support: 'full',
  },
  { nr: 231, name: 'exit_group', fn: sysExitGroup, args: [int], support: 'full' },
  {
    nr: 247,
    name: 'waitid',
    fn: sysWaitid,
    args: [
      oneOf({ P_ALL, P_PID, P_PGID, P_PIDFD }),
      pid,
      outStruct(128, 'siginfo'),
      waitOptions,
      outStruct(RUSAGE_SIZE, 'rusage'),
    ],
    support: 'full',
  },
];
