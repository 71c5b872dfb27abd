/**
 * Which pages are in memory: mincore(2), and the Rss of /proc/PID/{stat,statm,status,smaps}. Private memory is the host
 * process's, so the host says what its page tables hold; where it does not (no move_pages(2)), writable private memory
 * counts as touched and everything mapped as in memory.
 */
import { ESRCH } from '../abi/errno.ts';
import { PROT_WRITE } from '../abi/mman.ts';
import { clockNs } from '../host/sys.ffi.ts';
import { PAGE_SIZE } from '../lib/addr.ts';
import { PAGE_ABSENT, PAGE_PRESENT, PAGE_ZERO } from '../platform/platform.ts';
import type { MemoryManager } from './memory-manager.ts';
import { VM_NORESERVE, VM_SPECIAL, type Vma } from './vma.ts';

const CLOCK_MONOTONIC = 1;
/** Pages asked for at once. */
const BATCH = 4096;
const batch = new Uint8Array(BATCH);
/** Beyond so many pages of an address space (4 GiB; 0.1 to 0.2 s) the Rss is an estimate: runs of them are looked at. */
const MAX_EXACT = 1024 * 1024;
const SAMPLE_RUN = 512;
/** Longest time for many address spaces. */
const SUM_NS = 200e6;

/** Of each mapping's runs of `run` pages one of `stride` is looked at. */
export interface Sampling {
  readonly run: number;
  readonly stride: number;
}

const EXACT: Sampling = { run: BATCH, stride: 1 };
/**
 * A count of more pages than this (64 MiB; some 2 to 8 ms) is used again for so many times as it took: servers ask for their Rss ten
 * times a second. What the program touches meanwhile is seen by the next one.
 */
const COSTLY_PAGES = 16 * 1024;
const REUSE = 4;
/** The same of 1 GiB. */
const LONG_PAGES = 256 * 1024;
const LONG_REUSE = 10;
/** How far below [stack] is looked for pages at a time. */
const STACK_STEP = 64;

/** Bytes in memory by kind: MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES. */
export interface Resident {
  readonly anon: number;
  readonly file: number;
  readonly shmem: number;
}

/** What a MemoryManager keeps of a count that took its time. */
export interface LastCount {
  readonly bytes: Resident;
  /** Of the address space then. */
  readonly totalBytes: number;
  readonly validUntil: number;
}

const NONE: Resident = { anon: 0, file: 0, shmem: 0 };

export const residentTotal = (r: Resident): number => r.anon + r.file + r.shmem;

/** Nothing of it can have been touched. */
function untouched(v: Vma): boolean {
  return v.backing === null && v.prot === 0 && v.asMapped;
}

/** What is assumed where the host does not tell. */
function assumed(v: Vma): number {
  return v.backing === null && (v.prot & PROT_WRITE) !== 0 && (v.flags & VM_NORESERVE) === 0 ? v.length : 0;
}

/** PAGE_* of each of `pages` pages from `addr` on in `v` into `out[off..)`. */
export function pagesOf(
  mm: MemoryManager,
  v: Vma,
  addr: number,
  pages: number,
  out: Uint8Array,
  off: number,
): void {
  out.fill(PAGE_ABSENT, off, off + pages);
  if (untouched(v)) return;
  const r = mm.space.residency(addr, pages, out, off);
  if (r < 0 && r !== -ESRCH) out.fill(v.prot === 0 ? PAGE_ABSENT : PAGE_PRESENT, off, off + pages);
}

/** Pages that count for the Rss among `pages` (≤ BATCH) from `addr` on, or −errno. The page of zeros does not. */
function countRun(mm: MemoryManager, addr: number, pages: number): number {
  batch.fill(PAGE_ABSENT, 0, pages);
  const r = mm.space.residency(addr, pages, batch, 0);
  if (r < 0) return r;
  let n = 0;
  for (let i = 0; i < pages; i++) if (batch[i] === PAGE_PRESENT) n++;
  return n;
}

/** Pages that may be in memory. */
function pagesToLookAt(mm: MemoryManager): number {
  let pages = 0;
  for (let i = 0; i < mm.table.size; i++) {
    const v = mm.table.at(i)!;
    if (!untouched(v)) pages += v.length / PAGE_SIZE;
  }
  return pages;
}

/** How to look at `pages` pages of an address space without looking at many more than `max`. */
function sampling(mm: MemoryManager, pages: number, max: number): Sampling {
  if (pages <= max) return EXACT;
  const run = Math.min(SAMPLE_RUN, Math.ceil(max / mm.table.size));
  return { run, stride: Math.ceil(pages / max) };
}

export function samplingOf(mm: MemoryManager): Sampling {
  return sampling(mm, pagesToLookAt(mm), MAX_EXACT);
}

