/** Rows of the calls on names, descriptors and mounts, for the syscall table. */
import type { SyscallRow } from '../sentry/kernel/syscall-table.ts';
import { attrRows } from './attr.ts';
import { fileAttrRows } from './file-attr.ts';
import { dirRows } from './dir.ts';
import { fdRows } from './fd.ts';
import { fileHandleRows } from './file-handle.ts';
import { linkRows } from './link.ts';
import { lockRows } from './locks.ts';
import { fsContextRows } from './fs-context.ts';
import { mountQueryRows } from './mount-query.ts';
import { mountTreeRows } from './mount-tree.ts';
import { mountRows } from './mount.ts';
import { openRows } from './open.ts';
import { statRows } from './stat.ts';
import { syncRows } from './sync.ts';
import { truncateRows } from './truncate.ts';
import { utimesRows } from './utimes.ts';
import { xattrRows } from './xattr.ts';

export const fileRows: readonly SyscallRow[] = [
  ...attrRows,
  ...fileAttrRows,
  ...dirRows,
  ...fdRows,
  ...fileHandleRows,
  ...linkRows,
  ...lockRows,
  ...fsContextRows,
  ...mountQueryRows,
  ...mountTreeRows,
  ...mountRows,
  ...openRows,
  ...statRows,
  ...syncRows,
  ...truncateRows,
  ...utimesRows,
  ...xattrRows,
];
