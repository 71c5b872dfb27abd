/** keyctl(2) (security/keys/keyctl.c). */
import {
  EACCES,
  EAGAIN,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOKEY,
  ENOTDIR,
  EOPNOTSUPP,
  EPERM,
} from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import {
  KEY_NEED_LINK,
  KEY_NEED_READ,
  KEY_NEED_SEARCH,
  KEY_NEED_SETATTR,
  KEY_NEED_VIEW,
  KEY_NEED_WRITE,
  KEY_PERM_VALID,
  KEY_POS_ALL,
  KEY_USR_LINK,
  KEY_USR_READ,
  KEY_USR_VIEW,
  KEYRING,
  keyType,
  NO_GROUP,
} from '../sentry/kernel/keys/key.ts';
import { clear, link, search, unlink, type KeyRef } from '../sentry/kernel/keys/keyring.ts';
import {
  installProcessKeyring,
  installThreadKeyring,
  keyringsOf,
  keysOf,
  newSessionKeyring,
  setSessionKeyring,
} from '../sentry/kernel/keys/process-keyrings.ts';
import { oneOf, ulong, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { importIovec, importRange, iovTotal } from './iovec.ts';
import {
  copyPayload,
  lookFor,
  lookUpKey,
  MAX_PAYLOAD,
  setPayload,
  typeName,
  userString,
  type LookUp,
} from './keys.ts';

const NO_ID = 0xffffffff;
const SESSION_PERM = KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_READ;

/** Runs `then` with the key that argument `i` means. */
function withKey(t: Task, id: number, need: number, how: LookUp, then: (r: KeyRef) => SysResult): SysResult {
  const r = lookUpKey(t, id, need, how);
  return typeof r === 'number' ? r : then(r);
}

function getKeyringId(t: Task, a: SyscallArgs): SysResult {
  const create = a.int(2) !== 0;
  return withKey(t, a.int(1), KEY_NEED_SEARCH, { create }, (r) => r.key.serial);
}

function joinSession(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(1) === 0) {
    const ring = newSessionKeyring(t, '_ses', SESSION_PERM);
    return typeof ring === 'number' ? ring : ring.serial;
  }
  const name = userString(t, a.addr(1));
  if (typeof name === 'number') return name;
  if (name.startsWith('.')) return -EPERM;
  // find_keyring_by_name(): one that permits it to whoever does not have it.
  for (const k of keysOf(t.kernel).table.bySerial.values()) {
    if (k.type !== KEYRING || k.description !== name || k.validate(t.nowSec) !== 0) continue;
    if (!k.permits(t.creds, KEY_NEED_SEARCH, false)) continue;
    if (k === keyringsOf(t).session) return 0;
    return setSessionKeyring(t, k.ref()).serial;
  }
  const ring = newSessionKeyring(t, name, SESSION_PERM | KEY_USR_LINK);
  return typeof ring === 'number' ? ring : ring.serial;
}

function update(t: Task, a: SyscallArgs): SysResult {
  const len = a.size(3);
  if (len > 4096) return -EINVAL;
  const payload = copyPayload(t, a.addr(2), len);
  if (typeof payload === 'number') return payload;
  return withKey(t, a.int(1), KEY_NEED_WRITE, {}, ({ key }) => {
    if (!key.type.updatable) return -EOPNOTSUPP;
    return key.type.takes(len) ? setPayload(key, payload) : -EINVAL;
  });
}

function revoke(t: Task, a: SyscallArgs): SysResult {
  let r = lookUpKey(t, a.int(1), KEY_NEED_WRITE);
  if (r === -EACCES) r = lookUpKey(t, a.int(1), KEY_NEED_SETATTR);
  if (typeof r === 'number') return r;
  r.key.revoked = true;
  // keyring_revoke() and user_revoke(): it gives up what it holds.
  if (r.key.links !== null) clear(r.key);
  else r.key.payload = Buffer.alloc(0);
  return 0;
}

const attributes: LookUp = { create: true, partial: true };

