/** ThreadGroup: a process (signal_struct, sighand_struct and what threads share). */

export interface ResourceLimits {
  /** RLIMIT_FSIZE in bytes. */
  fileSize: number;
  /** RLIMIT_NOFILE soft. */
  openFiles: number;
}

export class ThreadGroup {
  readonly tgid: number;
  readonly limits: ResourceLimits = { fileSize: Infinity, openFiles: 1024 };

  constructor(tgid: number) {
    this.tgid = tgid;
  }
}
