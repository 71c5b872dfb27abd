/**
 * Builds the address space of a program in a fresh host space: segments, heap, stack, vDSO (fs/binfmt_elf.c
 * load_elf_binary()). Queues orders on the new context; the caller runs them and then writes `writes`.
 */
import { ENOEXEC, ENOMEM } from '../abi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { auxVector } from '../host/sys.ffi.ts';
import { PAGE_SIZE, TASK_SIZE, pageDown, pageOffset, pageUp } from '../lib/addr.ts';
import { random48 } from '../lib/random.ts';
import { FileBacking } from '../mm/backing.ts';
import { mapReserve, mayFlags } from '../mm/host-map.ts';
import { MemoryManager, type MemoryLimits, type PendingChange } from '../mm/memory-manager.ts';
import { mapVma } from '../mm/mmap.ts';
import { findFree } from '../mm/unmapped-area.ts';
import { STACK_GUARD_GAP } from '../mm/vma-table.ts';
import { VM_GROWSDOWN, VM_SPECIAL, Vma } from '../mm/vma.ts';
import type { Context, Platform } from '../platform/platform.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import type { ElfImage, Segment } from './elf.ts';
import type { Program } from './program.ts';
import * as stack from './stack.ts';

const GIB = 0x40000000;
/** Stack randomisation: 22 bits of pages. */
const STACK_RANDOM = 16 * GIB;
const MMAP_RANDOM = 1024 * GIB;
const DYN_RANDOM = 1024 * GIB;
const BRK_RANDOM = 0x02000000;
const MIN_GAP = 128 * 1024 * 1024;
/** ELF_ET_DYN_BASE: two thirds of the address space. */
const ET_DYN_BASE = Math.floor(TASK_SIZE / 3) * 2;
/** setup_arg_pages(): stack below the arguments from the start. */
const STACK_EXPAND = 131072;
/** The most that is mapped on the host for a stack beforehand; more comes by faults. */
const STACK_RESERVE_MAX = 64 * 1024 * 1024;
const HWCAP_CLOCK_TICKS = 100;

export interface LoadedProgram {
  mm: MemoryManager;
  entry: number;
  sp: number;
  /** To be written once the orders have run: zeros behind file data, and the stack. */
  zeros: { addr: number; len: number }[];
  writes: { addr: number; bytes: Uint8Array }[];
}

export interface LoadOptions {
  platform: Platform;
  ctx: Context;
  limits: MemoryLimits;
  /** false: ADDR_NO_RANDOMIZE */
  randomize: boolean;
  /** AT_UID, AT_EUID, AT_GID, AT_EGID, AT_SECURE. */
  ids: { uid: number; euid: number; gid: number; egid: number; secure: boolean };
}

/** −errno if the program does not fit; the context is then only good for exit(). */
export function loadProgram(p: Program, o: LoadOptions): LoadedProgram | number {
  const mm = makeMemory(o);
  const zeros: LoadedProgram['zeros'] = [];
  addVdso(mm, o.platform);
  const bias = imageBias(mm, p, o.randomize);
  const failed = bias < 0 ? bias : mapSegments(mm, o.ctx, p.file, p.image, bias, zeros);
  if (failed !== 0) return abandon(mm, failed);
  let entry = p.image.header.entry + bias;
  let base = 0;
  if (p.interp !== null) {
    base = interpreterBias(mm, p.interp.image);
    const bad = base < 0 ? base : mapSegments(mm, o.ctx, p.interp.file, p.interp.image, base, zeros);
    if (bad !== 0) return abandon(mm, bad);
    entry = p.interp.image.header.entry + base;
  }
  setLayout(mm, p, bias, o.randomize);
  const auxv = auxiliary(p, o, bias, base);
  const writes: LoadedProgram['writes'] = [];
  const sp = setupStack(mm, p, o, auxv, writes);
  if (sp < 0) return abandon(mm, sp);
  mm.setExeFile(p.file);
  mm.loadsItself = p.interp === null;
  return { mm, entry, sp, zeros, writes };
}

