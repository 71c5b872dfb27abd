/** Parts of an ELF file (elf(5)), read as guests have written it. */
const SHDR_SIZE = 64;
const MAX_SECTIONS = 1024;
const MAX_STRINGS = 65536;

/** Private copy of [offset, offset+len) of the file; null if it is not all there. */
export type ReadFile = (offset: number, len: number) => Buffer | null;

/** A file whose text is looked at. */
export interface ElfFile {
  readonly read: ReadFile;
  /** The first 64 bytes. */
  readonly header: Buffer;
  /** Link address of the text's first page, and the text's length from there. */
  readonly base: number;
  readonly size: number;
}

/** A segment or section: link address, place and size in the file. */
export interface Part {
  vaddr: number;
  offset: number;
  filesz: number;
}

/** The section of that name, by the section headers. */
export function findSection({ read, header }: ElfFile, name: string): Part | null {
  const count = header.readUInt16LE(60);
  const names = header.readUInt16LE(62);
  if (header.readUInt16LE(58) !== SHDR_SIZE || count > MAX_SECTIONS || names >= count) return null;
  const table = read(u64(header, 40), count * SHDR_SIZE);
  if (table === null) return null;
  const strings = read(
    u64(table, names * SHDR_SIZE + 24),
    Math.min(u64(table, names * SHDR_SIZE + 32), MAX_STRINGS),
  );
  if (strings === null) return null;
  const wanted = `${name}\0`;
  for (let at = 0; at < table.length; at += SHDR_SIZE) {
    const nameAt = table.readUInt32LE(at);
    if (strings.toString('latin1', nameAt, nameAt + wanted.length) !== wanted) continue;
    return { vaddr: u64(table, at + 16), offset: u64(table, at + 24), filesz: u64(table, at + 32) };
  }
  return null;
}

/** Values of 2^53 and more stay too large for every check. */
export function u64(b: Buffer, at: number): number {
  return b.readUInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at);
}
