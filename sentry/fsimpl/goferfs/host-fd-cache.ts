/** Host fds of files that nobody has open now, kept for the next open, up to a limit: least recently used go first. */
import { spareDescriptors } from '../../host/descriptors.ffi.ts';

export interface FdHolder {
  closeHostFds(): void;
}

/** Of all file systems together: enough to read again what was just unpacked. */
const IDLE_MAX = 4096;
let idleCount = 0;

export class HostFdCache {
  // A Map keeps insertion order: the first is the longest unused.
  private readonly idle = new Map<FdHolder, true>();

  /** The last open of `holder` was closed. */
  add(holder: FdHolder): void {
    this.remove(holder);
    this.idle.set(holder, true);
    const spare = Math.min(IDLE_MAX, spareDescriptors()) - ++idleCount;
    if (spare < 0) this.closeIdle(Math.max(0, this.idle.size + spare));
  }

  /** `holder` is open again, or has closed its fds. */
  remove(holder: FdHolder): void {
    if (this.idle.delete(holder)) idleCount--;
  }

  /** Closes the fds of all but `keep` idle files. */
  closeIdle(keep: number): void {
    for (const holder of this.idle.keys()) {
      if (this.idle.size <= keep) return;
      this.remove(holder);
      holder.closeHostFds();
    }
  }
}
