/**
 * An assembler for seccomp's classic BPF with labels, and the constants it needs (linux/bpf_common.h, linux/seccomp.h).
 * Jump offsets are computed here and checked for their 8 bits; nobody counts instructions by hand.
 */

export const SECCOMP_RET_KILL_PROCESS = 0x80000000;
export const SECCOMP_RET_TRAP = 0x00030000;
export const SECCOMP_RET_ERRNO = 0x00050000;
export const SECCOMP_RET_USER_NOTIF = 0x7fc00000;
export const SECCOMP_RET_ALLOW = 0x7fff0000;

export const AUDIT_ARCH_X86_64 = 0xc000003e;

/** Offsets in struct seccomp_data. */
export const DATA_NR = 0;
export const DATA_ARCH = 4;
export const DATA_IP = 8;
export const DATA_ARGS = 16;

export const BPF_LD_W_ABS = 0x20;
export const BPF_JA = 0x05;
export const BPF_JEQ_K = 0x15;
export const BPF_JGE_K = 0x35;
export const BPF_JSET_K = 0x45;
export const BPF_AND_K = 0x54;
export const BPF_RET_K = 0x06;

export interface BpfInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

type Target = string | null;
interface Unresolved {
  code: number;
  k: number;
  yes: Target;
  no: Target;
}

export class BpfAssembler {
  private readonly code: Unresolved[] = [];
  private readonly labels = new Map<string, number>();
  private unique = 0;

  freshLabel(): string {
    return `.${this.unique++}`;
  }

  label(name: string): void {
    if (this.labels.has(name)) throw new Error(`bpf: label ${name} defined twice`);
    this.labels.set(name, this.code.length);
  }

  load(offset: number): void {
    this.code.push({ code: BPF_LD_W_ABS, k: offset, yes: null, no: null });
  }

  and(mask: number): void {
    this.code.push({ code: BPF_AND_K, k: mask >>> 0, yes: null, no: null });
  }

  /** Jumps by A == k; `null` falls through. */
  jeq(k: number, yes: Target, no: Target): void {
    this.code.push({ code: BPF_JEQ_K, k: k >>> 0, yes, no });
  }

  ret(action: number): void {
    this.code.push({ code: BPF_RET_K, k: action >>> 0, yes: null, no: null });
  }

  assemble(): BpfInstruction[] {
    return this.code.map((ins, at) => {
      const offset = (target: Target): number => {
        if (target === null) return 0;
        const dest = this.labels.get(target);
        if (dest === undefined) throw new Error(`bpf: label ${target} is not defined`);
        const distance = dest - at - 1;
        if (distance < 0 || distance > 255)
          throw new Error(`bpf: jump to ${target} over ${distance} instructions`);
        return distance;
      };
      return { code: ins.code, jt: offset(ins.yes), jf: offset(ins.no), k: ins.k };
    });
  }
}

/** Runs a program over one struct seccomp_data, as the kernel does. For tests. */
export function interpretBpf(
  program: readonly BpfInstruction[],
  nr: number,
  arch: number,
  ip: number,
  args: readonly (readonly [lo: number, hi: number])[],
): number {
  const data = new Uint32Array(16);
  data[0] = nr;
  data[1] = arch;
  data[2] = ip >>> 0;
  data[3] = Math.floor(ip / 0x100000000) >>> 0;
  args.forEach(([lo, hi], i) => {
    data[4 + 2 * i] = lo;
    data[5 + 2 * i] = hi;
  });
  let a = 0;
  for (let pc = 0; pc < program.length;) {
    const ins = program[pc++]!;
    switch (ins.code) {
      case BPF_LD_W_ABS:
        a = data[ins.k / 4]!;
        break;
      case BPF_AND_K:
        a = (a & ins.k) >>> 0;
        break;
      case BPF_JEQ_K:
        pc += a === ins.k ? ins.jt : ins.jf;
        break;
      case BPF_RET_K:
        return ins.k;
      default:
        throw new Error(`bpf: code ${ins.code}`);
    }
  }
  throw new Error('bpf: ran off the end');
}
