/** Keys, their types and permissions, and who pays for them (security/keys/key.c, permission.c; keyrings(7)). */
import { EDQUOT, EKEYEXPIRED, EKEYREVOKED, ENOKEY } from '../../abi/errno.ts';
import type { Credentials } from '../../auth/credentials.ts';
import { random48 } from '../../lib/random.ts';

// Permissions, for one class; possessor, user, group and others follow each other downwards (include/linux/key.h).
export const KEY_NEED_VIEW = 0x01;
export const KEY_NEED_READ = 0x02;
export const KEY_NEED_WRITE = 0x04;
export const KEY_NEED_SEARCH = 0x08;
export const KEY_NEED_LINK = 0x10;
export const KEY_NEED_SETATTR = 0x20;
export const KEY_POS_ALL = 0x3f000000;
export const KEY_POS_SETATTR = 0x20000000;
export const KEY_USR_VIEW = 0x00010000;
export const KEY_USR_READ = 0x00020000;
export const KEY_USR_LINK = 0x00100000;
export const KEY_USR_ALL = 0x003f0000;
export const KEY_PERM_VALID = 0x3f3f3f3f;

/** INVALID_GID: of keyrings that belong to no group. */
export const NO_GROUP = -1;

export type KeyTypeName = 'keyring' | 'user' | 'logon';

export interface KeyType {
  readonly name: KeyTypeName;
  /** Its contents can be read, and replaced. */
  readonly readable: boolean;
  readonly updatable: boolean;
  /** Checks a payload's length, and a description. */
  readonly takes: (bytes: number) => boolean;
  readonly named: (description: string) => boolean;
}

const MAX_USER_PAYLOAD = 32767;
const isPayload = (n: number): boolean => n > 0 && n <= MAX_USER_PAYLOAD;

export const KEYRING: KeyType = {
  name: 'keyring',
  readable: true,
  updatable: false,
  takes: (n) => n === 0,
  named: () => true,
};

const TYPES = new Map<string, KeyType>([
  ['keyring', KEYRING],
  ['user', { name: 'user', readable: true, updatable: true, takes: isPayload, named: () => true }],
  // "the description … must be prefixed with … a colon" - keyrings(7)
  [
    'logon',
    { name: 'logon', readable: false, updatable: true, takes: isPayload, named: (d) => d.indexOf(':') > 0 },
  ],
]);

export function keyType(name: string): KeyType | null {
  return TYPES.get(name) ?? null;
}

export interface KeyQuota {
  maxKeys: number;
  maxBytes: number;
}

/** What one user's keys take (struct key_user). */
export interface KeyUser {
  keys: number;
  bytes: number;
}

/** Keys and their bytes of the whole sandbox: they live in the kernel's heap. */
const MAX_KEYS = 50_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** sizeof(struct keyring link) in quota. */
export const LINK_BYTES = 4;
const NO_KEYS: readonly Key[] = [];

/** All keys by serial number, and the quotas. */
export class KeyTable {
  readonly bySerial = new Map<number, Key>();
  readonly users = new Map<number, KeyUser>();
  /** /proc/sys/kernel/keys */
  readonly quota: KeyQuota = { maxKeys: 200, maxBytes: 20000 };
  readonly rootQuota: KeyQuota = { maxKeys: 1_000_000, maxBytes: 25_000_000 };
  bytes = 0;
  /** Seconds that an expired key stays where it is linked. */
  private delay = 300;
  /** When the next one has stayed long enough, in CLOCK_REALTIME seconds. */
  private nextExpiry = Infinity;

  get gcDelay(): number {
    return this.delay;
  }

  set gcDelay(seconds: number) {
    this.delay = seconds;
    this.nextExpiry = 0;
  }

  /** A key expires at `expiry`. */
  willExpire(expiry: number): void {
    this.nextExpiry = Math.min(this.nextExpiry, expiry + this.delay);
  }

  /** Takes keys that expired long enough ago out of the keyrings (security/keys/gc.c): before keys are used. */
  collect(nowSec: number): void {
    if (nowSec < this.nextExpiry) return;
    this.nextExpiry = Infinity;
    for (const ring of [...this.bySerial.values()]) {
      for (const k of ring.links ?? NO_KEYS) {
        if (k.expiry + this.delay <= nowSec) ring.unlink(k);
        else if (k.expiry !== Infinity) this.willExpire(k.expiry);
      }
    }
  }

  quotaOf(uid: number): KeyQuota {
    return uid === 0 ? this.rootQuota : this.quota;
  }

  user(uid: number): KeyUser {
    let u = this.users.get(uid);
    if (u === undefined) this.users.set(uid, (u = { keys: 0, bytes: 0 }));
    return u;
  }

