/** What /proc/PID/{maps,smaps,statm,status} say of an address space (fs/proc/task_mmu.c). */
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { PAGE_SIZE } from '../lib/addr.ts';
import type { MemoryManager } from './memory-manager.ts';
import {
  kindOf,
  residentBytes,
  residentOf,
  residentTotal,
  samplingOf,
  showStack,
  type Sampling,
} from './residency.ts';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYEXEC,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_RAND_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  type Vma,
} from './vma.ts';

/** Column at which a name begins (seq_pad(m, ' ') with 25 + 2 * sizeof(void *) * 2 …). */
const NAME_COLUMN = 73;

/** d_path() of a mapped file, as the reader of /proc sees it, with " (deleted)". */
export type FileName = (file: FileDescription) => string;

/** A piece of a file that is made as it is read: where to go on, −1 at the end. */
export interface MapsPart {
  readonly text: string;
  readonly next: number;
}

/** Mappings per part: a hostile address space has 65 530. */
const PART_VMAS = 64;

export function part(mm: MemoryManager, from: number, render: (v: Vma) => string): MapsPart {
  let text = '';
  const first = mm.table.indexAt(from);
  const last = Math.min(mm.table.size, first + PART_VMAS);
  for (let i = first; i < last; i++) text += render(mm.table.at(i)!);
  return { text, next: last < mm.table.size ? mm.table.at(last - 1)!.end : -1 };
}

/** Part of /proc/PID/maps: the mappings that end behind `from`. */
export function mapsPart(mm: MemoryManager, from: number, fileName: FileName): MapsPart {
  if (from === 0) showStack(mm);
  return part(mm, from, (v) => mapsLine(mm, v, fileName));
}

/** /proc/PID/maps. */
export function mapsText(mm: MemoryManager, fileName: FileName): string {
  let text = '';
  for (let from = 0; from >= 0;) {
    const p = mapsPart(mm, from, fileName);
    text += p.text;
    from = p.next;
  }
  return text;
}

function mapsLine(mm: MemoryManager, v: Vma, fileName: FileName): string {
  const { dev, ino } = vmaInode(v);
  const perms =
    ((v.prot & PROT_READ) !== 0 ? 'r' : '-') +
    ((v.prot & PROT_WRITE) !== 0 ? 'w' : '-') +
    ((v.prot & PROT_EXEC) !== 0 ? 'x' : '-') +
    (v.shared ? 's' : 'p');
  // Anonymous devices: major 0.
  const head =
    `${hex(v.start, 8)}-${hex(v.end, 8)} ${perms} ${hex(v.offset, 8)} ` + `00:${hex(dev, 2)} ${ino}`;
  // A newline would forge a line (seq_file_path escapes it).
  const name = vmaName(mm, v, fileName).replaceAll('\n', '\\012');
  return name === '' ? `${head} \n` : `${head.padEnd(NAME_COLUMN - 1)} ${name}\n`;
}

/** Device (of major 0) and inode of the mapped file; shared anonymous memory is one of tmpfs. */
export function vmaInode(v: Vma): { dev: number; ino: number } {
  const file = v.backing?.file ?? null;
  if (file !== null) return { dev: file.inode.sb.dev, ino: file.inode.ino };
  return v.backing === null ? { dev: 0, ino: 0 } : { dev: 1, ino: 1 };
}

/** What a mapping is called, '' if nothing. */
export function vmaName(mm: MemoryManager, v: Vma, fileName: FileName): string {
  if (v.backing !== null) {
    const file = v.backing.file;
    return file === null ? v.backing.label : fileName(file);
  }
  if (v.name !== null) return v.name;
  if (v.start < pageUpBrk(mm) && v.end > mm.layout.startBrk) return '[heap]';
  return v.start <= mm.layout.startStack && v.end >= mm.layout.startStack ? '[stack]' : '';
}

function pageUpBrk(mm: MemoryManager): number {
  return mm.brk === mm.layout.startBrk ? 0 : mm.brk;
}