function chown(t: Task, a: SyscallArgs): SysResult {
  const { userNs } = t.creds;
  const uid = a.uint(2) === NO_ID ? -1 : userNs.toUid(a.uint(2));
  const gid = a.uint(3) === NO_ID ? -1 : userNs.toGid(a.uint(3));
  if ((a.uint(2) !== NO_ID && uid < 0) || (a.uint(3) !== NO_ID && gid < 0)) return -EINVAL;
  if (uid < 0 && gid < 0) return 0;
  return withKey(t, a.int(1), KEY_NEED_SETATTR, attributes, ({ key }) => {
    if (!t.creds.has(CAP_SYS_ADMIN)) {
      if (uid >= 0 && uid !== key.uid) return -EACCES;
      if (gid >= 0 && gid !== key.gid && !t.creds.inGroup(gid)) return -EACCES;
    }
    const r = uid >= 0 && uid !== key.uid ? key.moveTo(uid) : 0;
    if (r === 0 && gid >= 0) key.gid = gid;
    return r;
  });
}

function setPerm(t: Task, a: SyscallArgs): SysResult {
  const perm = a.uint(2);
  if ((perm & ~KEY_PERM_VALID) !== 0) return -EINVAL;
  return withKey(t, a.int(1), KEY_NEED_SETATTR, attributes, ({ key }) => {
    if (!t.creds.has(CAP_SYS_ADMIN) && key.uid !== t.creds.fsuid) return -EACCES;
    key.perm = perm;
    return 0;
  });
}

/** Copies `text` out if all of it fits; its length. */
function giveAll(t: Task, addr: number, room: number, bytes: Buffer): SysResult {
  if (addr === 0 || room < bytes.length) return bytes.length;
  return t.mem.copyOut(addr, bytes, 0, bytes.length) !== 0 ? -EFAULT : bytes.length;
}

function describe(t: Task, a: SyscallArgs): SysResult {
  return withKey(t, a.int(1), KEY_NEED_VIEW, { partial: true }, ({ key }) => {
    const { userNs } = t.creds;
    const gid = key.gid === NO_GROUP ? 65534 : userNs.fromGid(key.gid);
    const perm = key.perm.toString(16).padStart(8, '0');
    const text = `${key.type.name};${userNs.fromUid(key.uid)};${gid};${perm};${key.description}\0`;
    return giveAll(t, a.addr(2), a.size(3), Buffer.from(text, 'latin1'));
  });
}

function linkKey(t: Task, a: SyscallArgs): SysResult {
  return withKey(t, a.int(2), KEY_NEED_WRITE, { create: true }, (ring) =>
    withKey(t, a.int(1), KEY_NEED_LINK, { create: true }, (r) => link(ring.key, r.key)),
  );
}

function unlinkKey(t: Task, a: SyscallArgs): SysResult {
  return withKey(t, a.int(2), KEY_NEED_WRITE, {}, (ring) =>
    withKey(t, a.int(1), 0, { partial: true }, (r) => unlink(ring.key, r.key)),
  );
}

const KEYCTL_MOVE_EXCL = 1;

function moveKey(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(4);
  if ((flags & ~KEYCTL_MOVE_EXCL) !== 0) return -EINVAL;
  return withKey(t, a.int(1), KEY_NEED_LINK, { create: true }, ({ key }) =>
    withKey(t, a.int(2), KEY_NEED_WRITE, {}, (from) =>
      withKey(t, a.int(3), KEY_NEED_WRITE, { create: true }, (to) => {
        if (from.key.links === null || to.key.links === null) return -ENOTDIR;
        if (from.key === to.key) return 0;
        const exists = [...to.key.links].some(
          (k) => k.type === key.type && k.description === key.description,
        );
        if (flags !== 0 && exists) return -EEXIST;
        if (!from.key.links.has(key)) return -ENOKEY;
        const r = link(to.key, key);
        return r !== 0 ? r : unlink(from.key, key);
      }),
    ),
  );
}

function searchKey(t: Task, a: SyscallArgs): SysResult {
  const name = typeName(t, a.addr(2));
  if (typeof name === 'number') return name;
  const description = userString(t, a.addr(3));
  if (typeof description === 'number') return description;
  return withKey(t, a.int(1), KEY_NEED_SEARCH, {}, (ring) => {
    let dest: KeyRef | null = null;
    if (a.int(4) !== 0) {
      const r = lookUpKey(t, a.int(4), KEY_NEED_WRITE, { create: true });
      if (typeof r === 'number') return r;
      dest = r;
    }
    const type = keyType(name);
    if (type === null) return -ENOKEY;
    const found = search(ring.key, ring.possessed, lookFor(t, type, description, false));
    if (typeof found === 'number') return found === -EAGAIN ? -ENOKEY : found;
    if (dest === null) return found.serial;
    if (!found.permits(t.creds, KEY_NEED_LINK, ring.possessed)) return -EACCES;
    const r = link(dest.key, found);
    return r === 0 ? found.serial : r;
  });
}

