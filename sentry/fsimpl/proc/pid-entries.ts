/** What is in /proc/PID and /proc/PID/task/TID (fs/proc/base.c tgid_base_stuff, tid_base_stuff). */
import { EACCES, EINVAL, ESRCH } from '../../abi/errno.ts';
import { DT_DIR, DT_LNK, DT_REG } from '../../abi/stat.ts';
import type { Task } from '../../kernel/task.ts';
import { smapsPart, smapsRollupText, statmText } from '../../mm/maps.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import { numaMapsPart } from '../../mm/numa-maps.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsFile } from '../kernfs/file.ts';
import { mayAccess } from './access.ts';
import { FdDir, FdInfoDir } from './fd-dir.ts';
import { idMapText, setgroupsText, storeIdMap, storeSetgroups } from './id-map.ts';
import { loginuidText, sessionidText, storeLoginuid } from './loginuid.ts';
import { MapFilesDir } from './map-files.ts';
import { MapsFile, mappings } from './maps-file.ts';
import { MountsFile } from './mounts.ts';
import { PidFile, PidLink, type PidFileOptions, type SubjectText } from './nodes.ts';
import { NsDir } from './ns.ts';
import { PagemapFile } from './pagemap.ts';
import { auxvText, cmdlineText, environText, ProcMemFile } from './pid-mem.ts';
import { statText, statusText } from './pid-status.ts';
import {
  storeAutogroup,
  storeClearRefs,
  storeComm,
  storeCoredumpFilter,
  storeOomAdj,
  storeOomScoreAdj,
  storeTimerSlack,
} from './pid-store.ts';
import {
  cgroupText,
  childrenText,
  ioText,
  ksmStatText,
  limitsText,
  oomAdj,
  oomScore,
  syscallText,
} from './pid-text.ts';
import { schedstatText, schedText, timersText } from './sched-text.ts';
import type { Subject } from './subject.ts';
import type { ProcSuperBlock } from './super-block.ts';
import { TaskListDir } from './task-list.ts';
import { storeTimeOffsets, timeOffsetsText } from './time-offsets.ts';

type Make = (sb: ProcSuperBlock, s: Subject) => Inode;
type MemoryFile = new (path: Path, inode: Inode, flags: number, mm: MemoryManager) => FileDescription;

export interface PidEntry {
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

/** A file of a process's memory as it is when it is opened, whatever becomes of the process. */
class MemoryNode extends PidFile {
  private readonly file: MemoryFile;

  constructor(sb: ProcSuperBlock, s: Subject, perm: number, file: MemoryFile) {
    super(sb, s, perm, () => '');
    this.file = file;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const target = this.subject.live;
    if (target === null) return -ESRCH;
    if (mayAccess(t as Task, target) !== 0) return -EACCES;
    return new this.file(path, this, flags, target.mm);
  }
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

/** In Linux's order. */
export const PID_ENTRIES: readonly PidEntry[] = [
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
  { name: 'mem', type: DT_REG, where: 'both', make: (sb, s) => new MemoryNode(sb, s, 0o600, ProcMemFile) },
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
  {
    name: 'pagemap',
    type: DT_REG,
    where: 'both',
    make: (sb, s) => new MemoryNode(sb, s, 0o400, PagemapFile),
  },
  file('smaps_rollup', 0o444, withMm(smapsRollupText), { guarded: true }),
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
  file('cgroup', 0o444, about(cgroupText)),
  file(
    'oom_score',
    0o444,
    about((t) => `${oomScore(t.group.oomScoreAdj)}\n`),
  ),
  file('oom_adj', 0o644, about(oomAdj), { store: storeOomAdj }),
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
  file('loginuid', 0o644, about(loginuidText), { store: storeLoginuid }),
  file('sessionid', 0o444, about(sessionidText)),
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
  file('timers', 0o444, about(timersText), {}, 'process'),
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
  file('children', 0o444, childrenText, {}, 'thread'),
];