const hex = (n: number, width: number): string => n.toString(16).padStart(width, '0');
const kb = (bytes: number): string => String(Math.floor(bytes / 1024)).padStart(8);

/** Rows of smaps, in bytes. */
interface Shares {
  rss: number;
  pss: number;
  sharedClean: number;
  sharedDirty: number;
  privateClean: number;
  privateDirty: number;
  anon: number;
  locked: number;
}

/**
 * What of `v` is in memory, and with whom it is shared. How many processes show a page is the host's secret: pages of objects
 * with one mapping count as private, those of others as shared with all their mappings, and private pages as nobody else's.
 */
function sharesOf(mm: MemoryManager, v: Vma, how: Sampling): Shares {
  const rss = residentBytes(mm, v, how);
  const anon = kindOf(v) === 'anon';
  const sharers = anon ? 1 : v.backing!.refCount;
  const dirty = anon || (v.shared && (v.prot & PROT_WRITE) !== 0) || v.backing!.inMemory;
  const pss = Math.floor(rss / sharers);
  return {
    rss,
    pss,
    sharedClean: sharers > 1 && !dirty ? rss : 0,
    sharedDirty: sharers > 1 && dirty ? rss : 0,
    privateClean: sharers === 1 && !dirty ? rss : 0,
    privateDirty: sharers === 1 && dirty ? rss : 0,
    anon: anon ? rss : 0,
    locked: (v.flags & VM_LOCKED) !== 0 ? pss : 0,
  };
}

/** Part of /proc/PID/smaps. */
export function smapsPart(mm: MemoryManager, from: number, fileName: FileName): MapsPart {
  if (from === 0) showStack(mm);
  const how = samplingOf(mm);
  return part(mm, from, (v) => {
    return (
      mapsLine(mm, v, fileName) +
      smapsBody(v, sharesOf(mm, v, how), mm.space.hasKeys) +
      `VmFlags: ${vmFlags(v)}\n`
    );
  });
}

/** /proc/PID/smaps_rollup. */
export function smapsRollupText(mm: MemoryManager): string {
  const first = mm.table.at(0);
  const last = mm.table.at(mm.table.size - 1);
  const range = `${hex(first?.start ?? 0, 8)}-${hex(last?.end ?? 0, 8)} ---p 00000000 00:00 0`;
  const sum: Shares = {
    rss: 0,
    pss: 0,
    sharedClean: 0,
    sharedDirty: 0,
    privateClean: 0,
    privateDirty: 0,
    anon: 0,
    locked: 0,
  };
  const how = samplingOf(mm);
  for (let i = 0; i < mm.table.size; i++) {
    const one = sharesOf(mm, mm.table.at(i)!, how);
    for (const key of SHARES) sum[key] += one[key];
  }
  return `${range.padEnd(NAME_COLUMN - 1)} [rollup]\n${smapsBody(null, sum)}`;
}

const SHARES = [
  'rss',
  'pss',
  'sharedClean',
  'sharedDirty',
  'privateClean',
  'privateDirty',
  'anon',
  'locked',
] as const;

/** `v`: null for the sum of all. */
function smapsBody(v: Vma | null, s: Shares, hasKeys = false): string {
  const rows: [string, number][] =
    v === null
      ? []
      : [
          ['Size', v.length],
          ['KernelPageSize', PAGE_SIZE],
          ['MMUPageSize', PAGE_SIZE],
        ];
  const dirty = s.privateDirty + s.sharedDirty;
  rows.push(['Rss', s.rss], ['Pss', s.pss], ['Pss_Dirty', Math.min(s.pss, dirty)]);
  if (v === null) rows.push(['Pss_Anon', s.anon], ['Pss_File', s.pss - s.anon], ['Pss_Shmem', 0]);
  rows.push(
    ['Shared_Clean', s.sharedClean],
    ['Shared_Dirty', s.sharedDirty],
    ['Private_Clean', s.privateClean],
    ['Private_Dirty', s.privateDirty],
    ['Referenced', s.rss],
    ['Anonymous', s.anon],
    ['KSM', 0],
    ['LazyFree', 0],
    ['AnonHugePages', 0],
    ['ShmemPmdMapped', 0],
    ['FilePmdMapped', 0],
    ['Shared_Hugetlb', 0],
    ['Private_Hugetlb', 0],
    ['Swap', 0],
    ['SwapPss', 0],
    ['Locked', s.locked],
  );
  const text = rows.map(([name, bytes]) => `${`${name}:`.padEnd(16)}${kb(bytes)} kB\n`).join('');
  if (v === null) return text;
  const key = hasKeys ? `ProtectionKey:  ${String(v.pkey).padStart(8)}\n` : '';
  return `${text}THPeligible:           0\n${key}`;
}