/** Bytes of `v` in memory. */
export function residentBytes(mm: MemoryManager, v: Vma, how: Sampling): number {
  if (untouched(v) || (v.flags & VM_SPECIAL) !== 0) return 0;
  const { run, stride } = how;
  let seen = 0;
  let found = 0;
  for (let at = v.start; at < v.end; at += run * stride * PAGE_SIZE) {
    const pages = Math.min(run, (v.end - at) / PAGE_SIZE);
    const n = countRun(mm, at, pages);
    if (n === -ESRCH) return 0;
    if (n < 0) return assumed(v);
    seen += pages;
    found += n;
  }
  return stride === 1 ? found * PAGE_SIZE : Math.round((found / seen) * (v.length / PAGE_SIZE)) * PAGE_SIZE;
}

/** Which count the pages of `v` belong to. Private pages of files that may be written count as written. */
export function kindOf(v: Vma): keyof Resident {
  if (v.backing === null) return 'anon';
  if (!v.shared && (v.prot & PROT_WRITE) !== 0) return 'anon';
  return v.backing.inMemory ? 'shmem' : 'file';
}

/** What the address space has in memory, an estimate if that is more than `max` pages. A costly count is remembered for a while. */
export function residentOf(mm: MemoryManager, max = MAX_EXACT): Resident {
  const begun = clockNs(CLOCK_MONOTONIC);
  const last = mm.resident;
  if (last !== null && last.totalBytes === mm.totalBytes && begun < last.validUntil) return last.bytes;
  showStack(mm);
  const pages = pagesToLookAt(mm);
  const how = sampling(mm, pages, max);
  const bytes = { ...NONE };
  for (let i = 0; i < mm.table.size; i++) {
    const v = mm.table.at(i)!;
    bytes[kindOf(v)] += residentBytes(mm, v, how);
  }
  if (pages > COSTLY_PAGES) {
    const now = clockNs(CLOCK_MONOTONIC);
    const reuse = pages > LONG_PAGES ? LONG_REUSE : REUSE;
    mm.resident = { bytes, totalBytes: mm.totalBytes, validUntil: now + reuse * (now - begun) };
  }
  mm.peakResident = Math.max(mm.peakResident, residentTotal(bytes));
  return bytes;
}

/** Bytes of anonymous memory: most of what is mapped is text and data of files, which the host keeps for everybody. */
export function residentAnon(mm: MemoryManager, max: number): number {
  const how = sampling(mm, pagesToLookAt(mm), max);
  let bytes = 0;
  for (let i = 0; i < mm.table.size; i++) {
    const v = mm.table.at(i)!;
    if (kindOf(v) === 'anon') bytes += residentBytes(mm, v, how);
  }
  return bytes;
}

/**
 * The sum of `count` over the address spaces of `tasks`, each once. They share the pages that are looked at; when that takes its
 * time all the same, the rest are taken for what the others have on average.
 */
export function residentSum(
  tasks: Iterable<{ readonly mm: MemoryManager }>,
  count: (mm: MemoryManager, max: number) => number,
): number {
  const spaces = new Set<MemoryManager>();
  for (const t of tasks) spaces.add(t.mm);
  const max = Math.ceil(MAX_EXACT / spaces.size);
  const until = clockNs(CLOCK_MONOTONIC) + SUM_NS;
  let bytes = 0;
  let counted = 0;
  for (const mm of spaces) {
    if (counted > 0 && clockNs(CLOCK_MONOTONIC) > until) break;
    bytes += count(mm, max);
    counted++;
  }
  return counted < spaces.size ? Math.round((bytes / counted) * spaces.size) : bytes;
}

/** The host has mapped the stack in advance, so it grows unseen: extends [stack] down to what has been touched. */
export function showStack(mm: MemoryManager): void {
  const reserve = mm.stackReserve;
  if (reserve === 0) return;
  const stack = mm.table.at(mm.table.indexAt(reserve));
  if (stack === undefined) return;
  for (;;) {
    const pages = Math.min(STACK_STEP, (stack.start - reserve) / PAGE_SIZE);
    if (pages <= 0) return;
    const from = stack.start - pages * PAGE_SIZE;
    batch.fill(PAGE_ABSENT, 0, pages);
    if (mm.space.residency(from, pages, batch, 0) < 0) return;
    let lowest = 0;
    while (lowest < pages && batch[lowest] === PAGE_ABSENT) lowest++;
    if (lowest === pages || mm.growStack(from + lowest * PAGE_SIZE) === null) return;
  }
}

/**
 * mincore(2) for `pages` pages of `v` from `addr` on: 1 for what is in the page tables or, of files, in the page cache
 * (mm/mincore.c).
 */
export function inCore(
  mm: MemoryManager,
  v: Vma,
  addr: number,
  pages: number,
  out: Uint8Array,
  off: number,
): void {
  if ((v.flags & VM_SPECIAL) !== 0) {
    out.fill(1, off, off + pages);
    return;
  }
  pagesOf(mm, v, addr, pages, out, off);
  for (let i = off; i < off + pages; i++) if (out[i] === PAGE_ZERO) out[i] = 1;
  v.backing?.markCached(v.offset + (addr - v.start), pages, out, off);
}
