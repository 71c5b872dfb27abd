import { logWarning } from './lifecycle/log.ts';
import { printError } from './output.ts';

/** An error of the user's making: printed as one line `runsc-ts: <message>`, without a stack. */
export class UserError extends Error {
  override name = 'UserError';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Something that the user should know and that does not stop the command. */
export function warn(line: string): void {
  if (!logWarning(line)) printError(`runsc-ts: warning: ${line}\n`);
}
