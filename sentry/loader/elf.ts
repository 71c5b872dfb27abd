/** Reading and checking ELF64 headers (fs/binfmt_elf.c). Everything read here was written by the guest. */
import { EINVAL, ENOEXEC } from '../abi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PATH_MAX } from '../abi/fcntl.ts';
import { PAGE_SIZE, TASK_SIZE, pageDown, pageOffset, pageUp } from '../lib/addr.ts';

export const EHDR_SIZE = 64;
export const PHDR_SIZE = 56;
/** ELF_MIN_ALIGN-sized phdr table at most (load_elf_phdrs: 65536 bytes). */
const MAX_PHDRS_BYTES = 65536;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;

export interface ElfHeader {
  /** ET_DYN: position-independent. */
  dynamic: boolean;
  entry: number;
  phoff: number;
  phnum: number;
}

export interface Segment {
  vaddr: number;
  offset: number;
  filesz: number;
  memsz: number;
  prot: number;
}

export interface ElfImage {
  header: ElfHeader;
  segments: Segment[];
  /** File range of PT_INTERP's string, or null. */
  interp: { offset: number; size: number } | null;
  /** PT_GNU_STACK asks for an executable stack. */
  execStack: boolean;
  /** Largest p_align of the segments: where a position-independent image may begin. */
  align: number;
  /** First page and end of all segments, relative to the load bias. */
  low: number;
  high: number;
}

/** The magic number alone: something else may be another format, or just not executable. */
function hasElfMagic(b: Buffer, size: number): boolean {
  return size >= 4 && b.readUInt32BE(0) === 0x7f454c46;
}

/** Header at the start of `b` (`size` bytes valid), or −ENOEXEC. */
export function parseHeader(b: Buffer, size: number): ElfHeader | number {
  if (size < EHDR_SIZE || !hasElfMagic(b, size)) return -ENOEXEC;
  const type = b.readUInt16LE(16);
  if (type !== ET_EXEC && type !== ET_DYN) return -ENOEXEC;
  // The machine is asked for, the class is not (elf_check_arch). 32-bit programs (EM_386) and x32 have no support here.
  if (b.readUInt16LE(18) !== EM_X86_64) return -ENOEXEC;
  const phnum = b.readUInt16LE(56);
  if (b.readUInt16LE(54) !== PHDR_SIZE || phnum === 0 || phnum * PHDR_SIZE > MAX_PHDRS_BYTES) return -ENOEXEC;
  return { dynamic: type === ET_DYN, entry: u64(b, 24), phoff: u64(b, 32), phnum };
}

/** The program headers `b` of `header`: the image, −ENOEXEC or −EINVAL. */
export function parseProgramHeaders(b: Buffer, header: ElfHeader): ElfImage | number {
  const image: ElfImage = {
    header,
    segments: [],
    interp: null,
    execStack: false,
    align: PAGE_SIZE,
    low: Infinity,
    high: 0,
  };
  for (let i = 0; i < header.phnum; i++) {
    const at = i * PHDR_SIZE;
    const type = b.readUInt32LE(at);
    const flags = b.readUInt32LE(at + 4);
    const offset = u64(b, at + 8);
    if (type === PT_INTERP && image.interp === null) {
      const size = u64(b, at + 32);
      if (size > PATH_MAX || size < 2) return -ENOEXEC;
      image.interp = { offset, size };
    } else if (type === PT_GNU_STACK) {
      image.execStack = (flags & PF_X) !== 0;
    } else if (type === PT_LOAD) {
      const r = addSegment(image, b, at, flags, offset);
      if (r !== 0) return r;
    }
  }
  if (image.low === Infinity) image.low = 0;
  return image;
}

function addSegment(image: ElfImage, b: Buffer, at: number, flags: number, offset: number): number {
  const vaddr = u64(b, at + 16);
  const filesz = u64(b, at + 32);
  const memsz = u64(b, at + 40);
  const align = u64(b, at + 48);
  if (filesz > memsz || memsz > TASK_SIZE || vaddr > TASK_SIZE - memsz) return -EINVAL;
  if (filesz > 0 && pageOffset(vaddr) !== pageOffset(offset)) return -EINVAL;
  if (offset > Number.MAX_SAFE_INTEGER - filesz) return -EINVAL;
  const prot =
    ((flags & PF_R) !== 0 ? PROT_READ : 0) |
    ((flags & PF_W) !== 0 ? PROT_WRITE : 0) |
    ((flags & PF_X) !== 0 ? PROT_EXEC : 0);
  image.segments.push({ vaddr, offset, filesz, memsz, prot });
  image.low = Math.min(image.low, pageDown(vaddr));
  image.high = Math.max(image.high, pageUp(vaddr + memsz));
  // maximum_alignment(): powers of two only.
  if (align > image.align && align <= 2 ** 40 && Number.isInteger(Math.log2(align))) image.align = align;
  return 0;
}

/** Values of 2^53 and more stay too large for every check. */
function u64(b: Buffer, at: number): number {
  return b.readUInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at);
}
