/** Subject: the process or thread that a /proc directory is about. It may end while files about it are open. */
import type { ProcessGroup } from '../../kernel/job-control.ts';
import type { Pid, PidNamespace } from '../../kernel/pid-namespace.ts';
import type { Task } from '../../kernel/task.ts';
import type { ThreadGroup } from '../../kernel/thread-group.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import type { ProcEnv } from './env.ts';

export class Subject {
  readonly env: ProcEnv;
  readonly pid: Pid;
  /** /proc/PID/task/TID rather than /proc/PID. */
  readonly isThread: boolean;
  /** The reader's namespace: the one /proc was mounted for. */
  readonly ns: PidNamespace;

  constructor(env: ProcEnv, ns: PidNamespace, pid: Pid, isThread: boolean) {
    this.env = env;
    this.ns = ns;
    this.pid = pid;
    this.isThread = isThread;
  }

  /** Null once it has been waited for (threads: once they have ended). */
  get task(): Task | null {
    if (this.isThread) return this.pid.task;
    return this.pid.group === null ? this.pid.task : this.pid.group.leader;
  }

  get group(): ThreadGroup | null {
    return this.task?.group ?? null;
  }

  /** Null once it has ended: what a process has is not shown when its first thread has left, though others go on. */
  get live(): Task | null {
    const t = this.task;
    return t === null || t.dead ? null : t;
  }

  get mm(): MemoryManager | null {
    return this.live?.mm ?? null;
  }

  number(p: Pid | ProcessGroup['pid'] | null): number {
    return p === null ? 0 : p.nrIn(this.ns);
  }
}
