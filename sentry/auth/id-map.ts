/** Ids of a user namespace and those outside of it (include/linux/user_namespace.h struct uid_gid_map). */

export interface IdExtent {
  /** First id inside. */
  readonly containerID: number;
  /** What it is outside. */
  readonly hostID: number;
  readonly size: number;
}

/** What ids without a counterpart look like (overflowuid, overflowgid). */
export const OVERFLOW_ID = 65534;

export class IdMap {
  private readonly extents: readonly IdExtent[];

  constructor(extents: readonly IdExtent[]) {
    this.extents = extents;
  }

  /** from_kuid_munged() */
  toInside(id: number): number {
    for (const e of this.extents) {
      if (id >= e.hostID && id < e.hostID + e.size) return id - e.hostID + e.containerID;
    }
    return OVERFLOW_ID;
  }

  /** make_kuid(): −1 if there is none. */
  toOutside(id: number): number {
    for (const e of this.extents) {
      if (id >= e.containerID && id < e.containerID + e.size) return id - e.containerID + e.hostID;
    }
    return -1;
  }

  /** kuid_has_mapping() */
  covers(id: number): boolean {
    for (const e of this.extents) if (id >= e.hostID && id < e.hostID + e.size) return true;
    return false;
  }

  /** The same with other names for the ids outside. */
  renamed(outside: (id: number) => number): IdMap {
    return new IdMap(this.extents.map((e) => ({ ...e, hostID: outside(e.hostID) })));
  }

  /** As /proc/PID/uid_map shows it. */
  toString(): string {
    return this.extents
      .map((e) => `${[e.containerID, e.hostID, e.size].map((n) => String(n).padStart(10)).join(' ')}\n`)
      .join('');
  }
}
