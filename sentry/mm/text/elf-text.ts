/**
 * What the patcher wants to know of an ELF file: its executable segment, and where its functions begin and end according to
 * .eh_frame_hdr or, in static programs, which have none, .eh_frame (LSB Core, "Exception Frames"). Everything read here
 * was written by guests.
 */
import { pageDown, pageOffset, pageUp } from '../../lib/addr.ts';

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const MAX_PHNUM = 64;
const SHDR_SIZE = 64;
const MAX_SECTIONS = 1024;
const EH_FRAME = '.eh_frame\0';
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_GNU_EH_FRAME = 0x6474e550;
const PF_X = 1;
const PF_W = 2;
/** Pointer encodings DW_EH_PE_*: pcrel|sdata4, udata4, datarel|sdata4. What every linker writes. */
const PCREL_SDATA4 = 0x1b;
const UDATA4 = 0x03;
const DATAREL_SDATA4 = 0x3b;
const MAX_TEXT = 16 * 1024 * 1024;
const MAX_TABLE = 8 * 1024 * 1024;
const MAX_FUNCTIONS = 100_000;

/** Private copy of [offset, offset+len) of the file; null if it is not all there. */
export type ReadFile = (offset: number, len: number) => Buffer | null;

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

/** Words per function. */
export const FUNCTION_WORDS = 3;

interface Load {
  vaddr: number;
  offset: number;
  filesz: number;
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
  let text: Load | null = null;
  let frames: Load | null = null;
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
  const functions =
    frames === null
      ? walkFrames(read, header, base, size, wanted)
      : readFunctions(read, frames, base, size, wanted);
  if (functions === null) return null;
  return { offset, length: pageUp(lead + text.filesz), code: lead + text.filesz, functions };
}

/** The search table and the FDEs it points to. `base` is the link address of the text, `size` its length. */
function readFunctions(
  read: ReadFile,
  frames: Load,
  base: number,
  size: number,
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

/** Rows of the search table whose functions may contain `wanted`, rising, each once. */
function rowsOf(count: number, beginOf: (i: number) => number, wanted: readonly number[]): number[] {
  const rows = new Set<number>();
  for (const place of wanted) {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (beginOf(middle) <= place) low = middle + 1;
      else high = middle;
    }
    if (low > 0) rows.add(low - 1);
  }
  return [...rows].sort((a, b) => a - b);
}

/** The .eh_frame section's FDEs, one after the other. */
function walkFrames(
  read: ReadFile,
  header: Buffer,
  base: number,
  size: number,
  wanted: readonly number[] | null,
): Uint32Array | null {
  const section = findFrames(read, header);
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

/** Section .eh_frame, by the section headers. */
function findFrames(read: ReadFile, header: Buffer): Load | null {
  const count = header.readUInt16LE(60);
  const names = header.readUInt16LE(62);
  if (header.readUInt16LE(58) !== SHDR_SIZE || count > MAX_SECTIONS || names >= count) return null;
  const table = read(u64(header, 40), count * SHDR_SIZE);
  if (table === null) return null;
  const strings = read(
    u64(table, names * SHDR_SIZE + 24),
    Math.min(u64(table, names * SHDR_SIZE + 32), 65536),
  );
  if (strings === null) return null;
  for (let at = 0; at < table.length; at += SHDR_SIZE) {
    const name = table.readUInt32LE(at);
    if (strings.toString('latin1', name, name + EH_FRAME.length) !== EH_FRAME) continue;
    return { vaddr: u64(table, at + 16), offset: u64(table, at + 24), filesz: u64(table, at + 32) };
  }
  return null;
}

/** Values of 2^53 and more stay too large for every check. */
function u64(b: Buffer, at: number): number {
  return b.readUInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at);
}
