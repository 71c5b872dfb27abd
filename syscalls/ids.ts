/** Process, group and session ids. Linux: kernel/sys.c. */
import { EACCES, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { ProcessGroup, Session } from '../sentry/kernel/job-control.ts';
import { pid, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { ThreadGroup } from '../sentry/kernel/thread-group.ts';

function sysGetpid(t: Task): SysResult {
  return t.group.pid.nr;
}

function sysGettid(t: Task): SysResult {
  return t.pid.nr;
}

function sysGetppid(t: Task): SysResult {
  return t.group.ppid;
}

function sysGetpgrp(t: Task): SysResult {
  return t.group.processGroup.pid.nrIn(t.pidNs);
}

function find(t: Task, nr: number): ThreadGroup | null {
  if (nr === 0) return t.group;
  const p = t.pidNs.find(nr);
  return p === null ? null : (p.group ?? p.task?.group ?? null);
}

function sysGetpgid(t: Task, a: SyscallArgs): SysResult {
  const g = find(t, a.int(0));
  return g === null ? -ESRCH : g.processGroup.pid.nrIn(t.pidNs);
}

function sysGetsid(t: Task, a: SyscallArgs): SysResult {
  const g = find(t, a.int(0));
  return g === null ? -ESRCH : g.session.pid.nrIn(t.pidNs);
}

function sysSetsid(t: Task): SysResult {
  const g = t.group;
  const old = g.processGroup;
  // "EPERM: the process group ID of any process equals the PID of the calling process" - setsid(2)
  if (g.pid.session !== null || g.pid.processGroup !== null) return -EPERM;
  const session = new Session(g.pid);
  session.leader = g;
  moveTo(g, old, new ProcessGroup(g.pid, session));
  return g.pid.nr;
}

/** change_pid(PIDTYPE_PGID) */
function moveTo(g: ThreadGroup, from: ProcessGroup, to: ProcessGroup): void {
  to.add(g);
  g.processGroup = to;
  from.remove(g);
}

/** setpgid(2). Linux: SYSCALL_DEFINE2(setpgid). */
function sysSetpgid(t: Task, a: SyscallArgs): SysResult {
  const nr = a.int(0) === 0 ? t.tgid : a.int(0);
  const pgid = a.int(1) === 0 ? nr : a.int(1);
  if (pgid < 0) return -EINVAL;
  const p = t.pidNs.find(nr);
  if (p === null) return -ESRCH;
  if (p.group === null) return p.task === null ? -ESRCH : -EINVAL;
  const g = p.group;
  if (g.parent === t.group) {
    if (g.session !== t.group.session) return -EPERM;
    if (g.didExec) return -EACCES;
  } else if (g !== t.group) return -ESRCH;
  if (g.session.leader === g) return -EPERM;
  let to = g.processGroup;
  if (pgid !== to.pid.nrIn(t.pidNs)) {
    const wanted = t.pidNs.findProcessGroup(pgid);
    if (wanted !== null) {
      if (wanted.session !== t.group.session) return -EPERM;
      to = wanted;
    } else {
      if (pgid !== nr) return -EPERM;
      to = new ProcessGroup(g.pid, g.session);
    }
  }
  if (to !== g.processGroup) moveTo(g, g.processGroup, to);
  return 0;
}

export const idRows: SyscallRow[] = [
  { nr: 39, name: 'getpid', fn: sysGetpid, args: [], support: 'full' },
  { nr: 109, name: 'setpgid', fn: sysSetpgid, args: [pid, pid], support: 'full' },
  { nr: 110, name: 'getppid', fn: sysGetppid, args: [], support: 'full' },
  { nr: 111, name: 'getpgrp', fn: sysGetpgrp, args: [], support: 'full' },
  { nr: 112, name: 'setsid', fn: sysSetsid, args: [], support: 'full' },
  { nr: 121, name: 'getpgid', fn: sysGetpgid, args: [pid], support: 'full' },
  { nr: 124, name: 'getsid', fn: sysGetsid, args: [pid], support: 'full' },
  { nr: 186, name: 'gettid', fn: sysGettid, args: [], support: 'full' },
];
