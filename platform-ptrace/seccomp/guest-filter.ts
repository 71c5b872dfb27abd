/**
 * The filter on every guest thread. Guest code owns its whole address space, the stub included, so whatever is allowed
 * here, a guest may do at any time, from any thread, with any register values. The table below is that boundary.
 *
 * A call from anywhere but the stub's one `syscall` traps (that is how guest syscalls reach the sentry). From that
 * instruction, what the table does not name kills the process. `notify` rows wait for the sentry's consent: see gate.ts.
 */
import {
  AREA_ADDR,
  CLONE_FLAGS_PROCESS,
  CLONE_FLAGS_THREAD,
  KEYS,
  SLEEP_SYSCALL,
  SYSCALL_RETURN_IP,
} from '../stub-layout.ts';
import {
  AUDIT_ARCH_X86_64,
  BpfAssembler,
  type BpfInstruction,
  DATA_ARCH,
  DATA_ARGS,
  DATA_IP,
  DATA_NR,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from './bpf.ts';

/** A condition on one half of one argument. */
export type Test =
  /** The low word is one of `values`, the high word 0. */
  | { readonly arg: number; readonly is: readonly number[] }
  /** Low word & mask equals one of `values`; the high word must be 0. */
  | { readonly arg: number; readonly mask: number; readonly is: readonly number[] }
  /** The high word equals `hi`; the low word is free. */
  | { readonly arg: number; readonly hi: number }
  /** Not zero in either half. */
  | { readonly arg: number; readonly nonZero: true };

export interface FilterRow {
  readonly nr: number;
  readonly name: string;
  /** Alternatives; the first whose tests all hold decides. */
  readonly when: readonly { readonly tests: readonly Test[]; readonly action: 'allow' | 'notify' }[];
}

const always = (nr: number, name: string): FilterRow => ({
  nr,
  name,
  when: [{ tests: [], action: 'allow' }],
});

const PROT_MASK = 0xfffffff8; // ~(READ|WRITE|EXEC)
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MAP_PLACING = 0x10 | 0x100000 | 0x4000; // FIXED | FIXED_NOREPLACE | NORESERVE
const not = (mask: number): number => ~mask >>> 0;
/** 0, GATE_FD, and MAP_FD of every slot. */
const DESCRIPTORS = 0xfff;

const FUTEX_PRIVATE_OPS = [128, 129, 131, 132, 133, 137, 138, 393];
/**
 * Barriers of the own process's threads with their registration, and MEMBARRIER_CMD_GLOBAL, for which only the caller waits. The
 * expedited global one (2, registered by 4) interrupts CPUs that other processes of the host run on.
 */
const MEMBARRIER_COMMANDS = [1, 8, 16, 32, 64, 128, 256];
/**
 * Hints, and what concerns the own pages only. POPULATE_READ and POPULATE_WRITE (22, 23) do no more than touching pages, and
 * GUARD_INSTALL and GUARD_REMOVE (102, 103) no more than mprotect.
 */
const MADVISE_ADVICE = [0, 1, 2, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 22, 23, 102, 103];
const CLOCK_THREAD_CPUTIME_ID = 3;

export const GUEST_FILTER: readonly FilterRow[] = [
  always(15, 'rt_sigreturn'),
  { nr: SLEEP_SYSCALL, name: 'sleep', when: [{ tests: [], action: 'notify' }] },
  always(60, 'exit'),
  always(231, 'exit_group'),
  always(24, 'sched_yield'),
  always(219, 'restart_syscall'),
  {
    nr: 202,
    name: 'futex',
    when: [
      { tests: [{ arg: 1, is: FUTEX_PRIVATE_OPS }], action: 'allow' },
      {
        tests: [
          { arg: 1, is: [0, 1] },
          { arg: 0, hi: Math.floor(AREA_ADDR / 0x100000000) },
        ],
        action: 'allow',
      },
    ],
  },
  {
    nr: 9,
    name: 'mmap',
    when: [
      {
        tests: [
          { arg: 2, mask: PROT_MASK, is: [0] },
          { arg: 3, mask: not(MAP_PLACING), is: [MAP_PRIVATE | MAP_ANONYMOUS] },
        ],
        action: 'allow',
      },
      {
        tests: [
          { arg: 2, mask: PROT_MASK, is: [0] },
          { arg: 3, mask: not(MAP_PLACING), is: [MAP_SHARED, MAP_PRIVATE] },
        ],
        action: 'notify',
      },
    ],
  },
  always(11, 'munmap'),
  { nr: 10, name: 'mprotect', when: [{ tests: [{ arg: 2, mask: PROT_MASK, is: [0] }], action: 'allow' }] },
  {
    nr: 25,
    name: 'mremap',
    when: [
      {
        tests: [
          { arg: 1, nonZero: true },
          { arg: 3, is: [0, 1, 3] },
        ],
        action: 'allow',
      },
    ],
  },
  { nr: 28, name: 'madvise', when: [{ tests: [{ arg: 2, is: MADVISE_ADVICE }], action: 'allow' }] },
  {
    nr: 56,
    name: 'clone',
    when: [{ tests: [{ arg: 0, is: [CLONE_FLAGS_PROCESS, CLONE_FLAGS_THREAD] }], action: 'notify' }],
  },
  {
    nr: 158,
    name: 'arch_prctl',
    when: [{ tests: [{ arg: 0, is: [0x1001, 0x1002] }], action: 'allow' }], // ARCH_SET_GS, ARCH_SET_FS
  },
  // An area of the own thread's. A critical section can lead nowhere that a jump could not.
  { nr: 334, name: 'rseq', when: [{ tests: [{ arg: 2, is: [0, 1] }], action: 'allow' }] },
  {
    nr: 324,
    name: 'membarrier',
    when: [
      {
        tests: [
          { arg: 0, is: MEMBARRIER_COMMANDS },
          { arg: 1, is: [0, 1] },
        ],
        action: 'allow',
      },
    ],
  },
  // What the thread and its process have used themselves: of the thread (3), and of one of the process's threads by number.
  { nr: 98, name: 'getrusage', when: [{ tests: [{ arg: 0, is: [0, 1] }], action: 'allow' }] },
  {
    nr: 228,
    name: 'clock_gettime',
    when: [
      { tests: [{ arg: 0, is: [CLOCK_THREAD_CPUTIME_ID] }], action: 'allow' },
      { tests: [{ arg: 0, mask: 0x80000007, is: [0x80000006] }], action: 'allow' },
    ],
  },
  { nr: 3, name: 'close', when: [{ tests: [{ arg: 0, mask: not(DESCRIPTORS), is: [0] }], action: 'allow' }] },
  {
    nr: 329,
    name: 'pkey_mprotect',
    when: [
      {
        tests: [
          { arg: 2, mask: PROT_MASK, is: [0] },
          { arg: 3, mask: not(KEYS - 1), is: [0] },
        ],
        action: 'allow',
      },
    ],
  },
];

const argLo = (arg: number): number => DATA_ARGS + 8 * arg;
const argHi = (arg: number): number => DATA_ARGS + 8 * arg + 4;

function emitTest(asm: BpfAssembler, test: Test, fail: string): void {
  if ('hi' in test) {
    asm.load(argHi(test.arg));
    asm.jeq(test.hi, null, fail);
    return;
  }
  if ('nonZero' in test) {
    const pass = asm.freshLabel();
    asm.load(argLo(test.arg));
    asm.jeq(0, null, pass);
    asm.load(argHi(test.arg));
    asm.jeq(0, fail, pass);
    asm.label(pass);
    return;
  }
  asm.load(argHi(test.arg));
  asm.jeq(0, null, fail);
  asm.load(argLo(test.arg));
  if ('mask' in test) asm.and(test.mask);
  const pass = asm.freshLabel();
  test.is.forEach((value, i) => asm.jeq(value, pass, i === test.is.length - 1 ? fail : null));
  asm.label(pass);
}

/** The guest filter as BPF: architecture first, then the instruction pointer, then the table in order. */
export function guestFilter(): BpfInstruction[] {
  const asm = new BpfAssembler();
  asm.load(DATA_ARCH);
  asm.jeq(AUDIT_ARCH_X86_64, null, 'trap');
  asm.load(DATA_IP);
  asm.jeq(SYSCALL_RETURN_IP % 0x100000000, null, 'trap');
  asm.load(DATA_IP + 4);
  asm.jeq(Math.floor(SYSCALL_RETURN_IP / 0x100000000), 'site', 'trap');
  asm.label('trap');
  asm.ret(SECCOMP_RET_TRAP);
  asm.label('site');
  for (const row of GUEST_FILTER) {
    const next = asm.freshLabel();
    asm.load(DATA_NR);
    asm.jeq(row.nr, null, next);
    for (const alternative of row.when) {
      const fail = asm.freshLabel();
      for (const test of alternative.tests) emitTest(asm, test, fail);
      asm.ret(alternative.action === 'allow' ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF);
      asm.label(fail);
    }
    if (row.when.some((alternative) => alternative.tests.length > 0)) asm.ret(SECCOMP_RET_KILL_PROCESS);
    asm.label(next);
  }
  asm.ret(SECCOMP_RET_KILL_PROCESS);
  return asm.assemble();
}
