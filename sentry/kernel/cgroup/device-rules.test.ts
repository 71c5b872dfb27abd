import { expect, test } from 'vitest';
import { EINVAL, ENOENT, EPERM } from '../../abi/errno.ts';
import { CgroupHierarchies } from './hierarchy.ts';
import type { Cgroup } from './cgroup.ts';
import {
  attachedTo,
  attachProgram,
  BPF_F_ALLOW_MULTI as MULTI,
  BPF_F_ALLOW_OVERRIDE as OVERRIDE,
  BPF_F_REPLACE as REPLACE,
  detachProgram,
  effectivePrograms,
  type LoadedProgram,
} from './device-rules.ts';

let ids = 0;
const program = (): LoadedProgram => ({ id: ++ids, program: [] });

function groups(): { root: Cgroup; a: Cgroup; b: Cgroup } {
  const { root } = new CgroupHierarchies().unified;
  const a = root.mkdir('a') as Cgroup;
  return { root, a, b: a.mkdir('b') as Cgroup };
}

test('several programs of a group', () => {
  const { a } = groups();
  const [p, q, r] = [program(), program(), program()];
  expect(attachProgram(a, p, MULTI | OVERRIDE, null)).toBe(-EINVAL);
  expect(attachProgram(a, p, REPLACE, q)).toBe(-EINVAL);
  expect(attachProgram(a, p, MULTI, null)).toBe(0);
  expect(attachProgram(a, p, MULTI, null)).toBe(-EINVAL);
  expect(attachProgram(a, q, MULTI, null)).toBe(0);
  expect(attachProgram(a, r, 0, null)).toBe(-EPERM);
  expect(attachProgram(a, r, MULTI | REPLACE, q)).toBe(0);
  expect(attachProgram(a, program(), MULTI | REPLACE, q)).toBe(-ENOENT);
  expect(attachedTo(a)).toEqual({ flags: MULTI, programs: [p, r] });
  expect(detachProgram(a, null)).toBe(-EINVAL);
  expect(detachProgram(a, q)).toBe(-ENOENT);
  expect(detachProgram(a, p)).toBe(0);
  expect(detachProgram(a, r)).toBe(0);
  expect(detachProgram(a, r)).toBe(-ENOENT);
});

test('what is above counts if it allows others beside its own', () => {
  const { root, a, b } = groups();
  const [p, q, r] = [program(), program(), program()];
  expect(attachProgram(root, p, MULTI, null)).toBe(0);
  expect(attachProgram(a, q, 0, null)).toBe(0);
  expect(attachProgram(b, r, 0, null)).toBe(-EPERM);
  expect(effectivePrograms(b)).toEqual([q, p]);
  expect(detachProgram(a, null)).toBe(0);
  expect(attachProgram(a, q, OVERRIDE, null)).toBe(0);
  expect(attachProgram(b, r, OVERRIDE, null)).toBe(0);
  expect(effectivePrograms(b)).toEqual([r, p]);
});
