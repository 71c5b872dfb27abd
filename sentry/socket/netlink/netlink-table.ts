/** Netlink sockets by network namespace and protocol: who has which port id, who is a member of groups (af_netlink.c nl_table). */
import { AF_NETLINK } from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

const SOCKADDR_NL = 12;
const OWN = {};
let nextPort = 0x80000000;

export class NetlinkTable {
  readonly ports = new Map<number, NetlinkSocket>();
  readonly members = new Set<NetlinkSocket>();

  /** A number for a socket without one: the process's if it is free. */
  freePort(tgid: number): number {
    let port = tgid;
    while (this.ports.has(port)) port = nextPort++;
    return port;
  }
}

const tables = new WeakMap<object, Map<number, NetlinkTable>>();

export function netlinkTable(ns: NetNamespace | null, protocol: number): NetlinkTable {
  const key = ns ?? OWN;
  let protocols = tables.get(key);
  if (protocols === undefined) tables.set(key, (protocols = new Map()));
  let table = protocols.get(protocol);
  if (table === undefined) protocols.set(protocol, (table = new NetlinkTable()));
  return table;
}

/** struct sockaddr_nl */
export interface NetlinkAddress {
  readonly port: number;
  readonly groups: number;
}

export function readNetlinkAddress(b: Uint8Array): NetlinkAddress | null {
  if (b.length < SOCKADDR_NL || b[0] !== AF_NETLINK || b[1] !== 0) return null;
  const v = Buffer.from(b.buffer, b.byteOffset, b.length);
  return { port: v.readUInt32LE(4), groups: v.readUInt32LE(8) };
}

export function netlinkAddress(port: number, groups: number): Uint8Array {
  const b = Buffer.alloc(SOCKADDR_NL);
  b.writeUInt16LE(AF_NETLINK, 0);
  b.writeUInt32LE(port >>> 0, 4);
  b.writeUInt32LE(groups >>> 0, 8);
  return b;
}

/** netlink_group_mask() */
export function groupMask(group: number): number {
  return group === 0 || group > 32 ? 0 : (1 << (group - 1)) >>> 0;
}

/** ffs() */
export function firstGroup(groups: number): number {
  return groups === 0 ? 0 : 32 - Math.clz32(groups & -groups);
}
