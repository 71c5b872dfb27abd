import { expect, test } from 'vitest';
import { SYSCALL_NAMES } from '../../sentry/abi/syscall-names.ts';
import {
  AUDIT_ARCH_X86_64,
  interpretBpf,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_TRAP,
} from '../seccomp/bpf.ts';
import { assembleFilter, callsOf, FORBIDDEN, syscallNumber } from './filter-table.ts';
import { goferRows } from './gofer-filter.ts';
import { sentryRows } from './sentry-filter.ts';

const PID = 2;
const FILTERS = {
  systrap: sentryRows({ pid: PID, platform: 'systrap' }),
  ptrace: sentryRows({ pid: PID, platform: 'ptrace' }),
  gofer: goferRows(1, true),
};

function run(
  who: keyof typeof FILTERS,
  call: string | number,
  args: number[] = [],
  arch = AUDIT_ARCH_X86_64,
  report = false,
): number {
  const nr = typeof call === 'number' ? call : syscallNumber(call);
  const pairs = Array.from({ length: 6 }, (_, i): [number, number] => [(args[i] ?? 0) >>> 0, 0]);
  return interpretBpf(assembleFilter(FILTERS[who], report), nr, arch, 0, pairs);
}

test('every row says why', () => {
  for (const rows of Object.values(FILTERS))
    for (const row of rows) expect(row.why.length).toBeGreaterThan(3);
});

test.each(['systrap', 'gofer'] as const)('%s: what is never of use kills', (who) => {
  for (const name of FORBIDDEN.split(' ')) expect(run(who, name), name).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run(who, 'read', [], 0x40000003)).toBe(SECCOMP_RET_KILL_PROCESS);
});

test.each(['systrap', 'ptrace', 'gofer'] as const)('%s: numbers that no row names are refused', (who) => {
  const named = new Set([...FILTERS[who].flatMap(callsOf), ...FORBIDDEN.split(' ')].map(syscallNumber));
  for (let nr = 0; nr < 600; nr++) {
    if (!named.has(nr)) expect(run(who, nr), SYSCALL_NAMES.get(nr)).toBe(SECCOMP_RET_KILL_PROCESS);
    expect(run(who, nr + 0x40000000)).toBe(SECCOMP_RET_KILL_PROCESS); // x32
  }
});

test('for whoever looks closer they are reported, but for what is never of use', () => {
  const report = (call: string | number, args: number[] = []) => run('systrap', call, args, undefined, true);
  expect(report('fanotify_init')).toBe(SECCOMP_RET_TRAP);
  expect(report('kill', [7, 15])).toBe(SECCOMP_RET_TRAP);
  expect(report('execve')).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(report('read')).toBe(SECCOMP_RET_ALLOW);
});

test('the sentry opens nothing, the gofer does', () => {
  for (const name of ['open', 'openat', 'stat', 'newfstatat', 'readlink'])
    expect(run('systrap', name)).toBe(SECCOMP_RET_ERRNO + 2);
  expect(run('systrap', 'openat2')).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('gofer', 'openat2')).toBe(SECCOMP_RET_ALLOW);
  expect(run('gofer', 'openat')).toBe(SECCOMP_RET_ALLOW);
});

test('shared mappings are never executable', () => {
  expect(run('systrap', 'mmap', [0, 4096, 3, 0x1, 5])).toBe(SECCOMP_RET_ALLOW);
  expect(run('systrap', 'mmap', [0, 4096, 7, 0x1, 5])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('systrap', 'mmap', [0, 4096, 5, 0x2, 5])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('systrap', 'mmap', [0, 4096, 7, 0x22, -1])).toBe(SECCOMP_RET_ALLOW);
});

test('sockets are internet sockets, signals end or interrupt guests', () => {
  expect(run('systrap', 'socket', [2, 0o2004001, 0])).toBe(SECCOMP_RET_ALLOW);
  for (const family of [1, 16, 17, 40])
    expect(run('systrap', 'socket', [family, 1, 0])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('systrap', 'socket', [2, 3, 0])).toBe(SECCOMP_RET_KILL_PROCESS); // SOCK_RAW
  expect(run('systrap', 'setsockopt', [5, 1, 26])).toBe(SECCOMP_RET_ALLOW);
  // SO_ATTACH_FILTER, but no eBPF
  for (const attach of [50, 52]) {
    expect(run('systrap', 'setsockopt', [5, 1, attach])).toBe(SECCOMP_RET_KILL_PROCESS);
  }
  expect(run('systrap', 'kill', [7, 9])).toBe(SECCOMP_RET_ALLOW);
  expect(run('systrap', 'kill', [7, 15])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('systrap', 'tgkill', [7, 7, 23])).toBe(SECCOMP_RET_ALLOW);
  expect(run('systrap', 'tgkill', [7, 7, 15])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('systrap', 'tgkill', [PID, 7, 6])).toBe(SECCOMP_RET_ALLOW);
});

test('terminal input cannot be faked, devices cannot be made', () => {
  for (const request of [0x5412, 0x541c, 0x5409])
    expect(run('systrap', 'ioctl', [0, request])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('gofer', 'mknodat', [3, 0, 0o010644])).toBe(SECCOMP_RET_ALLOW);
  for (const type of [0o020000, 0o060000])
    expect(run('gofer', 'mknodat', [3, 0, type + 0o644])).toBe(SECCOMP_RET_KILL_PROCESS);
});

test('ptrace is for the ptrace platform', () => {
  expect(run('systrap', 'ptrace', [31])).toBe(SECCOMP_RET_KILL_PROCESS);
  expect(run('ptrace', 'ptrace', [31])).toBe(SECCOMP_RET_ALLOW);
  expect(run('ptrace', 'ptrace', [16])).toBe(SECCOMP_RET_KILL_PROCESS); // ATTACH
});
