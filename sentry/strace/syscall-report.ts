/**
 * What a sandbox's programs asked of the kernel (`--syscall-report`): each system call with how often it was called, its
 * errors and how far it is supported, and the failed calls by what they asked for (command, option, request).
 */
import { errnoName } from '../abi/errno.ts';
import type { ArgKind, Support, SysResult } from '../kernel/syscall-table.ts';
import type { Task } from '../kernel/task.ts';
import { formatArg, syscallName } from './strace.ts';

/** Numbers and arguments are the guest's: what it makes up is not kept beyond these. */
const MAX_CALLS = 1024;
const MAX_FAILURES = 4096;

/** Arguments that say what a call is asked for, where the row's kinds do not. */
const SELECTORS: Readonly<Record<string, readonly number[]>> = {
  ioctl: [1],
  setsockopt: [1, 2],
  getsockopt: [1, 2],
  socket: [0, 1, 2],
};

export interface CallCount {
  readonly nr: number;
  readonly name: string;
  readonly support: Support;
  readonly note: string;
  count: number;
  /** Names of errors, and how often. */
  readonly errors: Record<string, number>;
}

export interface FailureCount {
  /** `ioctl(0x5413)` */
  readonly call: string;
  readonly error: string;
  count: number;
}

export interface SyscallCounts {
  readonly calls: readonly CallCount[];
  readonly failures: readonly FailureCount[];
}

export class SyscallReport {
  private readonly calls = new Map<number, CallCount>();
  private readonly failures = new Map<string, FailureCount>();

  enter(t: Task): void {
    const call = this.callOf(t);
    if (call !== null) call.count++;
  }

  /** `result`: as the guest sees it, or a code of the kernel's own below −4095, which is no end of the call. */
  exit(t: Task, result: SysResult): void {
    if (result >= 0 || result < -4095) return;
    const call = this.callOf(t);
    if (call === null) return;
    const error = errnoName(-result);
    call.errors[error] = (call.errors[error] ?? 0) + 1;
    this.countFailure(describe(t, call.name), error);
  }

  /** Most frequent first. */
  result(): SyscallCounts {
    const byCount = (a: { count: number }, b: { count: number }): number => b.count - a.count;
    return {
      calls: [...this.calls.values()].sort(byCount),
      failures: [...this.failures.values()].sort(byCount),
    };
  }

  private callOf(t: Task): CallCount | null {
    let call = this.calls.get(t.sysno);
    if (call === undefined) {
      if (this.calls.size >= MAX_CALLS) return null;
      const support = t.row?.support ?? 'none';
      const note = t.row?.note ?? (t.row === null ? 'not implemented' : '');
      call = { nr: t.sysno, name: syscallName(t.sysno), support, note, count: 0, errors: {} };
      this.calls.set(t.sysno, call);
    }
    return call;
  }

  private countFailure(call: string, error: string): void {
    const key = `${call} ${error}`;
    const known = this.failures.get(key);
    if (known !== undefined) known.count++;
    else if (this.failures.size < MAX_FAILURES) this.failures.set(key, { call, error, count: 1 });
  }
}

function describe(t: Task, name: string): string {
  const args = t.row?.args ?? [];
  const chosen = SELECTORS[name] ?? args.flatMap((kind: ArgKind, i) => (kind.kind === 'enum' ? [i] : []));
  return `${name}(${chosen.map((i) => formatArg(t, args[i]!, i)).join(', ')})`;
}

/** For people: what is not there first, then all calls, then what failed. */
export function reportText({ calls, failures }: SyscallCounts): string {
  const total = calls.reduce((n, c) => n + c.count, 0);
  const missing = calls.filter((c) => c.support !== 'full');
  return [
    `${total} system calls of ${calls.length} kinds, ${missing.length} of them not fully supported`,
    '',
    ...(missing.length === 0 ? [] : ['not fully supported:', ...missing.map(missingLine), '']),
    '   calls  errors  name',
    ...calls.map(callLine),
    '',
    'failed:',
    ...failures.map((f) => `${String(f.count).padStart(8)}  ${f.call} ${f.error}`),
    '',
  ].join('\n');
}

const missingLine = (c: CallCount): string =>
  `${String(c.count).padStart(8)}  ${c.name.padEnd(24)} ${c.support.padEnd(8)} ${c.note}`.trimEnd();

function callLine(c: CallCount): string {
  const errors = Object.values(c.errors).reduce((n, e) => n + e, 0);
  return `${String(c.count).padStart(8)}  ${String(errors).padStart(6)}  ${c.name}`;
}
