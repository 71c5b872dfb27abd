/**
 * Writes the jumps and what they lead to. Per site there is a thunk in the unused rest of the text's last page: the
 * instruction that made way, the return address into rcx as `syscall` would, and on to the platform. All of it is
 * position-independent and within the segment, so that one patched copy serves every mapping of the file.
 */
import type { ElfText } from './elf-text.ts';
import type { Site } from './sites.ts';

const LEA_RCX = [0x48, 0x8d, 0x0d];
const MOVABS_R11 = [0x49, 0xbb];
const JMP_R11 = [0x41, 0xff, 0xe3];
const JMP = 0xe9;
const JMP_SHORT = 0xeb;
const LEA_SIZE = 7;
const JMP_SIZE = 5;
const JMP_SHORT_SIZE = 2;
const COMMON_SIZE = 13;

/** Calls that programs make most, before those of which there is only one per process. */
const FREQUENT: ReadonlySet<number> = new Set([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 32, 33, 35, 39, 41, 42, 44,
  45, 46, 47, 61, 63, 72, 74, 77, 79, 80, 82, 83, 84, 87, 89, 90, 96, 97, 102, 104, 107, 108, 110, 186, 201, 202, 217, 228,
  230, 232, 233, 247, 254, 257, 262, 263, 267, 269, 270, 271, 281, 288, 290, 291, 292, 293, 302, 318, 332,
]); // prettier-ignore

/** What a program counter in the patched text means in terms of the original. */
export interface Thunk {
  /** Offsets of the thunk and, behind the moved instruction, of its own part; its end. */
  start: number;
  own: number;
  end: number;
  /** Offset of the moved instruction in the original. */
  site: number;
  /** Offset of the original's `syscall`. */
  syscall: number;
}

export interface PatchedText {
  /** What has been patched, in the order of the thunks. */
  sites: readonly Site[];
  /** What the jumps overwrite: offsets and the original's bytes. */
  undo: { at: number; bytes: Buffer }[];
  /** By rising `start`. */
  thunks: Thunk[];
  /** Where all thunks go on; its registers are theirs: rcx is the return address. */
  common: number;
}

/**
 * Patches `pages`, the segment's whole pages as the file has them. `sites` get thunks in their order while there is room, so a longer list
 * leaves those of a shorter one where they are. `entry`: where the platform takes calls. Null, and nothing changed, if there is
 * nothing to be done or no room.
 */
export function patchText(
  pages: Buffer,
  text: ElfText,
  sites: readonly Site[],
  entry: number,
): PatchedText | null {
  const common = Math.ceil(text.code / 16) * 16;
  let at = common + COMMON_SIZE;
  const chosen: Site[] = [];
  const thunks: Thunk[] = [];
  for (const s of sites) {
    const own = at + s.length;
    const end = own + LEA_SIZE + JMP_SIZE;
    if (end > pages.length) break;
    thunks.push({ start: at, own, end, site: s.at, syscall: s.at + s.length });
    chosen.push(s);
    at = end;
  }
  if (chosen.length === 0) return null;
  const undo: PatchedText['undo'] = [];
  const overwrite = (from: number, length: number): void => {
    undo.push({ at: from, bytes: Buffer.from(pages.subarray(from, from + length)) });
  };

  pages.set(MOVABS_R11, common);
  pages.writeUInt32LE(entry % 0x100000000, common + 2);
  pages.writeUInt32LE(Math.floor(entry / 0x100000000), common + 6);
  pages.set(JMP_R11, common + 10);
  chosen.forEach((s, i) => {
    const { start, own, syscall } = thunks[i]!;
    pages.copy(pages, start, s.at, syscall);
    pages.set(LEA_RCX, own);
    pages.writeInt32LE(syscall + 2 - (own + LEA_SIZE), own + 3);
    jump(pages, own + LEA_SIZE, common);
    if (s.cave < 0) {
      overwrite(s.at, JMP_SIZE);
      jump(pages, s.at, start);
      return;
    }
    overwrite(s.at, JMP_SHORT_SIZE);
    overwrite(s.cave, JMP_SIZE);
    pages[s.at] = JMP_SHORT;
    pages.writeInt8(s.cave - (s.at + JMP_SHORT_SIZE), s.at + 1);
    jump(pages, s.cave, start);
  });
  return { sites: chosen, undo, thunks, common };
}

/** The best first; without those whose number is to be skipped. */
export function rankSites(sites: readonly Site[], skip: (sysno: number) => boolean): Site[] {
  return sites.filter((s) => s.sysno < 0 || !skip(s.sysno)).sort((a, b) => rank(a) - rank(b) || a.at - b.at);
}

/** Worth a thunk while there is room. */
export function isFrequent(sysno: number): boolean {
  return FREQUENT.has(sysno);
}

function rank(s: Site): number {
  if (s.sysno < 0) return 0;
  return FREQUENT.has(s.sysno) ? 1 : 2;
}

function jump(code: Buffer, at: number, to: number): void {
  code[at] = JMP;
  code.writeInt32LE(to - (at + JMP_SIZE), at + 1);
}
