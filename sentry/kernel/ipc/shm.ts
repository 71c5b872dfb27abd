/** System V shared memory (ipc/shm.c): segments are shared memory objects that live without mappings. */
import type { Credentials } from '../../auth/credentials.ts';
import { SharedMemory } from '../../mm/backing.ts';
import { IpcIds, IpcObject } from './ipc-ids.ts';
import type { IpcLimits } from './ipc-limits.ts';

export const SHM_DEST = 0o1000;
export const SHM_LOCKED = 0o2000;

export class ShmSegment extends IpcObject {
  readonly size: number;
  readonly memory: SharedMemory;
  atime = 0;
  dtime = 0;
  cpid: number;
  lpid = 0;

  constructor(
    key: number,
    mode: number,
    creds: Credentials,
    size: number,
    memory: SharedMemory,
    cpid: number,
  ) {
    super(key, mode, creds);
    this.size = size;
    this.memory = memory;
    this.cpid = cpid;
  }

  /** Mappings: all references but the segment's own. */
  get attached(): number {
    return this.memory.refCount - 1;
  }
}

export class ShmTable extends IpcIds<ShmSegment> {
  /** In whole pages. */
  bytes = 0;
  /** Segments by their memory, for shmdt. */
  readonly byMemory = new Map<object, ShmSegment>();

  constructor(limits: IpcLimits) {
    super(() => limits.shmmni);
  }

  /** A segment that exists; called before it is added. */
  register(s: ShmSegment): void {
    this.bytes += s.memory.size;
    this.byMemory.set(s.memory, s);
    // The last mapping of a segment marked for destruction destroys it.
    s.memory.onUnref = (): void => {
      s.dtime = Math.floor(Date.now() / 1000);
      if ((s.mode & SHM_DEST) !== 0 && s.attached === 0) this.destroy(s);
    };
  }

  override destroy(s: ShmSegment): void {
    this.remove(s);
    this.bytes -= s.memory.size;
    this.byMemory.delete(s.memory);
    s.memory.onUnref = null;
    s.memory.unref();
  }
}
