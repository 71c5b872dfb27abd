// A module that may be part of a start-up snapshot touches no host buffer while it is evaluated (sentry/host/at-start.ts):
// the buffers get their memory when the process starts, and what was written before is lost.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const files = execFileSync('git', ['ls-files', 'sentry', 'syscalls', 'gofer', 'platform-ptrace'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'));

/** Statements and initialisers at the outermost level; functions in one line are none. */
const EARLY =
  /^(?:(?:export )?(?:const|let) \w+(?:: [\w<>]+)? = )?(?!.*=>)\w+\.(?:addr|bytes|view|u32|i32)\b/;

test('no module touches a host buffer while it is evaluated', () => {
  const found: string[] = [];
  for (const file of files) {
    const source = readFileSync(join(root, file), 'utf8');
    if (!source.includes('HostBuffer') && !source.includes('scratch')) continue;
    source.split('\n').forEach((line, i) => {
      if (EARLY.test(line)) found.push(`${file}:${i + 1}: ${line}`);
    });
  }
  expect(found).toEqual([]);
});

test('the search finds such lines', () => {
  for (const line of ['iovec.u32[0] = 1;', 'const u32 = scratch.u32;', 'const a: number = area.addr;']) {
    expect(EARLY.test(line)).toBe(true);
  }
  for (const line of ['  iovec.u32[0] = 1;', 'const f = (): number => word.u32[0]!;', 'const x = 1;']) {
    expect(EARLY.test(line)).toBe(false);
  }
});
