/** Classic BPF over struct seccomp_data (kernel/seccomp.c seccomp_check_filter). */
import * as B from '../lib/bpf.ts';

/** sizeof(struct seccomp_data): nr, arch, instruction pointer, six arguments. */
export const SECCOMP_DATA_SIZE = 64;

/** Program from an array of struct sock_filter; null if bpf_check_classic() or seccomp would refuse it. */
export function loadSeccomp(bytes: Buffer): B.BpfProgram | null {
  const p = B.parseBpf(bytes);
  if (p === null) return null;
  const isLoad = (code: number, k: number): boolean =>
    code === B.LD_W_ABS && k % 4 === 0 && k < SECCOMP_DATA_SIZE;
  return B.checkBpf(p, isLoad) ? p : null;
}

class SeccompData implements B.BpfData {
  readonly length = SECCOMP_DATA_SIZE;
  words: Uint32Array = new Uint32Array(0);
  known = 0;

  load(_code: number, k: number): number {
    return k / 4 < this.known ? this.words[k / 4]! : -1;
  }
}

const data = new SeccompData();

/**
 * Runs the program over seccomp_data as `words`. With `known` only that many of them are given: null if the program looks at another
 * one, so that its answer may differ from call to call.
 */
export function runSeccomp(
  p: B.BpfProgram,
  words: Uint32Array,
  known = SECCOMP_DATA_SIZE / 4,
): number | null {
  data.words = words;
  data.known = known;
  const r = B.runBpf(p, data);
  return r < 0 ? null : r;
}
