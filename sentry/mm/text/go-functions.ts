/**
 * Where functions of Go programs begin and end, which have no .eh_frame: the table of .gopclntab that the Go runtime itself walks its
 * stacks by (runtime/symtab.go, pcHeader, functab and moduledata, since Go 1.18). Everything read here was written by guests.
 */
import { findSection, type ReadFile, u64 } from './elf-file.ts';
import { FUNCTION_WORDS, rowsOf } from './functions.ts';

/** pcHeader: magic, two zeros, unit of instructions, size of pointers, nfunc, nfiles, textStart, four offsets, pclnOffset. */
const HEADER_SIZE = 72;
const MAGIC_1_18 = 0xfffffff0;
const MAGIC_1_20 = 0xfffffff1;
const MAX_TABLE = 8 * 1024 * 1024;
/** moduledata: where the address of .gopclntab stands, and that of the text. */
const MODULE_TABLE = 0;
const MODULE_TEXT = 176;
const MODULE_SIZE = 184;
/** functab: offsets of the function's code and of what is known of it. */
const ROW_SIZE = 8;

/**
 * The functions that have one of the places `wanted`, or all; null if it is no Go program, or one whose data do not say where its
 * text begins (position-independent ones learn it when they are loaded). `base` is the link address of the text, `size` its length.
 */
export function goFunctions(
  read: ReadFile,
  header: Buffer,
  base: number,
  size: number,
  wanted: readonly number[] | null,
): Uint32Array | null {
  const section = findSection(read, header, '.gopclntab');
  const head = section === null ? null : read(section.offset, HEADER_SIZE);
  if (section === null || head === null) return null;
  const magic = head.readUInt32LE(0);
  if ((magic !== MAGIC_1_18 && magic !== MAGIC_1_20) || head[6] !== 1 || head[7] !== 8) return null;
  const count = u64(head, 8);
  const text = (u64(head, 24) || textOfModule(read, header, section.vaddr)) - base;
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

/** Since Go 1.26 the table has no address in it, but the module's data have; 0 if there are none. */
function textOfModule(read: ReadFile, header: Buffer, tableAddr: number): number {
  const section = findSection(read, header, '.go.module');
  const module = section === null ? null : read(section.offset, MODULE_SIZE);
  return module === null || u64(module, MODULE_TABLE) !== tableAddr ? 0 : u64(module, MODULE_TEXT);
}
