/**
 * Where functions of Go programs begin and end, which have no .eh_frame: the table of .gopclntab that the Go runtime itself walks its
 * stacks by (runtime/symtab.go, pcHeader, functab and moduledata, since Go 1.18). Everything read here was written by guests.
 */
import { type ElfFile, findSection, type Part, u64 } from './elf-file.ts';
import { FUNCTION_WORDS, rowsOf } from './functions.ts';

/** pcHeader: magic, two zeros, unit of instructions, size of pointers, nfunc, nfiles, textStart, four offsets, pclnOffset. */
const HEADER_SIZE = 72;
const MAGIC_1_18 = 0xfffffff0;
const MAGIC_1_20 = 0xfffffff1;
const MAX_TABLE = 8 * 1024 * 1024;
const TEXT_START = 24;
/** moduledata: where the address of .gopclntab stands, and that of the text. */
const MODULE_TABLE = 0;
const MODULE_TEXT = 176;
/** Elf64_Rela: offset, type and symbol, addend. */
const RELOCATION_SIZE = 24;
const R_X86_64_RELATIVE = 8;
/** functab: offsets of the function's code and of what is known of it. */
const ROW_SIZE = 8;

/**
 * The functions that have one of the places `wanted`, or all; null if it is no Go program, or one whose data do not say where its
 * text begins.
 */
export function goFunctions(file: ElfFile, wanted: readonly number[] | null): Uint32Array | null {
  const { read, base, size } = file;
  const section = findSection(file, '.gopclntab') ?? findSection(file, '.data.rel.ro.gopclntab');
  const head = section === null ? null : read(section.offset, HEADER_SIZE);
  if (section === null || head === null) return null;
  const magic = head.readUInt32LE(0);
  if ((magic !== MAGIC_1_18 && magic !== MAGIC_1_20) || head[6] !== 1 || head[7] !== 8) return null;
  const count = u64(head, 8);
  const text = beginOfText(file, section) - base;
  const tableAt = u64(head, 64);
  const tableSize = ROW_SIZE * count + 4;
  if (text < 0 || text >= size || tableSize > MAX_TABLE || tableAt + tableSize > section.filesz) return null;
  const table = read(section.offset + tableAt, tableSize);
  if (table === null) return null;
  // The last row is the end of the last function.
  const beginOf = (i: number): number => text + table.readUInt32LE(ROW_SIZE * i);
  const rows = wanted === null ? Array.from({ length: count }, (_, i) => i) : rowsOf(count, beginOf, wanted);
  const functions = new Uint32Array(FUNCTION_WORDS * rows.length);
  let n = 0;
  let last = 0;
  for (const i of rows) {
    const begin = beginOf(i);
    const end = beginOf(i + 1);
    if (begin < last || end > size || end <= begin) continue;
    functions[n++] = begin;
    functions[n++] = end;
    functions[n++] = end;
    last = end;
  }
  return functions.subarray(0, n);
}

/** Link address of the text, 0 if it is not known. Since Go 1.26 not the table has it but the module's data. */
function beginOfText(file: ElfFile, table: Part): number {
  const begin = addressIn(file, table, TEXT_START);
  if (begin !== 0) return begin;
  const module = findSection(file, '.go.module');
  if (module === null || addressIn(file, module, MODULE_TABLE) !== table.vaddr) return 0;
  return addressIn(file, module, MODULE_TEXT);
}

/** The link address in a word of `part`: in position-independent programs a relocation's addend. 0 if there is none. */
function addressIn(file: ElfFile, part: Part, at: number): number {
  const { read } = file;
  const word = read(part.offset + at, 8);
  const value = word === null ? 0 : u64(word, 0);
  if (value !== 0) return value;
  const section = findSection(file, '.rela') ?? findSection(file, '.rela.dyn');
  const relocations =
    section === null || section.filesz > MAX_TABLE ? null : read(section.offset, section.filesz);
  if (relocations === null) return 0;
  for (let i = 0; i + RELOCATION_SIZE <= relocations.length; i += RELOCATION_SIZE) {
    if (relocations.readUInt32LE(i + 8) !== R_X86_64_RELATIVE || u64(relocations, i) !== part.vaddr + at)
      continue;
    return u64(relocations, i + 16);
  }
  return 0;
}
