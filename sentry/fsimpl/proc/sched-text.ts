/** What /proc/PID tells of scheduling and timers (fs/proc/base.c proc_pid_schedstat, show_timer; kernel/sched/debug.c). */
import type { Task } from '../../kernel/task.ts';
import { CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID } from '../../time/clock.ts';

/** "time spent on the cpu, time spent waiting on a runqueue, # of timeslices run on this cpu": the host does not tell how long waited. */
export function schedstatText(t: Task): string {
  const u = t.kernel.accounts.threadUsage(t);
  return `${u.utimeNs + u.stimeNs} 0 ${u.voluntarySwitches + u.involuntarySwitches}\n`;
}

/** proc_sched_show_task(), of which what is known here. */
export function schedText(t: Task): string {
  const u = t.kernel.accounts.threadUsage(t);
  const ms = (ns: number): string => {
    const us = Math.floor(ns / 1000);
    return `${Math.floor(us / 1000)}.${String(us % 1000).padStart(3, '0')}000`;
  };
  const { voluntarySwitches: voluntary, involuntarySwitches: involuntary } = u;
  const rows: readonly (readonly [string, string | number])[] = [
    ['se.sum_exec_runtime', ms(u.utimeNs + u.stimeNs)],
    ['nr_switches', voluntary + involuntary],
    ['nr_voluntary_switches', voluntary],
    ['nr_involuntary_switches', involuntary],
    ['policy', t.schedPolicy],
    ['prio', t.schedPriority > 0 ? 99 - t.schedPriority : 120 + t.nice],
  ];
  const head = `${t.comm} (${t.tid}, #threads: ${t.group.threadCount})\n`;
  return `${head}${'-'.repeat(67)}\n${rows.map(([k, v]) => `${k.padEnd(45)}:${String(v).padStart(21)}\n`).join('')}`;
}

const SIGEV_THREAD_ID = 4;
const NOTIFY = ['signal', 'none', 'thread'];

/** The clocks of the own process and thread are kept as CPU clock 0 of their kinds. */
function shownClock(id: number): number {
  if (id === CLOCK_PROCESS_CPUTIME_ID) return -6;
  return id === CLOCK_THREAD_CPUTIME_ID ? -2 : id;
}

/** show_timer(), newest first: the POSIX timers of a process. Signal values are shown as pointers. */
export function timersText(t: Task): string {
  let text = '';
  for (const { id, clock, event } of t.kernel.accounts.posixTimers(t.group).reverse()) {
    const { notify, signo, valueLo, valueHi, thread } = event;
    const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
    const kind = NOTIFY[notify & ~SIGEV_THREAD_ID] ?? 'signal';
    const to = thread === null ? `pid.${t.group.pid.nrIn(t.pidNs)}` : `tid.${thread.pid.nrIn(t.pidNs)}`;
    text += `ID: ${id}\nsignal: ${signo}/${hex(valueHi)}${hex(valueLo)}\n`;
    text += `notify: ${kind}/${to}\nClockID: ${shownClock(clock)}\n`;
  }
  return text;
}
