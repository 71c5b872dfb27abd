/** Text files of /proc/PID that do not read memory (fs/proc/base.c, array.c; proc(5)). */
import { ESRCH } from '../../abi/errno.ts';
import type { Task } from '../../kernel/task.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import { VM_MERGEABLE } from '../../mm/vma.ts';
import type { Subject } from './subject.ts';

/** proc_cgroup_show(): the group in each hierarchy, as the reader's namespace names them. */
export function cgroupText(t: Task, reader: Task): string {
  const { cset } = t;
  const { root } = reader.ns.cgroup;
  // Containers that share a PID namespace have groups of their own.
  const from = root.all === cset.all ? root : cset.all.initial;
  let text = '';
  const { unified } = cset.all;
  for (const h of [...cset.all.mounted(), unified]) {
    const g = cset.groupIn(h);
    text += `${h.index}:${h.label}:${g.pathFrom(from.groupIn(h))}${g.dead ? ' (deleted)' : ''}\n`;
  }
  return text;
}

const UNLIMITED = 'unlimited';

/** Name, unit and resource number in the order of /proc/PID/limits. */
const LIMITS: readonly (readonly [string, string, number])[] = [
  ['Max cpu time', 'seconds', 0],
  ['Max file size', 'bytes', 1],
  ['Max data size', 'bytes', 2],
  ['Max stack size', 'bytes', 3],
  ['Max core file size', 'bytes', 4],
  ['Max resident set', 'bytes', 5],
  ['Max processes', 'processes', 6],
  ['Max open files', 'files', 7],
  ['Max locked memory', 'bytes', 8],
  ['Max address space', 'bytes', 9],
  ['Max file locks', 'locks', 10],
  ['Max pending signals', 'signals', 11],
  ['Max msgqueue size', 'bytes', 12],
  ['Max nice priority', '', 13],
  ['Max realtime priority', '', 14],
  ['Max realtime timeout', 'us', 15],
];

export function limitsText(s: Subject): string | number {
  const g = s.group;
  if (g === null) return -ESRCH;
  let text = `${'Limit'.padEnd(25)} ${'Soft Limit'.padEnd(20)} ${'Hard Limit'.padEnd(20)} ${'Units'.padEnd(10)}\n`;
  for (const [name, unit, resource] of LIMITS) {
    const soft = limit(g.limits.cur(resource));
    const hard = limit(g.limits.max(resource));
    text += `${name.padEnd(25)} ${soft.padEnd(20)} ${hard.padEnd(20)} ${unit === '' ? '\n' : `${unit.padEnd(10)}\n`}`;
  }
  return text;
}

function limit(n: number): string {
  return n === Infinity ? UNLIMITED : String(n);
}

/** The comm as /proc/PID/status and stat show it: line feeds and backslashes escaped. */
export function escapedComm(t: Task): string {
  return t.comm.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** Task state letter and word (fs/proc/array.c task_state_array). */
export function stateOf(t: Task): string {
  if (t.dead) return 'Z (zombie)';
  if (t.ptrace !== null && t.ptrace.stopped) return 't (tracing stop)';
  if (t.inGroupStop) return 'T (stopped)';
  if (t.uninterruptible) return 'D (disk sleep)';
  return t.sleeping ? 'S (sleeping)' : 'R (running)';
}

export function ioText(s: Subject): string | number {
  if (s.task === null) return -ESRCH;
  return 'rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n';
}

/** /proc/PID/syscall: number, arguments, stack pointer and program counter of a blocked task, or "running". */
export function syscallText(s: Subject): string | number {
  const t = s.task;
  if (t === null) return -ESRCH;
  if (!t.blocked) return 'running\n';
  const hex = (n: number): string => `0x${n.toString(16)}`;
  const args: string[] = [];
  for (let i = 0; i < 6; i++) args.push(hex(t.args.addr(i)));
  const regs = t.ctx.regs();
  // RSP and RIP (arch/regs.ts).
  return `${t.sysno} ${args.join(' ')} ${hex(regs.get(19))} ${hex(regs.get(16))}\n`;
}

/** oom_badness() scaled to 0…1000 as seen in /proc/PID/oom_score: 666 for a small process with no adjustment. */
export function oomScore(adj: number): number {
  const base = Math.trunc(((1000 + adj) * 2) / 3);
  return Math.max(0, base);
}

/** oom_adj_read(): the old scale, −17 to 15. */
export function oomAdj(t: Task): string {
  const { oomScoreAdj: adj } = t.group;
  return `${adj === 1000 ? 15 : Math.trunc((adj * 17) / 1000)}\n`;
}

/** proc_pid_ksm_stat(): nothing is ever merged here. */
export function ksmStatText(mm: MemoryManager): string {
  const yes = (fact: boolean): string => (fact ? 'yes' : 'no');
  const mergeable = mm.mergesAll || mm.table.some((v) => (v.flags & VM_MERGEABLE) !== 0);
  return (
    'ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\n' +
    `ksm_merge_any: ${yes(mm.mergesAll)}\nksm_mergeable: ${yes(mergeable)}\n`
  );
}

/** "A space-separated list of child tasks of this task" - proc_tid_children(5) */
export function childrenText(s: Subject): string | number {
  const t = s.task;
  if (t === null) return -ESRCH;
  let text = '';
  for (const c of t.group.children) if (c.parentTask === t) text += `${s.number(c.pid)} `;
  return text;
}
