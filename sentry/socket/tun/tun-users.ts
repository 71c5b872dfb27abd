/** Who may attach to an interface of /dev/net/tun without rights: TUNSETOWNER and TUNSETGROUP, which the host does not hear of. */
import type { Network } from '../network.ts';

/** Ids in the kernel's numbers; −1: not set. */
export interface TunUsers {
  uid: number;
  gid: number;
}

const NONE: TunUsers = { uid: -1, gid: -1 };
/** By network and name of the interface. */
const users = new WeakMap<Network, Map<string, TunUsers>>();

export function tunUsers(network: Network, name: string): TunUsers {
  return users.get(network)?.get(name) ?? NONE;
}

export function setTunUser(network: Network, name: string, owner: boolean, id: number): void {
  let names = users.get(network);
  if (names === undefined) users.set(network, (names = new Map<string, TunUsers>()));
  const u = { ...(names.get(name) ?? NONE) };
  if (owner) u.uid = id;
  else u.gid = id;
  names.set(name, u);
}

/** A new interface of the name begins without. */
export function forgetTunUsers(network: Network, name: string): void {
  users.get(network)?.delete(name);
}