function vmFlags(v: Vma): string {
  const names: string[] = [];
  if ((v.prot & PROT_READ) !== 0) names.push('rd');
  if ((v.prot & PROT_WRITE) !== 0) names.push('wr');
  if ((v.prot & PROT_EXEC) !== 0) names.push('ex');
  // do_mmap() takes VM_SHARED off again where the file is not open for writing, and leaves VM_MAYSHARE.
  if (v.shared && v.backing?.file?.writable !== false) names.push('sh');
  names.push('mr');
  for (const [bit, name] of VM_FLAG_NAMES) if ((v.flags & bit) !== 0) names.push(name);
  return `${names.join(' ')} `;
}

const VM_FLAG_NAMES: readonly (readonly [number, string])[] = [
  [VM_MAYWRITE, 'mw'],
  [VM_MAYEXEC, 'me'],
  [VM_SHARED, 'ms'],
  [VM_GROWSDOWN, 'gd'],
  [VM_LOCKED, 'lo'],
  [VM_SEQ_READ, 'sr'],
  [VM_RAND_READ, 'rr'],
  [VM_DONTCOPY, 'dc'],
  [VM_LOCKONFAULT, 'lf'],
  [VM_NORESERVE, 'nr'],
  [VM_WIPEONFORK, 'wf'],
  [VM_DONTDUMP, 'dd'],
  [VM_HUGEPAGE, 'hg'],
  [VM_NOHUGEPAGE, 'nh'],
  [VM_MERGEABLE, 'mg'],
  [VM_DROPPABLE, 'dp'],
  [VM_SEALED, 'sl'],
];

/** /proc/PID/statm: pages of size, resident, shared, text, lib (0), data, dirty (0). */
export function statmText(mm: MemoryManager): string {
  const pages = (bytes: number): number => Math.floor(bytes / 4096);
  const rss = residentOf(mm);
  const text = pages(Math.ceil(mm.layout.endCode / 4096) * 4096) - pages(mm.layout.startCode);
  const data = pages(mm.dataBytes + mm.stackBytes);
  return `${pages(mm.totalBytes)} ${pages(residentTotal(rss))} ${pages(rss.file + rss.shmem)} ${text} 0 ${data} 0\n`;
}

/** The Vm* lines of /proc/PID/status (task_mem). */
export function statusLines(mm: MemoryManager): string {
  const resident = residentOf(mm);
  const rss = residentTotal(resident);
  const text = Math.ceil((mm.layout.endCode - mm.layout.startCode) / 4096) * 4096;
  const rows: [string, number][] = [
    ['VmPeak', mm.peakBytes],
    ['VmSize', mm.totalBytes],
    ['VmLck', mm.lockedBytes],
    ['VmPin', 0],
    ['VmHWM', mm.peakResident],
    ['VmRSS', rss],
    ['RssAnon', resident.anon],
    ['RssFile', resident.file],
    ['RssShmem', resident.shmem],
    ['VmData', mm.dataBytes],
    ['VmStk', mm.stackBytes],
    ['VmExe', text],
    ['VmLib', Math.max(0, mm.execBytes - text)],
    ['VmPTE', 4096 * 8],
    ['VmSwap', 0],
  ];
  return rows.map(([name, bytes]) => `${name}:\t${kb(bytes)} kB\n`).join('');
}
