/**
 * Where functions begin according to a file's symbols (elf(5)), for texts without unwind tables: the C library musl is compiled without
 * them. What has no symbol counts for the function before it. Everything read here was written by guests.
 */
import { type ElfFile, findSection, u64 } from './elf-file.ts';
import { rowsOf } from './functions.ts';

const SYMBOL_SIZE = 24;
const STT_FUNC = 2;
const SHN_UNDEF = 0;
const MAX_TABLE = 4 * 1024 * 1024;

/** The functions that have one of the places `wanted`, or all; null if there are no symbols. */
export function symbolFunctions(file: ElfFile, wanted: readonly number[] | null): Uint32Array | null {
  const begins = beginsOf(file);
  if (begins === null) return null;
  const beginOf = (i: number): number => begins[i]!;
  const endOf = (i: number): number => begins[i + 1] ?? file.size;
  const count = begins.length;
  const rows = wanted === null ? Array.from({ length: count }, (_, i) => i) : rowsOf(count, beginOf, wanted);
  return Uint32Array.from(rows.flatMap((i) => [beginOf(i), endOf(i), endOf(i)]));
}

/** Offsets in the text, rising, each once; null if there are none. */
function beginsOf(file: ElfFile): Float64Array | null {
  const { read, base, size } = file;
  const section = findSection(file, '.symtab') ?? findSection(file, '.dynsym');
  if (section === null || section.filesz > MAX_TABLE) return null;
  const table = read(section.offset, section.filesz);
  if (table === null) return null;
  const found = new Set<number>();
  for (let at = 0; at + SYMBOL_SIZE <= table.length; at += SYMBOL_SIZE) {
    if ((table[at + 4]! & 0xf) !== STT_FUNC || table.readUInt16LE(at + 6) === SHN_UNDEF) continue;
    const begin = u64(table, at + 8) - base;
    if (begin >= 0 && begin < size) found.add(begin);
  }
  return found.size === 0 ? null : Float64Array.from(found).sort();
}
