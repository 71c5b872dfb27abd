/**
 * /proc/net/{route,arp,if_inet6,ipv6_route} from what the host's rtnetlink(7) says of a network: net/ipv4/fib_trie.c
 * fib_route_seq_show, net/ipv4/arp.c arp_seq_show, net/ipv6/addrconf.c if6_seq_show, net/ipv6/ip6_fib.c ipv6_route_native_seq_show.
 */
import { AF_INET, AF_INET6 } from '../../abi/socket.ts';
import { netTables } from '../../fsimpl/proc/net.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { attributes, colons, dump, HDR, netDevices, u32, type Attributes } from './devices.ts';

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const IFADDRMSG = 8;
const RTMSG = 12;
const NDMSG = 12;
const IFA_ADDRESS = 1;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_METRICS = 8;
const RTA_EXPIRES = 23;
const RTAX_WINDOW = 3;
const RTAX_RTT = 4;
const RTAX_ADVMSS = 8;
const RT_TABLE_MAIN = 254;
const RT_TABLE_LOCAL = 255;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTN_BROADCAST = 3;
const RTN_ANYCAST = 4;
const RTN_MULTICAST = 5;
const RTN_UNREACHABLE = 7;
const RTN_PROHIBIT = 8;
const RTPROT_KERNEL = 2;
const RTPROT_RA = 9;
const RTF_UP = 1;
const RTF_GATEWAY = 2;
const RTF_HOST = 4;
const RTF_REJECT = 0x200;
const RTF_DEFAULT = 0x10000;
const RTF_ADDRCONF = 0x40000;
const RTF_ANYCAST = 0x100000;
const RTF_NONEXTHOP = 0x200000;
const RTF_EXPIRES = 0x400000;
const RTF_LOCAL = 0x80000000;
const NUD_REACHABLE = 0x02;
const NUD_STALE = 0x04;
const NUD_DELAY = 0x08;
const NUD_PROBE = 0x10;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NUD_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
const ATF_COM = 2;
const ATF_PERM = 4;
const NTF_PROXY = 8;
const ROUTE_HEADING = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
const ROUTE_WIDTH = 127;
const NO_ADDRESS = '0'.repeat(32);
/** ip6_null_entry, which is in each table. */
const NULL_ENTRY = `${NO_ADDRESS} 00 ${NO_ADDRESS} 00 ${NO_ADDRESS} ffffffff 00000001 00000000 00200200       lo\n`;

const hex = (n: number, width: number): string => n.toString(16).padStart(width, '0');

type Names = ReadonlyMap<number, string>;

function deviceNames(ns: NetNamespace | null): Names {
  return new Map(netDevices(ns).map((d) => [d.index, d.name]));
}

/** fib_flag_trans() */
function v4Flags(type: number, prefix: number, gateway: number): string {
  const refused = type === RTN_UNREACHABLE || type === RTN_PROHIBIT ? RTF_REJECT : 0;
  const flags = refused | (gateway !== 0 ? RTF_GATEWAY : 0) | (prefix === 32 ? RTF_HOST : 0) | RTF_UP;
  return flags.toString(16).toUpperCase().padStart(4, '0');
}

function routeLine(message: Buffer, names: Names): string {
  const a = attributes(message, HDR + RTMSG);
  const metrics: Attributes = attributes(a.get(RTA_METRICS) ?? Buffer.alloc(0), 0);
  const prefix = message[HDR + 1]!;
  const gateway = u32(a.get(RTA_GATEWAY), 0);
  const mask = Buffer.alloc(4);
  mask.writeUInt32BE(prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0);
  const upper = (n: number): string => hex(n, 8).toUpperCase();
  const advmss = u32(metrics.get(RTAX_ADVMSS), 0);
  const text = [
    names.get(u32(a.get(RTA_OIF), 0)) ?? '*',
    upper(u32(a.get(RTA_DST), 0)),
    upper(gateway),
    v4Flags(message[HDR + 7]!, prefix, gateway),
    0,
    0,
    u32(a.get(RTA_PRIORITY), 0),
    upper(mask.readUInt32LE()),
    advmss === 0 ? 0 : advmss + 40,
    u32(metrics.get(RTAX_WINDOW), 0),
    Math.floor(u32(metrics.get(RTAX_RTT), 0) / 8),
  ].join('\t');
  return `${text.padEnd(ROUTE_WIDTH)}\n`;
}

/** The table is there, and with it the heading, once there is a route in it or in the local one. */
function route(ns: NetNamespace | null): string {
  const names = deviceNames(ns);
  let lines = '';
  let some = false;
  for (const m of dump(ns, RTM_GETROUTE, RTMSG, AF_INET, RTM_NEWROUTE)) {
    const type = m[HDR + 7]!;
    some = true;
    if (m[HDR + 4] !== RT_TABLE_MAIN || type === RTN_BROADCAST || type === RTN_MULTICAST) continue;
    lines += routeLine(m, names);
  }
  return !some ? '' : `${ROUTE_HEADING.padEnd(ROUTE_WIDTH)}\n${lines}`;
}

