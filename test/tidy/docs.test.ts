// Documents that are generated, or that name what must exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { VERSION } from '../../oci-shim/version.ts';
import { allowListsMarkdown } from '../../platform-ptrace/confine/docs.ts';
import { syscallsMarkdown } from '../../syscalls/docs.ts';
import { makeSyscallTable } from '../../syscalls/table.ts';
import { SYSCALL_NAMES } from '../../sentry/abi/syscall-names.ts';

const root = join(import.meta.dirname, '../..');
const text = (file: string): string => readFileSync(join(root, file), 'utf8');

test('SYSCALLS.md is what the table says (npm run docs)', () => {
  expect(text('SYSCALLS.md')).toBe(syscallsMarkdown());
});

test('docs/allow-lists.md is what the filters say (npm run docs)', () => {
  expect(text('docs/allow-lists.md')).toBe(allowListsMarkdown());
});

test('every row of the table has its number and name from Linux, and a note where something is missing', () => {
  for (const row of makeSyscallTable()) {
    if (row === null) continue;
    expect(SYSCALL_NAMES.get(row.nr)).toBe(row.name);
    if (row.support !== 'full') expect(row.note, row.name).toBeTruthy();
  }
});

test('the version is that of package.json', () => {
  expect((JSON.parse(text('package.json')) as { version: string }).version).toBe(VERSION);
});

test('links and npm commands in the documents lead somewhere', () => {
  const scripts = (JSON.parse(text('package.json')) as { scripts: Record<string, string> }).scripts;
  const docs = readdirSync(join(root, 'docs')).filter((f) => f.endsWith('.md'));
  for (const doc of [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    ...docs.map((f) => `docs/${f}`),
  ]) {
    for (const m of text(doc).matchAll(/\]\(([^)#:]+)\)/g)) {
      expect(existsSync(join(root, doc, '..', m[1]!)), `${doc}: ${m[1]!}`).toBe(true);
    }
    for (const m of text(doc).matchAll(/npm run ([\w:]+)/g)) {
      expect(Object.keys(scripts), doc).toContain(m[1]);
    }
  }
});
