/** Compiles the C programs of test/guest, once per source content. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './sandbox.ts';

const guestDir = join(root, 'test/guest');
const binDir = join(root, 'node_modules/.cache/guest');

/** Names of programs in test/guest, without `.c`. A first line `// link: static -lfoo` adds linker flags. */
export function guestPrograms(): string[] {
  return readdirSync(guestDir)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .sort();
}

/**
 * Why the program's native run would say nothing of the sandbox, null if it may run. A line `// host: PATH VALUE` asks for a file
 * of the host whose content is VALUE, `// device: PATH` for a device that root can open.
 */
export function unfitHost(name: string): string | null {
  const source = readFileSync(join(guestDir, `${name}.c`), 'utf8');
  for (const [, path, value] of source.matchAll(/^\/\/ host: (\S+) (.*)$/gm)) {
    const found = existsSync(path!) ? readFileSync(path!, 'utf8').trim() : 'missing';
    if (found !== value) return `${path} of this host is ${found}`;
  }
  for (const [, path] of source.matchAll(/^\/\/ device: (\S+)$/gm)) {
    if (process.getuid?.() !== 0 || !opens(path!)) return `${path} of this host cannot be opened`;
  }
  return null;
}

/** Whether it is one for `platform`: with a line `// platform: NAME` only for that one. */
export function isFor(name: string, platform: string): boolean {
  const source = readFileSync(join(guestDir, `${name}.c`), 'utf8');
  return (/^\/\/ platform: (\S+)$/m.exec(source)?.[1] ?? platform) === platform;
}

function opens(path: string): boolean {
  try {
    closeSync(openSync(path, 'r+'));
    return true;
  } catch {
    return false;
  }
}

/** Path of the compiled program. */
async function compileGuest(name: string): Promise<string> {
  const path = join(guestDir, `${name}.c`);
  const source = readFileSync(path, 'utf8');
  const headers = readdirSync(guestDir).filter((f) => f.endsWith('.h'));
  const hash = createHash('sha256').update(source);
  for (const h of headers.sort()) hash.update(readFileSync(join(guestDir, h)));
  const bin = join(binDir, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(bin)) return bin;
  const extra = /^\/\/ link: (.*)$/m.exec(source)?.[1]?.trim().split(/\s+/) ?? [];
  const tmp = `${bin}.${process.pid}`;
  const options = ['-O1', '-g', '-Wall', '-I', guestDir, '-pthread'];
  const { stderr } = await promisify(execFile)('cc', [...options, '-o', tmp, path, ...extra]);
  if (stderr !== '') console.error(stderr);
  renameSync(tmp, bin);
  return bin;
}

/** Compiles the programs, as many at once as there are processors. Paths by name. */
export async function compileGuests(names: readonly string[]): Promise<Map<string, string>> {
  mkdirSync(binDir, { recursive: true });
  const bins = new Map<string, string>();
  const queue = [...names];
  const worker = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift())
      bins.set(name, await compileGuest(name));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return bins;
}
