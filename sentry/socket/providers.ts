/** Socket families by number (net/socket.c net_families). The composition root registers what the sandbox offers. */
import { EAFNOSUPPORT, EINVAL, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../abi/errno.ts';
import {
  AF_INET,
  AF_PACKET,
  AF_UNIX,
  SOCK_PACKET,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from '../abi/socket.ts';
import type { CallContext } from '../vfs/call-context.ts';
import type { Socket } from './socket.ts';
import { UnixSocket } from './unix/unix-socket.ts';

export interface SocketProvider {
  /** A new socket; `flags` ⊆ O_NONBLOCK. −errno if type or protocol are not offered. */
  create(t: CallContext, type: number, protocol: number, flags: number): Socket | number;
}

const providers = new Map<number, SocketProvider>();

export function registerSocketProvider(domain: number, p: SocketProvider): void {
  providers.set(domain, p);
}

/** A type of AF_UNIX as the family takes it (SOCK_RAW means SOCK_DGRAM), or −errno. */
export function unixType(type: number, protocol: number): number {
  if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
  if (type === SOCK_STREAM || type === SOCK_DGRAM || type === SOCK_SEQPACKET) return type;
  return type === SOCK_RAW ? SOCK_DGRAM : -ESOCKTNOSUPPORT;
}

registerSocketProvider(AF_UNIX, {
  create(t, type, protocol, flags) {
    const kind = unixType(type, protocol);
    return kind < 0 ? kind : new UnixSocket(t, kind, flags);
  },
});

export function createSocket(
  t: CallContext,
  domain: number,
  type: number,
  protocol: number,
  flags: number,
): Socket | number {
  if (domain < 0 || domain >= 46) return -EAFNOSUPPORT;
  if (type < 0 || type >= 11) return -EINVAL;
  // "Compatibility": __sock_create().
  const family = domain === AF_INET && type === SOCK_PACKET ? AF_PACKET : domain;
  const p = providers.get(family);
  return p === undefined ? -EAFNOSUPPORT : p.create(t, type, protocol, flags);
}