/** arp_format_neigh_entry(), arp_state_to_flags() */
function arp(ns: NetNamespace | null): string {
  const names = deviceNames(ns);
  const types = new Map(netDevices(ns).map((d) => [d.index, d.type]));
  let text = '';
  for (const m of dump(ns, RTM_GETNEIGH, NDMSG, AF_INET, RTM_NEWNEIGH)) {
    const state = m.readUInt16LE(HDR + 8);
    if (m[HDR] !== AF_INET || (state & NUD_NOARP) !== 0 || (m[HDR + 10]! & NTF_PROXY) !== 0) continue;
    const a = attributes(m, HDR + NDMSG);
    const index = m.readInt32LE(HDR + 4);
    const flags =
      (state & NUD_PERMANENT) !== 0 ? ATF_PERM | ATF_COM : (state & NUD_VALID) !== 0 ? ATF_COM : 0;
    const address = [...(a.get(NDA_DST) ?? [])].join('.');
    const lower = colons(a.get(NDA_LLADDR)) || '00:00:00:00:00:00';
    text +=
      `${address.padEnd(16)} 0x${(types.get(index) ?? 0).toString(16).padEnd(10)}0x${flags.toString(16).padEnd(10)}` +
      `${lower.padEnd(17)}     *        ${names.get(index) ?? ''}\n`;
  }
  return text;
}

/** ipv6_addr_scope() by RT_SCOPE_*. */
const SCOPES = new Map([
  [254, 0x10],
  [253, 0x20],
  [200, 0x40],
]);

function ifInet6(ns: NetNamespace | null): string {
  const names = deviceNames(ns);
  let text = '';
  for (const m of dump(ns, RTM_GETADDR, IFADDRMSG, AF_INET6, RTM_NEWADDR)) {
    const index = m.readUInt32LE(HDR + 4);
    const address = attributes(m, HDR + IFADDRMSG).get(IFA_ADDRESS);
    if (m[HDR] !== AF_INET6 || address === undefined) continue;
    text +=
      `${address.toString('hex')} ${hex(index, 2)} ${hex(m[HDR + 1]!, 2)} ${hex(SCOPES.get(m[HDR + 3]!) ?? 0, 2)} ` +
      `${hex(m[HDR + 2]!, 2)} ${(names.get(index) ?? '').padStart(8)}\n`;
  }
  return text;
}

/** The flags that ip6_route_info_create() and its callers give a route, as far as a dump tells. */
function v6Flags(m: Buffer, a: Attributes): number {
  const type = m[HDR + 7]!;
  const protocol = m[HDR + 5]!;
  let flags = RTF_UP;
  if (a.has(RTA_GATEWAY)) flags += RTF_GATEWAY;
  else if (type === RTN_LOCAL || type === RTN_ANYCAST) flags += RTF_NONEXTHOP;
  if (type === RTN_LOCAL) flags += RTF_LOCAL;
  else if (type === RTN_ANYCAST) flags += RTF_ANYCAST;
  else if (type !== RTN_UNICAST && type !== RTN_MULTICAST) flags += RTF_REJECT + RTF_NONEXTHOP;
  if (protocol === RTPROT_RA) flags += RTF_ADDRCONF + (m[HDR + 1] === 0 ? RTF_DEFAULT : 0);
  if (protocol === RTPROT_KERNEL && a.has(RTA_EXPIRES)) flags += RTF_EXPIRES;
  return flags;
}

function ipv6Route(ns: NetNamespace | null): string {
  const names = deviceNames(ns);
  const tables = new Map([
    [RT_TABLE_MAIN, ''],
    [RT_TABLE_LOCAL, ''],
  ]);
  for (const m of dump(ns, RTM_GETROUTE, RTMSG, AF_INET6, RTM_NEWROUTE)) {
    const before = tables.get(m[HDR + 4]!);
    if (m[HDR] !== AF_INET6 || before === undefined) continue;
    const a = attributes(m, HDR + RTMSG);
    const to = a.get(RTA_DST)?.toString('hex') ?? NO_ADDRESS;
    const by = a.get(RTA_GATEWAY)?.toString('hex') ?? NO_ADDRESS;
    tables.set(
      m[HDR + 4]!,
      `${before}${to} ${hex(m[HDR + 1]!, 2)} ${NO_ADDRESS} 00 ${by} ${hex(u32(a.get(RTA_PRIORITY), 0), 8)} 00000001 00000000 ` +
        `${hex(v6Flags(m, a), 8)} ${(names.get(u32(a.get(RTA_OIF), 0)) ?? '').padStart(8)}\n`,
    );
  }
  return [...tables.values()].map((lines) => lines + NULL_ENTRY).join('');
}

export function registerInetTables(): void {
  netTables.route = route;
  netTables.arp = arp;
  netTables.if_inet6 = ifInet6;
  netTables.ipv6_route = ipv6Route;
}
