/** Who looks on while guests make system calls: `--strace` and `--syscall-report`. */
import { writeSync } from 'node:fs';
import { SENTRY_EXTRA_FD } from '../../platform-ptrace/confine/launcher-protocol.ts';
import type { Kernel } from '../../sentry/kernel/kernel.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { Strace } from '../../sentry/strace/strace.ts';
import { reportText, type SyscallReport } from '../../sentry/strace/syscall-report.ts';
import type { ReportConfig } from '../sandbox-config.ts';

/** `calls`: null for no strace, [] for all. */
export function observe(
  kernel: Kernel,
  calls: string[] | null,
  report: SyscallReport | null,
  writeLine: (line: string) => void,
): void {
  const strace = calls === null ? null : straceOf(calls, writeLine);
  if (strace === null || report === null) {
    kernel.trace = strace ?? report;
    return;
  }
  kernel.trace = {
    enter(t: Task): void {
      strace.enter(t);
      report.enter(t);
    },
    exit(t: Task, result: SysResult): void {
      strace.exit(t, result);
      report.exit(t, result);
    },
  };
}

function straceOf(calls: string[], writeLine: (line: string) => void): NonNullable<Kernel['trace']> {
  const strace = new Strace(calls.length === 0 ? null : calls, writeLine);
  const open = new WeakMap<Task, string>();
  return {
    enter(t: Task): void {
      const call = strace.enter(t);
      if (call === null) open.delete(t);
      else open.set(t, call);
    },
    exit(t: Task, result: SysResult): void {
      const call = open.get(t);
      // Codes below −4095 are the kernel's own: blocked, restarted, gone.
      if (call !== undefined) strace.exit(call, result < -4095 ? null : result);
    },
  };
}

/** The file may be full or a pipe that nobody reads: the sandbox's exit does not depend on it. */
export function writeReport(report: SyscallReport, { donated, json }: ReportConfig): void {
  const result = report.result();
  const text = Buffer.from(json ? `${JSON.stringify(result, null, 2)}\n` : reportText(result));
  try {
    for (let at = 0; at < text.length;) at += writeSync(SENTRY_EXTRA_FD + donated, text, at);
  } catch {
    // Nobody can be told.
  }
}
