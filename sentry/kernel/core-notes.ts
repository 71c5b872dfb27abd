/**
 * ELF headers and notes of a core file (fs/binfmt_elf.c fill_note_info, include/linux/elfcore.h, elfcore-compat.h): what
 * a debugger learns about threads, signal and mapped files.
 */
import { NT_PRFPREG, NT_PRSTATUS, NT_X86_XSTATE } from '../abi/ptrace.ts';
import { Regs, USER_REGS_SIZE } from '../arch/regs.ts';
import { hi32, lo32, PAGE_SIZE, pageUp } from '../lib/addr.ts';
import { pathName } from '../vfs/path-name.ts';
import { processUsage, threadUsage } from './cpu-time.ts';
import type { SigInfo } from './sig-info.ts';
import type { Task } from './task.ts';
import { loadUserRegs, userFpRegs, userXstate } from './user-regs.ts';

const NT_PRPSINFO = 3;
const NT_AUXV = 6;
const NT_SIGINFO = 0x53494749;
const NT_FILE = 0x46494c45;
const PRSTATUS_SIZE = 336;
const PRSTATUS_REGS = 112;
const PRPSINFO_SIZE = 136;
const PSARGS_SIZE = 80;
/** kernel.core_file_note_size_limit: a process with more mapped files goes without NT_FILE. */
const FILE_NOTE_MAX = 4 * 1024 * 1024;
const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const ET_CORE = 4;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;

/** A range of memory as the program header tells it; `size` bytes of it are in the file. */
export interface CoreSegment {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
  readonly size: number;
  readonly isAnonymous: boolean;
}

function u64(b: Buffer, at: number, v: number): void {
  b.writeUInt32LE(lo32(v), at);
  b.writeUInt32LE(hi32(v), at + 4);
}

function note(name: string, type: number, desc: Uint8Array): Buffer {
  const padded = (n: number): number => Math.ceil(n / 4) * 4;
  const nameSize = padded(name.length + 1);
  const b = Buffer.alloc(12 + nameSize + padded(desc.length));
  b.writeUInt32LE(name.length + 1, 0);
  b.writeUInt32LE(desc.length, 4);
  b.writeUInt32LE(type, 8);
  b.write(name, 12, 'latin1');
  b.set(desc, 12 + nameSize);
  return b;
}

function timeval(b: Buffer, at: number, ns: number): void {
  u64(b, at, Math.floor(ns / 1e9));
  u64(b, at + 8, Math.floor((ns % 1e9) / 1000));
}

const regs = new Regs();

/** Numbers of `t` in its own PID namespace at `at`: process, parent, process group, session. */
function family(b: Buffer, at: number, nr: number, t: Task): void {
  const { group, pidNs } = t;
  b.writeInt32LE(nr, at);
  b.writeInt32LE(group.ppid, at + 4);
  b.writeInt32LE(group.processGroup.pid.nrIn(pidNs), at + 8);
  b.writeInt32LE(group.session.pid.nrIn(pidNs), at + 12);
}

/** struct elf_prstatus */
function prstatus(t: Task, signal: number): Buffer {
  const b = Buffer.alloc(PRSTATUS_SIZE);
  b.writeInt32LE(signal, 0);
  b.writeInt16LE(signal, 12);
  b.writeUInt32LE(t.pending.bits.lo, 16);
  b.writeUInt32LE(t.pending.bits.hi, 20);
  b.writeUInt32LE(t.sigMask.lo, 24);
  b.writeUInt32LE(t.sigMask.hi, 28);
  family(b, 32, t.tid, t);
  const times = t.isLeader ? processUsage(t.group) : threadUsage(t);
  const children = t.group.childrenUsage;
  [times.utimeNs, times.stimeNs, children.utimeNs, children.stimeNs].forEach((ns, i) =>
    timeval(b, 48 + 16 * i, ns),
  );
  loadUserRegs(regs, t, { inSyscall: t.stopInSyscall, result: t.stopResult });
  b.set(regs.bytes, PRSTATUS_REGS);
  b.writeInt32LE(1, PRSTATUS_REGS + USER_REGS_SIZE);
  return b;
}

/** struct elf_prpsinfo */
function prpsinfo(t: Task): Buffer {
  const b = Buffer.alloc(PRPSINFO_SIZE);
  b.write('R', 1, 'latin1');
  b.writeInt8(t.nice, 3);
  b.writeUInt32LE(t.creds.userNs.fromUid(t.creds.uid), 16);
  b.writeUInt32LE(t.creds.userNs.fromGid(t.creds.gid), 20);
  family(b, 24, t.tgid, t);
  b.write(t.comm, 40, 15, 'latin1');
  const { argStart, argEnd } = t.mm.layout;
  const len = Math.min(Math.max(0, argEnd - argStart), PSARGS_SIZE - 1);
  const args = Buffer.alloc(len);
  const got = t.mm.accessible(argStart, len, false) < len ? 0 : t.mm.space.read(argStart, args, 0, len);
  for (let i = 0; i < got; i++) b[56 + i] = args[i] === 0 ? 0x20 : args[i]!;
  return b;
}

