/**
 * Seccomp allow-lists for our own processes as tables: every row names a call, what its arguments may be, and why the
 * process needs it. Unlisted calls kill the process; for whoever looks closer (`--debug-log`) a handler reports the number
 * first (see lockdown.ts), except of those of FORBIDDEN.
 */
import { SYSCALL_NAMES } from '../../sentry/abi/syscall-names.ts';
import {
  AUDIT_ARCH_X86_64,
  BpfAssembler,
  type BpfInstruction,
  DATA_ARCH,
  DATA_ARGS,
  DATA_NR,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_TRAP,
} from '../seccomp/bpf.ts';

/** What one argument's low 32 bits must be; the kernel ignores the high ones of every argument tested here. */
export interface Condition {
  readonly arg: number;
  /** Bits that are looked at; default all. */
  readonly mask?: number;
  readonly is: readonly number[];
}

export interface Row {
  /** Names of calls that are treated alike. */
  readonly calls: string;
  /** Alternatives, each a list of conditions that must all hold; absent: any arguments. */
  readonly when?: readonly (readonly Condition[])[];
  /** Instead of executing the call, fail with this errno. */
  readonly errno?: number;
  readonly why: string;
}

const NUMBERS = new Map([...SYSCALL_NAMES].map(([nr, name]) => [name, nr]));

/** Number of a call by name. */
export function syscallNumber(name: string): number {
  const nr = NUMBERS.get(name);
  if (nr === undefined) throw new Error(`no system call ${name}`);
  return nr;
}

/** Calls of a row in order. */
export function callsOf(row: Row): string[] {
  return row.calls.split(' ');
}

/** Never of use to any of our processes after its start: attempts end the process without a word of its own. */
export const FORBIDDEN =
  'execve execveat fork vfork clone clone3 ptrace mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount ' +
  'fsconfig fspick mount_setattr setns unshare io_uring_setup io_uring_enter io_uring_register bpf userfaultfd ' +
  'perf_event_open keyctl add_key request_key kexec_load kexec_file_load init_module finit_module delete_module ' +
  'pidfd_getfd name_to_handle_at open_by_handle_at setuid setgid setresuid setresgid setreuid setregid setgroups ' +
  'capset personality process_madvise reboot swapon swapoff acct quotactl iopl ioperm modify_ldt seccomp';

/**
 * The filter as BPF. A call named in several rows may satisfy any of them; the first row that matches decides. `report`:
 * what no row names raises SIGSYS instead of killing.
 */
export function assembleFilter(rows: readonly Row[], report = false): BpfInstruction[] {
  const unlisted = report ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS;
  const byNumber = new Map<number, Row[]>();
  for (const row of rows) {
    for (const name of callsOf(row)) {
      const nr = syscallNumber(name);
      byNumber.set(nr, [...(byNumber.get(nr) ?? []), row]);
    }
  }
  const asm = new BpfAssembler();
  asm.load(DATA_ARCH);
  const native = asm.freshLabel();
  asm.jeq(AUDIT_ARCH_X86_64, native, null);
  asm.ret(SECCOMP_RET_KILL_PROCESS);
  asm.label(native);
  asm.load(DATA_NR);
  for (const [nr, rowsOfCall] of byNumber) emitCall(asm, nr, rowsOfCall, unlisted);
  for (const name of FORBIDDEN.split(' ')) {
    if (byNumber.has(syscallNumber(name))) continue;
    const next = asm.freshLabel();
    asm.jeq(syscallNumber(name), null, next);
    asm.ret(SECCOMP_RET_KILL_PROCESS);
    asm.label(next);
  }
  asm.ret(unlisted);
  return asm.assemble();
}

/** Preconditions: the accumulator holds the number; it does again where this call's code is left. */
function emitCall(asm: BpfAssembler, nr: number, rows: readonly Row[], unlisted: number): void {
  const next = asm.freshLabel();
  asm.jeq(nr, null, next);
  for (const row of rows) {
    const action = row.errno === undefined ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO + row.errno;
    if (row.when === undefined) {
      asm.ret(action);
      continue;
    }
    for (const conditions of row.when) {
      const fail = asm.freshLabel();
      for (const condition of conditions) emitCondition(asm, condition, fail);
      asm.ret(action);
      asm.label(fail);
    }
  }
  if (rows.every((row) => row.when !== undefined)) asm.ret(unlisted);
  asm.label(next);
}

function emitCondition(asm: BpfAssembler, { arg, mask, is }: Condition, fail: string): void {
  const pass = asm.freshLabel();
  asm.load(DATA_ARGS + 8 * arg);
  if (mask !== undefined) asm.and(mask);
  is.forEach((value, i) => asm.jeq(value, pass, i === is.length - 1 ? fail : null));
  asm.label(pass);
}
