/**
 * Finds the `syscall` instructions that can be reached without a trap. The instruction *before* a `syscall` gives way to
 * a jump: one whole instruction for one whole instruction, so that a thread may stand anywhere and branches may lead
 * anywhere, and the `syscall` itself stays for restarts, for branches to it and for whoever traps after all.
 */
import {
  type Decoder,
  FLAGS_READ,
  FLAGS_SET,
  FLAGS_SET_BUT_CARRY,
  FLOW_CALL,
  FLOW_CONDITIONAL,
  FLOW_INDIRECT_JUMP,
  FLOW_JUMP,
  FLOW_NEXT,
  FLOW_RETURN,
} from './decoder.ts';
import type { ElfText } from './elf-text.ts';
import { FUNCTION_WORDS } from './functions.ts';

/** `jmp rel32` */
const NEAR_JUMP = 5;
/** `mov imm32, %eax` */
const MOV_EAX = 0xb8;
const INT3 = 0xcc;
/** `jmp rel8` and what it reaches from its start. */
const SHORT_JUMP = 2;
const SHORT_MIN = SHORT_JUMP - 128;
const SHORT_MAX = SHORT_JUMP + 127;
/** How far behind the site somebody may ask for the flags. */
const FLAGS_LOOK = 16;
const MAX_FUNCTION = 65536;
const MAX_INSTRUCTIONS = 60_000;

export interface Site {
  /** Offset of the instruction that makes way, and its length; the `syscall` follows. */
  at: number;
  length: number;
  /** Syscall number if that instruction is `mov imm32, %eax`, else −1. */
  sysno: number;
  /** Padding within a short jump's reach that takes a near jump; −1 if the instruction itself has room for one. */
  cave: number;
}

/** One decoded function. */
interface Body {
  starts: number[];
  lengths: number[];
  flow: number[];
  targets: Set<number>;
  /** Runs of padding nobody reaches: begin, end. */
  caves: [number, number][];
}

/**
 * `decoder` reads `code`. Of calls whose number stands before them only those that are `wanted`: decoding
 * functions takes time.
 */
export function findSites(
  decoder: Decoder,
  code: Buffer,
  text: ElfText,
  wanted: (sysno: number) => boolean,
): Site[] {
  const sites: Site[] = [];
  const { functions } = text;
  let budget = MAX_INSTRUCTIONS;
  for (let f = 0; f < functions.length && budget > 0; f += FUNCTION_WORDS) {
    const begin = functions[f]!;
    const end = functions[f + 1]!;
    if (end - begin > MAX_FUNCTION || !hasCall(code, begin, end, wanted)) continue;
    const body = decodeFunction(decoder, code, begin, end, functions[f + 2]!);
    if (body === null) continue;
    budget -= body.starts.length;
    sitesOf(decoder, code, body, sites);
  }
  return sites;
}

/** Functions without a `syscall` that is wanted need not be decoded. */
function hasCall(code: Buffer, begin: number, end: number, wanted: (sysno: number) => boolean): boolean {
  const body = code.subarray(begin, end);
  for (let at = body.indexOf(SYSCALL); at >= 0; at = body.indexOf(SYSCALL, at + 1)) {
    if (worthLooking(code, begin + at, wanted)) return true;
  }
  return false;
}

/** What the bytes before a `syscall` look like, be they an instruction or not. */
function worthLooking(code: Buffer, syscall: number, wanted: (sysno: number) => boolean): boolean {
  const mov = syscall - NEAR_JUMP;
  return mov < 0 || code[mov] !== MOV_EAX || wanted(code.readUInt32LE(mov + 1));
}

const SYSCALL = Buffer.from([0x0f, 0x05]);

