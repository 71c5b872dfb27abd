/** The vsyscall page (arch/x86/entry/vsyscall): three fixed addresses that old programs call instead of a syscall. */
import { RAX, RDI, RDX, RIP, RSI } from '../arch/regs.ts';
import type { Task } from './task.ts';

/** The upper half of VSYSCALL_ADDR. */
const VSYSCALL_HI = 0xffffffff;
/** __NR_gettimeofday, __NR_time, __NR_getcpu at 1024-byte steps. */
const CALLS = [96, 201, 309];

/** The syscall number if the fault is a call of one of the entries, −1 otherwise. Loads the arguments. */
export function emulateVsyscall(t: Task): number {
  const regs = t.ctx.regs();
  if (regs.words[2 * RIP + 1] !== VSYSCALL_HI) return -1;
  const offset = regs.words[2 * RIP]! - 0xff600000;
  if (offset < 0 || offset % 1024 !== 0 || offset / 1024 >= CALLS.length) return -1;
  const w = t.args.words;
  [RDI, RSI, RDX].forEach((r, i) => {
    w[2 * i] = regs.words[2 * r]!;
    w[2 * i + 1] = regs.words[2 * r + 1]!;
  });
  regs.set(RAX, CALLS[offset / 1024]!);
  return CALLS[offset / 1024]!;
}
