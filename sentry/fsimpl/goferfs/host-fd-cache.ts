/** Host fds of files that nobody has open now, kept for the next open, up to a limit: least recently used go first. */

export interface FdHolder {
  closeHostFds(): void;
}

const IDLE_MAX = 512;

export class HostFdCache {
  // A Map keeps insertion order: the first is the longest unused.
  private readonly idle = new Map<FdHolder, true>();

  /** The last open of `holder` was closed. */
  add(holder: FdHolder): void {
    this.idle.set(holder, true);
    if (this.idle.size > IDLE_MAX) this.closeIdle(IDLE_MAX);
  }

  /** `holder` is open again, or has closed its fds. */
  remove(holder: FdHolder): void {
    this.idle.delete(holder);
  }

  /** Closes the fds of all but `keep` idle files. */
  closeIdle(keep: number): void {
    for (const holder of this.idle.keys()) {
      if (this.idle.size <= keep) return;
      this.idle.delete(holder);
      holder.closeHostFds();
    }
  }
}
