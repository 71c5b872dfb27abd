/** What terminals ask of the kernel. File systems may not call the kernel's functions, so it installs them at start. */
import type { ControllingTty, ProcessGroup, Session } from '../../kernel/job-control.ts';
import type { Task } from '../../kernel/task.ts';

export interface JobControl {
  /** A background process touches its terminal: 0 to go on, −EIO, −ERESTARTSYS after SIGTTIN or SIGTTOU. */
  check(t: Task, tty: ControllingTty, sig: number): number;
  signalGroup(group: ProcessGroup, sig: number): void;
  setControllingTty(t: Task, tty: ControllingTty): void;
  /** The session leader gives its terminal up. */
  disassociate(session: Session, exiting: boolean): void;
  /** SIGHUP and SIGCONT for the leader of a session whose terminal hung up. */
  hangupLeader(session: Session): void;
}

let installed: JobControl | null = null;

export function installJobControl(ops: JobControl): void {
  installed = ops;
}

/** Null in unit tests of terminals without processes. */
export function jobControl(): JobControl | null {
  return installed;
}
