/**
 * A seccomp profile as a table by call number, as container engines give it: what libseccomp would compile to BPF, looked up
 * directly. It counts as one filter.
 */
import { SECCOMP_DATA_SIZE } from './seccomp-bpf.ts';

/** Something that answers a SECCOMP_RET_* value for a seccomp_data, or null if that depends on words beyond the known. */
export interface SeccompRules {
  run(data: Uint32Array, known: number): number | null;
  /** Instructions it stands for. */
  readonly size: number;
}

export type SeccompOp = 'ne' | 'lt' | 'le' | 'eq' | 'ge' | 'gt' | 'masked';

export interface SeccompCondition {
  readonly index: number;
  readonly op: SeccompOp;
  /** 64 bits as [low, high]. */
  readonly value: readonly [number, number];
  /** masked: `(argument & value) == valueTwo`. */
  readonly valueTwo: readonly [number, number];
}

export interface SeccompRule {
  readonly nr: number;
  readonly action: number;
  /** All must hold; empty: any arguments. */
  readonly args: readonly SeccompCondition[];
}

/** Words of seccomp_data before the arguments. */
const ARGS_WORD = 4;
const ALL_WORDS = SECCOMP_DATA_SIZE / 4;

export class SeccompProfile implements SeccompRules {
  private readonly defaultAction: number;
  private readonly byNr = new Map<number, SeccompRule[]>();
  readonly size: number;

  /** Of the rules for a call the first one that holds counts. */
  constructor(defaultAction: number, rules: readonly SeccompRule[]) {
    this.defaultAction = defaultAction;
    this.size = rules.length;
    for (const rule of rules) {
      const list = this.byNr.get(rule.nr);
      if (list === undefined) this.byNr.set(rule.nr, [rule]);
      else list.push(rule);
    }
  }

  run(data: Uint32Array, known = ALL_WORDS): number | null {
    const rules = this.byNr.get(data[0]!);
    if (rules === undefined) return this.defaultAction;
    for (const r of rules) {
      if (r.args.length === 0) return r.action;
      if (known < ALL_WORDS) return null;
      if (r.args.every((c) => holds(c, data))) return r.action;
    }
    return this.defaultAction;
  }
}

/** Unsigned comparison of 64 bits: −1, 0 or 1. */
function compare(lo: number, hi: number, other: readonly [number, number]): number {
  if (hi !== other[1]) return hi < other[1] ? -1 : 1;
  return lo === other[0] ? 0 : lo < other[0] ? -1 : 1;
}

function holds(c: SeccompCondition, data: Uint32Array): boolean {
  const lo = data[ARGS_WORD + 2 * c.index]!;
  const hi = data[ARGS_WORD + 2 * c.index + 1]!;
  if (c.op === 'masked') {
    return compare((lo & c.value[0]) >>> 0, (hi & c.value[1]) >>> 0, c.valueTwo) === 0;
  }
  const order = compare(lo, hi, c.value);
  switch (c.op) {
    case 'ne':
      return order !== 0;
    case 'lt':
      return order < 0;
    case 'le':
      return order <= 0;
    case 'eq':
      return order === 0;
    case 'ge':
      return order >= 0;
    case 'gt':
      return order > 0;
  }
}
