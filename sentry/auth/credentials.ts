/**
 * Credentials of a task (include/linux/cred.h). Copy-on-write as in Linux: an instance in use never changes; a syscall
 * that changes identity builds a new one with `clone`, edits it and installs it.
 */
import { CapSet } from './capability.ts';
import { OVERFLOW_ID, type IdMap } from './id-map.ts';

/** The outermost namespace's maps if /proc shows others than the identity, and what /proc/PID/setgroups says. */
export interface IdMaps {
  uid: string | null;
  gid: string | null;
  projid: string | null;
  setgroups: boolean;
}

/**
 * A user namespace. Everything in the kernel names users and groups as the outermost namespace does; calls translate what
 * their caller says and hears (include/linux/uidgid.h).
 */
export class UserNamespace {
  readonly parent: UserNamespace | null;
  /** euid and egid of the creator. */
  readonly owner: number;
  readonly group: number;
  readonly level: number;
  readonly maps: IdMaps = { uid: null, gid: null, projid: null, setgroups: true };
  /** Written to /proc/PID/{uid,gid,projid}_map: ids inside, and ids of the outermost namespace. */
  uidMap: IdMap | null = null;
  gidMap: IdMap | null = null;
  projidMap: IdMap | null = null;
  /** Limits of /proc/sys/user that were set, by the kind of namespace (kernel/ucount.ts). */
  readonly namespacesMax = new Map<string, number>();
  /** The creator could set file capabilities: uid 0 outside may be mapped. */
  readonly parentCouldSetfcap: boolean;

  constructor(parent: UserNamespace | null, owner: number, group = 0, parentCouldSetfcap = true) {
    this.parent = parent;
    this.owner = owner;
    this.group = group;
    this.level = parent === null ? 0 : parent.level + 1;
    this.parentCouldSetfcap = parentCouldSetfcap;
    if (parent !== null) this.maps.setgroups = parent.maps.setgroups;
  }

  /** make_kuid(): −1 if the id means nobody. */
  toUid(id: number): number {
    return this.level === 0 ? id : (this.uidMap?.toOutside(id) ?? -1);
  }

  toGid(id: number): number {
    return this.level === 0 ? id : (this.gidMap?.toOutside(id) ?? -1);
  }

  /** from_kuid_munged(): overflowuid for who has no name here. */
  fromUid(uid: number): number {
    return this.level === 0 ? uid : (this.uidMap?.toInside(uid) ?? OVERFLOW_ID);
  }

  fromGid(gid: number): number {
    return this.level === 0 ? gid : (this.gidMap?.toInside(gid) ?? OVERFLOW_ID);
  }

  hasUid(uid: number): boolean {
    return this.level === 0 || (this.uidMap?.covers(uid) ?? false);
  }

  hasGid(gid: number): boolean {
    return this.level === 0 || (this.gidMap?.covers(gid) ?? false);
  }

  sameAs(o: UserNamespace): boolean {
    return this === o || (this.level === 0 && o.level === 0);
  }

  /** True if `o` is this namespace or one below it. */
  contains(o: UserNamespace): boolean {
    for (let ns: UserNamespace | null = o; ns !== null; ns = ns.parent) if (ns.sameAs(this)) return true;
    return false;
  }
}

/** What a namespace of any kind belongs to; null: the outermost user namespace. */
export interface Owned {
  owner: UserNamespace | null;
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

  /** capable(): over the whole sandbox, which nobody in a nested user namespace is. */
  has(cap: number): boolean {
    return this.effective.has(cap) && this.userNs.level === 0;
  }

  /** ns_capable(current_user_ns()): over what belongs to the own user namespace. */
  hasOwn(cap: number): boolean {
    return this.effective.has(cap);
  }

  /** ns_capable(), cap_capable(): over what belongs to `ns`, null being the outermost one. */
  hasIn(cap: number, ns: UserNamespace | null): boolean {
    // The containers of a sandbox each have an outermost one of their own, to show their maps.
    if (ns === null || ns.level === 0) return this.has(cap);
    for (let at = ns; ; at = at.parent) {
      if (at === this.userNs) return this.effective.has(cap);
      if (at.parent === null) return this.has(cap);
      if (at.level <= this.userNs.level) return false;
      // "The owner of the user namespace has all caps."
      if (at.parent.sameAs(this.userNs) && at.owner === this.euid) return true;
    }
  }

  /** Whom the outermost namespace charges: the user, or who made the user namespace that it is in (kernel/ucount.c). */
  get chargedUid(): number {
    let uid = this.euid;
    for (let ns = this.userNs; ns.parent !== null; ns = ns.parent) uid = ns.owner;
    return uid;
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
