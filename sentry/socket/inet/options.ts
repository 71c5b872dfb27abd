/**
 * What guests may ask of host sockets: options and control messages by level and number. Most options of sockets, IP, TCP and UDP go
 * to the host, which answers as it does to a process without rights. Left out on purpose: values with pointers and descriptors in them,
 * tunnels, other protocols on top of TCP. Filters are checked and go their own way.
 */
import { EINVAL, ENOPROTOOPT, EPERM } from '../../abi/errno.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import type { CallContext } from '../../vfs/call-context.ts';

const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_TCP = 6;
const SOL_UDP = 17;
const SOL_IPV6 = 41;
const SOL_ICMPV6 = 58;
const SOL_UDPLITE = 136;
const SOL_RAW = 255;
const SOL_PACKET = 263;

/** Levels of which only these options can be set and read. */
const SETTABLE = new Map<number, ReadonlySet<number>>([
  [SOL_UDPLITE, new Set([10, 11])],
  // ICMP_FILTER, IPV6_CHECKSUM; ICMPV6_FILTER; PACKET_ADD_MEMBERSHIP, DROP_MEMBERSHIP, AUXDATA, ORIGDEV,
  // VNET_HDR, FANOUT, ROLLOVER_STATS, IGNORE_OUTGOING, VNET_HDR_SZ: no rings.
  [SOL_RAW, new Set([1, 7])],
  [SOL_ICMPV6, new Set([1])],
  [SOL_PACKET, new Set([1, 2, 8, 9, 15, 18, 21, 23, 24])],
]);

/** Levels whose options can be set and read but for these. */
const REFUSED_SET = new Map<number, ReadonlySet<number>>([
  // SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF and EBPF, SO_DEVMEM_*
  [SOL_SOCKET, new Set([26, 50, 51, 52, 78, 79, 80])],
  // TCP_ULP, TCP_ZEROCOPY_RECEIVE
  [SOL_TCP, new Set([31, 35])],
  // UDP_ENCAP
  [SOL_UDP, new Set([100])],
  // IP_IPSEC_POLICY, IP_XFRM_POLICY
  [SOL_IP, new Set([16, 17])],
  // IPV6_IPSEC_POLICY, IPV6_XFRM_POLICY
  [SOL_IPV6, new Set([34, 35])],
]);
const REFUSED_GET = new Map<number, ReadonlySet<number>>([
  [SOL_SOCKET, new Set([26])],
  [SOL_TCP, new Set([35])],
]);
/** SO_PASSRIGHTS: what lies beyond the sentry's system call filter does not let pass. */
const SO_LAST = 83;
/** Netfilter's tables (IPT_BASE_CTL, IP6T_BASE_CTL), and multicast routing beyond. */
const NETFILTER = 64;

/** Control messages that may go to the host; others of these levels are unknown to it as well. */
const CONTROL = new Map<number, ReadonlySet<number>>([
  // SO_PRIORITY, SO_MARK, SO_TIMESTAMPING, SCM_TXTIME, SO_TIMESTAMPING_NEW, SCM_TS_OPT_ID
  [SOL_SOCKET, new Set([12, 36, 37, 61, 65, 81])],
  // IP_TOS, TTL, RETOPTS, PKTINFO, PROTOCOL
  [SOL_IP, new Set([1, 2, 7, 8, 52])],
  // IPV6_2292PKTINFO, 2292HOPOPTS, 2292DSTOPTS, 2292RTHDR, 2292HOPLIMIT, FLOWINFO, PKTINFO, HOPLIMIT, HOPOPTS, RTHDRDSTOPTS, RTHDR, DSTOPTS,
  // DONTFRAG, TCLASS
  [SOL_IPV6, new Set([2, 3, 4, 5, 8, 11, 50, 52, 54, 55, 57, 59, 62, 67])],
  [SOL_UDP, new Set([103])],
]);
/** SCM_RIGHTS, SCM_CREDENTIALS: internet sockets take no notice of them (__sock_cmsg_send). */
const IGNORED: ReadonlySet<number> = new Set([1, 2]);

/** IPT_SO_*, ARPT_SO_* and IP6T_SO_*: a kernel without netfilter does not know them, but only who has rights over the network is told so. */
export function isNetfilter(level: number, name: number): boolean {
  if (level === SOL_IP) return (name >= 64 && name <= 67) || (name >= 96 && name <= 99);
  return level === SOL_IPV6 && (name === 64 || name === 65);
}

export function noFilters(t: CallContext, owner: UserNamespace | null): number {
  return t.creds.hasIn(CAP_NET_ADMIN, owner) ? -ENOPROTOOPT : -EPERM;
}

export function maySet(level: number, name: number): boolean {
  const refused = REFUSED_SET.get(level);
  if (refused === undefined) return SETTABLE.get(level)?.has(name) === true;
  if (level === SOL_SOCKET && (name < 0 || name > SO_LAST)) return false;
  return !refused.has(name) && (level !== SOL_IP || name < NETFILTER);
}

export function mayGet(level: number, name: number): boolean {
  if (REFUSED_SET.has(level)) return REFUSED_GET.get(level)?.has(name) !== true;
  return maySet(level, name);
}

/** What of the control messages in `ctl` may go to the host, or −errno. SCM_RIGHTS never may; messages of other levels mean nothing. */
export function controlForHost(ctl: Uint8Array): Uint8Array | number {
  const b = Buffer.from(ctl.buffer, ctl.byteOffset, ctl.length);
  const parts: Buffer[] = [];
  for (let at = 0; at + 16 <= b.length;) {
    const len = b.readUInt32LE(at + 4) === 0 ? b.readUInt32LE(at) : Infinity;
    if (len < 16 || at + len > b.length) return -EINVAL;
    const level = b.readInt32LE(at + 8);
    const type = b.readInt32LE(at + 12);
    const room = Math.ceil(len / 8) * 8;
    const known = CONTROL.get(level);
    if (known?.has(type) === true) {
      const part = Buffer.alloc(room);
      b.copy(part, 0, at, at + len);
      parts.push(part);
    } else if (known !== undefined && !(level === SOL_SOCKET && IGNORED.has(type))) return -EINVAL;
    at += room;
  }
  return Buffer.concat(parts);
}
