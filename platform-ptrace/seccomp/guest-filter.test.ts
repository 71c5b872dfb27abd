import { describe, expect, test } from 'vitest';
import { AREA_ADDR, SLEEP_SYSCALL, SYSCALL_RETURN_IP } from '../stub-layout.ts';
import {
  AUDIT_ARCH_X86_64,
  interpretBpf,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from './bpf.ts';
import { guestFilter } from './guest-filter.ts';

const program = guestFilter();
const AREA_HI = Math.floor(AREA_ADDR / 0x100000000);
type Arg = number | readonly [number, number];

const NAMES = new Map([
  [SECCOMP_RET_ALLOW, 'allow'],
  [SECCOMP_RET_KILL_PROCESS, 'kill'],
  [SECCOMP_RET_TRAP, 'trap'],
  [SECCOMP_RET_USER_NOTIF, 'notify'],
]);

function run(nr: number, args: readonly Arg[], arch = AUDIT_ARCH_X86_64, ip = SYSCALL_RETURN_IP): string {
  const pairs = args.map((a): readonly [number, number] => (typeof a === 'number' ? [a >>> 0, 0] : a));
  return NAMES.get(interpretBpf(program, nr >>> 0, arch, ip, pairs))!;
}

/** Calls that are not killed from the stub's site, and what else about them matters. */
const GOOD: readonly { nr: number; args: readonly Arg[]; action: string; checked: readonly number[] }[] = [
  { nr: 15, args: [], action: 'allow', checked: [] },
  { nr: 60, args: [1], action: 'allow', checked: [] },
  { nr: 231, args: [1], action: 'allow', checked: [] },
  { nr: 24, args: [], action: 'allow', checked: [] },
  { nr: 219, args: [], action: 'allow', checked: [] },
  { nr: SLEEP_SYSCALL, args: [], action: 'notify', checked: [] },
  ...[128, 129, 131, 132, 133, 137, 138, 393].map((op) => ({
    nr: 202,
    args: [0x1000, op, 1],
    action: 'allow',
    checked: [1],
  })),
  { nr: 202, args: [[0x1000, AREA_HI], 0, 1], action: 'allow', checked: [0, 1] },
  { nr: 202, args: [[0x1000, AREA_HI], 1, 1], action: 'allow', checked: [0, 1] },
  { nr: 9, args: [0x1000, 0x1000, 7, 0x22, [0xffffffff, 0xffffffff]], action: 'allow', checked: [2, 3] },
  { nr: 9, args: [0x1000, 0x1000, 3, 0x104032], action: 'allow', checked: [2, 3] },
  { nr: 9, args: [0x1000, 0x1000, 5, 0x12, 1], action: 'notify', checked: [2, 3] },
  { nr: 9, args: [0x1000, 0x1000, 3, 0x11, 1], action: 'notify', checked: [2, 3] },
  { nr: 11, args: [0, 0x1000], action: 'allow', checked: [] },
  { nr: 10, args: [0, 0x1000, 5], action: 'allow', checked: [2] },
  { nr: 329, args: [0, 0x1000, 5, 0], action: 'allow', checked: [2, 3] },
  { nr: 329, args: [0, 0x1000, 5, 15], action: 'allow', checked: [2, 3] },
  { nr: 25, args: [0x1000, 0x1000, 0x2000, 0], action: 'allow', checked: [3] },
  { nr: 25, args: [0x1000, 0x1000, 0x2000, 1], action: 'allow', checked: [3] },
  { nr: 25, args: [0x1000, [0, 1], 0x2000, 3, 0x5000], action: 'allow', checked: [3] },
  { nr: 28, args: [0, 0x1000, 4], action: 'allow', checked: [2] },
  { nr: 56, args: [0x8011, 0], action: 'notify', checked: [0] },
  { nr: 56, args: [0x50f00, 0], action: 'notify', checked: [0] },
  { nr: 158, args: [0x1002, [0, 5]], action: 'allow', checked: [0] },
  { nr: 158, args: [0x1001, 0], action: 'allow', checked: [0] },
  ...[1, 8, 16, 32, 64, 128, 256].map((cmd) => ({
    nr: 324,
    args: [cmd, 0],
    action: 'allow',
    checked: [0, 1],
  })),
  ...[0, 1].map((who) => ({ nr: 98, args: [who, 0x1000], action: 'allow', checked: [0] })),
  { nr: 228, args: [3, 0x1000], action: 'allow', checked: [0] },
  { nr: 228, args: [((~77 << 3) | 6) >>> 0, 0x1000], action: 'allow', checked: [0] },
  ...[0, 1].map((flags) => ({
    nr: 334,
    args: [[0x1000, 5] as const, 32, flags, 0x53053053],
    action: 'allow',
    checked: [2],
  })),
  { nr: 3, args: [1], action: 'allow', checked: [0] },
  { nr: 3, args: [1025], action: 'allow', checked: [0] },
  { nr: 3, args: [0], action: 'allow', checked: [0] },
];

/** Values of an argument's low word that make some other row of GOOD, per call. */
function otherwiseGood(nr: number, args: readonly Arg[]): boolean {
  const lo = (i: number): number => (typeof args[i] === 'number' ? args[i] : (args[i]?.[0] ?? 0));
  const hi = (i: number): number => (typeof args[i] === 'number' ? 0 : (args[i]?.[1] ?? 0));
  switch (nr) {
    case 202:
      return (
        hi(1) === 0 &&
        ([128, 129, 131, 132, 133, 137, 138, 393].includes(lo(1)) || (lo(1) <= 1 && hi(0) === AREA_HI))
      );
    case 9: {
      const flags = lo(3) & ~(0x10 | 0x100000 | 0x4000);
      return hi(2) === 0 && hi(3) === 0 && lo(2) <= 7 && [0x22, 0x1, 0x2].includes(flags);
    }
    case 10:
      return hi(2) === 0 && lo(2) <= 7;
    case 329:
      return hi(2) === 0 && lo(2) <= 7 && hi(3) === 0 && lo(3) <= 15;
    case 25:
      return hi(3) === 0 && [0, 1, 3].includes(lo(3));
    case 28:
      return hi(2) === 0 && [0, 1, 2, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 22, 23, 102, 103].includes(lo(2));
    case 56:
      return hi(0) === 0 && [0x8011, 0x50f00].includes(lo(0));
    case 158:
      return hi(0) === 0 && [0x1001, 0x1002].includes(lo(0));
    case 324:
      return hi(0) === 0 && hi(1) === 0 && [1, 8, 16, 32, 64, 128, 256].includes(lo(0)) && lo(1) <= 1;
    case 98:
      return hi(0) === 0 && lo(0) <= 1;
    case 228:
      return hi(0) === 0 && (lo(0) === 3 || ((lo(0) & 7) === 6 && lo(0) >= 0x80000000));
    case 334:
      return hi(2) === 0 && lo(2) <= 1;
    case 3:
      return hi(0) === 0 && lo(0) <= 0xfff;
    default:
      return true;
  }
}

describe('the guest filter', () => {
  test('is short enough for a fast path', () => {
    expect(program.length).toBeLessThan(220);
  });

  test.each(GOOD)('lets $nr $args through as $action', ({ nr, args, action }) => {
    expect(run(nr, args)).toBe(action);
  });

  test('traps everything from anywhere else', () => {
    for (const ip of [0x401000, SYSCALL_RETURN_IP - 1, SYSCALL_RETURN_IP + 1, 2, 0x7fff00000102]) {
      for (let nr = 0; nr < 480; nr++) expect(run(nr, [], AUDIT_ARCH_X86_64, ip)).toBe('trap');
      for (const { nr, args } of GOOD) expect(run(nr, args, AUDIT_ARCH_X86_64, ip)).toBe('trap');
    }
  });

  test('traps other architectures, from the site too', () => {
    for (let nr = 0; nr < 480; nr++) expect(run(nr, [], 0x40000003)).toBe('trap');
  });

  test('kills every number from the site that is not listed, x32 numbers among them', () => {
    const listed = new Set(GOOD.map((g) => g.nr));
    for (let nr = 0; nr < 600; nr++) {
      if (!listed.has(nr)) expect(run(nr, [])).toBe('kill');
      expect(run(nr + 0x40000000, [])).toBe('kill');
    }
    for (const nr of [-1, 0x7fffffff, 0x80000000, SLEEP_SYSCALL + 1, SLEEP_SYSCALL - 1])
      expect(run(nr, [])).toBe('kill');
  });

  test('kills when one bit of either half of a checked argument is off', () => {
    for (const { nr, args, checked } of GOOD) {
      for (const i of checked) {
        for (let bit = 0; bit < 64; bit++) {
          const [lo, hi] = typeof args[i] === 'number' ? [args[i], 0] : args[i]!;
          const off: Arg =
            bit < 32 ? [(lo ^ (1 << bit)) >>> 0, hi] : [lo >>> 0, (hi ^ (1 << (bit - 32))) >>> 0];
          const changed = args.map((a, k) => (k === i ? off : a));
          const result = run(nr, changed);
          if (otherwiseGood(nr, changed)) expect(['allow', 'notify']).toContain(result);
          else expect([nr, i, bit, result]).toEqual([nr, i, bit, 'kill']);
        }
      }
    }
  });

  test('refuses mappings of kinds that are not private anonymous or plain files', () => {
    // SHARED|ANON, HUGETLB, LOCKED, POPULATE, GROWSDOWN, DROPPABLE, SYNC, SHARED_VALIDATE, 32BIT, none
    for (const flags of [
      0x21, 0x40022, 0x2022, 0x8022, 0x122, 0x28, 0x80022, 0x3, 0x62, 0x20, 0, 0x8001, 0x40001,
    ])
      expect(run(9, [0x1000, 0x1000, 3, flags, 1])).toBe('kill');
  });

  test('refuses mremap with old length 0, which would map shared pages twice', () => {
    expect(run(25, [0x1000, 0, 0x2000, 1])).toBe('kill');
  });

  test('refuses madvise that reaches beyond the own pages', () => {
    for (const advice of [3, 9, 12, 13, 20, 21, 24, 25, 100, 101, 104])
      expect(run(28, [0x1000, 0x1000, advice])).toBe('kill');
  });

  test('refuses barriers that interrupt others', () => {
    for (const cmd of [0, 2, 4, 512]) expect(run(324, [cmd, 0])).toBe('kill');
  });

  test('refuses futexes that are neither private nor in the slot area', () => {
    for (let op = 0; op < 14; op++) expect(run(202, [0x1000, op, 1])).toBe('kill');
    for (const op of [134, 135, 136, 139, 140, 141]) expect(run(202, [0x1000, op, 1])).toBe('kill');
  });
});
