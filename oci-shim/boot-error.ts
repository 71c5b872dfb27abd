/** A failure inside the sandbox that the user can understand; `exitCode` as a shell's or runc's. */
export class BootError extends Error {
  override name = 'BootError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}
