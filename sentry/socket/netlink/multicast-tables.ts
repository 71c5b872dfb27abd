/**
 * /proc/net/{igmp,igmp6,dev_mcast} from what rtnetlink(7) says of multicast addresses: net/ipv4/igmp.c igmp_mc_seq_show,
 * net/ipv6/mcast.c igmp6_mc_seq_show, net/core/net-procfs.c dev_mc_seq_show. Each address counts as joined once.
 */
import { AF_INET, AF_INET6 } from '../../abi/socket.ts';
import { netTables, type NetDevice } from '../../fsimpl/proc/net.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { attributes, dump, HDR, netDevices } from './devices.ts';

/** The answers are of the same type. */
const RTM_GETMULTICAST = 58;

const IFADDRMSG = 8;
const IFA_MULTICAST = 7;
const ARPHRD_ETHER = 1;
/** Flags: the device listens to it; it is not reported. */
const MAF_LOADED = 0x04;
const MAF_NOREPORT = 0x08;
const SCOPE_INTERFACE = 1;
const ALL_NODES = 'ff020000000000000000000000000001';

/** Multicast addresses of a family by interface. */
function joined(ns: NetNamespace | null, family: number): Map<number, Buffer[]> {
  const found = new Map<number, Buffer[]>();
  for (const m of dump(ns, RTM_GETMULTICAST, IFADDRMSG, family, RTM_GETMULTICAST)) {
    const address = attributes(m, HDR + IFADDRMSG).get(IFA_MULTICAST);
    if (m[HDR] !== family || address === undefined) continue;
    const index = m.readUInt32LE(HDR + 4);
    const list = found.get(index);
    if (list === undefined) found.set(index, [address]);
    else list.push(address);
  }
  return found;
}

const hex = (n: number, width: number): string => n.toString(16).toUpperCase().padStart(width, '0');

function igmp(ns: NetNamespace | null): string {
  const addresses = joined(ns, AF_INET);
  let text = '';
  for (const { index, name } of netDevices(ns)) {
    const list = addresses.get(index) ?? [];
    if (list.length === 0) continue;
    text += `${index}\t${name.padEnd(10)}: ${String(list.length).padStart(5)} ${'V3'.padStart(7)}\n`;
    for (const a of list) text += `\t\t\t\t${hex(a.readUInt32LE(0), 8)} ${'1'.padStart(5)} 0:00000000\t\t0\n`;
  }
  return text;
}

function igmp6(ns: NetNamespace | null): string {
  const addresses = joined(ns, AF_INET6);
  let text = '';
  for (const { index, name } of netDevices(ns)) {
    for (const a of addresses.get(index) ?? []) {
      const local = (a[1]! & 0xf) <= SCOPE_INTERFACE;
      const flags = local
        ? MAF_NOREPORT
        : a.toString('hex') === ALL_NODES
          ? MAF_NOREPORT | MAF_LOADED
          : MAF_LOADED;
      text += `${String(index).padEnd(4)} ${name.padEnd(15)} ${a.toString('hex')} ${'1'.padStart(5)} ${hex(flags, 8)} 0\n`;
    }
  }
  return text;
}

/** ip_eth_mc_map(), ipv6_eth_mc_map() */
function ethernetAddress(a: Buffer): string {
  if (a.length === 16) return `3333${a.toString('hex', 12)}`;
  return `01005e${hex(a[1]! & 0x7f, 2).toLowerCase()}${a.toString('hex', 2)}`;
}

function deviceAddresses(ns: NetNamespace | null): string {
  const v4 = joined(ns, AF_INET);
  const v6 = joined(ns, AF_INET6);
  const lines = ({ index, name }: NetDevice): string => {
    const users = new Map<string, number>();
    for (const a of [...(v6.get(index) ?? []), ...(v4.get(index) ?? [])]) {
      if (a.length === 16 && (a[1]! & 0xf) <= SCOPE_INTERFACE) continue;
      const link = ethernetAddress(a);
      users.set(link, (users.get(link) ?? 0) + 1);
    }
    const head = `${String(index).padEnd(4)} ${name.padEnd(15)}`;
    return [...users]
      .map(([link, n]) => `${head} ${String(n).padEnd(5)} ${'0'.padEnd(5)} ${link}\n`)
      .join('');
  };
  return netDevices(ns)
    .filter((d) => d.type === ARPHRD_ETHER)
    .map(lines)
    .join('');
}

export function registerMulticastTables(): void {
  netTables.igmp = igmp;
  netTables.igmp6 = igmp6;
  netTables.dev_mcast = deviceAddresses;
}
