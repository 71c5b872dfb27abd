/** /proc/PID/status and stat (fs/proc/array.c proc_pid_status, do_task_stat). */
import { ESRCH } from '../../abi/errno.ts';
import type { CapSet } from '../../auth/capability.ts';
import type { Pid, PidNamespace } from '../../kernel/pid-namespace.ts';
import type { SigSet } from '../../kernel/sig-set.ts';
import type { Task } from '../../kernel/task.ts';
import type { ThreadGroup } from '../../kernel/thread-group.ts';
import { statusLines } from '../../mm/maps.ts';
import { residentOf, residentTotal } from '../../mm/residency.ts';
import { CLOCK_BOOTTIME } from '../../time/clock.ts';
import { mayAccess } from './access.ts';
import { cpuList, cpuMask } from './cpus.ts';
import { escapedComm, stateOf } from './pid-text.ts';
import type { Subject } from './subject.ts';

const NSIG = 64;
const USER_HZ = 100;
const NS_PER_TICK = 1e9 / USER_HZ;
/** RLIM_INFINITY as an unsigned long. */
const ULONG_MAX = '18446744073709551615';

function sigText(lo: number, hi: number): string {
  return hi.toString(16).padStart(8, '0') + lo.toString(16).padStart(8, '0');
}

const capText = (c: CapSet): string => sigText(c.lo, c.hi);

/** collect_sigign_sigcatch() */
function handlerSets(g: ThreadGroup): { ignored: [number, number]; caught: [number, number] } {
  const ignored: [number, number] = [0, 0];
  const caught: [number, number] = [0, 0];
  for (let sig = 1; sig <= NSIG; sig++) {
    const h = g.handlers.handler[sig]!;
    if (h === 0) continue;
    const set = h === 1 ? ignored : caught;
    const half = sig <= 32 ? 0 : 1;
    set[half] = (set[half] | (1 << ((sig - 1) & 31))) >>> 0;
  }
  return { ignored, caught };
}

/** The namespaces from `outer` down to the one that `pid` was made in. */
function spacesOf(pid: Pid, outer: PidNamespace): PidNamespace[] {
  const spaces: PidNamespace[] = [];
  for (let ns: PidNamespace | null = pid.ns; ns !== null && ns.level >= outer.level; ns = ns.parent)
    spaces.unshift(ns);
  return spaces;
}

export function statusText(s: Subject, reader: Task): string | number {
  const t = s.task;
  if (t === null) return -ESRCH;
  const g = t.group;
  const c = t.creds;
  const { ignored, caught } = handlerSets(g);
  const set = (x: SigSet): string => sigText(x.lo, x.hi);
  const spaces = spacesOf(t.pid, s.ns);
  const all = (p: Pid): string => spaces.map((ns) => p.nrIn(ns)).join('\t');
  const mm = s.mm;
  const usage = t.kernel.accounts.threadUsage(t);
  const cpus = Array.from({ length: s.env.kernel.cpusOf(g.container) }, (_, i) => i);
  const uid = (id: number): number => reader.creds.userNs.fromUid(id);
  const gid = (id: number): number => reader.creds.userNs.fromGid(id);
  const lines = [
    `Name:\t${escapedComm(t)}`,
    ...(s.live === null ? [] : [`Umask:\t${s.live.fs.umask.toString(8).padStart(4, '0')}`]),
    `State:\t${stateOf(t)}`,
    `Tgid:\t${s.number(g.pid)}`,
    'Ngid:\t0',
    `Pid:\t${s.number(t.pid)}`,
    `PPid:\t${g.parent === null ? 0 : s.number(g.parent.pid)}`,
    `TracerPid:\t${t.ptrace === null ? 0 : s.number(t.ptrace.tracer.pid)}`,
    `Uid:\t${[c.uid, c.euid, c.suid, c.fsuid].map(uid).join('\t')}`,
    `Gid:\t${[c.gid, c.egid, c.sgid, c.fsgid].map(gid).join('\t')}`,
    `FDSize:\t${t.dead ? 0 : t.fdTable.allocated}`,
    `Groups:\t${c.groups.map((n) => `${gid(n)} `).join('')}${c.groups.length === 0 ? ' ' : ''}`,
    `NStgid:\t${all(g.pid)}`,
    `NSpid:\t${all(t.pid)}`,
    `NSpgid:\t${all(g.processGroup.pid)}`,
    `NSsid:\t${all(g.session.pid)}`,
    'Kthread:\t0',
  ];
  let text = `${lines.join('\n')}\n`;
  if (mm !== null) {
    text += statusLines(mm);
    text += `HugetlbPages:\t       0 kB\nCoreDumping:\t${g.coreDump === null ? 0 : 1}\n`;
    text += 'THP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n';
  }
  const pending = s.env.kernel.pendingByUid.get(c.uid) ?? 0;
  const rest = [
    `Threads:\t${g.threadCount}`,
    `SigQ:\t${pending}/${g.limits.cur(11) === Infinity ? ULONG_MAX : g.limits.cur(11)}`,
    `SigPnd:\t${set(t.pending.bits)}`,
    `ShdPnd:\t${set(g.pending.bits)}`,
    `SigBlk:\t${set(t.sigMask)}`,
    `SigIgn:\t${sigText(...ignored)}`,
    `SigCgt:\t${sigText(...caught)}`,
    `CapInh:\t${capText(c.inheritable)}`,
    `CapPrm:\t${capText(c.permitted)}`,
    `CapEff:\t${capText(c.effective)}`,
    `CapBnd:\t${capText(c.bounding)}`,
    `CapAmb:\t${capText(c.ambient)}`,
    `NoNewPrivs:\t${t.noNewPrivs ? 1 : 0}`,
    `Seccomp:\t${t.seccomp === null ? 0 : t.seccomp.strict ? 1 : 2}`,
    `Seccomp_filters:\t${t.seccomp?.count ?? 0}`,
    'Speculation_Store_Bypass:\tnot vulnerable',
    'SpeculationIndirectBranch:\tnot affected',
    `Cpus_allowed:\t${cpuMask(allowedCpus(t, cpus))}`,
    `Cpus_allowed_list:\t${cpuList(allowedCpus(t, cpus))}`,
    'Mems_allowed:\t1',
    'Mems_allowed_list:\t0',
    `voluntary_ctxt_switches:\t${usage.voluntarySwitches}`,
    `nonvoluntary_ctxt_switches:\t${usage.involuntarySwitches}`,
  ];
  return `${text}${rest.join('\n')}\n`;
}

