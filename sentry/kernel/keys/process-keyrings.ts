/** Keyrings of threads, processes, sessions and users, and what a number in a call means (security/keys/process_keys.c). */
import { EACCES, EAGAIN, EINVAL, ENOKEY } from '../../abi/errno.ts';
import type { Kernel } from '../kernel.ts';
import type { Task } from '../task.ts';
import type { ThreadGroup } from '../thread-group.ts';
import {
  Key,
  KEY_POS_ALL,
  KEY_POS_SETATTR,
  KEY_USR_ALL,
  KEY_USR_READ,
  KEY_USR_VIEW,
  KEYRING,
  KeyTable,
  NO_GROUP,
} from './key.ts';
import { link, search, type KeyRef, type Search } from './keyring.ts';

export const KEY_SPEC_THREAD_KEYRING = -1;
export const KEY_SPEC_PROCESS_KEYRING = -2;
export const KEY_SPEC_SESSION_KEYRING = -3;
export const KEY_SPEC_USER_KEYRING = -4;
export const KEY_SPEC_USER_SESSION_KEYRING = -5;
export const KEY_SPEC_REQKEY_AUTH_KEY = -7;
export const KEY_SPEC_REQUESTOR_KEYRING = -8;

/** What a task has of its own; made at first use. */
class TaskKeyrings {
  thread: Key | null = null;
  session: Key | null = null;
  /** KEY_REQKEY_DEFL_*: where request_key(2) puts what it makes. */
  reqkeyDefault = 0;
}

interface KernelKeys {
  readonly table: KeyTable;
  readonly process: WeakMap<ThreadGroup, Key>;
  readonly task: WeakMap<Task, TaskKeyrings>;
  /** The keyring and the session keyring of each user, kept for ever. */
  readonly users: Map<number, { user: Key; session: Key }>;
}

const kernels = new WeakMap<Kernel, KernelKeys>();
/** Users that have keyrings of their own; a set-uid program could make any number of them. */
const MAX_USERS = 4096;

/** The keys of a sandbox, with the hooks that give keyrings back. */
export function keysOf(k: Kernel): KernelKeys {
  let keys = kernels.get(k);
  if (keys === undefined) {
    const made: KernelKeys = {
      table: new KeyTable(),
      process: new WeakMap(),
      task: new WeakMap(),
      users: new Map(),
    };
    keys = made;
    kernels.set(k, keys);
    // "A thread keyring is destroyed when the thread terminates"; execve(2) discards both kinds - keyrings(7)
    k.taskExitHooks.push((t) => {
      dropThreadKeyring(made, t);
      made.task.get(t)?.session?.unref();
      made.task.delete(t);
    });
    k.execHooks.push((t) => {
      dropThreadKeyring(made, t);
      dropProcessKeyring(made, t.group);
    });
    k.processExitHooks.push((g) => dropProcessKeyring(made, g));
    k.cloneHooks.push((parent, child) => inherit(made, parent, child));
  }
  return keys;
}

function dropThreadKeyring(keys: KernelKeys, t: Task): void {
  const own = keys.task.get(t);
  own?.thread?.unref();
  if (own !== undefined) own.thread = null;
}

function dropProcessKeyring(keys: KernelKeys, g: ThreadGroup): void {
  keys.process.get(g)?.unref();
  keys.process.delete(g);
}

/** copy_creds(): the session keyring is inherited, the others are not. */
function inherit(keys: KernelKeys, parent: Task, child: Task): void {
  const from = keys.task.get(parent);
  if (from === undefined) return;
  const own = new TaskKeyrings();
  own.session = from.session?.ref() ?? null;
  own.reqkeyDefault = from.reqkeyDefault;
  keys.task.set(child, own);
}

export function keyringsOf(t: Task): TaskKeyrings {
  const { task } = keysOf(t.kernel);
  let own = task.get(t);
  if (own === undefined) task.set(t, (own = new TaskKeyrings()));
  return own;
}

function newKeyring(t: Task, name: string, perm: number): Key | number {
  const { uid, gid } = t.creds;
  const r = Key.create(keysOf(t.kernel).table, KEYRING, name, { uid, gid, perm });
  return typeof r === 'number' ? r : r.ref();
}

export function installThreadKeyring(t: Task): Key | number {
  const own = keyringsOf(t);
  if (own.thread !== null) return own.thread;
  const ring = newKeyring(t, '_tid', KEY_POS_ALL | KEY_USR_VIEW);
  if (typeof ring !== 'number') own.thread = ring;
  return ring;
}

export function installProcessKeyring(t: Task): Key | number {
  const { process } = keysOf(t.kernel);
  const have = process.get(t.group);
  if (have !== undefined) return have;
  const ring = newKeyring(t, '_pid', KEY_POS_ALL | KEY_USR_VIEW);
  if (typeof ring !== 'number') process.set(t.group, ring);
  return ring;
}

