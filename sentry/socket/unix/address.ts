/** struct sockaddr_un: parsing, the abstract name space, and where pathnames are looked up (net/unix/af_unix.c). */
import { EADDRINUSE, EINVAL, ENOSPC } from '../../abi/errno.ts';
import { AF_UNIX } from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { UnixEndpoint } from './endpoint.ts';

const SUN_PATH = 2;
const SOCKADDR_UN = 110;

export type UnixName =
  | { readonly kind: 'path'; readonly name: string }
  | { readonly kind: 'abstract'; readonly name: string }
  /** Family only: bind picks a name. */
  | { readonly kind: 'none'; readonly name: '' };

const NO_NAME: UnixName = { kind: 'none', name: '' };

/** The name in a socket address, or −EINVAL. */
export function parseUnixAddress(addr: Uint8Array): UnixName | number {
  if (addr.length < SUN_PATH || addr.length > SOCKADDR_UN) return -EINVAL;
  if (addr[0] !== AF_UNIX || addr[1] !== 0) return -EINVAL;
  if (addr.length === SUN_PATH) return NO_NAME;
  const bytes = Buffer.from(addr.buffer, addr.byteOffset, addr.length);
  if (addr[SUN_PATH] === 0) return { kind: 'abstract', name: bytes.toString('latin1', SUN_PATH + 1) };
  const nul = bytes.indexOf(0, SUN_PATH);
  return { kind: 'path', name: bytes.toString('latin1', SUN_PATH, nul < 0 ? bytes.length : nul) };
}

/** Address of a name as getsockname(2) shows it: pathnames with their NUL. */
export function unixAddress(name: UnixName): Uint8Array {
  const text = name.kind === 'path' ? `${name.name}\0` : name.kind === 'abstract' ? `\0${name.name}` : '';
  const out = Buffer.alloc(SUN_PATH + text.length);
  out[0] = AF_UNIX;
  out.write(text, SUN_PATH, 'latin1');
  return out;
}

/** Each network namespace and socket type has names of its own (unix_abstract_hash). */
const abstractNames = new WeakMap<object, Map<string, UnixEndpoint>>();
/** The namespace of sockets that no task has made. */
const OWN = {};
const key = (name: string, type: number): string => String.fromCharCode(type) + name;
let nextAuto = 0;

function namesOf(ns: NetNamespace | null): Map<string, UnixEndpoint> {
  const at = ns ?? OWN;
  let names = abstractNames.get(at);
  if (names === undefined) abstractNames.set(at, (names = new Map()));
  return names;
}

export function findAbstract(ns: NetNamespace | null, name: string, type: number): UnixEndpoint | undefined {
  return namesOf(ns).get(key(name, type));
}

export function claimAbstract(name: string, s: UnixEndpoint): number {
  const names = namesOf(s.net);
  if (names.has(key(name, s.type))) return -EADDRINUSE;
  names.set(key(name, s.type), s);
  return 0;
}

export function releaseAbstract(name: string, s: UnixEndpoint): void {
  const k = key(name, s.type);
  const names = namesOf(s.net);
  if (names.get(k) === s) names.delete(k);
}

/** unix_autobind(): five hexadecimal digits. */
export function autoName(ns: NetNamespace | null, type: number): string | number {
  for (let tries = 0; tries < 0x100000; tries++) {
    const name = (nextAuto++ & 0xfffff).toString(16).padStart(5, '0');
    if (!namesOf(ns).has(key(name, type))) return name;
  }
  return -ENOSPC;
}

/** Pathname sockets need the path walk, which the composition root supplies. */
export interface UnixPaths {
  /** Makes the socket node, with the permissions of `mode` that the umask leaves, and returns its inode (a reference for the socket), or −errno. */
  make(t: CallContext, path: string, mode: number): Inode | number;
  /** Takes the node away that was made for a socket that has a name already. */
  remove(t: CallContext, path: string): void;
  /** Inode of an existing socket that the caller may write to, or −errno. */
  find(t: CallContext, path: string): Inode | number;
}

let paths: UnixPaths | null = null;

export function setUnixPaths(p: UnixPaths): void {
  paths = p;
}

export function makeSocketNode(t: CallContext, path: string, mode: number): Inode | number {
  return paths === null ? -EINVAL : paths.make(t, path, mode);
}

export function removeSocketNode(t: CallContext, path: string): void {
  paths?.remove(t, path);
}

export function findSocketNode(t: CallContext, path: string): Inode | number {
  return paths === null ? -EINVAL : paths.find(t, path);
}