/** NT_FILE: count, page size, then start, end and page offset of every mapping of a file, then the names; null: too long. */
function files(t: Task): Buffer | null {
  const ranges: number[] = [];
  let names = '';
  const { table } = t.mm;
  for (let i = 0; i < table.size; i++) {
    const v = table.at(i)!;
    if (v.backing === null) continue;
    const { file } = v.backing;
    const path = file?.path ?? null;
    const name = path === null ? (file?.inode.anonName ?? v.backing.label) : pathName(path, t.fs.root);
    ranges.push(v.start, v.end, Math.floor(v.offset / PAGE_SIZE));
    names += `${name}\0`;
    if (names.length > FILE_NOTE_MAX) return null;
  }
  const b = Buffer.alloc(16 + ranges.length * 8 + names.length);
  u64(b, 0, ranges.length / 3);
  u64(b, 8, PAGE_SIZE);
  ranges.forEach((v, i) => u64(b, 16 + 8 * i, v));
  b.write(names, 16 + ranges.length * 8, 'latin1');
  return b.length > FILE_NOTE_MAX ? null : b;
}

/** The register sets of a thread beside the general ones. */
function registerNotes(t: Task): Buffer[] {
  const notes = [note('CORE', NT_PRFPREG, userFpRegs(t))];
  const xstate = userXstate(t);
  if (typeof xstate !== 'number') notes.push(note('LINUX', NT_X86_XSTATE, xstate));
  return notes;
}

/** All notes: the thread that dumps comes first, with what is said of the process. */
function allNotes(t: Task, info: SigInfo, others: readonly Task[]): Buffer {
  const notes = [
    note('CORE', NT_PRSTATUS, prstatus(t, info.signo)),
    note('CORE', NT_PRPSINFO, prpsinfo(t)),
    note('CORE', NT_SIGINFO, info.bytes),
    note('CORE', NT_AUXV, t.mm.layout.auxv),
  ];
  const mapped = files(t);
  if (mapped !== null) notes.push(note('CORE', NT_FILE, mapped));
  notes.push(...registerNotes(t));
  for (const o of others) notes.push(note('CORE', NT_PRSTATUS, prstatus(o, info.signo)), ...registerNotes(o));
  return Buffer.concat(notes);
}

function programHeader(
  b: Buffer,
  at: number,
  type: number,
  flags: number,
  values: readonly [offset: number, vaddr: number, fileSize: number, memSize: number, align: number],
): void {
  const [offset, vaddr, fileSize, memSize, align] = values;
  b.writeUInt32LE(type, at);
  b.writeUInt32LE(flags, at + 4);
  u64(b, at + 8, offset);
  u64(b, at + 16, vaddr);
  u64(b, at + 32, fileSize);
  u64(b, at + 40, memSize);
  u64(b, at + 48, align);
}

/** PROT_READ 1, WRITE 2, EXEC 4 as PF_R 4, W 2, X 1. */
function elfFlags(prot: number): number {
  return ((prot & 1) !== 0 ? 4 : 0) | (prot & 2) | ((prot & 4) !== 0 ? 1 : 0);
}

/** What comes before the memory, and where in the file that begins. */
export function coreHead(
  t: Task,
  info: SigInfo,
  others: readonly Task[],
  segments: readonly CoreSegment[],
): { readonly head: Buffer; readonly dataStart: number } {
  const notes = allNotes(t, info, others);
  const notesAt = EHDR_SIZE + PHDR_SIZE * (segments.length + 1);
  const dataStart = pageUp(notesAt + notes.length);
  const b = Buffer.alloc(notesAt);
  b.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  b.writeUInt16LE(ET_CORE, 16);
  b.writeUInt16LE(EM_X86_64, 18);
  b.writeUInt32LE(1, 20);
  u64(b, 32, EHDR_SIZE);
  b.writeUInt16LE(EHDR_SIZE, 52);
  b.writeUInt16LE(PHDR_SIZE, 54);
  b.writeUInt16LE(segments.length + 1, 56);
  programHeader(b, EHDR_SIZE, PT_NOTE, 0, [notesAt, 0, notes.length, 0, 4]);
  let offset = dataStart;
  segments.forEach((s, i) => {
    const at = EHDR_SIZE + PHDR_SIZE * (i + 1);
    programHeader(b, at, PT_LOAD, elfFlags(s.prot), [offset, s.start, s.size, s.end - s.start, PAGE_SIZE]);
    offset += s.size;
  });
  return { head: Buffer.concat([b, notes]), dataStart };
}
