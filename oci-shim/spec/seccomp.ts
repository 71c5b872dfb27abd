/** `linux.seccomp` of config.json: names, actions and conditions to numbers (runtime-spec config-linux.md, "Seccomp"). */
import { SYSCALL_NAMES } from '../../sentry/abi/syscall-names.ts';
import type { SeccompArgConfig, SeccompConfig } from '../sandbox-config.ts';
import type { Field } from './field.ts';
import { OrderedRules } from './seccomp-order.ts';

const RET_KILL_PROCESS = 0x80000000;
const RET_KILL_THREAD = 0;
const RET_TRAP = 0x00030000;
const RET_ERRNO = 0x00050000;
const RET_TRACE = 0x7ff00000;
const RET_LOG = 0x7ffc0000;
const RET_ALLOW = 0x7fff0000;

export const SECCOMP_ACTIONS: Record<string, number> = {
  SCMP_ACT_KILL: RET_KILL_THREAD,
  SCMP_ACT_KILL_THREAD: RET_KILL_THREAD,
  SCMP_ACT_KILL_PROCESS: RET_KILL_PROCESS,
  SCMP_ACT_TRAP: RET_TRAP,
  SCMP_ACT_ERRNO: RET_ERRNO,
  SCMP_ACT_TRACE: RET_TRACE,
  SCMP_ACT_LOG: RET_LOG,
  SCMP_ACT_ALLOW: RET_ALLOW,
};

export const SECCOMP_OPERATORS: Record<string, SeccompArgConfig['op']> = {
  SCMP_CMP_NE: 'ne',
  SCMP_CMP_LT: 'lt',
  SCMP_CMP_LE: 'le',
  SCMP_CMP_EQ: 'eq',
  SCMP_CMP_GE: 'ge',
  SCMP_CMP_GT: 'gt',
  SCMP_CMP_MASKED_EQ: 'masked',
};

/** Flags of seccomp(2) that a profile may ask for; SPEC_ALLOW and LOG say how the host's kernel would treat its own. */
const FLAGS = [
  'SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
]; // prettier-ignore

/** Rules are for x86-64 calls only; what programs of the others would call, the sandbox's kernel does not run. */
const ARCHITECTURES = [
  'X86', 'X86_64', 'X32', 'ARM', 'AARCH64', 'LOONGARCH64', 'M68K', 'MIPS', 'MIPS64', 'MIPS64N32', 'MIPSEL', 'MIPSEL64',
  'MIPSEL64N32', 'PPC', 'PPC64', 'PPC64LE', 'S390', 'S390X', 'SH', 'SHEB', 'PARISC', 'PARISC64', 'RISCV64',
].map((name) => `SCMP_ARCH_${name}`); // prettier-ignore

const EPERM = 1;
const ENOSYS = 38;
const MAX_ERRNO = 4095;

export function seccompConfig(s: Field | null): SeccompConfig | null {
  if (s === null) return null;
  s.only([
    'defaultAction', 'defaultErrnoRet', 'architectures', 'flags', 'syscalls', 'listenerPath', 'listenerMetadata',
  ]); // prettier-ignore
  // "This field MUST NOT be set if listenerPath is not set."
  if (s.has('listenerMetadata') && !s.has('listenerPath')) s.bad('listenerMetadata', 'needs a listenerPath');
  for (const f of s.strings('flags'))
    if (!FLAGS.includes(f)) s.bad('flags', `seccomp flag "${f}" is not known`);
  for (const a of s.strings('architectures')) {
    if (!ARCHITECTURES.includes(a)) s.bad('architectures', `seccomp architecture "${a}" is not known`);
  }
  // As under runc: nothing is asked for.
  if (!s.has('defaultAction') && s.objects('syscalls').length === 0) return null;
  const defaultAction = action(s, 'defaultAction', 'defaultErrnoRet');
  const byCall = new Map<number, OrderedRules>();
  const numbers = new Map([...SYSCALL_NAMES].map(([nr, name]) => [name, nr]));
  for (const rule of s.objects('syscalls')) {
    rule.only(['names', 'name', 'action', 'errnoRet', 'args', 'comment', 'includes', 'excludes']);
    const ret = action(rule, 'action', 'errnoRet');
    // As libseccomp refuses them and runc leaves them out: rules that say what holds anyway.
    if (ret === defaultAction) continue;
    const names = rule.has('name') ? [rule.string('name')] : rule.strings('names');
    const alternatives = conditions(rule);
    for (const name of names) {
      const nr = numbers.get(name);
      // Names of other architectures and of newer kernels occur in every profile.
      if (nr === undefined) continue;
      const ordered = byCall.get(nr) ?? new OrderedRules();
      byCall.set(nr, ordered);
      if (!alternatives.every((args) => ordered.add({ nr, action: ret, args }))) {
        rule.bad('action', `${name} has another action for the same arguments in a rule before`);
      }
    }
  }
  const rules = [...byCall.values()].flatMap((ordered) => ordered.rules);
  return { defaultAction, rules: [...rules, ...newerCalls(defaultAction, rules)] };
}

