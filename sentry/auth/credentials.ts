/**
 * Credentials of a task (include/linux/cred.h). Copy-on-write as in Linux: an instance in use never changes; a syscall
 * that changes identity builds a new one with `clone`, edits it and installs it.
 */
import { CapSet } from './capability.ts';

/** The maps as /proc shows them, null until written, and what /proc/PID/setgroups says. */
export interface IdMaps {
  uid: string | null;
  gid: string | null;
  projid: string | null;
  setgroups: boolean;
}

/** A user namespace inside the sandbox. Ids below are those of this namespace's own view. */
export class UserNamespace {
  readonly parent: UserNamespace | null;
  /** euid of the creator, in the parent namespace. */
  readonly owner: number;
  readonly level: number;
  readonly maps: IdMaps = { uid: null, gid: null, projid: null, setgroups: true };

  constructor(parent: UserNamespace | null, owner: number) {
    this.parent = parent;
    this.owner = owner;
    this.level = parent === null ? 0 : parent.level + 1;
  }
}

export class Credentials {
  uid = 0;
  euid = 0;
  suid = 0;
  fsuid = 0;
  gid = 0;
  egid = 0;
  sgid = 0;
  fsgid = 0;
  /** Supplementary groups, sorted ascending. */
  groups: readonly number[] = [];
  inheritable: CapSet = CapSet.EMPTY;
  permitted: CapSet = CapSet.EMPTY;
  effective: CapSet = CapSet.EMPTY;
  bounding: CapSet = CapSet.FULL;
  ambient: CapSet = CapSet.EMPTY;
  /** SECBIT_* (include/uapi/linux/securebits.h) */
  securebits = 0;
  userNs: UserNamespace;

  constructor(userNs: UserNamespace) {
    this.userNs = userNs;
  }

  clone(): Credentials {
    return Object.assign(new Credentials(this.userNs), this);
  }

  /** ns_capable() for the task's own user namespace. */
  has(cap: number): boolean {
    return this.effective.has(cap);
  }

  inGroup(gid: number): boolean {
    return gid === this.fsgid || this.groups.includes(gid);
  }

  /** inode_permission() identity part: owner, group, or other class bits (shift 6, 3 or 0) for these ids. */
  permissionShift(ownerUid: number, ownerGid: number): 0 | 3 | 6 {
    if (this.fsuid === ownerUid) return 6;
    return this.inGroup(ownerGid) ? 3 : 0;
  }
}
