/** `npm run docs`: writes the generated documents. docs.test.ts fails when they are stale. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syscallsMarkdown } from '../../syscalls/docs.ts';

writeFileSync(join(import.meta.dirname, '../../SYSCALLS.md'), syscallsMarkdown());
