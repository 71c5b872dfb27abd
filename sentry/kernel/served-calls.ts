/** Handlers that meet a file system which a program serves, and the waiting for its answers (see vfs/served-call.ts). */
import { EINTR, EIO } from '../abi/errno.ts';
import { setAsker, UNANSWERED } from '../vfs/served-call.ts';
import { SYS_BLOCKED, SYS_DETACHED, type SyscallRow, type SysResult } from './syscall-table.ts';
import { TASK_ASKING, TASK_KERNEL, type Task } from './task.ts';
import { endKilled, finishSyscall, hasDeliverable } from './task-run.ts';

/** Runs a handler. If it has asked something, the task waits, and the handler will run again. */
export function invokeServed(t: Task, fn: SyscallRow['fn']): SysResult {
  t.served?.begin();
  setAsker(t);
  const r = fn(t, t.args);
  setAsker(null);
  const call = t.served;
  if (call === null) return r;
  if (r !== UNANSWERED) {
    if (r !== SYS_BLOCKED) t.endServed();
    return r;
  }
  if (call.waiting === null) {
    t.endServed();
    return -EIO;
  }
  t.cancelWait();
  if (!call.keepsProgress) {
    t.blockState = null;
    t.onInterrupt = -EINTR;
  }
  t.usage.voluntarySwitches++;
  t.state = TASK_ASKING;
  if (t.work && hasDeliverable(t)) call.waiting.interrupt();
  return SYS_DETACHED;
}

/** The answer is there, or a signal. */
export function resumeAsking(t: Task): void {
  const question = t.served?.waiting ?? null;
  if (t.killed) {
    t.endServed();
    endKilled(t, t.interruptWait(), true);
  } else if (question === null) {
    t.state = TASK_KERNEL;
    finishSyscall(t, t.kernel.invoke(t));
  } else if (hasDeliverable(t)) {
    question.interrupt();
  }
}
