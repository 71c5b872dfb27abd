/** Copies of small files that mappings show (mm/small-copies.ts): who shows one that cannot follow its file goes through the kernel. */
import { onCopyLost } from '../mm/small-copies.ts';
import type { Kernel } from './kernel.ts';
import { TASK_RUNNING } from './task.ts';

export function watchCopies(k: Kernel): void {
  onCopyLost(() => {
    for (const g of k.allGroups()) {
      for (const t of g.tasks) {
        if (!t.mm.hasCopies) continue;
        t.mm.lostCopies = true;
        if (t.state === TASK_RUNNING && !t.ctxGone) t.ctx.interrupt();
      }
    }
  });
}