function abandon(mm: MemoryManager, errno: number): number {
  mm.unref();
  return errno;
}

/** A page-aligned random number below `range`. */
function randomPages(range: number, randomize: boolean): number {
  return randomize ? pageDown(random48() % range) : 0;
}

function makeMemory(o: LoadOptions): MemoryManager {
  const { minAddr, maxAddr } = o.platform;
  // mmap_base(): below the largest stack and its randomisation.
  const wanted = o.limits.stack + STACK_GUARD_GAP + (o.randomize ? STACK_RANDOM : 0);
  const gap = Math.min(Math.max(wanted, MIN_GAP), pageDown((maxAddr / 6) * 5));
  const base = pageDown(maxAddr - gap) - randomPages(MMAP_RANDOM, o.randomize);
  return new MemoryManager(o.ctx.space, minAddr, maxAddr, base);
}

const VDSO_FLAGS = VM_SPECIAL | mayFlags(false, true, true);

function addVdso(mm: MemoryManager, p: Platform): void {
  if (p.vdsoEnd === 0) return;
  mm.addVma(new Vma(p.vvarStart, p.vdsoStart, PROT_READ, VDSO_FLAGS, null, 0, '[vvar]'));
  mm.addVma(new Vma(p.vdsoStart, p.vdsoEnd, PROT_READ | PROT_EXEC, VDSO_FLAGS, null, 0, '[vdso]'));
}

/** Whether the program has left the vDSO, which it can also move and protect, as it was given. */
export function hasPristineVdso(mm: MemoryManager, p: Platform): boolean {
  if (p.vdsoEnd === 0) return true;
  const pristine = (start: number, end: number, prot: number): boolean => {
    const v = mm.table.find(start);
    if (v === null || v.start !== start || v.end !== end) return false;
    return v.prot === prot && v.flags === VDSO_FLAGS && v.pkey === 0;
  };
  return (
    !mm.vdsoCalls &&
    pristine(p.vvarStart, p.vdsoStart, PROT_READ) &&
    pristine(p.vdsoStart, p.vdsoEnd, PROT_READ | PROT_EXEC)
  );
}

/** Where the program's addresses are moved by; −ENOMEM if it does not fit. */
function imageBias(mm: MemoryManager, p: Program, randomize: boolean): number {
  const { header, low, high, align } = p.image;
  let bias = 0;
  if (header.dynamic) {
    // A program without interpreter is one itself (static-PIE, ld.so): it goes where mmap would put it.
    if (p.interp === null) return interpreterBias(mm, p.image);
    const start = pageDown(ET_DYN_BASE) + randomPages(DYN_RANDOM, randomize);
    bias = Math.floor(start / align) * align - low;
  }
  return high > low && !mm.inBounds(low + bias, high - low) ? -ENOMEM : bias;
}

function interpreterBias(mm: MemoryManager, image: ElfImage): number {
  const { header, low, high, align } = image;
  if (!header.dynamic) return high > low && !mm.inBounds(low, high - low) ? -ENOMEM : 0;
  const at = findFree(mm, 0, Math.max(high - low, PAGE_SIZE), align);
  return at < 0 ? -ENOMEM : at - low;
}

const unused: PendingChange = { kind: 'none', start: 0, value: 0 };

function mapSegments(
  mm: MemoryManager,
  o: Context,
  file: FileDescription,
  image: ElfImage,
  bias: number,
  zeros: LoadedProgram['zeros'],
): number {
  for (const s of image.segments) {
    const whole = mapRun(mm, o, file, image, s, bias);
    const failed = whole !== 0 ? whole : mapSegment(mm, o, file, s, bias, zeros);
    if (failed !== 0) return failed;
  }
  return 0;
}

/**
 * If further segments follow `first` in memory as they do in the file: maps them all like `first`. What then remains is
 * to change protections.
 */
