/**
 * Classic BPF (net/core/filter.c): what seccomp's programs and filters of sockets have in common. Programs come from guests: every jump
 * and index is checked at load, a run is bounded by its length as jumps only go forward.
 */

/** BPF_MAXINSNS */
export const BPF_MAXINSNS = 4096;
const MEMWORDS = 16;

export interface BpfProgram {
  readonly code: Uint16Array;
  readonly jt: Uint8Array;
  readonly jf: Uint8Array;
  readonly k: Uint32Array;
}

// Opcodes: class | size/op | mode/source (include/uapi/linux/bpf_common.h).
export const LD_W_ABS = 0x20;
export const LDX_B_MSH = 0xb1;
const LD_W_LEN = 0x80;
const LDX_W_LEN = 0x81;
const LD_IMM = 0x00;
const LDX_IMM = 0x01;
const LD_MEM = 0x60;
const LDX_MEM = 0x61;
const ST = 0x02;
const STX = 0x03;
const RET_K = 0x06;
const RET_A = 0x16;
const TAX = 0x07;
const TXA = 0x87;
const JA = 0x05;
const JEQ_K = 0x15;
const JEQ_X = 0x1d;
const JGT_K = 0x25;
const JGT_X = 0x2d;
const JGE_K = 0x35;
const JGE_X = 0x3d;
const JSET_K = 0x45;
const JSET_X = 0x4d;
const CLASS = 0x07;
const JMP = 0x05;
export const ALU = 0x04;
export const SRC_X = 0x08;
const ALU_ADD = 0x00;
const ALU_SUB = 0x10;
const ALU_MUL = 0x20;
const ALU_DIV = 0x30;
const ALU_OR = 0x40;
const ALU_AND = 0x50;
const ALU_LSH = 0x60;
const ALU_RSH = 0x70;
const ALU_NEG = 0x80;
export const ALU_MOD = 0x90;
const ALU_XOR = 0xa0;

const CONDITIONAL: ReadonlySet<number> = new Set([JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X]);
const ALU_OPS = new Set([ALU_ADD, ALU_SUB, ALU_MUL, ALU_DIV, ALU_OR, ALU_AND, ALU_LSH, ALU_RSH, ALU_XOR]);

function isAlu(code: number): boolean {
  return code === (ALU | ALU_NEG) || ((code & 0x07) === ALU && code <= 0xff && ALU_OPS.has(code & 0xf0));
}

/** Program from an array of struct sock_filter, not checked; null if its length is none. */
export function parseBpf(bytes: Uint8Array): BpfProgram | null {
  const n = Math.floor(bytes.length / 8);
  if (n < 1 || n > BPF_MAXINSNS) return null;
  const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const p: BpfProgram = {
    code: new Uint16Array(n),
    jt: new Uint8Array(n),
    jf: new Uint8Array(n),
    k: new Uint32Array(n),
  };
  for (let i = 0; i < n; i++) {
    p.code[i] = b.readUInt16LE(8 * i);
    p.jt[i] = b[8 * i + 2]!;
    p.jf[i] = b[8 * i + 3]!;
    p.k[i] = b.readUInt32LE(8 * i + 4);
  }
  return p;
}

/**
 * bpf_check_classic(): every instruction is one that `loads` takes, or one that all programs may have; the last one returns; no
 * word of memory is read before it was written.
 */
export function checkBpf(p: BpfProgram, loads: (code: number, k: number) => boolean): boolean {
  const n = p.code.length;
  for (let i = 0; i < n; i++) if (!loads(p.code[i]!, p.k[i]!) && !checkCommon(p, i, n)) return false;
  const last = p.code[n - 1]!;
  return (last === RET_K || last === RET_A) && storesBeforeLoads(p);
}

const PLAIN: ReadonlySet<number> = new Set([LD_W_LEN, LDX_W_LEN, LD_IMM, LDX_IMM, RET_K, RET_A, TAX, TXA]);

function checkCommon(p: BpfProgram, i: number, n: number): boolean {
  const code = p.code[i]!;
  const k = p.k[i]!;
  if (PLAIN.has(code)) return true;
  if (code === LD_MEM || code === LDX_MEM || code === ST || code === STX) return k < MEMWORDS;
  if (code === JA) return k < n - i - 1;
  if (CONDITIONAL.has(code)) return i + p.jt[i]! + 1 < n && i + p.jf[i]! + 1 < n;
  if (!isAlu(code)) return false;
  if (code === (ALU | ALU_DIV)) return k !== 0;
  return (code !== (ALU | ALU_LSH) && code !== (ALU | ALU_RSH)) || k < 32;
}

