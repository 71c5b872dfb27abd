/**
 * eBPF programs of type BPF_PROG_TYPE_CGROUP_DEVICE (kernel/bpf/verifier.c, core.c; kernel/bpf/cgroup.c): checker and interpreter of
 * what tools make of lists of devices: loads from the context, arithmetic without multiplication, forward jumps. Programs with
 * loops, calls, maps or a stack are refused like those that the verifier does not understand. Every register, jump and offset is
 * checked at load; a run is bounded by its length.
 */
import { EACCES, EINVAL } from '../../abi/errno.ts';

const INSN_SIZE = 8;
/** struct bpf_cgroup_dev_ctx: access_type (access << 16 | type), major, minor. */
const CTX_SIZE = 12;
const R0 = 0;
const R10 = 10;

// Classes, sizes, modes and operations (include/uapi/linux/bpf.h, bpf_common.h).
const BPF_LDX = 0x01;
const BPF_ALU = 0x04;
const BPF_JMP = 0x05;
const BPF_JMP32 = 0x06;
const BPF_ALU64 = 0x07;
const BPF_MEM = 0x60;
const BPF_X = 0x08;
const BPF_JA = 0x00;
const BPF_EXIT = 0x90;
const BPF_ADD = 0x00;
const BPF_SUB = 0x10;
const BPF_OR = 0x40;
const BPF_AND = 0x50;
const BPF_LSH = 0x60;
const BPF_RSH = 0x70;
const BPF_XOR = 0xa0;
const BPF_MOV = 0xb0;
const BPF_JEQ = 0x10;
const BPF_JGT = 0x20;
const BPF_JGE = 0x30;
const BPF_JSET = 0x40;
const BPF_JNE = 0x50;
const BPF_JLT = 0xa0;
const BPF_JLE = 0xb0;

const SIZES = new Map([
  [0x00, 4],
  [0x08, 2],
  [0x10, 1],
]);
const ALU_OPS = new Set([BPF_ADD, BPF_SUB, BPF_OR, BPF_AND, BPF_LSH, BPF_RSH, BPF_XOR, BPF_MOV]);
const CONDITIONS = new Set([BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JLT, BPF_JLE]);

