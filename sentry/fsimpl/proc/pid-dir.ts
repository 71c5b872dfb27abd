/** /proc/PID and /proc/PID/task/TID: their entries, in Linux's order (fs/proc/base.c tgid_base_stuff, tid_base_stuff). */
import { EACCES, EINVAL, ENOENT, EPERM, ERANGE, ESRCH } from '../../abi/errno.ts';
import { DT_DIR, DT_LNK, DT_REG } from '../../abi/stat.ts';
import { CAP_SYS_NICE, CAP_SYS_RESOURCE } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { smapsPart, smapsRollupText, statmText } from '../../mm/maps.ts';
import { numaMapsPart } from '../../mm/numa-maps.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import { VM_MERGEABLE } from '../../mm/vma.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { FIRST_ENTRY, KernfsDir, StaticDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsFile } from '../kernfs/file.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import { mayAccess } from './access.ts';
import { FdDir, FdInfoDir } from './fd-dir.ts';
import { idMapText, setgroupsText, storeIdMap, storeSetgroups } from './id-map.ts';
import { loginuidText, sessionidText, storeLoginuid } from './loginuid.ts';
import { MapFilesDir } from './map-files.ts';
import { MapsFile, mappings } from './maps-file.ts';
import { MountsFile } from './mounts.ts';
import { PidFile, PidLink, refreshOwner, type PidFileOptions, type SubjectText } from './nodes.ts';
import { NsDir } from './ns.ts';
import { HIDEPID_NO_ACCESS } from './options.ts';
import { PagemapFile } from './pagemap.ts';
import { auxvText, cmdlineText, environText, ProcMemFile } from './pid-mem.ts';
import { statText, statusText } from './pid-status.ts';
import { cgroupText, ioText, limitsText, oomScore, syscallText } from './pid-text.ts';
import { schedstatText, schedText, timersText } from './sched-text.ts';
import { storeTimeOffsets, timeOffsetsText } from './time-offsets.ts';
import type { ProcSuperBlock } from './super-block.ts';
import type { Subject } from './subject.ts';
import { TaskListDir } from './task-list.ts';

/** include/linux/proc_fs.h: room for a number and a NUL. */
const PROC_NUMBUF = 13;

type Make = (sb: ProcSuperBlock, s: Subject) => Inode;

interface PidEntry {
  readonly name: string;
  readonly type: number;
  readonly make: Make;
  /** Only in /proc/PID, only in task/TID, or in both. */
  readonly where: 'both' | 'process' | 'thread';
  /** Another node from time to time. */
  readonly changes?: boolean;
}

function file(
  name: string,
  perm: number,
  text: SubjectText,
  options: PidFileOptions = {},
  where: PidEntry['where'] = 'both',
): PidEntry {
  return { name, type: DT_REG, where, make: (sb, s) => new PidFile(sb, s, perm, text, options) };
}

function dir(name: string, make: Make, where: PidEntry['where'] = 'both'): PidEntry {
  return { name, type: DT_DIR, where, make };
}

function link(name: string, target: (t: Task) => Path | null): PidEntry {
  return { name, type: DT_LNK, where: 'both', make: (sb, s) => new PidLink(sb, s, target) };
}

function about(fn: (t: Task, reader: Task, s: Subject) => string | number): SubjectText {
  return (s, reader) => {
    const t = s.task;
    return t === null ? -ESRCH : fn(t, reader, s);
  };
}

/** Files that need ptrace access when read, not when opened. */
function peek(fn: (t: Task, reader: Task, s: Subject) => string | number): SubjectText {
  return about((t, reader, s) => (mayAccess(reader, t) !== 0 ? -EACCES : fn(t, reader, s)));
}

function withMm(fn: (mm: MemoryManager, reader: Task) => string): SubjectText {
  return (s, reader) => {
    const mm = s.mm;
    return mm === null ? (s.task === null ? -ESRCH : '') : fn(mm, reader);
  };
}