function readKey(t: Task, a: SyscallArgs): SysResult {
  const found = lookUpKey(t, a.int(1), 0, {});
  if (typeof found === 'number') return found === -EINVAL ? -ENOKEY : found;
  return readFound(t, a, found);
}

function readFound(t: Task, a: SyscallArgs, { key, possessed }: KeyRef): SysResult {
  // "we automatically permit the read if it can be found by a search from the caller's keyrings"
  if (!key.permits(t.creds, KEY_NEED_READ, possessed) && !possessed) return -EACCES;
  const readable =
    key.permits(t.creds, KEY_NEED_READ, possessed) || key.permits(t.creds, KEY_NEED_SEARCH, possessed);
  if (!readable) return -EACCES;
  if (!key.type.readable) return -EOPNOTSUPP;
  if (key.links === null) return giveAll(t, a.addr(2), a.size(3), key.payload);
  const serials = Buffer.alloc(4 * key.links.size);
  [...key.links].forEach((k, i) => serials.writeInt32LE(k.serial, 4 * i));
  return giveAll(t, a.addr(2), a.size(3), serials);
}

const KEY_REQKEY_DEFL_GROUP_KEYRING = 6;

function setReqkey(t: Task, a: SyscallArgs): SysResult {
  const own = keyringsOf(t);
  const old = own.reqkeyDefault;
  const wanted = a.int(1);
  if (wanted === -1) return old;
  if (wanted < 0 || wanted >= KEY_REQKEY_DEFL_GROUP_KEYRING) return -EINVAL;
  const ring = wanted === 1 ? installThreadKeyring(t) : wanted === 2 ? installProcessKeyring(t) : 0;
  if (typeof ring === 'number' && ring < 0) return ring;
  own.reqkeyDefault = wanted;
  return old;
}

function setTimeout(t: Task, a: SyscallArgs): SysResult {
  const seconds = a.uint(2);
  return withKey(t, a.int(1), KEY_NEED_SETATTR, attributes, ({ key }) => {
    key.expiry = seconds === 0 ? Infinity : t.nowSec + seconds;
    return 0;
  });
}

/** KEYCTL_SESSION_TO_PARENT: the parent gets the caller's session keyring (keyctl_session_to_parent). */
function sessionToParent(t: Task): SysResult {
  const parent = t.group.parent;
  const { session } = keyringsOf(t);
  if (parent === null || parent.isInit || parent.isZombie || parent.tasks.size !== 1) return -EPERM;
  const p = parent.leader;
  const c = t.creds;
  const o = p.creds;
  const same =
    [o.uid, o.suid, o.euid].every((id) => id === c.euid) &&
    [o.gid, o.sgid, o.egid].every((id) => id === c.egid);
  if (!same || session === null) return -EPERM;
  if (keyringsOf(p).session !== session) setSessionKeyring(p, session.ref());
  return 0;
}

function invalidate(t: Task, a: SyscallArgs): SysResult {
  return withKey(t, a.int(1), KEY_NEED_SEARCH, {}, ({ key }) => {
    key.invalidated = true;
    // key_gc_keyring(): it disappears from every keyring.
    for (const k of [...keysOf(t.kernel).table.bySerial.values()]) {
      if (k.links !== null && k.links.has(key)) unlink(k, key);
    }
    return 0;
  });
}

function getSecurity(t: Task, a: SyscallArgs): SysResult {
  // Without a security module: an empty string.
  return withKey(t, a.int(1), KEY_NEED_VIEW, { partial: true }, () =>
    giveAll(t, a.addr(2), a.size(3), Buffer.alloc(1)),
  );
}

function restrict(t: Task, a: SyscallArgs): SysResult {
  return withKey(t, a.int(1), KEY_NEED_SETATTR, {}, ({ key }) => {
    // A type and a restriction, or neither.
    if ((a.addr(2) !== 0) !== (a.addr(3) !== 0)) return -EINVAL;
    const name = a.addr(2) !== 0 ? typeName(t, a.addr(2)) : '';
    if (typeof name === 'number') return name;
    if (key.type !== KEYRING) return -ENOTDIR;
    // Types that restrict by more than refusing are not there.
    if (a.addr(2) !== 0) return -ENOKEY;
    if (key.restricted) return -EEXIST;
    key.restricted = true;
    return 0;
  });
}

/** What KEYCTL_CAPABILITIES tells: restricting, moving and invalidating; names and tags by namespace. */
const CAPABILITIES = Buffer.from([0x70, 0x00]);

