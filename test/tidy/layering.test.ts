// The import table of ARCHITECTURE.md ("Who may import whom"), checked on every import line of the tree.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, normalize, join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Area of a file: the longest prefix named in the table. */
const AREAS = [
  'sentry/abi', 'sentry/lib', 'sentry/host', 'sentry/arch', 'sentry/auth', 'sentry/platform', 'sentry/gofer-api',
  'sentry/waiter', 'sentry/time', 'sentry/usermem', 'sentry/mm', 'sentry/vfs', 'sentry/fsimpl', 'sentry/socket',
  'sentry/kernel', 'sentry/loader', 'sentry/strace', 'syscalls', 'platform-ptrace', 'gofer/protocol', 'gofer/client', 'gofer', 'oci-shim', 'bench', 'test',
]; // prettier-ignore

const LEAVES = ['sentry/abi', 'sentry/lib', 'sentry/host'];
const BASE = [...LEAVES, 'sentry/arch', 'sentry/auth', 'sentry/platform', 'sentry/gofer-api', 'sentry/waiter', 'sentry/time']; // prettier-ignore
const CORE = [...BASE, 'sentry/usermem', 'sentry/mm', 'sentry/vfs'];
const SENTRY = [...CORE, 'sentry/kernel', 'sentry/loader', 'sentry/strace'];

/** What each area may import besides itself. */
const ALLOWED: Record<string, readonly string[]> = {
  'sentry/abi': [],
  'sentry/lib': [],
  'sentry/host': ['sentry/abi', 'sentry/lib'],
  'sentry/arch': LEAVES,
  'sentry/auth': LEAVES,
  'sentry/platform': [...LEAVES, 'sentry/arch'],
  'sentry/gofer-api': LEAVES,
  'sentry/waiter': LEAVES,
  'sentry/time': LEAVES,
  'sentry/usermem': BASE,
  'sentry/mm': [...BASE, 'sentry/usermem', 'sentry/vfs'],
  'sentry/vfs': [...BASE, 'sentry/usermem'],
  'sentry/fsimpl': [...CORE, 'gofer/client', 'gofer/protocol'],
  'sentry/socket': [...CORE, 'sentry/fsimpl'],
  'sentry/kernel': SENTRY,
  'sentry/loader': SENTRY,
  'sentry/strace': SENTRY,
  syscalls: [...SENTRY, 'sentry/fsimpl', 'sentry/socket'],
  'platform-ptrace': [...LEAVES, 'sentry/platform', 'sentry/arch'],
  'gofer/protocol': [...LEAVES, 'sentry/gofer-api'],
  'gofer/client': [...LEAVES, 'sentry/gofer-api', 'gofer/protocol'],
  gofer: [...LEAVES, 'sentry/gofer-api', 'gofer/protocol', 'platform-ptrace'],
  'oci-shim': ['*'],
  bench: ['*'],
  test: ['*'],
};
/** Edges that may be type-only: erased at run time. */
const TYPE_ONLY: Record<string, readonly string[]> = {
  'sentry/fsimpl': ['sentry/kernel'],
  'sentry/socket': ['sentry/kernel'],
};

const areaOf = (file: string): string =>
  AREAS.filter((a) => file.startsWith(`${a}/`)).sort((a, b) => b.length - a.length)[0] ?? '';

interface Import {
  file: string;
  target: string;
  typeOnly: boolean;
}

function readImports(): { files: string[]; imports: Import[] } {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'], {
    cwd: root,
    encoding: 'utf8',
  })
    .trim()
    .split('\n')
    .filter((f) => existsSync(join(root, f)));
  const imports: Import[] = [];
  for (const file of files) {
    const source = readFileSync(join(root, file), 'utf8');
    for (const m of source.matchAll(/^(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'(\.[^']+)'/gms)) {
      imports.push({ file, target: normalize(join(dirname(file), m[2]!)), typeOnly: m[1] !== undefined });
    }
  }
  return { files, imports };
}

const { files, imports } = readImports();

test('the walk saw the tree', () => {
  expect(files.length).toBeGreaterThan(20);
  expect(imports.length).toBeGreaterThan(20);
});

test('every import is in the table', () => {
  const bad: string[] = [];
  for (const { file, target, typeOnly } of imports) {
    const from = areaOf(file);
    const to = areaOf(target);
    if (/\.test\.ts$|\/testing\//.test(file) || from === '' || from === to) continue;
    const allowed = ALLOWED[from]!;
    if (allowed.includes('*') || allowed.includes(to)) continue;
    if (typeOnly && (TYPE_ONLY[from] ?? []).includes(to)) continue;
    bad.push(`${file} imports ${target}: ${from} may not import ${to || 'that'}`);
  }
  expect(bad).toEqual([]);
});

test('no import cycles between files', () => {
  const graph = new Map<string, string[]>();
  for (const { file, target, typeOnly } of imports) {
    if (!typeOnly) graph.set(file, [...(graph.get(file) ?? []), target]);
  }
  const done = new Set<string>();
  const stack: string[] = [];
  const cycles: string[] = [];
  const visit = (f: string): void => {
    if (done.has(f)) return;
    const at = stack.indexOf(f);
    if (at >= 0) {
      cycles.push([...stack.slice(at), f].join(' → '));
      return;
    }
    stack.push(f);
    for (const t of graph.get(f) ?? []) visit(t);
    stack.pop();
    done.add(f);
  };
  for (const f of graph.keys()) visit(f);
  expect(cycles).toEqual([]);
});

test('koffi is imported in *.ffi.ts files only', () => {
  const bad = files.filter(
    (f) =>
      !f.endsWith('.ffi.ts') && /from 'koffi'|require\('koffi'\)/.test(readFileSync(join(root, f), 'utf8')),
  );
  expect(bad.filter((f) => f !== 'test/tidy/layering.test.ts')).toEqual([]);
});

test('nothing lies in the root but the folders of the layout and the usual files', () => {
  const names = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\0')
    .filter((f) => f !== '' && existsSync(join(root, f)))
    .map((f) => f.split('/')[0]!);
  const folders = ['sentry', 'gofer', 'platform-ptrace', 'syscalls', 'oci-shim', 'bench', 'test', 'docs'];
  const usual =
    /^(\.ci|\.\w+ignore|\.npmrc|\.prettierrc\.json|LICENSE|[A-Z]+\.md|setup\.sh|[a-z-]+\.json|[a-z.]+\.[jt]s)$/;
  expect([...new Set(names)].filter((n) => !folders.includes(n) && !usual.test(n))).toEqual([]);
});
