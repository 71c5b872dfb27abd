import { expect, test } from 'vitest';
import type { SeccompArgConfig } from '../sandbox-config.ts';
import { OrderedRules } from './seccomp-order.ts';

type Rule = [action: number, ...conditions: [SeccompArgConfig['op'], number, index?: number][]];

/** Actions in the order in which their rules are tried, or what cannot be added. */
function order(...rules: Rule[]): number[] | string {
  const ordered = new OrderedRules();
  for (const [action, ...conditions] of rules) {
    const args = conditions.map(([op, value, index = 0]): SeccompArgConfig => {
      const two: [number, number] = [value, 0];
      return { index, op, value: op === 'masked' ? [7, 0] : two, valueTwo: two };
    });
    if (!ordered.add({ nr: 39, action, args })) return `no place for ${action}`;
  }
  return ordered.rules.map((r) => r.action);
}

// Each as libseccomp 2.5.4 answers it.
test.each<[string, Rule[], number[] | string]>([
  ['equality before bounds', [[1, ['gt', 1]], [2, ['le', 4]], [3, ['eq', 2]]], [3, 2, 1]],
  ['the higher of lower bounds', [[1, ['ge', 1]], [2, ['gt', 3]], [3, ['ge', 2]]], [2, 3, 1]],
  ['the lower of upper bounds', [[1, ['lt', 4]], [2, ['le', 1]], [3, ['lt', 3]]], [2, 3, 1]],
  ['later arguments first', [[1, ['eq', 1, 0]], [2, ['eq', 1, 1]]], [2, 1]],
  ['greater values of equality first', [[1, ['ne', 1]], [2, ['ne', 2]]], [2, 1]],
  ['those that begin alike together', [[1, ['eq', 1], ['eq', 1, 1]], [2, ['eq', 2]], [3, ['eq', 1], ['eq', 2, 1]]], [2, 3, 1]],
  ['a rule without conditions instead of others', [[1, ['eq', 1]], [2]], [2]],
  ['nothing after one without conditions', [[2], [1, ['eq', 1]]], [2]],
  ['the same twice', [[1, ['eq', 1]], [1, ['eq', 1]]], [1]],
  ['one that a shorter one covers', [[1, ['eq', 1]], [2, ['eq', 1], ['eq', 1, 1]]], [1]],
  ['two actions for the same', [[1, ['masked', 1]], [2, ['masked', 1]]], 'no place for 2'],
])('%s', (_name, rules, expected) => {
  expect(order(...rules)).toEqual(expected);
}); // prettier-ignore