function mapRun(
  mm: MemoryManager,
  o: Context,
  file: FileDescription,
  image: ElfImage,
  first: Segment,
  bias: number,
): number {
  const { segments } = image;
  let i = segments.indexOf(first);
  const before = segments[i - 1];
  if (before !== undefined && continues(before, first)) return 0;
  while (i + 1 < segments.length && continues(segments[i]!, segments[i + 1]!)) i++;
  const last = segments[i]!;
  if (last === first) return 0;
  const start = pageDown(first.vaddr);
  const end = pageUp(last.vaddr + last.filesz);
  const offset = first.offset - pageOffset(first.vaddr);
  const source = file.mapSource(false, first.prot, offset, end - start);
  if (typeof source === 'number') return -ENOEXEC;
  if (source.hostFd < 0) return 0;
  const backing = new FileBacking(file, source, offset);
  const flags = mayFlags(false, true, true);
  mapVma(mm, o, new Vma(start + bias, end + bias, first.prot, flags, backing, offset), unused);
  return 0;
}

/** Do the pages of `b` follow those of `a`, in memory and in the file, both without a part of zeros and not writable? */
function continues(a: Segment, b: Segment): boolean {
  return (
    ((a.prot | b.prot) & PROT_WRITE) === 0 &&
    a.filesz > 0 &&
    b.filesz > 0 &&
    a.memsz === a.filesz &&
    a.vaddr - a.offset === b.vaddr - b.offset &&
    pageUp(a.vaddr + a.filesz) === pageDown(b.vaddr)
  );
}

/** elf_load(): the file's part, zeros to the end of its last page, and fresh pages for the rest. */
function mapSegment(
  mm: MemoryManager,
  o: Context,
  file: FileDescription,
  s: Segment,
  bias: number,
  zeros: LoadedProgram['zeros'],
): number {
  const start = pageDown(s.vaddr) + bias;
  const fileEnd = s.vaddr + bias + s.filesz;
  const memEnd = pageUp(s.vaddr + bias + s.memsz);
  const flags = mayFlags(false, true, true);
  let anonStart = start;
  if (s.filesz > 0) {
    anonStart = pageUp(fileEnd);
    const offset = s.offset - pageOffset(s.vaddr);
    const source = file.mapSource(false, s.prot, offset, anonStart - start);
    if (typeof source === 'number') return -ENOEXEC;
    const backing = source.hostFd < 0 ? null : new FileBacking(file, source, offset);
    mapVma(mm, o, new Vma(start, anonStart, s.prot, flags, backing, backing === null ? 0 : offset), unused);
    const tail = Math.min(anonStart, s.vaddr + bias + s.memsz) - fileEnd;
    if (tail > 0 && (s.prot & PROT_WRITE) !== 0) zeros.push({ addr: fileEnd, len: anonStart - fileEnd });
  }
  if (memEnd > anonStart) mapVma(mm, o, new Vma(anonStart, memEnd, s.prot, flags, null, 0), unused);
  return 0;
}

function setLayout(mm: MemoryManager, p: Program, bias: number, randomize: boolean): void {
  const l = { ...mm.layout };
  l.startCode = Infinity;
  let brk = 0;
  for (const s of p.image.segments) {
    const start = s.vaddr + bias;
    l.startCode = Math.min(l.startCode, start);
    l.startData = Math.max(l.startData, start);
    if ((s.prot & PROT_EXEC) !== 0) l.endCode = Math.max(l.endCode, start + s.filesz);
    l.endData = Math.max(l.endData, start + s.filesz);
    brk = Math.max(brk, start + s.memsz);
  }
  if (l.startCode === Infinity) l.startCode = 0;
  // Without an interpreter the image lies among the mappings, so the heap goes where programs usually are.
  if (p.image.header.dynamic && p.interp === null) brk = ET_DYN_BASE;
  l.startBrk = pageUp(brk) + randomPages(BRK_RANDOM, randomize);
  mm.layout = l;
  mm.brk = l.startBrk;
}

