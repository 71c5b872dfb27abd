/**
 * Which of several rules for one call comes first, as libseccomp 2.5 orders them (src/db.c): it compares words of 32 bits, and
 * tries equality before "less" before "greater", arguments of higher numbers and the narrower of two bounds first.
 */
import type { SeccompArgConfig, SeccompConfig } from '../sandbox-config.ts';

type Rule = SeccompConfig['rules'][number];

/** A comparison of one word. */
interface Step {
  /** Twice the argument's index, and one more for the upper word. */
  readonly word: number;
  readonly op: 'eq' | 'gt' | 'ge' | 'masked';
  readonly datum: number;
  readonly mask: number;
  /** Order among steps about the same word: the higher comes first. */
  readonly rank: number;
  /** Of two bounds the lower comes first. */
  readonly isUpperBound: boolean;
}

const RANKS: Record<SeccompArgConfig['op'], number> = { eq: 3, ne: 3, masked: 3, le: 2, lt: 2, ge: 1, gt: 1 };
const ALL = 0xffffffff;

function stepsOf(c: SeccompArgConfig): Step[] {
  const isMasked = c.op === 'masked';
  const [low, high] = isMasked ? c.valueTwo : c.value;
  const [lowMask, highMask] = isMasked ? c.value : [ALL, ALL];
  const rank = RANKS[c.op];
  const shared = { rank, isUpperBound: rank === RANKS.le };
  const upper = { word: 2 * c.index + 1, datum: high, mask: highMask, ...shared };
  const lower = { word: 2 * c.index, datum: low, mask: lowMask, ...shared };
  if (rank === RANKS.eq) {
    if (isMasked && lowMask === 0 && highMask === 0) return [];
    const op = isMasked ? 'masked' : 'eq';
    return [
      { ...upper, op },
      { ...lower, op },
    ];
  }
  const op = c.op === 'gt' || c.op === 'le' ? 'gt' : 'ge';
  return [
    { ...upper, op: 'gt' },
    { ...upper, op: 'eq' },
    { ...lower, op },
  ];
}

const isSame = (a: Step, b: Step): boolean =>
  a.word === b.word && a.op === b.op && a.datum === b.datum && a.mask === b.mask;

function isBehind(a: Step, b: Step): boolean {
  if (a.word !== b.word) return a.word < b.word;
  if (a.rank !== b.rank) return a.rank < b.rank;
  return a.isUpperBound ? a.datum > b.datum : a.datum < b.datum;
}

/** The rules of one call, in the order in which they are tried. */
export class OrderedRules {
  private readonly all: { readonly rule: Rule; readonly steps: readonly Step[] }[] = [];

  get rules(): Rule[] {
    return this.all.map(({ rule }) => rule);
  }

  /** False: there is a rule with another action for the same arguments. */
  add(rule: Rule): boolean {
    const steps = [...rule.args].sort((a, b) => a.index - b.index).flatMap(stepsOf);
    if (this.all[0]?.steps.length === 0) return true;
    // A rule for all arguments replaces those for some.
    if (steps.length === 0) this.all.length = 0;
    let shared = 0;
    let at = 0;
    for (; at < this.all.length; at++) {
      const other = this.all[at]!;
      const end = Math.min(steps.length, other.steps.length);
      let i = 0;
      while (i < end && isSame(other.steps[i]!, steps[i]!)) i++;
      // Past the rules that begin alike.
      if (i < shared) break;
      shared = i;
      if (i === end && isSameSense(other.rule, rule)) {
        return i < steps.length || other.rule.action === rule.action;
      }
      if (i < end && isBehind(other.steps[i]!, steps[i]!)) break;
    }
    this.all.splice(at, 0, { rule, steps });
    return true;
  }
}

/** The steps of `eq` and `ne` are the same, but not what their ends mean; so are those of bounds. */
const isSameSense = (a: Rule, b: Rule): boolean =>
  a.args.every((c) => b.args.every((d) => c.index !== d.index || c.op === d.op));