function allowedCpus(t: Task, all: readonly number[]): readonly number[] {
  const mask = t.affinity;
  if (mask === null) return all;
  return all.filter((cpu) => ((mask[cpu >>> 3] ?? 0) & (1 << (cpu & 7))) !== 0);
}

/** Sum over live and ended threads, or one thread's, in USER_HZ ticks. */
function ticks(ns: number): number {
  return Math.floor(ns / NS_PER_TICK);
}

/** CLOCK_MONOTONIC → since boot, as `reader` has it, in ticks. */
function startTicks(startNs: number, reader: Task): number {
  return ticks(startNs + reader.ns.time.shiftNs(CLOCK_BOOTTIME));
}

export function statText(s: Subject, reader: Task): string | number {
  const t = s.task;
  if (t === null) return -ESRCH;
  const g = t.group;
  const mm = s.mm;
  const permitted = mayAccess(reader, t) === 0;
  const session = g.session;
  const tty = session.tty;
  const { ignored, caught } = handlerSets(g);
  const { accounts } = t.kernel;
  const usage = s.isThread ? accounts.threadUsage(t) : accounts.processUsage(g);
  const children = g.childrenUsage;
  const rt = t.schedPriority;
  // "(explained above) … for a real-time policy -2 to -100, otherwise 20 + nice" - proc_pid_stat(5)
  const priority = t.schedDeadline !== null ? -101 : rt > 0 ? -rt - 1 : 20 + t.nice;
  const layout = mm?.layout;
  const secret = (n: number | undefined): number => (permitted ? (n ?? 0) : 0);
  const rss = mm === null ? 0 : Math.floor(residentTotal(residentOf(mm)) / 4096);
  const rssLimit = g.limits.cur(5);
  // "wchan, blocked … bitmaps": 31 signals in decimal, for old programs.
  const old = (lo: number): number => lo & 0x7fffffff;
  const fields: (number | string)[] = [
    stateOf(t)[0]!,
    g.parent === null ? 0 : s.number(g.parent.pid),
    s.number(g.processGroup.pid),
    s.number(session.pid),
    tty === null ? 0 : tty.rdev,
    tty === null || tty.foreground === null ? -1 : s.number(tty.foreground.pid),
    // PF_RANDOMIZE, with PF_EXITING for a zombie
    t.dead ? 0x40000c : 0x400000,
    usage.minFaults,
    children.minFaults,
    usage.majFaults,
    children.majFaults,
    ticks(usage.utimeNs),
    ticks(usage.stimeNs),
    ticks(children.utimeNs),
    ticks(children.stimeNs),
    priority,
    t.nice,
    g.threadCount,
    0,
    startTicks(s.isThread ? t.startNs : g.startNs, reader),
    mm === null ? 0 : mm.totalBytes,
    rss,
    rssLimit === Infinity ? ULONG_MAX : rssLimit,
    secret(layout?.startCode),
    secret(layout?.endCode),
    secret(layout?.startStack),
    0,
    0,
    old(t.pending.bits.lo),
    old(t.sigMask.lo),
    old(ignored[0]),
    old(caught[0]),
    t.sleeping ? 1 : 0,
    0,
    0,
    g.exitSignal,
    allowedCpus(t, s.env.host.cpus)[0] ?? 0,
    rt,
    t.schedPolicy,
    0,
    0,
    0,
    secret(layout?.startData),
    secret(layout?.endData),
    secret(layout?.startBrk),
    secret(layout?.argStart),
    secret(layout?.argEnd),
    secret(layout?.envStart),
    secret(layout?.envEnd),
    permitted && t.dead ? g.exitStatus : 0,
  ];
  return `${s.number(t.pid)} (${escapedComm(t)}) ${fields.join(' ')}\n`;
}