function action(f: Field, key: string, errnoKey: string): number {
  const name = f.string(key);
  if (name === 'SCMP_ACT_NOTIFY') {
    f.bad(
      key,
      "an agent gets a descriptor of the host's kernel, which does not see the sandbox's system calls",
    );
  }
  const ret = SECCOMP_ACTIONS[name];
  if (ret === undefined) f.bad(key, 'this seccomp action is not known');
  if (ret !== RET_ERRNO && ret !== RET_TRACE) {
    if (f.has(errnoKey)) f.bad(errnoKey, `${name} has no error number`);
    return ret;
  }
  return ret + f.integer(errnoKey, EPERM, 0, MAX_ERRNO);
}

/**
 * Alternatives, of which each is a list of conditions that must all hold. With several conditions on one argument each
 * stands alone: runc reads such rules as "any of them".
 */
function conditions(rule: Field): SeccompArgConfig[][] {
  const args = rule.objects('args').map((a): SeccompArgConfig => {
    a.only(['index', 'value', 'valueTwo', 'op']);
    const op = SECCOMP_OPERATORS[a.string('op')];
    if (op === undefined) a.bad('op', 'this operator is not known');
    const value = words(a, 'value');
    const [low, high] = words(a, 'valueTwo');
    // As in libseccomp: bits outside of the mask are not looked at.
    const valueTwo: [number, number] = [(low & value[0]) >>> 0, (high & value[1]) >>> 0];
    return { index: a.integer('index', 0, 0, 5), op, value, valueTwo };
  });
  const indexes = new Set(args.map((a) => a.index));
  return indexes.size < args.length ? args.map((a) => [a]) : [args];
}

/** 64 bits; what JSON cannot hold exactly can only have been meant as all ones. */
function words(f: Field, key: string): [number, number] {
  const v = f.integer(key, 0, -(2 ** 63), 2 ** 64);
  if (v >= 2 ** 64 - 2048) return [0xffffffff, 0xffffffff];
  if (!Number.isSafeInteger(v)) f.bad(key, 'is beyond the integers that JSON holds exactly');
  const low = v - Math.floor(v / 2 ** 32) * 2 ** 32;
  return [low, Math.floor(v / 2 ** 32) >>> 0];
}

/**
 * Calls newer than any that the profile knows: its author cannot have meant to forbid them, and programs fall back only on
 * ENOSYS (runc, libcontainer/seccomp/patchbpf).
 */
function newerCalls(defaultAction: number, rules: SeccompConfig['rules']): SeccompConfig['rules'] {
  if (defaultAction === RET_ALLOW || defaultAction === RET_LOG) return [];
  const last = Math.max(...rules.map((r) => r.nr), -1);
  if (last < 0) return [];
  return [...SYSCALL_NAMES.keys()]
    .filter((nr) => nr > last)
    .map((nr) => ({ nr, action: RET_ERRNO + ENOSYS, args: [] }));
}
