/** Files that a sandbox writes about itself: `--debug-log` and `--syscall-report`. */
import { accessSync, constants, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { GlobalOptions } from './global-options.ts';
import type { ReportConfig } from './sandbox-config.ts';
import { UserError } from './user-error.ts';

/** Appended to: several sandboxes may share it. −1 if none was asked for. */
export function openDebugLog({ debugLog }: GlobalOptions, id: string): number {
  return debugLog === null ? -1 : open('--debug-log', debugLog, id, 'a');
}

/** A sandbox's own, written anew. Null if none was asked for. */
export function openSyscallReport({ syscallReport }: GlobalOptions, id: string): number | null {
  return syscallReport === null ? null : open('--syscall-report', syscallReport, id, 'w');
}

/** A report is JSON if its file's name says so, else text. */
export function reportConfig({ syscallReport }: GlobalOptions, donated: number): ReportConfig | null {
  return syscallReport === null ? null : { donated, json: syscallReport.endsWith('.json') };
}

/** Engines pass the same options for all containers: %ID% keeps their files apart. */
function open(option: string, pattern: string, id: string, mode: 'a' | 'w'): number {
  const file = pattern.replaceAll('%ID%', () => id);
  try {
    mkdirSync(dirname(file), { recursive: true });
    accessSync(dirname(file), constants.W_OK);
    return openSync(file, mode, 0o644);
  } catch (e) {
    throw new UserError(`${option} ${file}: ${(e as Error).message}`);
  }
}
