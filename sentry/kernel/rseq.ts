/**
 * Restartable sequences (kernel/rseq.c). A guest's thread is a thread of the host, which keeps the area of rseq(2) up to date and
 * aborts critical sections by itself, at preemption, migration and signals of its own. What is left is a signal that the kernel
 * delivers to a thread that was stopped by other means (Context.stopsInRseq).
 */
import { RIP } from '../arch/regs.ts';
import { getU64 } from '../arch/signal-frame.ts';
import { TASK_SIZE } from '../lib/addr.ts';
import type { Task } from './task.ts';

/** struct rseq: rseq_cs; struct rseq_cs: version, flags, start_ip, post_commit_offset, abort_ip. */
const AREA_CS = 8;
const CS_VERSION = 0;
const CS_START = 8;
const CS_LENGTH = 16;
const CS_ABORT = 24;
const CS_SIZE = 32;

const section = Buffer.alloc(CS_SIZE);
const view = new DataView(section.buffer, section.byteOffset, CS_SIZE);

/** rseq_signal_deliver(): a section that `t` is in is left for its abort handler. False: SIGSEGV, what is registered is no such thing. */
export function abortRseq(t: Task): boolean {
  const area = t.ctx.rseqArea;
  if (area === null) return true;
  if (t.mem.copyIn(area.addr + AREA_CS, section, 0, 8) !== 0) return false;
  const at = getU64(view, 0);
  if (at === 0) return true;
  if (at >= TASK_SIZE || t.mem.copyIn(at, section, 0, CS_SIZE) !== 0) return false;
  const start = getU64(view, CS_START);
  const length = getU64(view, CS_LENGTH);
  const abort = getU64(view, CS_ABORT);
  if (start >= TASK_SIZE || start + length >= TASK_SIZE || abort >= TASK_SIZE) return false;
  if (view.getUint32(CS_VERSION, true) !== 0 || (abort >= start && abort < start + length)) return false;
  if (t.mem.copyIn(abort - 4, section, 0, 4) !== 0 || view.getUint32(0, true) !== area.sig) return false;
  section.fill(0, 0, 8);
  if (t.mem.copyOut(area.addr + AREA_CS, section, 0, 8) !== 0) return false;
  const regs = t.ctx.regs();
  const ip = regs.get(RIP);
  if (ip < start || ip >= start + length) return true;
  regs.set(RIP, abort);
  t.ctx.regsChanged();
  return true;
}
