/**
 * Interfaces of the sandbox's network namespace, as the host kernel gives them to a route socket (rtnetlink(7)),
 * for /proc/net and /sys/class/net.
 */
import { AF_UNSPEC } from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { netTables, type NetDevice } from '../../fsimpl/net-devices.ts';
import { networkOf, type Network } from '../network.ts';
import { tunUsers } from '../tun/tun-users.ts';

export const HDR = 16;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const IFINFOMSG = 16;
const IFLA_ADDRESS = 1;
const IFLA_BROADCAST = 2;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_CARRIER = 33;

export type Attributes = Map<number, Buffer>;

/** struct rtattr after rtattr, up to the end of the message. */
export function attributes(message: Buffer, from: number): Attributes {
  const found: Attributes = new Map();
  for (let at = from; at + 4 <= message.length;) {
    const length = message.readUInt16LE(at);
    if (length < 4 || at + length > message.length) break;
    found.set(message.readUInt16LE(at + 2) & 0x3fff, message.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

/** Messages of one type in the answer to a dump; none without a route socket. */
export function dump(
  ns: NetNamespace | null,
  request: number,
  fixed: number,
  family: number,
  answer: number,
): Buffer[] {
  const ask = Buffer.alloc(HDR + fixed);
  ask.writeUInt32LE(ask.length, 0);
  ask.writeUInt16LE(request, 4);
  ask.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  ask[HDR] = family;
  const messages: Buffer[] = [];
  for (const chunk of networkOf(ns).query(ask) ?? []) {
    for (let at = 0; at + HDR <= chunk.length;) {
      const length = chunk.readUInt32LE(at);
      if (length < HDR || at + length > chunk.length) break;
      if (chunk.readUInt16LE(at + 4) === answer && length >= HDR + fixed) {
        messages.push(chunk.subarray(at, at + length));
      }
      at += (length + 3) & ~3;
    }
  }
  return messages;
}

export const u32 = (b: Buffer | undefined, missing: number): number =>
  b === undefined || b.length < 4 ? missing : b.readUInt32LE(0);

export const colons = (b: Buffer | undefined): string =>
  b === undefined ? '' : [...b].map((x) => x.toString(16).padStart(2, '0')).join(':');

function counters(b: Buffer | undefined): number[] {
  const list: number[] = [];
  if (b === undefined) return list;
  for (let at = 0; at + 8 <= b.length; at += 8) {
    list.push(b.readUInt32LE(at + 4) * 0x100000000 + b.readUInt32LE(at));
  }
  return list;
}

// IFLA_INFO_KIND, DATA; IFLA_TUN_TYPE, PI, VNET_HDR, PERSIST, MULTI_QUEUE and the flags that they stand for.
const INFO_KIND = 1;
const INFO_DATA = 2;
const TUN_TYPE = 3;
const TUN_PI = 4;
const IFF_NO_PI = 0x1000;
const TUN_FLAGS = [
  [5, 0x4000],
  [6, 0x800],
  [7, 0x100],
] as const;

function tunOf(network: Network, name: string, info: Buffer | undefined): NetDevice['tun'] {
  if (info === undefined) return null;
  const a = attributes(info, 0);
  if (a.get(INFO_KIND)?.toString('latin1').split('\0')[0] !== 'tun') return null;
  const data = attributes(a.get(INFO_DATA) ?? Buffer.alloc(0), 0);
  const is = (n: number): boolean => (data.get(n)?.[0] ?? 0) !== 0;
  let flags = (data.get(TUN_TYPE)?.[0] ?? 0) | (is(TUN_PI) ? 0 : IFF_NO_PI);
  for (const [n, flag] of TUN_FLAGS) if (is(n)) flags |= flag;
  const { uid, gid } = tunUsers(network, name);
  return { flags, owner: uid, group: gid };
}

function device(network: Network, message: Buffer): NetDevice {
  const a = attributes(message, HDR + IFINFOMSG);
  const index = message.readInt32LE(HDR + 4);
  const name = (a.get(IFLA_IFNAME)?.toString('latin1') ?? '').split('\0')[0]!;
  return {
    name,
    index,
    link: u32(a.get(IFLA_LINK), index),
    type: message.readUInt16LE(HDR + 2),
    flags: message.readUInt32LE(HDR + 8),
    mtu: u32(a.get(IFLA_MTU), 0),
    txQueueLength: u32(a.get(IFLA_TXQLEN), 0),
    address: colons(a.get(IFLA_ADDRESS)),
    broadcast: colons(a.get(IFLA_BROADCAST)),
    operState: a.get(IFLA_OPERSTATE)?.[0] ?? 0,
    carrier: a.get(IFLA_CARRIER)?.[0] ?? 0,
    tun: tunOf(network, name, a.get(IFLA_LINKINFO)),
    counters: counters(a.get(IFLA_STATS64)),
  };
}

export function netDevices(ns: NetNamespace | null): NetDevice[] {
  return dump(ns, RTM_GETLINK, IFINFOMSG, AF_UNSPEC, RTM_NEWLINK).map((m) => device(networkOf(ns), m));
}

export function registerNetDevices(): void {
  netTables.devices = netDevices;
  netTables.host = (ns, path) => networkOf(ns).procText(path);
}
