/** An error of the user's making: printed as one line `runsc-ts: <message>`, without a stack. */
export class UserError extends Error {
  override name = 'UserError';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A file of the caller's that is not what it should be: the message of Node names call, path and reason. */
export const isHostError = (e: unknown): e is Error =>
  e instanceof Error && (e as NodeJS.ErrnoException).syscall !== undefined;
