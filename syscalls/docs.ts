/** The syscall table as documentation: SYSCALLS.md and `runsc-ts help syscalls` are made from it. */
import { SYSCALL_NAMES } from '../sentry/abi/syscall-names.ts';
import type { Support } from '../sentry/kernel/syscall-table.ts';
import { makeSyscallTable } from './table.ts';

export interface SyscallDoc {
  nr: number;
  name: string;
  support: Support;
  note: string;
}

/** Every x86-64 syscall with its support level; those without a row answer ENOSYS. */
export function syscallDocs(): SyscallDoc[] {
  const table = makeSyscallTable();
  return [...SYSCALL_NAMES].map(([nr, name]) => {
    const row = table[nr];
    return row === null || row === undefined
      ? { nr, name, support: 'none', note: 'ENOSYS' }
      : { nr, name, support: row.support, note: row.note ?? '' };
  });
}

/** Text of SYSCALLS.md. */
export function syscallsMarkdown(): string {
  const docs = syscallDocs();
  const count = (s: Support): number => docs.filter((d) => d.support === s).length;
  return [
    '# System calls',
    '',
    'Generated from the syscall table by `npm run docs`. *full*: as Linux does it; *partial*: with the gaps named;',
    '*none*: refused with the errno named.',
    '',
    `${count('full')} full, ${count('partial')} partial, ${count('none')} not supported.`,
    '',
    '| number | name | support | note |',
    '|---:|---|---|---|',
    ...docs.map((d) => `| ${d.nr} | ${d.name} | ${d.support} | ${d.note.replaceAll('|', '\\|')} |`),
    '',
  ].join('\n');
}
