/** What the platform may fetch along with each syscall, from the table's argument kinds. */
import type { ArgKind } from '../sentry/kernel/syscall-table.ts';
import type { ArgCopy, CopyPlan } from '../sentry/platform/platform.ts';
import { makeSyscallTable } from './table.ts';

function argCopy(kind: ArgKind): ArgCopy {
  switch (kind.kind) {
    case 'path':
    case 'string':
      return { kind: 'string' };
    case 'in':
    case 'inout':
      return { kind: 'in', size: kind.size };
    case 'inBuf':
      return { kind: 'inBuf', lenArg: kind.lenArg, unit: kind.unit };
    default:
      return null;
  }
}

export function copyPlan(): CopyPlan {
  const plan = new Map<number, ArgCopy[]>();
  for (const row of makeSyscallTable()) {
    if (row === null) continue;
    const copies = row.args.map(argCopy);
    if (copies.some((c) => c !== null)) plan.set(row.nr, copies);
  }
  return plan;
}
