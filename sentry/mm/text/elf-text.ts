/**
 * What the patcher wants to know of an ELF file: its executable segment, and where its functions begin and end. Everything read
 * here was written by guests.
 */
import { pageDown, pageOffset, pageUp } from '../../lib/addr.ts';
import { type ElfFile, type Part, type ReadFile, u64 } from './elf-file.ts';
import { frameFunctions } from './frame-functions.ts';
import { mergeFunctions, placesOutside } from './functions.ts';
import { goFunctions } from './go-functions.ts';
import { symbolFunctions } from './symbol-functions.ts';

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const MAX_PHNUM = 64;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_GNU_EH_FRAME = 0x6474e550;
const PF_X = 1;
const PF_W = 2;
const MAX_TEXT = 32 * 1024 * 1024;

export interface ElfText {
  /** Page-aligned file offset of the segment, and its length in whole pages. */
  offset: number;
  length: number;
  /** Part of it that is code: the rest of its last page is nobody's. */
  code: number;
  /**
   * The functions that were asked for, as offsets in the segment: begin, end and where the next one begins, by rising begin.
   */
  functions: Uint32Array;
}

/**
 * Null if the file has no code of a shape that can be patched. `places`: file offsets; of all functions only those that
 * have one of them are wanted. Without it all are.
 */
export function readElfText(read: ReadFile, places: readonly number[] | null): ElfText | null {
  const header = read(0, EHDR_SIZE);
  if (header === null || header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2) return null;
  const phnum = header.readUInt16LE(56);
  if (header.readUInt16LE(18) !== EM_X86_64 || header.readUInt16LE(54) !== PHDR_SIZE || phnum > MAX_PHNUM)
    return null;
  const table = read(u64(header, 32), phnum * PHDR_SIZE);
  if (table === null) return null;
  let text: Part | null = null;
  let frames: Part | null = null;
  for (let at = 0; at < table.length; at += PHDR_SIZE) {
    const type = table.readUInt32LE(at);
    const flags = table.readUInt32LE(at + 4);
    const load = { offset: u64(table, at + 8), vaddr: u64(table, at + 16), filesz: u64(table, at + 32) };
    if (type === PT_GNU_EH_FRAME) frames = load;
    if (type !== PT_LOAD || (flags & PF_X) === 0) continue;
    if (text !== null || (flags & PF_W) !== 0 || u64(table, at + 40) !== load.filesz) return null;
    text = load;
  }
  if (text === null) return null;
  if (pageOffset(text.vaddr) !== pageOffset(text.offset) || text.filesz === 0 || text.filesz > MAX_TEXT)
    return null;
  const offset = pageDown(text.offset);
  const lead = text.offset - offset;
  const base = text.vaddr - lead;
  const size = lead + text.filesz;
  const wanted = places === null ? null : places.map((at) => at - offset);
  const functions = findFunctions({ read, header, base, size }, frames, wanted);
  if (functions === null) return null;
  return { offset, length: pageUp(lead + text.filesz), code: lead + text.filesz, functions };
}

/** Unwind tables have C code, Go has its own table, and some texts have only symbols; a program may have all of these. */
function findFunctions(
  file: ElfFile,
  frames: Part | null,
  wanted: readonly number[] | null,
): Uint32Array | null {
  let found = frameFunctions(file, frames, wanted);
  for (const source of [goFunctions, symbolFunctions]) {
    const rest = wanted === null || found === null ? wanted : placesOutside(found, wanted);
    if (rest !== null && rest.length === 0) break;
    const more = source(file, rest);
    if (more !== null) found = found === null ? more : mergeFunctions(found, more);
  }
  return found;
}
