/** add_key(2), request_key(2) (security/keys/keyctl.c, request_key.c). Nobody makes keys on request here: no /sbin/request-key. */
import {
  EACCES,
  EAGAIN,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  ENODEV,
  ENOKEY,
  ENOTDIR,
  EPERM,
} from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  Key,
  KEY_NEED_WRITE,
  KEY_USR_VIEW,
  KEYRING,
  keyType,
  type KeyType,
} from '../sentry/kernel/keys/key.ts';
import { findLinked, link, type KeyRef, type Search } from '../sentry/kernel/keys/keyring.ts';
import {
  keyringsOf,
  keysOf,
  resolve,
  searchProcessKeyrings,
} from '../sentry/kernel/keys/process-keyrings.ts';
import { installKeyFiles } from './keys-text.ts';
import { int, ptr, size, str, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

export const MAX_PAYLOAD = 1024 * 1024 - 1;
const MAX_TYPE = 32;
export const KEY_MAX_DESC_SIZE = 4096;
/** How long a key that nobody could make stands for the failure. */
const NEGATIVE_TIMEOUT_SEC = 60;

/** key_get_type_from_user() */
export function typeName(t: Task, addr: number): string | number {
  const name = t.mem.copyInString(addr, MAX_TYPE);
  if (typeof name === 'number') return name === -ENAMETOOLONG ? -EINVAL : name;
  if (name === '') return -EINVAL;
  return name.startsWith('.') ? -EPERM : name;
}

/** strndup_user() */
export function userString(t: Task, addr: number): string | number {
  const s = t.mem.copyInString(addr, KEY_MAX_DESC_SIZE);
  return s === -ENAMETOOLONG ? -EINVAL : s;
}

export interface LookUp {
  /** Make a special keyring that is not there. */
  create?: boolean;
  /** Negative keys too; with nothing needed of it, any. */
  partial?: boolean;
}

/** lookup_user_key(): the key that `id` means if it permits `need`; −errno. */
export function lookUpKey(t: Task, id: number, need: number, how: LookUp = {}): KeyRef | number {
  const r = resolve(t, id, how.create === true);
  if (typeof r === 'number') return r;
  // "unlink does not use the nominated key in any way"
  if (need === 0 && how.partial === true) return r;
  const valid = r.key.validate(t.nowSec);
  if (valid !== 0) return valid;
  if (how.partial !== true && r.key.rejected !== 0) return r.key.rejected;
  return need === 0 || r.key.permits(t.creds, need, r.possessed) ? r : -EACCES;
}

/** KEY_PERM_UNDEF: what a new key of a type permits. */
function defaultPerm(type: KeyType): number {
  let perm = 0x39000000 | KEY_USR_VIEW;
  if (type.readable) perm |= 0x02000000;
  if (type === KEYRING || type.updatable) perm |= 0x04000000;
  return perm;
}

/** Reads a payload that add_key, KEYCTL_UPDATE bring. */
export function copyPayload(t: Task, addr: number, len: number): Buffer | number {
  const payload = Buffer.alloc(len);
  return len > 0 && t.mem.copyIn(addr, payload, 0, len) !== 0 ? -EFAULT : payload;
}

/** Replaces what a key holds: 0 or −EDQUOT. */
export function setPayload(key: Key, payload: Buffer): number {
  const r = key.reserve(payload.length);
  if (r !== 0) return r;
  key.payload = payload;
  key.rejected = 0;
  return 0;
}

function sysAddKey(t: Task, a: SyscallArgs): SysResult {
  keysOf(t.kernel).table.collect(t.nowSec);
  const len = a.size(3);
  if (len > MAX_PAYLOAD) return -EINVAL;
  const name = typeName(t, a.addr(0));
  if (typeof name === 'number') return name;
  const description = a.addr(1) === 0 ? '' : userString(t, a.addr(1));
  if (typeof description === 'number') return description;
  if (description.startsWith('.') && name.startsWith('keyring')) return -EPERM;
  const payload = copyPayload(t, a.addr(2), len);
  if (typeof payload === 'number') return payload;
  const ring = lookUpKey(t, a.int(4), KEY_NEED_WRITE, { create: true });
  if (typeof ring === 'number') return ring;
  const type = keyType(name);
  if (type === null) return -ENODEV;
  if (description === '') return -EINVAL;
  if (ring.key.type !== KEYRING) return -ENOTDIR;
  if (!type.takes(len) || !type.named(description)) return -EINVAL;
  return createOrUpdate(t, ring, type, description, payload);
}

/** key_create_or_update(): a key that can be updated keeps its number. */
function createOrUpdate(t: Task, ring: KeyRef, type: KeyType, description: string, payload: Buffer): number {
  if (ring.key.restricted) return -EPERM;
  if (type.updatable) {
    const old = findLinked(ring.key, type, description);
    if (old !== null && !old.revoked && !old.invalidated) {
      if (!old.permits(t.creds, KEY_NEED_WRITE, ring.possessed)) return -EACCES;
      const r = setPayload(old, payload);
      if (r === 0) old.expiry = Infinity;
      return r === 0 ? old.serial : r;
    }
  }
  const owner = { uid: t.creds.fsuid, gid: t.creds.fsgid, perm: defaultPerm(type) };
  const key = Key.create(keysOf(t.kernel).table, type, description, owner);
  if (typeof key === 'number') return key;
  let r = payload.length === 0 ? 0 : setPayload(key, payload);
  if (r === 0) r = link(ring.key, key);
  if (r === 0) return key.serial;
  key.discardIfUnused();
  return r;
}

function sysRequestKey(t: Task, a: SyscallArgs): SysResult {
  keysOf(t.kernel).table.collect(t.nowSec);
  const name = typeName(t, a.addr(0));
  if (typeof name === 'number') return name;
  const description = userString(t, a.addr(1));
  if (typeof description === 'number') return description;
  const callout = a.addr(2) === 0 ? null : userString(t, a.addr(2));
  if (typeof callout === 'number') return callout;
  let dest: KeyRef | null = null;
  if (a.int(3) !== 0) {
    const r = lookUpKey(t, a.int(3), KEY_NEED_WRITE, { create: true });
    if (typeof r === 'number') return r;
    dest = r;
  }
  const type = keyType(name);
  if (type === null) return -ENOKEY;
  const found = searchProcessKeyrings(t, lookFor(t, type, description, true));
  if (typeof found !== 'number') {
    const r = dest === null ? 0 : link(dest.key, found);
    return r === 0 ? found.serial : r;
  }
  if (found !== -EAGAIN) return found;
  return callout === null ? -ENOKEY : makeNegative(t, type, description, dest);
}

/** A search by type and description. */
export function lookFor(t: Task, type: KeyType, description: string, skipExpired: boolean): Search {
  return {
    creds: t.creds,
    nowSec: t.nowSec,
    matches: (k) => k.type === type && k.description === description,
    checkState: true,
    skipExpired,
  };
}

/** construct_get_dest_keyring(): where what is made on request goes if the caller does not say. */
function defaultDestination(t: Task): KeyRef | number {
  const { reqkeyDefault } = keyringsOf(t);
  // KEY_REQKEY_DEFL_DEFAULT: the innermost there is. The others are numbered as the special keyrings are, from 1 on.
  if (reqkeyDefault > 0) return resolve(t, -reqkeyDefault, false);
  for (const id of [-1, -2, -3]) {
    const r = resolve(t, id, false);
    if (typeof r !== 'number') return r;
  }
  return -ENOKEY;
}

/** complete_request_key(): the helper could not be run, which the key says for a while. −ENOKEY, or why it was not even asked. */
function makeNegative(t: Task, type: KeyType, description: string, dest: KeyRef | null): number {
  const into = dest ?? defaultDestination(t);
  if (typeof into === 'number') return into;
  if (!into.key.permits(t.creds, KEY_NEED_WRITE, into.possessed)) return -EACCES;
  if (!type.named(description)) return -EINVAL;
  const owner = { uid: t.creds.fsuid, gid: t.creds.fsgid, perm: defaultPerm(type) };
  const key = Key.create(keysOf(t.kernel).table, type, description, owner);
  if (typeof key === 'number') return key;
  key.rejected = -ENOKEY;
  key.expiry = t.nowSec + NEGATIVE_TIMEOUT_SEC;
  const r = link(into.key, key);
  if (r !== 0) key.discardIfUnused();
  return r !== 0 ? r : -ENOKEY;
}

installKeyFiles();

export const keyRows: readonly SyscallRow[] = [
  {
    nr: 248,
    name: 'add_key',
    fn: sysAddKey,
    args: [str, str, ptr, size, int],
    support: 'partial',
    note: 'types keyring, user and logon',
  },
  {
    nr: 249,
    name: 'request_key',
    fn: sysRequestKey,
    args: [str, str, str, int],
    support: 'partial',
    note: 'no /sbin/request-key: what is not there is not made',
  },
];