/** Address of the program headers in memory, as AT_PHDR says it. */
function phdrAddress(image: ElfImage, bias: number): number {
  const { phoff } = image.header;
  for (const s of image.segments)
    if (s.offset <= phoff && phoff < s.offset + s.filesz) return phoff - s.offset + s.vaddr + bias;
  return bias;
}

function auxiliary(p: Program, o: LoadOptions, bias: number, base: number): [number, number][] {
  const { ids } = o;
  const vector: [number, number][] = [];
  if (o.platform.vdsoStart !== 0) vector.push([stack.AT_SYSINFO_EHDR, o.platform.vdsoStart]);
  // What the CPU can do is the host's to say.
  const minSigStack = auxVector(stack.AT_MINSIGSTKSZ);
  if (minSigStack !== 0) vector.push([stack.AT_MINSIGSTKSZ, minSigStack]);
  vector.push(
    [stack.AT_HWCAP, auxVector(stack.AT_HWCAP)],
    [stack.AT_PAGESZ, PAGE_SIZE],
    [stack.AT_CLKTCK, HWCAP_CLOCK_TICKS],
    [stack.AT_PHDR, phdrAddress(p.image, bias)],
    [stack.AT_PHENT, 56],
    [stack.AT_PHNUM, p.image.header.phnum],
    [stack.AT_BASE, base],
    [stack.AT_FLAGS, 0],
    [stack.AT_ENTRY, p.image.header.entry + bias],
    [stack.AT_UID, ids.uid],
    [stack.AT_EUID, ids.euid],
    [stack.AT_GID, ids.gid],
    [stack.AT_EGID, ids.egid],
    [stack.AT_SECURE, ids.secure ? 1 : 0],
    [stack.AT_HWCAP2, auxVector(stack.AT_HWCAP2)],
  );
  const rseqSize = auxVector(stack.AT_RSEQ_FEATURE_SIZE);
  if (rseqSize !== 0)
    vector.push(
      [stack.AT_RSEQ_FEATURE_SIZE, rseqSize],
      [stack.AT_RSEQ_ALIGN, auxVector(stack.AT_RSEQ_ALIGN)],
    );
  return vector;
}

/** setup_arg_pages() and create_elf_tables(): the stack pointer, or −ENOMEM. */
function setupStack(
  mm: MemoryManager,
  p: Program,
  o: LoadOptions,
  auxv: [number, number][],
  writes: LoadedProgram['writes'],
): number {
  const top = pageDown(mm.maxAddr) - randomPages(STACK_RANDOM, o.randomize);
  const image = stack.buildStack({ top, argv: p.argv, envp: p.envp, execfn: p.execfn, auxv });
  const used = top - pageDown(image.sp);
  const limit = Math.max(pageDown(Math.min(o.limits.stack, STACK_RESERVE_MAX)), used);
  const start = top - Math.min(used + STACK_EXPAND, limit);
  const reserve = top - Math.max(limit, top - start);
  if (!mm.table.isFree(reserve, top) || !mm.inBounds(reserve, top - reserve)) return -ENOMEM;
  const prot = PROT_READ | PROT_WRITE | (p.image.execStack ? PROT_EXEC : 0);
  mapReserve(o.ctx, reserve, top, prot);
  mm.addVma(new Vma(start, top, prot, VM_GROWSDOWN | mayFlags(false, true, true), null, 0));
  mm.stackReserve = reserve;
  mm.layout.startStack = image.sp;
  mm.layout.argStart = image.argStart;
  mm.layout.argEnd = image.argEnd;
  mm.layout.envStart = image.envStart;
  mm.layout.envEnd = image.envEnd;
  mm.layout.auxv = image.auxv;
  writes.push({ addr: image.sp, bytes: image.low }, { addr: image.argStart, bytes: image.high });
  return image.sp;
}
