/** `--log FILE --log-format text|json`: what engines read when a command fails. Nothing but log lines goes there. */
import { appendFileSync } from 'node:fs';
import { printError } from '../output.ts';
import { UserError } from '../user-error.ts';

export interface LogOptions {
  readonly file: string | null;
  readonly format: 'text' | 'json';
}

let options: LogOptions = { file: null, format: 'text' };

/** Makes the file: engines open it whether or not something went wrong. */
export function openLog(o: LogOptions): void {
  if (o.file !== null) {
    try {
      appendFileSync(o.file, '', { mode: 0o644 });
    } catch (e) {
      throw new UserError(`--log ${o.file}: ${(e as NodeJS.ErrnoException).code ?? String(e)}`);
    }
  }
  options = o;
}

/** RFC 3339, as logrus writes it: without a fraction. */
function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}

export function log(level: 'error' | 'warning', message: string): void {
  if (options.file === null) return;
  const time = now();
  const line =
    options.format === 'json'
      ? JSON.stringify({ level, msg: message, time })
      : `time="${time}" level=${level} msg=${JSON.stringify(message)}`;
  try {
    appendFileSync(options.file, `${line}\n`);
  } catch {
    // Standard error has it, too.
  }
}

/** Something that the user should know and that does not stop the command: in the log, or on the terminal if there is none. */
export function warn(line: string): void {
  log('warning', line);
  if (options.file === null) printError(`runsc-ts: warning: ${line}\n`);
}
