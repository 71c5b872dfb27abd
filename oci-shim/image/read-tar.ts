/** Reads a tar archive, plain or gzip, entry by entry. */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { UserError } from '../user-error.ts';

/** Takes one entry. Its data arrives by the entry's `data` and `end` events, which must be subscribed to at once. */
export type TakeEntry = (entry: ReadEntry) => void;

/**
 * Gives each entry of the archive `file` to `take`; returns the SHA-256 of the uncompressed archive in hex. `what` names
 * the archive in messages. An exception of `take` ends the reading.
 */
export async function readTar(file: string, what: string, take: TakeEntry): Promise<string> {
  const hash = createHash('sha256');
  let failure: Error | null = null;
  let empty = true;
  const fail = (e: Error): void => {
    failure ??= e;
  };
  const parser = new Parser({
    onwarn: (code, message) => {
      // An archive of zero blocks only is a legal layer without entries.
      if (code === 'TAR_BAD_ARCHIVE' && empty) return;
      fail(new UserError(`${what}: damaged tar archive: ${String(message)}`));
    },
    onReadEntry: (entry) => {
      try {
        if (failure === null) take(entry);
        else entry.resume();
      } catch (e) {
        fail(e as Error);
        entry.resume();
      }
    },
    gzip: false,
    zstd: false,
  });
  parser.on('error', fail);
  const ended = new Promise<void>((resolve) => parser.on('end', resolve));
  try {
    for await (const chunk of uncompressed(file, what)) {
      const data = chunk as Buffer;
      hash.update(data);
      if (empty && data.some((b) => b !== 0)) empty = false;
      parser.write(data);
      if (failure !== null) throw failure as Error;
    }
  } catch (e) {
    if (failure !== null || e instanceof UserError) throw failure ?? e;
    throw new UserError(`${what}: ${(e as Error).message}`);
  }
  parser.end();
  await ended;
  if (failure !== null) throw failure as Error;
  return hash.digest('hex');
}

function uncompressed(file: string, what: string): Readable {
  const magic = Buffer.alloc(4);
  const fd = openSync(file, 'r');
  try {
    readSync(fd, magic, 0, 4, 0);
  } finally {
    closeSync(fd);
  }
  const input = createReadStream(file, { highWaterMark: 256 * 1024 });
  if (magic.readUInt32LE() === 0xfd2fb528) {
    input.destroy();
    throw new UserError(
      `${what}: compressed with zstd, which is not supported (gzip and no compression are)`,
    );
  }
  if (magic.readUInt16BE() !== 0x1f8b) return input;
  const gunzip = createGunzip();
  input.on('error', (e) => gunzip.destroy(e));
  return input.pipe(gunzip);
}