const ALL_WORDS = 0xffff;

/** check_load_and_stores() */
function storesBeforeLoads(p: BpfProgram): boolean {
  const valid = new Uint16Array(p.code.length).fill(ALL_WORDS);
  const reach = (pc: number, words: number): void => {
    valid[pc] = valid[pc]! & words;
  };
  let words = 0;
  for (let pc = 0; pc < p.code.length; pc++) {
    words &= valid[pc]!;
    const code = p.code[pc]!;
    if (code === ST || code === STX) words |= 1 << p.k[pc]!;
    else if (code === LD_MEM || code === LDX_MEM) {
      if ((words & (1 << p.k[pc]!)) === 0) return false;
    } else if (code === JA) {
      reach(pc + 1 + p.k[pc]!, words);
      words = ALL_WORDS;
    } else if (CONDITIONAL.has(code)) {
      reach(pc + 1 + p.jt[pc]!, words);
      reach(pc + 1 + p.jf[pc]!, words);
      words = ALL_WORDS;
    }
  }
  return true;
}

/** What a program looks at. */
export interface BpfData {
  /** Bytes, for those that ask. */
  readonly length: number;
  /** What a load that not all programs have gives, for register A, or X (LDX_B_MSH); −1 if there is none. */
  load(code: number, k: number, a: number, x: number): number;
}

const memory = new Uint32Array(MEMWORDS);

/** Runs a checked program; −1 if it looked at what is not there. Division by a zero X ends it with 0 (sk_run_filter). */
export function runBpf(p: BpfProgram, data: BpfData): number {
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < p.code.length; pc++) {
    const code = p.code[pc]!;
    const k = p.k[pc]!;
    switch (code) {
      case LD_W_LEN:
        a = data.length;
        break;
      case LDX_W_LEN:
        x = data.length;
        break;
      case LD_IMM:
        a = k;
        break;
      case LDX_IMM:
        x = k;
        break;
      case LD_MEM:
        a = memory[k]!;
        break;
      case LDX_MEM:
        x = memory[k]!;
        break;
      case ST:
        memory[k] = a;
        break;
      case STX:
        memory[k] = x;
        break;
      case RET_K:
        return k;
      case RET_A:
        return a;
      case TAX:
        x = a;
        break;
      case TXA:
        a = x;
        break;
      case JA:
        pc += k;
        break;
      default:
        if ((code & CLASS) === JMP) pc += jumps(code, a, k, x) ? p.jt[pc]! : p.jf[pc]!;
        else if ((code & CLASS) === ALU) {
          const operand = (code & SRC_X) !== 0 ? x : k;
          const divides = (code & 0xf0) === ALU_DIV || (code & 0xf0) === ALU_MOD;
          if (divides && operand === 0) return 0;
          a = alu(code, a, operand);
        } else {
          const loaded = data.load(code, k, a, x);
          if (loaded < 0) return -1;
          if (code === LDX_B_MSH) x = loaded;
          else a = loaded;
        }
    }
  }
  return 0;
}

function alu(code: number, a: number, b: number): number {
  switch (code & 0xf0) {
    case ALU_ADD:
      return (a + b) >>> 0;
    case ALU_SUB:
      return (a - b) >>> 0;
    case ALU_MUL:
      return Math.imul(a, b) >>> 0;
    case ALU_DIV:
      return b === 0 ? 0 : Math.floor(a / b);
    case ALU_OR:
      return (a | b) >>> 0;
    case ALU_AND:
      return (a & b) >>> 0;
    case ALU_LSH:
      return (a << (b & 31)) >>> 0;
    case ALU_RSH:
      return a >>> (b & 31);
    case ALU_MOD:
      return b === 0 ? 0 : a % b;
    case ALU_XOR:
      return (a ^ b) >>> 0;
    default:
      return -a >>> 0;
  }
}

function jumps(code: number, a: number, k: number, x: number): boolean {
  switch (code) {
    case JEQ_K:
      return a === k;
    case JEQ_X:
      return a === x;
    case JGT_K:
      return a > k;
    case JGT_X:
      return a > x;
    case JGE_K:
      return a >= k;
    case JGE_X:
      return a >= x;
    case JSET_K:
      return (a & k) !== 0;
    default:
      return (a & x) !== 0;
  }
}
