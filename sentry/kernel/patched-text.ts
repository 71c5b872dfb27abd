/** Tasks and the patched text they run in (sentry/mm/text). */
import { RCX, RIP } from '../arch/regs.ts';
import type { TextPatches } from '../mm/text/text-patches.ts';
import { showPatched } from '../mm/text/text-vmas.ts';
import { TASK_KERNEL, type Task } from './task.ts';

/** Bytes of the instruction. */
const SYSCALL_SIZE = 2;

/**
 * `t` has trapped for a call whose handler has returned `result`: the text it came from counts as busy, and is replaced by its
 * patched copy, if there is one by now, when the task resumes. That has to be at once: orders of a task that waits would
 * come too late for what others do to the address space meanwhile.
 */
export function patchCaller(t: Task, result: number, patches: TextPatches): void {
  if (t.state !== TASK_KERNEL || t.work || t.restoreSigMask || result < -4095) return;
  const rip = t.ctx.regs().get(RIP);
  const v = t.mm.table.find(rip);
  if (v === null || v.unfit || v.backing === null) return;
  const image = patches.sample(v, rip - SYSCALL_SIZE - v.start + v.offset + v.backing.hostDelta);
  if (image !== null) showPatched(t.mm, t.ctx, v, image);
}

/** A stopped task that is in the thunk of a patched site: its registers say where it would be without. */
export function leaveThunk(t: Task): void {
  if (t.kernel.patches === null || t.kernel.patches.count === 0) return;
  const regs = t.ctx.regs();
  const rip = regs.get(RIP);
  const v = t.mm.table.find(rip);
  if (v === null || v.text === null) return;
  const base = v.start - (v.offset + v.backing!.hostDelta - v.text.offset);
  const place = v.text.originalPlace(rip - base, regs.get(RCX) - base);
  if (place < 0) return;
  regs.set(RIP, base + place);
  t.ctx.regsChanged();
}
