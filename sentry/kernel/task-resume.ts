/** Tasks that were taken off the run queue go on from where they waited. */
import { PTRACE_EVENT_VFORK_DONE } from '../abi/ptrace.ts';
import { resumeAsking } from './served-calls.ts';
import { runTraced } from './ptrace.ts';
import { ptraceEvent } from './ptrace-stops.ts';
import {
  TASK_ASKING,
  TASK_BLOCKED,
  TASK_DETHREAD,
  TASK_FROZEN,
  TASK_KERNEL,
  TASK_STOPPED,
  TASK_TRACED,
  TASK_VFORK,
  type Task,
} from './task.ts';
import { endKilled, exitToUser, finishSyscall } from './task-run.ts';

export function resumeTask(t: Task): void {
  if (t.errand !== null) {
    t.kernel.resumeWorker(t);
    return;
  }
  switch (t.state) {
    case TASK_BLOCKED:
      if (t.killed) {
        finishSyscall(t, t.interruptWait());
        return;
      }
      t.cancelWait();
      finishSyscall(t, t.kernel.invoke(t));
      return;
    case TASK_ASKING:
      resumeAsking(t);
      return;
    case TASK_STOPPED:
      if (t.killed || t.group.stopSignal === 0 || t.ptrace !== null)
        exitToUser(t, t.stopResult, t.stopInSyscall);
      return;
    case TASK_FROZEN:
      exitToUser(t, t.stopResult, t.stopInSyscall);
      return;
    case TASK_TRACED:
      runTraced(t);
      return;
    case TASK_VFORK:
      if (t.killed) {
        endKilled(t, t.vforkResult, true);
        return;
      }
      if (!t.vforkDone) return;
      t.vforkDone = false;
      t.state = TASK_KERNEL;
      ptraceEvent(t, PTRACE_EVENT_VFORK_DONE, t.vforkResult, (task) => finishSyscall(task, task.vforkResult));
      return;
    case TASK_DETHREAD: {
      const g = t.group;
      const { dethread } = g;
      if (!g.isAlone || dethread === null) return;
      g.dethread = null;
      t.state = TASK_KERNEL;
      dethread.done(t);
      return;
    }
  }
}
