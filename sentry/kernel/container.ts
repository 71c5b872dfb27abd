/** Container: what the kernel knows of a group of processes that an engine manages as one (their cgroup, on Linux). */
import type { ControllingTty } from './job-control.ts';
import type { PidNamespace } from './pid-namespace.ts';

export class Container {
  readonly id: string;
  /** Where its init lives; its own unless containers share one. */
  readonly pidNs: PidNamespace;
  /** pids.max */
  tasksMax: number;
  /** The terminal behind its /dev/console. */
  console: ControllingTty | null = null;
  /** The freezer is on: no thread returns to guest code (freezer.ts). */
  frozen = false;

  constructor(id: string, pidNs: PidNamespace, tasksMax: number) {
    this.id = id;
    this.pidNs = pidNs;
    this.tasksMax = tasksMax;
  }
}