function decodeFunction(d: Decoder, code: Buffer, begin: number, end: number, next: number): Body | null {
  const body: Body = { starts: [], lengths: [], flow: [], targets: new Set(), caves: [] };
  d.seek(begin);
  let at = begin;
  /** Start of padding behind an instruction that does not fall through. */
  let padding = -1;
  let reached = true;
  while (at < end) {
    const length = d.next();
    if (length === 0 || at + length > end) return null;
    const { flow } = d;
    const pads = !reached && isPadding(d, code, at);
    if (pads && padding < 0) padding = at;
    if (!pads) {
      if (padding >= 0) body.caves.push([padding, at]);
      padding = -1;
      reached = true;
    }
    body.starts.push(at);
    body.lengths.push(length);
    body.flow.push(flow);
    if (flow === FLOW_JUMP || flow === FLOW_CONDITIONAL) {
      const target = branchTarget(code, at, length);
      if (target >= 0) body.targets.add(target);
    }
    if (flow === FLOW_JUMP || flow === FLOW_INDIRECT_JUMP || flow === FLOW_RETURN) reached = false;
    at += length;
  }
  // Between two functions.
  const tail = padding >= 0 ? padding : !reached ? at : -1;
  while (tail >= 0 && at < next) {
    const length = d.next();
    if (length === 0 || !isPadding(d, code, at) || at + length > next) break;
    at += length;
  }
  if (tail >= 0 && at > tail) body.caves.push([tail, at]);
  body.caves = body.caves.filter(([from, to]) => {
    for (const target of body.targets) if (target >= from && target < to) return false;
    return true;
  });
  return body;
}

/** What assemblers and linkers put between functions: no-ops, or INT3 (Go's, and behind `ret` against speculation). */
function isPadding(d: Decoder, code: Buffer, at: number): boolean {
  return d.isNop || code[at] === INT3;
}

/** Of a direct near branch: its displacement comes last. */
function branchTarget(code: Buffer, at: number, length: number): number {
  const end = at + length;
  const first = code[at]!;
  const short = first === 0xeb || (first >= 0x70 && first <= 0x7f) || (first >= 0xe0 && first <= 0xe3);
  if (short) return end + code.readInt8(end - 1);
  return length >= NEAR_JUMP ? end + code.readInt32LE(end - 4) : end + code.readInt8(end - 1);
}

function sitesOf(d: Decoder, code: Buffer, body: Body, sites: Site[]): void {
  for (let i = 1; i < body.starts.length; i++) {
    const syscall = body.starts[i]!;
    if (body.lengths[i] !== 2 || code[syscall] !== 0x0f || code[syscall + 1] !== 0x05) continue;
    const at = body.starts[i - 1]!;
    const length = body.lengths[i - 1]!;
    if (body.flow[i - 1] !== FLOW_NEXT || length < SHORT_JUMP) continue;
    d.seek(at);
    d.next();
    if (d.ipRelative || !flagsDead(d, syscall + 2)) continue;
    const cave = length >= NEAR_JUMP ? -1 : takeCave(body, at);
    if (length < NEAR_JUMP && cave < 0) continue;
    const sysno = length === NEAR_JUMP && code[at] === MOV_EAX ? code.readUInt32LE(at + 1) : -1;
    sites.push({ at, length, sysno, cave });
  }
}

/** Room for a near jump that a short one at `at` reaches, or −1. */
function takeCave(body: Body, at: number): number {
  for (const cave of body.caves) {
    const from = cave[0];
    if (cave[1] - from < NEAR_JUMP || from - at < SHORT_MIN || from - at > SHORT_MAX) continue;
    cave[0] += NEAR_JUMP;
    return from;
  }
  return -1;
}

/** True if the code at `at` sets the arithmetic flags before it looks at them. */
function flagsDead(d: Decoder, at: number): boolean {
  let carry = true;
  let others = true;
  d.seek(at);
  for (let i = 0; i < FLAGS_LOOK; i++) {
    if (d.next() === 0) return false;
    const { flow, flags } = d;
    // "The direction flag ... Other user flags have no specified role" across calls (x86-64 psABI 3.2.1).
    if (flow === FLOW_RETURN || flow === FLOW_CALL) return true;
    if (flags === FLAGS_READ || flow !== FLOW_NEXT) return false;
    if (flags === FLAGS_SET || flags === FLAGS_SET_BUT_CARRY) others = false;
    if (flags === FLAGS_SET) carry = false;
    if (!carry && !others) return true;
  }
  return false;
}
