/** `npm run docs`: writes the generated documents. docs.test.ts fails when they are stale. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allowListsMarkdown } from '../../platform-ptrace/confine/docs.ts';
import { syscallsMarkdown } from '../../syscalls/docs.ts';

writeFileSync(join(import.meta.dirname, '../../SYSCALLS.md'), syscallsMarkdown());
writeFileSync(join(import.meta.dirname, '../../docs/allow-lists.md'), allowListsMarkdown());
