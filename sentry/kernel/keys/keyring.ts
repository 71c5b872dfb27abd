/** Links between keyrings and keys, and searches through them (security/keys/keyring.c). */
import { EACCES, EAGAIN, EDEADLK, ELOOP, ENOENT, ENOTDIR, EPERM } from '../../abi/errno.ts';
import type { Credentials } from '../../auth/credentials.ts';
import { KEY_NEED_SEARCH, LINK_BYTES, type Key, type KeyType } from './key.ts';

/** KEYRING_SEARCH_MAX_DEPTH */
const MAX_DEPTH = 6;

/** A key and whether the caller possesses it. */
export interface KeyRef {
  readonly key: Key;
  readonly possessed: boolean;
}

/** key_link(): 0 or −errno. A key of the same type and description gives way. */
export function link(ring: Key, key: Key): number {
  const { links } = ring;
  if (links === null) return -ENOTDIR;
  if (ring.restricted) return -EPERM;
  if (key.links !== null) {
    const r = checkCycle(ring, key);
    if (r !== 0) return r;
  }
  if (links.has(key)) return 0;
  const old = findLinked(ring, key.type, key.description);
  if (old === null) {
    const r = ring.reserve((links.size + 1) * LINK_BYTES);
    if (r !== 0) return r;
  }
  links.add(key.ref());
  if (old !== null && links.delete(old)) old.unref();
  return 0;
}

/** keyring_detect_cycle(): 0, −EDEADLK if `ring` is below `key`, −ELOOP if that is nested too deeply. */
function checkCycle(ring: Key, key: Key): number {
  const stack: [Key, number][] = [[key, 0]];
  const seen = new Set<Key>();
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [at, depth] = next;
    if (at === ring) return -EDEADLK;
    if (depth >= MAX_DEPTH) return -ELOOP;
    if (seen.has(at)) continue;
    seen.add(at);
    for (const k of at.links!) if (k.links !== null) stack.push([k, depth + 1]);
  }
  return 0;
}

/** key_unlink() */
export function unlink(ring: Key, key: Key): number {
  if (ring.links === null) return -ENOTDIR;
  return ring.unlink(key) ? 0 : -ENOENT;
}

/** keyring_clear() */
export function clear(ring: Key): number {
  if (ring.links === null) return -ENOTDIR;
  const held = [...ring.links];
  ring.links.clear();
  ring.reserve(0);
  for (const k of held) k.unref();
  return 0;
}

/** The key that a new one of this type and description would replace. */
export function findLinked(ring: Key, type: KeyType, description: string): Key | null {
  for (const k of ring.links!) {
    if (k.type === type && k.description === description && !k.invalidated && !k.revoked) return k;
  }
  for (const k of ring.links!) if (k.type === type && k.description === description) return k;
  return null;
}

/** What a search looks for, and what it has met. */
export interface Search {
  readonly creds: Credentials;
  readonly nowSec: number;
  readonly matches: (k: Key) => boolean;
  /** False: any state will do (possession). */
  readonly checkState: boolean;
  /** request_key(2): what has expired is as good as absent. */
  readonly skipExpired: boolean;
}

/** keyring_search_rcu(): the key, −EACCES, −EAGAIN if there is none, or why the one there is will not do. */
export function search(ring: Key, possessed: boolean, s: Search): Key | number {
  if (ring.links === null) return -ENOTDIR;
  if (!ring.permits(s.creds, KEY_NEED_SEARCH, possessed)) return -EACCES;
  let result = -EAGAIN;
  const seen = new Set<Key>([ring]);
  let level = [ring];
  for (let depth = 0; depth <= MAX_DEPTH && level.length > 0; depth++) {
    const below: Key[] = [];
    for (const r of level) {
      for (const k of r.links!) {
        if (s.matches(k)) {
          const usable = judge(k, possessed, s);
          if (usable === 0) return k;
          if (usable !== -EAGAIN) result = usable;
        }
        if (k.links === null || seen.has(k) || !k.permits(s.creds, KEY_NEED_SEARCH, possessed)) continue;
        seen.add(k);
        below.push(k);
      }
    }
    level = below;
  }
  return result;
}

/** keyring_search_iterator(): 0 if the key will do. */
function judge(k: Key, possessed: boolean, s: Search): number {
  if (s.checkState) {
    if (k.invalidated) return -EAGAIN;
    if (k.revoked) return k.validate(s.nowSec);
    if (s.nowSec >= k.expiry) return s.skipExpired ? -EAGAIN : k.validate(s.nowSec);
  }
  if (!k.permits(s.creds, KEY_NEED_SEARCH, possessed)) return -EACCES;
  return s.checkState ? k.rejected : 0;
}
