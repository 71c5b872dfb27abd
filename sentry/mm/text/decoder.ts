/**
 * Instruction boundaries of 64-bit code, and the little else that the patcher asks for (Intel SDM volume 2, 2.1–2.3 and
 * the opcode maps of appendix A). It reads bytes of guests: whatever they are, it can only give wrong answers. What is in doubt
 * (operand-size prefixes before branches, XOP, half-precision EVEX maps) does not decode; of the flags it knows the
 * instructions that compilers put behind a system call. A test compares it with iced-x86.
 *
 * Written here because WebAssembly's memory, when it grows, makes V8 throw away all code that it has optimized with typed
 * arrays, which is the whole path of a system call.
 */
export const FLOW_NEXT = 0;
export const FLOW_JUMP = 1;
export const FLOW_INDIRECT_JUMP = 2;
export const FLOW_CONDITIONAL = 3;
export const FLOW_RETURN = 4;
/** A direct call, and system calls. */
export const FLOW_CALL = 5;
export const FLOW_OTHER = 6;

/** What an instruction does with OF, SF, ZF, AF, CF and PF: may read one, neither reads nor sets, sets all, all but CF. */
export const FLAGS_READ = 0;
export const FLAGS_KEPT = 1;
export const FLAGS_SET = 2;
export const FLAGS_SET_BUT_CARRY = 3;

/*
 * What follows an opcode: . nothing, m ModRM, b imm8, w imm16, z imm32 (imm16 by operand size), r a branch's rel32, B and Z ModRM
 * and an immediate, v imm64 with REX.W, o a 64-bit address, e ENTER's three bytes, f and F the groups of TEST, p a prefix,
 * x not known.
 */
const ONE_BYTE = table(
  'mmmmbzxxmmmmbzx.', // 00; 0F is handled apart
  'mmmmbzxxmmmmbzxx',
  'mmmmbzpxmmmmbzpx',
  'mmmmbzpxmmmmbzpx',
  'pppppppppppppppp', // 40: REX
  '................',
  'xxxmppppzZbB....', // 60; 62 is handled apart
  'bbbbbbbbbbbbbbbb',
  'BZxBmmmmmmmmmmmm', // 80
  '..........x.....',
  'oooo....bz......',
  'bbbbbbbbvvvvvvvv',
  'BBw.xxBZe.w..bx.', // C0; C4 and C5 are handled apart
  'mmmmxxx.mmmmmmmm',
  'bbbbbbbbrrxb....',
  'p.pp..fF......mm', // F0
);
const TWO_BYTE = table(
  'mmmmx.....x.xm.B', // 00
  'mmmmmmmmmmmmmmmm',
  'mmmmxxxxmmmmmmmm',
  '......x.xxxxxxxx', // 30; 38 and 3A are handled apart
  'mmmmmmmmmmmmmmmm',
  'mmmmmmmmmmmmmmmm',
  'mmmmmmmmmmmmmmmm',
  'BBBBmmm.xxxxmmmm', // 70
  'rrrrrrrrrrrrrrrr',
  'mmmmmmmmmmmmmmmm',
  '...mBmxx...mBmmm', // A0
  'mmmmmmmmmmBmmmmm',
  'mmBmBBBm........', // C0
  'mmmmmmmmmmmmmmmm',
  'mmmmmmmmmmmmmmmm',
  'mmmmmmmmmmmmmmmm',
);

const REX_W = 8;
const MAX_LENGTH = 15;
const MAP_ONE = 0;
const MAP_0F = 1;
const MAP_0F38 = 2;
const MAP_0F3A = 3;

function table(...rows: string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(rows.join(''), 'latin1'));
}

export class Decoder {
  private readonly code: Uint8Array;
  private at = 0;
  /** Of the last instruction. */
  flow = FLOW_NEXT;
  flags = FLAGS_READ;
  isNop = false;
  ipRelative = false;

  constructor(code: Uint8Array) {
    this.code = code;
  }

  seek(position: number): void {
    this.at = position;
  }

  /** Decodes the next instruction: its length, 0 if there is none that is known. The properties above are then its. */
  next(): number {
    const length = this.decode(this.at);
    if (length === 0 || length > MAX_LENGTH || this.at + length > this.code.length) return 0;
    this.at += length;
    return length;
  }