interface Insn {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

export type DeviceProgram = readonly Insn[];

function decode(bytes: Buffer): Insn[] {
  const insns: Insn[] = [];
  for (let at = 0; at + INSN_SIZE <= bytes.length; at += INSN_SIZE) {
    const regs = bytes[at + 1]!;
    insns.push({
      code: bytes[at]!,
      dst: regs & 15,
      src: regs >>> 4,
      off: bytes.readInt16LE(at + 2),
      imm: bytes.readInt32LE(at + 4),
    });
  }
  return insns;
}

/** Registers by bit, before an instruction, on every way that leads there. */
interface Known {
  /** Hold a number. */
  scalars: number;
  /** Hold the address of the context. */
  ctx: number;
}

/** What an instruction leaves behind, in place; −errno if it may not be. */
function step(insn: Insn, k: Known): number {
  const { code, dst, src, imm } = insn;
  const op = code & 0xf0;
  const byReg = (code & BPF_X) !== 0;
  const to = 1 << dst;
  const from = 1 << src;
  const isScalar = (bit: number): boolean => (k.scalars & bit) !== 0;
  if (dst >= R10 || src >= R10) return -EACCES;
  switch (code & 7) {
    case BPF_LDX: {
      const size = SIZES.get(code & 0x18);
      if ((code & 0xe0) !== BPF_MEM || size === undefined || imm !== 0) return -EINVAL;
      const { off } = insn;
      // Parts only of the first field (cgroup_dev_is_valid_access).
      const fits = off >= 0 && off + size <= CTX_SIZE && off % size === 0 && (off < 4 || size === 4);
      if ((k.ctx & from) === 0 || !fits) return -EACCES;
      k.scalars |= to;
      k.ctx &= ~to;
      return 0;
    }
    case BPF_ALU:
    case BPF_ALU64: {
      if (!ALU_OPS.has(op) || insn.off !== 0 || (byReg ? imm !== 0 : src !== 0)) return -EINVAL;
      const width = (code & 7) === BPF_ALU ? 32 : 64;
      if ((op === BPF_LSH || op === BPF_RSH) && !byReg && (imm < 0 || imm >= width)) return -EINVAL;
      if (op === BPF_MOV) {
        const isCtx = byReg && (k.ctx & from) !== 0;
        if (byReg && !isCtx && !isScalar(from)) return -EACCES;
        // Half of an address is of no use.
        if (isCtx && width === 32) return -EACCES;
        k.scalars = isCtx ? k.scalars & ~to : k.scalars | to;
        k.ctx = isCtx ? k.ctx | to : k.ctx & ~to;
        return 0;
      }
      return isScalar(to) && (!byReg || isScalar(from)) ? 0 : -EACCES;
    }
    case BPF_JMP:
    case BPF_JMP32:
      if (op === BPF_EXIT && code === (BPF_JMP | BPF_EXIT)) return isScalar(1 << R0) ? 0 : -EACCES;
      if (code === (BPF_JMP | BPF_JA)) return 0;
      if (!CONDITIONS.has(op) || (byReg ? imm !== 0 : src !== 0)) return -EINVAL;
      return isScalar(to) && (!byReg || isScalar(from)) ? 0 : -EACCES;
    default:
      return -EINVAL;
  }
}

/** bpf_check(): the program, or −errno. `hasContext` false: one of another type, which may look at nothing. */
export function checkDeviceProgram(bytes: Buffer, hasContext = true): DeviceProgram | number {
  const insns = decode(bytes);
  const states: (Known | undefined)[] = [{ scalars: 0, ctx: hasContext ? 1 << 1 : 0 }];
  const reach = (at: number, k: Known): void => {
    const old = states[at];
    states[at] = old === undefined ? { ...k } : { scalars: old.scalars & k.scalars, ctx: old.ctx & k.ctx };
  };
  for (let at = 0; at < insns.length; at++) {
    const insn = insns[at]!;
    const k = states[at];
    // "unreachable insn"
    if (k === undefined) return -EINVAL;
    const r = step(insn, k);
    if (r < 0) return r;
    const isJump = (insn.code & 7) === BPF_JMP || (insn.code & 7) === BPF_JMP32;
    if (insn.code === (BPF_JMP | BPF_EXIT)) continue;
    if (isJump) {
      const target = at + 1 + insn.off;
      if (insn.off < 0 || target >= insns.length) return -EINVAL;
      reach(target, k);
      if (insn.code === (BPF_JMP | BPF_JA)) continue;
    }
    // "jump out of range", or the end without an exit
    if (at + 1 >= insns.length) return -EINVAL;
    reach(at + 1, k);
  }
  return insns.length === 0 ? -EINVAL : insns;
}

// Registers in two halves.
const lo = new Uint32Array(16);
const hi = new Uint32Array(16);

function shift(dst: number, by: number, left: boolean, wide: boolean): void {
  if (!wide) {
    lo[dst] = left ? lo[dst]! << (by & 31) : lo[dst]! >>> (by & 31);
    hi[dst] = 0;
    return;
  }
  const n = by & 63;
  const l = lo[dst]!;
  const h = hi[dst]!;
  if (n === 0) return;
  if (left) {
    hi[dst] = n >= 32 ? l << (n - 32) : (h << n) | (l >>> (32 - n));
    lo[dst] = n >= 32 ? 0 : l << n;
  } else {
    lo[dst] = n >= 32 ? h >>> (n - 32) : (l >>> n) | (h << (32 - n));
    hi[dst] = n >= 32 ? 0 : h >>> n;
  }
}

function arithmetic(op: number, dst: number, l: number, h: number, wide: boolean): void {
  const dl = lo[dst]!;
  const dh = hi[dst]!;
  switch (op) {
    case BPF_MOV:
      lo[dst] = l;
      hi[dst] = h;
      break;
    case BPF_ADD:
      lo[dst] = dl + l;
      hi[dst] = dh + h + (dl + l >= 2 ** 32 ? 1 : 0);
      break;
    case BPF_SUB:
      lo[dst] = dl - l;
      hi[dst] = dh - h - (dl < l ? 1 : 0);
      break;
    case BPF_OR:
      lo[dst] = dl | l;
      hi[dst] = dh | h;
      break;
    case BPF_AND:
      lo[dst] = dl & l;
      hi[dst] = dh & h;
      break;
    case BPF_XOR:
      lo[dst] = dl ^ l;
      hi[dst] = dh ^ h;
      break;
    default:
      shift(dst, l, op === BPF_LSH, wide);
  }
  if (!wide) hi[dst] = 0;
}

function holds(op: number, dst: number, l: number, h: number, wide: boolean): boolean {
  const dl = lo[dst]!;
  const dh = wide ? hi[dst]! : 0;
  const order = dh === h ? dl - l : dh - h;
  switch (op) {
    case BPF_JEQ:
      return order === 0;
    case BPF_JNE:
      return order !== 0;
    case BPF_JGT:
      return order > 0;
    case BPF_JGE:
      return order >= 0;
    case BPF_JLT:
      return order < 0;
    case BPF_JLE:
      return order <= 0;
    default:
      return (dl & l) !== 0 || (dh & h) !== 0;
  }
}

/** A field of the context, or a part of the first one. */
function load(fields: readonly number[], off: number, size: number): number {
  const field = fields[off >>> 2]!;
  return size === 4 ? field : (field >>> ((off & 3) * 8)) & (size === 2 ? 0xffff : 0xff);
}

/** Runs a checked program; true if it allows. `access`: 1 mknod, 2 read, 4 write; `type`: 1 block, 2 character. */
export function runDeviceProgram(
  program: DeviceProgram,
  type: number,
  access: number,
  major: number,
  minor: number,
): boolean {
  const fields = [((access << 16) | type) >>> 0, major, minor];
  for (let at = 0; at < program.length; at++) {
    const { code, dst, src, off, imm } = program[at]!;
    const op = code & 0xf0;
    const cls = code & 7;
    if (cls === BPF_LDX) {
      lo[dst] = load(fields, off, SIZES.get(code & 0x18)!);
      hi[dst] = 0;
      continue;
    }
    if (code === (BPF_JMP | BPF_EXIT)) return lo[R0] !== 0;
    if (code === (BPF_JMP | BPF_JA)) {
      at += off;
      continue;
    }
    const wide = cls === BPF_ALU64 || cls === BPF_JMP;
    const byReg = (code & BPF_X) !== 0;
    const l = byReg ? lo[src]! : imm >>> 0;
    const h = !wide ? 0 : byReg ? hi[src]! : imm < 0 ? 0xffffffff : 0;
    if (cls === BPF_ALU || cls === BPF_ALU64) arithmetic(op, dst, l, h, wide);
    else if (holds(op, dst, l, h, wide)) at += off;
  }
  return false;
}
