/** ThreadGroup: a process (signal_struct, sighand_struct and what threads share). */
import { ResourceLimits } from './limits.ts';

export class ThreadGroup {
  readonly tgid: number;
  readonly limits = new ResourceLimits();

  constructor(tgid: number) {
    this.tgid = tgid;
  }
}