  private decode(start: number): number {
    const { code } = this;
    this.flow = FLOW_NEXT;
    this.flags = FLAGS_READ;
    this.isNop = false;
    this.ipRelative = false;
    let at = start;
    let operand16 = false;
    let address32 = false;
    let repeat = 0;
    let rex = 0;
    let op = code[at++]!;
    while (ONE_BYTE[op] === 0x70 /* p */ && op !== 0x62) {
      if (op >= 0x40 && op < 0x50) rex = op;
      else {
        rex = 0; // Only right before the opcode.
        if (op === 0x66) operand16 = true;
        else if (op === 0x67) address32 = true;
        else if (op === 0xf2 || op === 0xf3) repeat = op;
      }
      if (at - start >= MAX_LENGTH) return 0;
      op = code[at++]!;
    }
    let map = MAP_ONE;
    let encoded = false;
    if (op === 0xc5) {
      at++;
      map = MAP_0F;
      encoded = true;
    } else if (op === 0xc4) {
      map = code[at]! & 0x1f;
      at += 2;
      encoded = true;
    } else if (op === 0x62) {
      map = code[at]! & 0x0f;
      at += 3;
      encoded = true;
    } else if (op === 0x0f) {
      map = MAP_0F;
      if (code[at] === 0x38) map = MAP_0F38;
      else if (code[at] === 0x3a) map = MAP_0F3A;
      if (map !== MAP_0F) at++;
    }
    if (encoded && (map < MAP_0F || map > MAP_0F3A)) return 0;
    if (map !== MAP_ONE) op = code[at++]!;
    const form =
      map === MAP_ONE ? ONE_BYTE[op] : map === MAP_0F ? TWO_BYTE[op] : map === MAP_0F38 ? 0x6d : 0x42;
    const modRm = code[at]!;
    const reg = (modRm >> 3) & 7;
    const immediate = operand16 ? 2 : 4;
    switch (form) {
      case 0x2e: // .
        break;
      case 0x6d: // m
        at += this.modRm(at);
        break;
      case 0x42: // B
        at += this.modRm(at) + 1;
        break;
      case 0x5a: // Z
        at += this.modRm(at) + immediate;
        break;
      case 0x66: // f
        at += this.modRm(at) + (reg < 2 ? 1 : 0);
        break;
      case 0x46: // F
        at += this.modRm(at) + (reg < 2 ? immediate : 0);
        break;
      case 0x62: // b
        at += 1;
        break;
      case 0x77: // w
        at += 2;
        break;
      case 0x65: // e
        at += 3;
        break;
      case 0x7a: // z
        at += immediate;
        break;
      case 0x72: // r
        if (operand16) return 0;
        at += 4;
        break;
      case 0x76: // v
        at += (rex & REX_W) !== 0 ? 8 : immediate;
        break;
      case 0x6f: // o
        if (address32) return 0;
        at += 8;
        break;
      default:
        return 0;
    }
    if (encoded) {
      // Vector instructions; VPTEST and the like set flags.
    } else if (map === MAP_ONE) {
      this.oneByte(op, reg, modRm);
      if (op === 0x90) this.isNop = (rex & 1) === 0 && repeat === 0;
      if (op === 0x8f && reg !== 0) return 0; // XOP
    } else if (map === MAP_0F) this.twoByte(op);
    return at - start;
  }

  /** Length of a ModRM byte at `at` with what belongs to it. */
  private modRm(at: number): number {
    const { code } = this;
    const modRm = code[at]!;
    const mod = modRm >> 6;
    const rm = modRm & 7;
    if (mod === 3) return 1;
    const disp = mod === 1 ? 1 : mod === 2 ? 4 : 0;
    if (rm === 4) return 2 + (mod === 0 && (code[at + 1]! & 7) === 5 ? 4 : disp);
    if (mod === 0 && rm === 5) {
      this.ipRelative = true;
      return 5;
    }
    return 1 + disp;
  }

  private oneByte(op: number, reg: number, modRm: number): void {
    if (op < 0x40) {
      // ADC and SBB read the carry.
      if ((op & 7) < 6 && op >> 3 !== 2 && op >> 3 !== 3) this.flags = FLAGS_SET;
    } else if (op < 0x60 || (op >= 0x88 && op <= 0x8b) || op === 0x8d || op === 0x63 || op === 0x90) {
      this.flags = FLAGS_KEPT; // PUSH, POP, MOV, LEA, MOVSXD
    } else if ((op >= 0x70 && op < 0x80) || (op >= 0xe0 && op < 0xe4)) this.flow = FLOW_CONDITIONAL;
    else if (op >= 0x80 && op < 0x84) {
      if (reg !== 2 && reg !== 3) this.flags = FLAGS_SET;
    } else if (op === 0x84 || op === 0x85 || op === 0xa8 || op === 0xa9) this.flags = FLAGS_SET;
    else if (op === 0x98 || op === 0x99 || (op >= 0xb0 && op < 0xc0)) this.flags = FLAGS_KEPT;
    else if (op === 0xc2 || op === 0xc3 || op === 0xca || op === 0xcb || op === 0xcf) this.flow = FLOW_RETURN;
    else if (op === 0xc6 || op === 0xc7) {
      if (modRm === 0xf8)
        this.flow = FLOW_OTHER; // XABORT, XBEGIN
      else this.flags = FLAGS_KEPT;
    } else if (op === 0xcc || op === 0xcd || op === 0xf1) this.flow = FLOW_OTHER;
    else if (op === 0xe8) this.flow = FLOW_CALL;
    else if (op === 0xe9 || op === 0xeb) this.flow = FLOW_JUMP;
    else if (op === 0xf6 || op === 0xf7) {
      if (reg < 2 || reg === 3) this.flags = FLAGS_SET;
      else if (reg === 2) this.flags = FLAGS_KEPT;
    } else if (op >= 0xfe) {
      if (reg < 2) this.flags = FLAGS_SET_BUT_CARRY;
      else if (op === 0xff && reg < 4) this.flow = FLOW_OTHER;
      else if (op === 0xff && reg < 6) this.flow = FLOW_INDIRECT_JUMP;
    }
  }

  private twoByte(op: number): void {
    if (op === 0x05 || op === 0x07 || op === 0x34 || op === 0x35) this.flow = FLOW_CALL;
    else if (op === 0x0b || op === 0xb9 || op === 0xff) this.flow = FLOW_OTHER;
    else if (op >= 0x80 && op < 0x90) this.flow = FLOW_CONDITIONAL;
    else if (op === 0x1e || op === 0x1f) {
      this.isNop = op === 0x1f;
      this.flags = FLAGS_KEPT;
    } else if (op === 0xb6 || op === 0xb7 || op === 0xbe || op === 0xbf)
      this.flags = FLAGS_KEPT; // MOVZX, MOVSX
    else if (
      (op >= 0x10 && op < 0x18) ||
      op === 0x28 ||
      op === 0x29 ||
      (op >= 0x60 && op < 0x70) ||
      op === 0x7e ||
      op === 0x7f ||
      op === 0xef
    )
      this.flags = FLAGS_KEPT; // Moves between vector registers and memory, PXOR.
  }
}
