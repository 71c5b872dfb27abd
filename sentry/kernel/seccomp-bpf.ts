/** Classic BPF over struct seccomp_data (kernel/seccomp.c seccomp_check_filter). */
import * as B from '../lib/bpf.ts';

/** sizeof(struct seccomp_data): nr, arch, instruction pointer, six arguments. */
export const SECCOMP_DATA_SIZE = 64;

/** Program from an array of struct sock_filter; null if bpf_check_classic() or seccomp would refuse it. */
export function loadSeccomp(bytes: Buffer): B.BpfProgram | null {
  const p = B.parseBpf(bytes);
  if (p === null) return null;
  const data = (code: number, k: number): boolean =>
    code === B.LD_W_ABS && k % 4 === 0 && k < SECCOMP_DATA_SIZE;
  return B.checkBpf(p, data) ? p : null;
}

const memory = new Uint32Array(B.MEMWORDS);

/**
 * Runs the program over `data` (seccomp_data as words). With `known` only that many words are given: null if the program looks at
 * another one, so that its answer may differ from call to call.
 */
export function runSeccomp(p: B.BpfProgram, data: Uint32Array, known = SECCOMP_DATA_SIZE / 4): number | null {
  let a = 0;
  let x = 0;
  memory.fill(0);
  for (let pc = 0; pc < p.code.length; pc++) {
    const code = p.code[pc]!;
    const k = p.k[pc]!;
    switch (code) {
      case B.LD_W_ABS:
        if (k / 4 >= known) return null;
        a = data[k / 4]!;
        break;
      case B.LD_W_LEN:
        a = SECCOMP_DATA_SIZE;
        break;
      case B.LDX_W_LEN:
        x = SECCOMP_DATA_SIZE;
        break;
      case B.LD_IMM:
        a = k;
        break;
      case B.LDX_IMM:
        x = k;
        break;
      case B.LD_MEM:
        a = memory[k]!;
        break;
      case B.LDX_MEM:
        x = memory[k]!;
        break;
      case B.ST:
        memory[k] = a;
        break;
      case B.STX:
        memory[k] = x;
        break;
      case B.RET_K:
        return k;
      case B.RET_A:
        return a;
      case B.TAX:
        x = a;
        break;
      case B.TXA:
        a = x;
        break;
      case B.JA:
        pc += k;
        break;
      default:
        if (B.CONDITIONAL.has(code)) pc += B.jumps(code, a, k, x) ? p.jt[pc]! : p.jf[pc]!;
        else {
          const operand = (code & B.SRC_X) !== 0 ? x : k;
          // Division by a zero X ends the program with 0 (BPF_ABS semantics of sk_run_filter).
          if ((code & 0xf0) === B.ALU_DIV && operand === 0) return 0;
          a = B.alu(code, a, operand);
        }
    }
  }
  return 0;
}