function capabilities(t: Task, a: SyscallArgs): SysResult {
  const room = a.size(2);
  if (room === 0) return CAPABILITIES.length;
  const out = Buffer.alloc(Math.min(room, 4096));
  CAPABILITIES.copy(out);
  return t.mem.copyOut(a.addr(1), out, 0, out.length) !== 0 ? -EFAULT : CAPABILITIES.length;
}

type Operation = (t: Task, a: SyscallArgs) => SysResult;

/** What only a helper of request_key(2) may do: there is none. */
const noAuthority: Operation = () => -EPERM;

function instantiate(_t: Task, a: SyscallArgs): SysResult {
  const len = a.addr(2) === 0 ? 0 : a.size(3);
  if (len !== 0 && importRange(a.addr(2), len) < 0) return -EFAULT;
  return len > MAX_PAYLOAD ? -EINVAL : -EPERM;
}

function instantiateIov(t: Task, a: SyscallArgs): SysResult {
  const r = importIovec(t, a.addr(2), a.addr(2) === 0 ? 0 : a.uint(3));
  if (r < 0) return r;
  return iovTotal() > MAX_PAYLOAD ? -EINVAL : -EPERM;
}

const MAX_ERRNO = 4095;
/** Codes for the kernel's own use. */
const INTERNAL = new Set([512, 513, 514, 516]);

function reject(_t: Task, a: SyscallArgs): SysResult {
  const error = a.uint(3);
  return error === 0 || error >= MAX_ERRNO || INTERNAL.has(error) ? -EINVAL : -EPERM;
}

const OPERATIONS: Readonly<Record<string, readonly [number, Operation]>> = {
  KEYCTL_GET_KEYRING_ID: [0, getKeyringId],
  KEYCTL_JOIN_SESSION_KEYRING: [1, joinSession],
  KEYCTL_UPDATE: [2, update],
  KEYCTL_REVOKE: [3, revoke],
  KEYCTL_CHOWN: [4, chown],
  KEYCTL_SETPERM: [5, setPerm],
  KEYCTL_DESCRIBE: [6, describe],
  KEYCTL_CLEAR: [7, (t, a) => withKey(t, a.int(1), KEY_NEED_WRITE, { create: true }, (r) => clear(r.key))],
  KEYCTL_LINK: [8, linkKey],
  KEYCTL_UNLINK: [9, unlinkKey],
  KEYCTL_SEARCH: [10, searchKey],
  KEYCTL_READ: [11, readKey],
  KEYCTL_INSTANTIATE: [12, instantiate],
  KEYCTL_NEGATE: [13, noAuthority],
  KEYCTL_SET_REQKEY_KEYRING: [14, setReqkey],
  KEYCTL_SET_TIMEOUT: [15, setTimeout],
  KEYCTL_ASSUME_AUTHORITY: [16, (_t, a) => (a.int(1) < 0 ? -EINVAL : a.int(1) === 0 ? 0 : -ENOKEY)],
  KEYCTL_GET_SECURITY: [17, getSecurity],
  KEYCTL_SESSION_TO_PARENT: [18, sessionToParent],
  KEYCTL_REJECT: [19, reject],
  KEYCTL_INSTANTIATE_IOV: [20, instantiateIov],
  KEYCTL_INVALIDATE: [21, invalidate],
  // The third argument is for more to come.
  KEYCTL_PKEY_QUERY: [24, (_t, a) => (a.size(2) !== 0 ? -EINVAL : -EOPNOTSUPP)],
  KEYCTL_RESTRICT_KEYRING: [29, restrict],
  KEYCTL_MOVE: [30, moveKey],
  KEYCTL_CAPABILITIES: [31, capabilities],
};

const byNumber = new Map(Object.values(OPERATIONS));

function sysKeyctl(t: Task, a: SyscallArgs): SysResult {
  keysOf(t.kernel).table.collect(t.nowSec);
  return byNumber.get(a.int(0))?.(t, a) ?? -EOPNOTSUPP;
}

const NAMES = Object.fromEntries(Object.entries(OPERATIONS).map(([name, [nr]]) => [name, nr]));

export const keyctlRows: readonly SyscallRow[] = [
  {
    nr: 250,
    name: 'keyctl',
    fn: sysKeyctl,
    args: [oneOf(NAMES), ulong, ulong, ulong, ulong],
    support: 'partial',
    note: 'no persistent keyrings, public keys, Diffie-Hellman or notifications (EOPNOTSUPP)',
  },
];
