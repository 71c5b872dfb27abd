/**
 * Standard output and error of the CLI, written at once. process.stdout would load Node's streams first, a tenth of the time
 * of a short command.
 */
import { writeSync } from 'node:fs';

const RETRY_MS = 1;

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      // A reader that has seen enough (`| head`) is no error.
      if (code === 'EPIPE') process.exit();
      if (code !== 'EAGAIN') throw e;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

export function print(text: string): void {
  writeAll(1, text);
}

export function printError(text: string): void {
  writeAll(2, text);
}
