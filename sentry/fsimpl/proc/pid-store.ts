/** What is written to files of /proc/PID (fs/proc/base.c): bytes taken or −errno. */
import { EACCES, EINVAL, EPERM, ERANGE, ESRCH } from '../../abi/errno.ts';
import { CAP_SYS_NICE, CAP_SYS_RESOURCE } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import type { Subject } from './subject.ts';

/** include/linux/proc_fs.h: room for a number and a NUL. */
const PROC_NUMBUF = 13;

export function storeComm(s: Subject, data: string, writer: Task): number {
  const t = s.task;
  if (t === null) return -ESRCH;
  // "A thread may modify its comm value … of any thread in the same thread group" - proc_pid_comm(5)
  if (t.group !== writer.group) return -EINVAL;
  t.comm = data.slice(0, 15).split('\n')[0]!.split('\0')[0]!;
  return data.length;
}

export function storeOomScoreAdj(s: Subject, data: string, writer: Task): number {
  const value = parseInteger(strip(data), 0);
  if (Number.isNaN(value) || value < -1000 || value > 1000) return -EINVAL;
  const g = s.group;
  if (g === null) return -ESRCH;
  const privileged = writer.creds.has(CAP_SYS_RESOURCE);
  if (value < g.oomScoreAdjMin && !privileged) return -EACCES;
  if (privileged) g.oomScoreAdjMin = value;
  g.oomScoreAdj = value;
  return data.length;
}

export function storeCoredumpFilter(s: Subject, data: string): number {
  const value = parseInteger(strip(data), 0);
  if (Number.isNaN(value) || value < 0) return -EINVAL;
  const g = s.group;
  if (g === null) return -ESRCH;
  g.coredumpFilter = value % 512;
  return data.length;
}

export function storeTimerSlack(s: Subject, data: string, writer: Task): number {
  const t = s.task;
  if (t === null) return -ESRCH;
  const value = parseInteger(strip(data), 0);
  if (Number.isNaN(value) || value < 0) return -EINVAL;
  if (t !== writer && !writer.creds.has(CAP_SYS_NICE)) return -EPERM;
  t.timerSlackNs = value === 0 ? t.defaultTimerSlackNs : value;
  return data.length;
}

/** oom_adj_write() */
export function storeOomAdj(s: Subject, data: string, writer: Task): number {
  const value = parseInteger(strip(data), 0);
  if (Number.isNaN(value) || ((value < -16 || value > 15) && value !== -17)) return -EINVAL;
  const r = storeOomScoreAdj(s, String(value === 15 ? 1000 : Math.trunc((value * 1000) / 17)), writer);
  return r < 0 ? r : data.length;
}

/** kstrtoint() of what fits into char[PROC_NUMBUF]: the number, or −errno beyond all that a file takes. */
function smallNumber(data: string, base: number): number {
  const value = parseInteger(strip(data.slice(0, PROC_NUMBUF - 1)), base);
  return Number.isNaN(value) ? NaN : Math.abs(value) > 0x7fffffff ? Infinity : value;
}

/** clear_refs_write(): which pages are referenced is not known here, so there is nothing to clear. */
export function storeClearRefs(_s: Subject, data: string): number {
  const value = smallNumber(data, 10);
  if (value === Infinity) return -ERANGE;
  return Number.isNaN(value) || value < 1 || value > 5 ? -EINVAL : Math.min(data.length, PROC_NUMBUF - 1);
}

/** proc_sched_autogroup_set_nice(). That others may change it every 0.1 s only is left out: nothing is moved here. */
export function storeAutogroup(s: Subject, data: string, writer: Task): number {
  const nice = smallNumber(data, 0);
  if (nice === Infinity) return -ERANGE;
  const g = s.group;
  if (g === null) return -ESRCH;
  if (Number.isNaN(nice) || nice < -20 || nice > 19) return -EINVAL;
  const allowed = 20 - nice <= writer.group.limits.nice || writer.creds.has(CAP_SYS_NICE);
  if (nice < 0 && !allowed) return -EPERM;
  g.session.autogroupNice = nice;
  return Math.min(data.length, PROC_NUMBUF - 1);
}
