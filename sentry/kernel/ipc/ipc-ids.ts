/** Identifiers, keys and permissions of System V IPC objects (ipc/util.c). */
import { EACCES, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM } from '../../abi/errno.ts';
import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Credentials, UserNamespace } from '../../auth/credentials.ts';

export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;
export const IPC_PRIVATE = 0;
export const IPC_RMID = 0;
export const IPC_SET = 1;
export const IPC_STAT = 2;
export const IPC_INFO = 3;
/** IPCMNI: index bits of an identifier; the rest is a sequence number, so that old identifiers stay invalid. */
const IPCMNI = 32768;
const SEQ_MAX = 0xffff;
/** Indices are used in turn up to here at least before one is used again (ipc_min_cycle). */
const MIN_CYCLE = 64;

export interface IpcLimits {
  /** Most objects of this kind. */
  readonly max: number;
}

/** kern_ipc_perm and the identity of one object. */
export class IpcObject {
  id = -1;
  key: number;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  mode: number;
  seq = 0;
  removed = false;
  ctime = 0;
  /** The user namespace that the IPC namespace belongs to. */
  owner: UserNamespace | null = null;

  constructor(key: number, mode: number, creds: Credentials) {
    this.key = key;
    this.mode = mode & 0o777;
    this.uid = this.cuid = creds.euid;
    this.gid = this.cgid = creds.egid;
  }

  /** ipcperms(): `want` is 4 for reading, 2 for writing, 6 for both. */
  permits(c: Credentials, want: number): boolean {
    let granted = this.mode;
    if (c.euid === this.cuid || c.euid === this.uid) granted >>>= 6;
    else if (inGroup(c, this.cgid) || inGroup(c, this.gid)) granted >>>= 3;
    return (want & ~granted & 7) === 0 || c.hasIn(CAP_IPC_OWNER, this.owner);
  }

  /** ipcctl_obtain_check(): owner, creator, or privileged. */
  controls(c: Credentials): boolean {
    return c.euid === this.cuid || c.euid === this.uid || c.hasIn(CAP_SYS_ADMIN, this.owner);
  }

  /** struct ipc64_perm at the start of `b`. */
  putPerm(b: Buffer, seenFrom: UserNamespace): void {
    b.writeInt32LE(this.key, 0);
    b.writeUInt32LE(seenFrom.fromUid(this.uid), 4);
    b.writeUInt32LE(seenFrom.fromGid(this.gid), 8);
    b.writeUInt32LE(seenFrom.fromUid(this.cuid), 12);
    b.writeUInt32LE(seenFrom.fromGid(this.cgid), 16);
    b.writeUInt32LE(this.mode, 20);
    b.writeUInt16LE(this.seq, 24);
  }

  /** IPC_SET: owner and permission bits from a struct ipc64_perm: 0 or −EINVAL (ipc_update_perm). */
  setPerm(b: Buffer, saidIn: UserNamespace): number {
    const uid = saidIn.toUid(b.readUInt32LE(4));
    const gid = saidIn.toGid(b.readUInt32LE(8));
    if (uid < 0 || gid < 0 || uid === 0xffffffff || gid === 0xffffffff) return -EINVAL;
    this.uid = uid;
    this.gid = gid;
    this.mode = (this.mode & ~0o777) | (b.readUInt32LE(20) & 0o777);
    return 0;
  }
}

function inGroup(c: Credentials, gid: number): boolean {
  return c.egid === gid || c.groups.includes(gid);
}

export abstract class IpcIds<T extends IpcObject> {
  private readonly byIndex: (T | null)[] = [];
  private readonly byKey = new Map<number, T>();
  private readonly max: () => number;
  private lastIndex = -1;
  private seq = 0;
  count = 0;
  /** Of the IPC namespace. */
  owner: UserNamespace | null = null;

  /** `max`: how many objects there may be, at most IPCMNI. */
  constructor(max: () => number) {
    this.max = max;
  }

  /** ipcget(): an existing object for `key` or a new one by `create`; its id or −errno. `check` judges an existing one. */
  get(
    key: number,
    flags: number,
    creds: Credentials,
    create: () => T | number,
    check: (o: T) => number,
  ): number {
    const found = key === IPC_PRIVATE ? undefined : this.byKey.get(key);
    if (found !== undefined) {
      if ((flags & (IPC_CREAT | IPC_EXCL)) === (IPC_CREAT | IPC_EXCL)) return -EEXIST;
      const bad = check(found);
      if (bad !== 0) return bad;
      const want = ((flags >>> 6) | (flags >>> 3) | flags) & 7;
      return found.permits(creds, want) ? found.id : -EACCES;
    }
    if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) return -ENOENT;
    if (this.count >= Math.min(this.max(), IPCMNI)) return -ENOSPC;
    const made = create();
    return typeof made === 'number' ? made : this.add(made);
  }

  private add(o: T): number {
    const index = this.freeIndex();
    if (index <= this.lastIndex) this.seq = (this.seq + 1) % SEQ_MAX;
    this.lastIndex = index;
    o.owner = this.owner;
    o.seq = this.seq;
    o.id = o.seq * IPCMNI + index;
    this.byIndex[index] = o;
    if (o.key !== IPC_PRIVATE) this.byKey.set(o.key, o);
    this.count++;
    return o.id;
  }

  /** ipc_idr_alloc(): the next index in turn. Preconditions: not all are used. */
  private freeIndex(): number {
    const end = Math.min(Math.max(Math.floor((this.count * 3) / 2), MIN_CYCLE), IPCMNI);
    let index = this.lastIndex;
    do index = index + 1 < end ? index + 1 : 0;
    while ((this.byIndex[index] ?? null) !== null);
    while (this.byIndex.length < index) this.byIndex.push(null);
    return index;
  }

  /** The object; −EINVAL for an identifier that is unknown or of the past (ipc_obtain_object_check). */
  find(id: number): T | number {
    if (id < 0) return -EINVAL;
    const o = this.byIndex[id % IPCMNI] ?? null;
    return o?.id === id ? o : -EINVAL;
  }

  /** SHM_STAT and its like name objects by index; of an identifier the index bits count. */
  atIndex(index: number): T | number {
    return index < 0 ? -EINVAL : (this.byIndex[index % IPCMNI] ?? -EINVAL);
  }

  /** Highest used index, 0 if none. */
  get highest(): number {
    for (let i = this.byIndex.length - 1; i > 0; i--) if (this.byIndex[i] !== null) return i;
    return 0;
  }

  /** For RMID and SET: the object if the caller may control it. */
  owned(id: number, creds: Credentials): T | number {
    const o = this.find(id);
    if (typeof o === 'number') return o;
    return o.controls(creds) ? o : -EPERM;
  }

  /** Takes the key away: nobody finds it any more, those who have it go on (a segment marked for destruction). */
  hide(o: T): void {
    if (this.byKey.get(o.key) === o) this.byKey.delete(o.key);
    o.key = IPC_PRIVATE;
  }

  /** Ends an object with all that waits for it or belongs to it. */
  abstract destroy(o: T): void;

  remove(o: T): void {
    if (o.removed) return;
    o.removed = true;
    this.hide(o);
    this.byIndex[o.id % IPCMNI] = null;
    this.count--;
  }

  all(): T[] {
    return this.byIndex.filter((o): o is T => o !== null);
  }
}