/** /proc/PID/pagemap */
class PagemapNode extends PidFile {
  private readonly about: Subject;

  constructor(sb: ProcSuperBlock, s: Subject) {
    super(sb, s, 0o400, () => '');
    this.about = s;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const target = this.about.live;
    if (target === null) return -ESRCH;
    if (mayAccess(t as Task, target) !== 0) return -EACCES;
    return new PagemapFile(path, this, flags, target.mm);
  }
}

class MemNode extends PidFile {
  private readonly about: Subject;

  constructor(sb: ProcSuperBlock, s: Subject) {
    super(sb, s, 0o600, () => '');
    this.about = s;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const target = this.about.live;
    if (target === null) return -ESRCH;
    if (mayAccess(t as Task, target) !== 0) return -EACCES;
    return new ProcMemFile(path, this, flags, target.mm);
  }
}

function storeComm(s: Subject, data: string, writer: Task): number {
  const t = s.task;
  if (t === null) return -ESRCH;
  // "A thread may modify its comm value … of any thread in the same thread group" - proc_pid_comm(5)
  if (t.group !== writer.group) return -EINVAL;
  t.comm = data.slice(0, 15).split('\n')[0]!.split('\0')[0]!;
  return data.length;
}

function storeOomScoreAdj(s: Subject, data: string, writer: Task): number {
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

function storeCoredumpFilter(s: Subject, data: string): number {
  const value = parseInteger(strip(data), 0);
  if (Number.isNaN(value) || value < 0) return -EINVAL;
  const g = s.group;
  if (g === null) return -ESRCH;
  g.coredumpFilter = value % 512;
  return data.length;
}

function storeTimerSlack(s: Subject, data: string, writer: Task): number {
  const t = s.task;
  if (t === null) return -ESRCH;
  const value = parseInteger(strip(data), 0);
  if (Number.isNaN(value) || value < 0) return -EINVAL;
  if (t !== writer && !writer.creds.has(CAP_SYS_NICE)) return -EPERM;
  t.timerSlackNs = value === 0 ? t.defaultTimerSlackNs : value;
  return data.length;
}

/** oom_adj_read(): the old scale, −17 to 15. */
function oomAdj(t: Task): string {
  const { oomScoreAdj: adj } = t.group;
  return `${adj === 1000 ? 15 : Math.trunc((adj * 17) / 1000)}\n`;
}

/** oom_adj_write() */
function storeOomAdj(s: Subject, data: string, writer: Task): number {
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
function storeClearRefs(_s: Subject, data: string): number {
  const value = smallNumber(data, 10);
  if (value === Infinity) return -ERANGE;
  return Number.isNaN(value) || value < 1 || value > 5 ? -EINVAL : Math.min(data.length, PROC_NUMBUF - 1);
}

/** proc_sched_autogroup_set_nice(). That others may change it every 0.1 s only is left out: nothing is moved here. */
function storeAutogroup(s: Subject, data: string, writer: Task): number {
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

/** proc_pid_ksm_stat(): nothing is ever merged here. */
function ksmStatText(mm: MemoryManager): string {
  const yes = (fact: boolean): string => (fact ? 'yes' : 'no');
  const mergeable = mm.mergesAll || mm.table.some((v) => (v.flags & VM_MERGEABLE) !== 0);
  return (
    'ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\n' +
    `ksm_merge_any: ${yes(mm.mergesAll)}\nksm_mergeable: ${yes(mergeable)}\n`
  );
}

/** Without a security module that keeps attributes, all of them are EINVAL. */
function attrDir(sb: ProcSuperBlock): StaticDir {
  const d = new StaticDir(sb, 0o555);
  const none = (): number => -EINVAL;
  for (const name of ['current', 'exec', 'fscreate', 'keycreate', 'sockcreate']) {
    d.add(name, new KernfsFile(sb, 0o666, none, { store: none }));
  }
  d.add('prev', new KernfsFile(sb, 0o444, none));
  return d;
}

const hex8 = (n: number): string => `${n.toString(16).padStart(8, '0')}\n`;

const ENTRIES: readonly PidEntry[] = [
  dir('task', (sb, s) => new TaskListDir(sb, s), 'process'),
  dir('fd', (sb, s) => new FdDir(sb, s)),
  dir('map_files', (sb, s) => new MapFilesDir(sb, s), 'process'),
  dir('fdinfo', (sb, s) => new FdInfoDir(sb, s)),
  dir('ns', (sb, s) => new NsDir(sb, s)),
  { name: 'net', type: DT_DIR, where: 'both', make: (sb, s) => sb.netDir(s.task!.ns.net), changes: true },
  file('environ', 0o400, environText, { guarded: true }),
  file('auxv', 0o400, auxvText, { guarded: true }),
  file('status', 0o444, statusText),
  file(
    'personality',
    0o400,
    peek((t) => hex8(t.personality)),
  ),
  file('limits', 0o444, limitsText),
  file(
    'sched',
    0o644,
    about(schedText),
    // sched_write() clears the figures, whatever is written: there are none here.
    { store: (s, data) => (s.task === null ? -ESRCH : data.length) },
  ),
  file(
    'autogroup',
    0o644,
    about((t) => `/autogroup-${t.group.session.autogroup} nice ${t.group.session.autogroupNice}\n`),
    { store: storeAutogroup },
    'process',
  ),
  file(
    'comm',
    0o644,
    about((t) => `${t.comm}\n`),
    { store: storeComm },
  ),
  file(
    'syscall',
    0o400,
    peek((_t, _r, s) => syscallText(s)),
  ),
  file('cmdline', 0o444, cmdlineText),
  file('stat', 0o444, statText),
  file('statm', 0o444, (s) =>
    s.task === null ? -ESRCH : s.mm === null ? '0 0 0 0 0 0 0\n' : statmText(s.mm),
  ),
  { name: 'maps', type: DT_REG, where: 'both', make: (sb, s) => new MapsFile(sb, s) },
  file('numa_maps', 0o444, () => '', { guarded: true, parts: mappings(numaMapsPart) }),
  { name: 'mem', type: DT_REG, where: 'both', make: (sb, s) => new MemNode(sb, s) },
  link('cwd', (t) => t.fs.cwd),
  link('root', (t) => t.fs.root),
  link('exe', (t) => t.mm.exeFile?.path ?? null),
  { name: 'mounts', type: DT_REG, where: 'both', make: (sb, s) => new MountsFile(sb, s, 'mounts') },
  { name: 'mountinfo', type: DT_REG, where: 'both', make: (sb, s) => new MountsFile(sb, s, 'mountinfo') },
  {
    name: 'mountstats',
    type: DT_REG,
    where: 'process',
    make: (sb, s) => new MountsFile(sb, s, 'mountstats'),
  },
  file('smaps', 0o444, () => '', { guarded: true, parts: mappings(smapsPart) }),
  { name: 'pagemap', type: DT_REG, where: 'both', make: (sb, s) => new PagemapNode(sb, s) },
  file(
    'smaps_rollup',
    0o444,
    withMm((mm) => smapsRollupText(mm)),
    { guarded: true },
  ),
  dir('attr', (sb) => attrDir(sb)),
  file(
    'wchan',
    0o444,
    about(() => '0'),
  ),
  file('schedstat', 0o444, about(schedstatText)),
  file(
    'cpuset',
    0o444,
    about(() => '/\n'),
  ),
  file(
    'cgroup',
    0o444,
    about((t, reader) => cgroupText(t, reader)),
  ),
  file(
    'oom_score',
    0o444,
    about((t) => `${oomScore(t.group.oomScoreAdj)}\n`),
  ),
  file(
    'oom_adj',
    0o644,
    about((t) => oomAdj(t)),
    { store: storeOomAdj },
  ),
  file('clear_refs', 0o200, () => '', { store: storeClearRefs }),
  // No function of the kernel's is told; what is there of AVX-512 is never asked of the scheduler.
  file(
    'stack',
    0o400,
    peek(() => '[<0>] 0xffffffffffffffff\n'),
  ),
  file(
    'arch_status',
    0o444,
    about(() => 'AVX512_elapsed_ms:\t-1\n'),
  ),
  file(
    'oom_score_adj',
    0o644,
    about((t) => `${t.group.oomScoreAdj}\n`),
    { store: storeOomScoreAdj },
  ),
  file(
    'loginuid',
    0o644,
    about((t, reader) => loginuidText(t, reader)),
    { store: storeLoginuid },
  ),
  file(
    'sessionid',
    0o444,
    about((t) => sessionidText(t)),
  ),
  file(
    'coredump_filter',
    0o644,
    about((t) => hex8(t.group.coredumpFilter)),
    { store: storeCoredumpFilter },
    'process',
  ),
  file(
    'io',
    0o400,
    peek((_t, _r, s) => ioText(s)),
  ),
  file('uid_map', 0o644, idMapText('uid'), { store: storeIdMap('uid') }),
  file('gid_map', 0o644, idMapText('gid'), { store: storeIdMap('gid') }),
  file('projid_map', 0o644, idMapText('projid'), { store: storeIdMap('projid') }),
  file('setgroups', 0o644, setgroupsText, { store: storeSetgroups }),
  file('timens_offsets', 0o644, about(timeOffsetsText), { store: storeTimeOffsets }, 'process'),
  file(
    'timers',
    0o444,
    about((t) => timersText(t)),
    {},
    'process',
  ),
  file(
    'timerslack_ns',
    0o666,
    about((t) => `${t.timerSlackNs}\n`),
    { store: storeTimerSlack },
    'process',
  ),
  file(
    'ksm_merging_pages',
    0o400,
    withMm(() => '0\n'),
  ),
  file('ksm_stat', 0o400, withMm(ksmStatText)),
  file('children', 0o444, (s) => childrenText(s), {}, 'thread'),
];

/** "A space-separated list of child tasks of this task" - proc_tid_children(5) */
function childrenText(s: Subject): string | number {
  const t = s.task;
  if (t === null) return -ESRCH;
  let text = '';
  for (const c of t.group.children) if (c.parentTask === t) text += `${s.number(c.pid)} `;
  return text;
}

export class PidDir extends KernfsDir {
  readonly subject: Subject;
  private readonly proc: ProcSuperBlock;
  private readonly list: readonly PidEntry[];
  private readonly nodes = new Map<string, Inode>();

  constructor(sb: ProcSuperBlock, s: Subject) {
    super(sb, 0o555);
    this.proc = sb;
    this.subject = s;
    const not = s.isThread ? 'process' : 'thread';
    this.list = ENTRIES.filter((e) => e.where !== not);
  }

  override refresh(): number {
    if (this.subject.task === null) return -ENOENT;
    refreshOwner(this, this.subject);
    return 0;
  }

  private node(e: PidEntry): Inode {
    let node = this.nodes.get(e.name);
    if (node === undefined || e.changes === true) {
      node = e.make(this.proc, this.subject);
      this.nodes.set(e.name, node);
    }
    node.refresh();
    return node;
  }

  /** proc_pid_permission(): what mount option hidepid lets others see of it. */
  private hidden(t: CallContext | null): boolean {
    return !this.subject.isThread && !this.proc.shows(t, this.subject.pid, HIDEPID_NO_ACCESS);
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    if (this.subject.task === null) return -ENOENT;
    if (this.hidden(t)) return -EPERM;
    const e = this.list.find((x) => x.name === name);
    return e === undefined ? -ENOENT : this.node(e);
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    return this.hidden(t) ? -EPERM : super.open(t, path, flags);
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    if (this.subject.task === null) return;
    for (let i = Math.max(0, from - FIRST_ENTRY); i < this.list.length; i++) {
      const e = this.list[i]!;
      yield { name: e.name, ino: this.node(e).ino, type: e.type, off: i + FIRST_ENTRY };
    }
  }
}
