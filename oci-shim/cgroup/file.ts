/** Reading and writing cgroup files. Errors of the host keep their code; messages name the file and the value. */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';

const { O_WRONLY } = constants;

/** An error of the host with the file that it happened at. */
export class CgroupError extends Error {
  override name = 'CgroupError';
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

export const codeOf = (e: unknown): string => (e as NodeJS.ErrnoException).code ?? 'EIO';

/** Never creates the file: a controller file that does not exist is ENOENT, on a fake tree, too. */
export function writeCgroupFile(dir: string, file: string, value: string): void {
  const path = `${dir}/${file}`;
  try {
    const fd = openSync(path, O_WRONLY);
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (e) {
    throw new CgroupError(`cannot write "${value}" to ${path}: ${codeOf(e)}`, codeOf(e));
  }
}

/** Null if the file is not there. */
export function readCgroupFile(dir: string, file: string): string | null {
  try {
    return readFileSync(`${dir}/${file}`, 'utf8');
  } catch {
    return null;
  }
}

/** A file with one number; `max` is Infinity. Null if it is not there or holds something else. */
export function readNumber(dir: string, file: string): number | null {
  const text = readCgroupFile(dir, file)?.trim();
  if (text === undefined || text === '') return null;
  if (text === 'max') return Infinity;
  const n = Number(text);
  return Number.isNaN(n) ? null : n;
}

/** `key value` lines. */
export function readFlatKeyed(dir: string, file: string): Record<string, number> {
  const result: Record<string, number> = Object.create(null) as Record<string, number>;
  for (const line of (readCgroupFile(dir, file) ?? '').split('\n')) {
    const space = line.indexOf(' ');
    if (space > 0) result[line.slice(0, space)] = Number(line.slice(space + 1));
  }
  return result;
}

/** Process ids of a group, without those of its children. */
export function readProcs(dir: string): number[] {
  return (readCgroupFile(dir, 'cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number);
}
