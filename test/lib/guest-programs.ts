/** Compiles the C programs of test/guest, once per source content. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './sandbox.ts';

const guestDir = join(root, 'test/guest');
export const binDir = join(root, 'node_modules/.cache/guest');

/** Names of programs in test/guest, without `.c`. A first line `// link: static -lfoo` adds linker flags. */
export function guestPrograms(): string[] {
  return readdirSync(guestDir)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .sort();
}

/**
 * Why the program's native run would say nothing of the sandbox, null if it may run. A line `// host: PATH VALUE` asks for a file
 * of the host whose content is VALUE.
 */
export function unfitHost(name: string): string | null {
  const source = readFileSync(join(guestDir, `${name}.c`), 'utf8');
  for (const [, path, value] of source.matchAll(/^\/\/ host: (\S+) (.*)$/gm)) {
    const found = existsSync(path!) ? readFileSync(path!, 'utf8').trim() : 'missing';
    if (found !== value) return `${path} of this host is ${found}`;
  }
  return null;
}

/** Path of the compiled program. */
export function compileGuest(name: string): string {
  mkdirSync(binDir, { recursive: true });
  const source = readFileSync(join(guestDir, `${name}.c`), 'utf8');
  const header = readFileSync(join(guestDir, 'guest.h'), 'utf8');
  const hash = createHash('sha256').update(source).update(header).digest('hex').slice(0, 12);
  const bin = join(binDir, `${name}-${hash}`);
  if (!existsSync(bin)) {
    const extra = /^\/\/ link: (.*)$/m.exec(source)?.[1]?.trim().split(/\s+/) ?? [];
    const tmp = `${bin}.${process.pid}`;
    execFileSync(
      'cc',
      ['-O1', '-g', '-Wall', '-I', guestDir, '-pthread', '-o', tmp, join(guestDir, `${name}.c`), ...extra],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    renameSync(tmp, bin);
  }
  return bin;
}
