/**
 * Where functions begin and end according to .eh_frame_hdr or, in static programs, which have none, .eh_frame (LSB Core,
 * "Exception Frames"). Everything read here was written by guests.
 */
import { type ElfFile, findSection, type Part } from './elf-file.ts';
import { FUNCTION_WORDS, rowsOf } from './functions.ts';

/** Pointer encodings DW_EH_PE_*: pcrel|sdata4, udata4, datarel|sdata4. What every linker writes. */
const PCREL_SDATA4 = 0x1b;
const UDATA4 = 0x03;
const DATAREL_SDATA4 = 0x3b;
const MAX_TABLE = 8 * 1024 * 1024;
const MAX_FUNCTIONS = 100_000;

/** The functions that have one of the places `wanted`, or all; null if there is nothing that can be read. `frames`: .eh_frame_hdr. */
export function frameFunctions(
  file: ElfFile,
  frames: Part | null,
  wanted: readonly number[] | null,
): Uint32Array | null {
  return frames === null ? walkFrames(file, wanted) : searchTable(file, frames, wanted);
}

/** The search table and the FDEs it points to. */
function searchTable(
  { read, base, size }: ElfFile,
  frames: Part,
  wanted: readonly number[] | null,
): Uint32Array | null {
  const head = frames.filesz >= 12 ? read(frames.offset, 12) : null;
  if (head === null || head[0] !== 1 || head[1] !== PCREL_SDATA4) return null;
  if (head[2] !== UDATA4 || head[3] !== DATAREL_SDATA4) return null;
  const count = head.readUInt32LE(8);
  if (count === 0 || count > MAX_FUNCTIONS || 12 + 8 * count > frames.filesz) return null;
  const table = read(frames.offset + 12, 8 * count);
  if (table === null) return null;
  const beginOf = (i: number): number => frames.vaddr + table.readInt32LE(8 * i) - base;
  const rows = wanted === null ? Array.from({ length: count }, (_, i) => i) : rowsOf(count, beginOf, wanted);
  // The FDEs lie behind the table, in the same segment: link address − file offset is the same.
  let low = Infinity;
  let high = 0;
  for (const i of rows) {
    const at = frames.offset + table.readInt32LE(8 * i + 4);
    low = Math.min(low, at);
    high = Math.max(high, at + 16);
  }
  if (rows.length === 0) return new Uint32Array(0);
  if (low < 0 || high - low > MAX_TABLE) return null;
  const fdes = read(low, high - low);
  if (fdes === null) return null;
  const functions = new Uint32Array(FUNCTION_WORDS * rows.length);
  let n = 0;
  let last = 0;
  for (const i of rows) {
    const begin = beginOf(i);
    const at = frames.offset + table.readInt32LE(8 * i + 4) - low;
    // pc_begin is relative to itself; if it does not name the same function, the encoding is another one.
    const fdeBegin = frames.vaddr - frames.offset + low + at + 8 + fdes.readInt32LE(at + 8) - base;
    const end = begin + fdes.readUInt32LE(at + 12);
    const next = i + 1 < count ? beginOf(i + 1) : end;
    if (fdeBegin !== begin || begin < last || end > size || end <= begin) continue;
    functions[n++] = begin;
    functions[n++] = end;
    functions[n++] = next >= end && next <= size ? next : end;
    last = end;
  }
  return functions.subarray(0, n);
}

/** The .eh_frame section's FDEs, one after the other. */
function walkFrames(file: ElfFile, wanted: readonly number[] | null): Uint32Array | null {
  const { read, base, size } = file;
  const section = findSection(file, '.eh_frame');
  if (section === null || section.filesz > MAX_TABLE) return null;
  const data = read(section.offset, section.filesz);
  if (data === null) return null;
  const found: [number, number][] = [];
  const plain = new Set<number>();
  for (let at = 0; at + 16 <= data.length && found.length < MAX_FUNCTIONS;) {
    const length = data.readUInt32LE(at);
    // 0 ends the list; 0xffffffff would announce a 64-bit record.
    if (length === 0 || length > data.length - at - 4) break;
    const pointer = data.readUInt32LE(at + 4);
    if (pointer === 0) {
      if (isPlainCie(data, at, length)) plain.add(at);
    } else if (length >= 12 && plain.has(at + 4 - pointer)) {
      const begin = section.vaddr + at + 8 + data.readInt32LE(at + 8) - base;
      const end = begin + data.readUInt32LE(at + 12);
      if (begin >= 0 && begin < end && end <= size) found.push([begin, end]);
    }
    at += 4 + length;
  }
  found.sort((a, b) => a[0] - b[0]);
  const rows = wanted === null ? found.keys() : rowsOf(found.length, (i) => found[i]![0], wanted);
  const functions = new Uint32Array(FUNCTION_WORDS * found.length);
  let n = 0;
  for (const i of rows) {
    const [begin, end] = found[i]!;
    if (i > 0 && begin < found[i - 1]![1]) continue;
    functions[n++] = begin;
    functions[n++] = end;
    functions[n++] = Math.max(end, found[i + 1]?.[0] ?? end);
  }
  return functions.subarray(0, n);
}

/** A CIE with the augmentation "zR" (or "zPLR", "zRS") whose pointers are pcrel|sdata4. */
function isPlainCie(data: Buffer, at: number, length: number): boolean {
  const end = at + 4 + length;
  let p = at + 9;
  if (
    data[at + 8] !== 1 ||
    data[p] !== 0x7a ||
    data[p + 1] !== 0x52 ||
    (data[p + 2] !== 0 && data[p + 2] !== 0x53)
  )
    return false;
  while (p < end && data[p] !== 0) p++;
  // Code alignment 1, data alignment −8, return address column 16, one byte of augmentation data: as on every x86-64.
  return p + 6 <= end && data[p + 4] === 1 && data[p + 5] === PCREL_SDATA4;
}