  /** key_payload_reserve() and the checks of key_alloc(): 0 or −EDQUOT. */
  charge(uid: number, keys: number, bytes: number): number {
    const u = this.user(uid);
    const q = this.quotaOf(uid);
    if (keys > 0 && (u.keys + keys > q.maxKeys || this.bySerial.size >= MAX_KEYS)) return -EDQUOT;
    if (bytes > 0 && (u.bytes + bytes > q.maxBytes || this.bytes + bytes > MAX_BYTES)) return -EDQUOT;
    u.keys += keys;
    u.bytes += bytes;
    this.bytes += bytes;
    if (u.keys === 0 && u.bytes === 0) this.users.delete(uid);
    return 0;
  }

  newSerial(): number {
    for (;;) {
      const serial = random48() % 0x7fffffff;
      if (serial >= 3 && !this.bySerial.has(serial)) return serial;
    }
  }
}

export class Key {
  readonly table: KeyTable;
  readonly serial: number;
  readonly type: KeyType;
  readonly description: string;
  uid: number;
  gid: number;
  perm: number;
  payload: Buffer = EMPTY;
  /** What a keyring holds, in order of linking. */
  readonly links: Set<Key> | null;
  /** Links to it, and processes and users that have it. */
  private refs = 0;
  /** CLOCK_REALTIME seconds, Infinity: never. */
  private expires = Infinity;
  revoked = false;
  invalidated = false;
  /** request_key(2) found nobody to make it: what readers get. */
  rejected = 0;
  /** KEYCTL_RESTRICT_KEYRING without a type: nothing is linked to it any more. */
  restricted = false;
  private charged: number;

  private constructor(table: KeyTable, type: KeyType, description: string, owner: KeyOwner) {
    this.table = table;
    this.serial = table.newSerial();
    this.type = type;
    this.description = description;
    this.uid = owner.uid;
    this.gid = owner.gid;
    this.perm = owner.perm;
    this.links = type === KEYRING ? new Set() : null;
    this.charged = description.length + 1;
  }

  /** key_alloc(): without references yet. */
  static create(table: KeyTable, type: KeyType, description: string, owner: KeyOwner): Key | number {
    const r = table.charge(owner.uid, 1, description.length + 1);
    if (r !== 0) return r;
    const key = new Key(table, type, description, owner);
    table.bySerial.set(key.serial, key);
    return key;
  }

  ref(): this {
    this.refs++;
    return this;
  }

  /** The last reference takes the key, and what only it held, along. */
  unref(): void {
    if (--this.refs <= 0) this.discardIfUnused();
  }

  /** Of a key that never got a reference. */
  discardIfUnused(): void {
    if (this.refs > 0 || !this.table.bySerial.delete(this.serial)) return;
    this.table.charge(this.uid, -1, -this.charged);
    const held = this.links === null ? [] : [...this.links];
    this.links?.clear();
    for (const k of held) k.unref();
  }

  get refCount(): number {
    return this.refs;
  }

  get expiry(): number {
    return this.expires;
  }

  set expiry(sec: number) {
    this.expires = sec;
    if (sec !== Infinity) this.table.willExpire(sec);
  }

  /** key_unlink() of a keyring that is one: false if `key` is not linked to it. */
  unlink(key: Key): boolean {
    const { links } = this;
    if (links?.delete(key) !== true) return false;
    this.reserve(links.size * LINK_BYTES);
    key.unref();
    return true;
  }

  /** Bytes of quota it takes; 0 or −EDQUOT (key_payload_reserve). */
  reserve(payloadBytes: number): number {
    const wanted = this.description.length + 1 + payloadBytes;
    const r = this.table.charge(this.uid, 0, wanted - this.charged);
    if (r === 0) this.charged = wanted;
    return r;
  }

  get quotaBytes(): number {
    return this.charged;
  }

  /** Another user pays: 0 or −EDQUOT. */
  moveTo(uid: number): number {
    const r = this.table.charge(uid, 1, this.charged);
    if (r !== 0) return r;
    this.table.charge(this.uid, -1, -this.charged);
    this.uid = uid;
    return 0;
  }

  /** key_validate(): 0 or −errno. */
  validate(nowSec: number): number {
    if (this.invalidated) return -ENOKEY;
    if (this.revoked) return -EKEYREVOKED;
    return nowSec >= this.expiry ? -EKEYEXPIRED : 0;
  }

  /** key_task_permission() */
  permits(c: Credentials, need: number, possessed: boolean): boolean {
    let granted = this.perm;
    if (this.uid === c.fsuid) granted >>>= 16;
    else if (this.gid !== NO_GROUP && (this.perm & 0x3f00) !== 0 && c.inGroup(this.gid)) granted >>>= 8;
    if (possessed) granted |= this.perm >>> 24;
    return (need & ~granted) === 0;
  }
}

export interface KeyOwner {
  uid: number;
  gid: number;
  perm: number;
}

const EMPTY = Buffer.alloc(0);