function processKeyring(t: Task): Key | null {
  return keysOf(t.kernel).process.get(t.group) ?? null;
}

/** A session keyring of one's own: join_session_keyring(). `ring` brings its reference along. */
export function setSessionKeyring(t: Task, ring: Key): Key {
  const own = keyringsOf(t);
  own.session?.unref();
  own.session = ring;
  return ring;
}

export function newSessionKeyring(t: Task, name: string, perm: number): Key | number {
  const ring = newKeyring(t, name, perm);
  return typeof ring === 'number' ? ring : setSessionKeyring(t, ring);
}

/** look_up_user_keyrings(): of the real user. */
function userKeyrings(t: Task): { user: Key; session: Key } | number {
  const { users, table } = keysOf(t.kernel);
  const { uid } = t.creds;
  const have = users.get(uid);
  if (have !== undefined) return have;
  if (users.size >= MAX_USERS) return -ENOKEY;
  const perm = (KEY_POS_ALL & ~KEY_POS_SETATTR) | KEY_USR_ALL;
  const user = Key.create(table, KEYRING, `_uid.${uid}`, { uid, gid: NO_GROUP, perm });
  if (typeof user === 'number') return user;
  const session = Key.create(table, KEYRING, `_uid_ses.${uid}`, { uid, gid: NO_GROUP, perm });
  if (typeof session === 'number') {
    user.discardIfUnused();
    return session;
  }
  link(session.ref(), user.ref());
  const made = { user, session };
  users.set(uid, made);
  return made;
}

/** What `id` means, without regard to permissions: a reference, or −errno. */
export function resolve(t: Task, id: number, create: boolean): KeyRef | number {
  if (id > 0) {
    const key = keysOf(t.kernel).table.bySerial.get(id);
    return key === undefined ? -ENOKEY : { key, possessed: possesses(t, key) };
  }
  const ring = specialKeyring(t, id, create);
  return typeof ring === 'number' ? ring : { key: ring, possessed: true };
}

function specialKeyring(t: Task, id: number, create: boolean): Key | number {
  switch (id) {
    case KEY_SPEC_THREAD_KEYRING:
      return keyringsOf(t).thread ?? (create ? installThreadKeyring(t) : -ENOKEY);
    case KEY_SPEC_PROCESS_KEYRING:
      return processKeyring(t) ?? (create ? installProcessKeyring(t) : -ENOKEY);
    case KEY_SPEC_SESSION_KEYRING:
      return sessionKeyring(t, create);
    case KEY_SPEC_USER_KEYRING:
    case KEY_SPEC_USER_SESSION_KEYRING: {
      const rings = userKeyrings(t);
      if (typeof rings === 'number') return rings;
      return id === KEY_SPEC_USER_KEYRING ? rings.user : rings.session;
    }
    case KEY_SPEC_REQKEY_AUTH_KEY:
    case KEY_SPEC_REQUESTOR_KEYRING:
      return -ENOKEY;
    default:
      return -EINVAL;
  }
}

/** "always install a session keyring upon access if one doesn't exist yet" (lookup_user_key). */
function sessionKeyring(t: Task, create: boolean): Key | number {
  const have = keyringsOf(t).session;
  const rings = have === null || create ? userKeyrings(t) : null;
  if (typeof rings === 'number') return rings;
  if (have !== null && !(create && have === rings!.session)) return have;
  if (create) return newSessionKeyring(t, '_ses', KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_READ);
  return setSessionKeyring(t, rings!.session.ref());
}

/** search_cred_keyrings_rcu(): the thread's, the process's, the session's keyring, or the user's in its place. */
export function searchProcessKeyrings(t: Task, s: Search): Key | number {
  const { thread, session } = keyringsOf(t);
  const last = session ?? userSession(t);
  let error = -EAGAIN;
  for (const ring of [thread, processKeyring(t), last]) {
    if (ring === null) continue;
    const found = search(ring, true, s);
    if (typeof found !== 'number') return found;
    if (found !== -EAGAIN && found !== -EACCES) error = found;
    else if (error === -EAGAIN) error = found;
  }
  return error;
}

function userSession(t: Task): Key | null {
  return keysOf(t.kernel).users.get(t.creds.uid)?.session ?? null;
}

/** lookup_user_key_possessed(): it is one of the caller's keyrings or can be found from them. */
export function possesses(t: Task, key: Key): boolean {
  const { thread, session } = keyringsOf(t);
  if (key === thread || key === session || key === processKeyring(t)) return true;
  const any: Search = {
    creds: t.creds,
    nowSec: t.nowSec,
    matches: (k) => k === key,
    checkState: false,
    skipExpired: false,
  };
  return typeof searchProcessKeyrings(t, any) !== 'number';
}
