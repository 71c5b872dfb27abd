/**
 * Answers lent to an address space. A compiler asks readlink(2) a thousand times which parts of a few names are symbolic links,
 * and none is: where the platform can, the thread keeps such an answer (EINVAL, ENOENT) with the name and gives it to itself
 * the next time (Context.lendAnswer), until the generation of the tree changes (vfs/walk-cache.ts), which it sees in a page.
 *
 * Lent are answers that the walk cache would give, so they hold for one tree, one root and one task's credentials: to address spaces of one
 * task. When another one joins it, the task becomes somebody else, or somebody wants to see its calls, what it knows is
 * void (AddressSpace.forgetAnswers); a change of its root changes the generation.
 */
import { relyOnWalk } from '../vfs/walk.ts';
import type { Task } from './task.ts';

const NR_READLINK = 89;

/** `t` is about to hear from readlink(2) that `name` is no symbolic link, or nothing at all. */
export function lendAnswer(t: Task, name: string): void {
  if (!t.ctx.partial || t.mm.userCount > 1) return;
  if (t.kernel.trace !== null || t.ptrace !== null || t.dispatch !== null) return;
  if (t.seccomp !== null && !t.seccomp.alwaysAllows(NR_READLINK)) return;
  if (relyOnWalk(t, name)) t.ctx.lendAnswer();
}
