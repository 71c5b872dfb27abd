/**
 * Attributes of requests that change networks, as far as they are passed on to the host (rtnetlink(7), linux/if_link.h, if_addr.h,
 * rtnetlink.h, neighbour.h, fib_rules.h). Namespaces are named by what the networker calls them.
 */
import { EINVAL, EOPNOTSUPP } from '../../abi/errno.ts';

/** What may be in an attribute: bytes, at most so many; attributes; or a namespace. */
type Content = number | AttributeSet | 'namespace fd' | 'namespace pid' | 'kind' | 'data of kind';
export type AttributeSet = ReadonlyMap<number, Content>;

/** The number by which requests name the namespace of a descriptor or process of the guest's, or −errno. */
export type FindNetwork = (value: number, byPid: boolean) => number;

/** Addresses, names and numbers. */
const VALUE = 64;
const NAMES = 256;
const OPTIONS = 512;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
/** Beyond the attributes of any request; the host would take no notice of them (nlmsg_parse_deprecated). */
const LAST_TYPE = 90;
const IFINFOMSG = 16;
const IFLA_NET_NS_FD = 28;
const NETNSA_FD = 3;
/** Their ends are in namespaces of the sandbox: launcher-link.c has the same. */
const KINDS: ReadonlySet<string> = new Set(['dummy', 'veth', 'bridge', 'ifb']);

export const isKind = (kind: string): boolean => KINDS.has(kind);

const values = (list: readonly number[]): [number, Content][] => list.map((n) => [n, VALUE]);

/** IFLA_INFO_KIND, DATA, SLAVE_KIND, SLAVE_DATA */
const LINK_INFO: AttributeSet = new Map<number, Content>([
  [1, 'kind'],
  [2, 'data of kind'],
  [4, VALUE],
  [5, OPTIONS],
]);
/** IFLA_ALT_IFNAME */
const PROPERTIES: AttributeSet = new Map([[53, NAMES]]);

export const LINK: AttributeSet = new Map<number, Content>([
  // IFLA_ADDRESS BROADCAST IFNAME MTU LINK MASTER TXQLEN OPERSTATE LINKMODE GROUP EXT_MASK PROMISCUITY NUM_TX_QUEUES NUM_RX_QUEUES
  // CARRIER PROTO_DOWN GSO_MAX_SEGS GSO_MAX_SIZE
  ...values([1, 2, 3, 4, 5, 10, 13, 16, 17, 27, 29, 30, 31, 32, 33, 39, 40, 41]),
  [18, LINK_INFO],
  [19, 'namespace pid'],
  // IFLA_IFALIAS, AF_SPEC
  [20, NAMES],
  [26, NAMES],
  [IFLA_NET_NS_FD, 'namespace fd'],
  [52, PROPERTIES],
  [53, NAMES],
]);
/** VETH_INFO_PEER: struct ifinfomsg, then attributes. */
const VETH_INFO_PEER = 1;
/** IFA_ADDRESS LOCAL LABEL BROADCAST ANYCAST CACHEINFO FLAGS RT_PRIORITY PROTO */
export const ADDRESS: AttributeSet = new Map(values([1, 2, 3, 4, 5, 6, 8, 9, 11]));
export const ROUTE: AttributeSet = new Map<number, Content>([
  // RTA_DST SRC IIF OIF GATEWAY PRIORITY PREFSRC FLOW TABLE MARK VIA PREF EXPIRES TTL_PROPAGATE
  ...values([1, 2, 3, 4, 5, 6, 7, 11, 15, 16, 18, 20, 23, 26]),
  // RTA_METRICS, MULTIPATH
  [8, NAMES],
  [9, OPTIONS],
]);
/** NDA_DST LLADDR CACHEINFO PROBES VLAN IFINDEX MASTER PROTOCOL FLAGS_EXT */
export const NEIGHBOUR: AttributeSet = new Map(values([1, 2, 3, 4, 5, 8, 9, 12, 15]));
/** NETNSA_NSID PID FD */
export const NAMESPACE: AttributeSet = new Map<number, Content>([
  [1, VALUE],
  [2, 'namespace pid'],
  [NETNSA_FD, 'namespace fd'],
]);
/** FRA_DST SRC IIFNAME GOTO PRIORITY FWMARK FLOW SUPPRESS_IFGROUP, PREFIXLEN TABLE FWMASK OIFNAME L3MDEV PROTOCOL IP_PROTO SPORT DPORT DSCP */
export const RULE: AttributeSet = new Map(
  values([1, 2, 3, 4, 6, 10, 11, 13, 14, 15, 16, 17, 19, 21, 22, 23, 24, 26]),
);

function attribute(type: number, value: Uint8Array): Buffer {
  const b = Buffer.alloc(Math.ceil((4 + value.length) / 4) * 4);
  b.writeUInt16LE(4 + value.length, 0);
  b.writeUInt16LE(type, 2);
  b.set(value, 4);
  return b;
}

function word(n: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n, 0);
  return b;
}

/** The value of one attribute as it is passed on, or −errno. `kind`: the kind of link around it. */
function content(c: Content, value: Buffer, kind: string, find: FindNetwork): Buffer | number {
  if (typeof c === 'number') return value.length > c ? -EOPNOTSUPP : value;
  if (typeof c === 'object') return knownAttributes(value, c, find);
  if (c === 'kind') return KINDS.has(kind) ? value : -EOPNOTSUPP;
  if (c === 'data of kind')
    return kind === 'veth' ? vethData(value, find) : value.length > OPTIONS ? -EOPNOTSUPP : value;
  if (value.length < 4) return -EINVAL;
  const network = find(value.readInt32LE(0), c === 'namespace pid');
  return network < 0 ? network : word(network);
}

function vethData(value: Buffer, find: FindNetwork): Buffer | number {
  if (value.length < 4) return value;
  const type = value.readUInt16LE(2);
  const length = value.readUInt16LE(0);
  if ((type & TYPE_MASK) !== VETH_INFO_PEER || length < 4 + IFINFOMSG || length > value.length)
    return -EINVAL;
  const peer = value.subarray(4, length);
  const rest = knownAttributes(peer.subarray(IFINFOMSG), LINK, find);
  return typeof rest === 'number'
    ? rest
    : attribute(type, Buffer.concat([peer.subarray(0, IFINFOMSG), rest]));
}

/** IFLA_INFO_KIND among the attributes of IFLA_LINKINFO. */
export function kindOf(info: Buffer): string {
  for (let at = 0; at + 4 <= info.length;) {
    const length = info.readUInt16LE(at);
    if (length < 4 || at + length > info.length) break;
    if ((info.readUInt16LE(at + 2) & TYPE_MASK) === 1)
      return info.toString('latin1', at + 4, at + length).split('\0')[0]!;
    at += Math.ceil(length / 4) * 4;
  }
  return '';
}

/** The attributes in `from`, if all that Linux has are in `known`; else −errno. */
export function knownAttributes(from: Buffer, known: AttributeSet, find: FindNetwork): Buffer | number {
  const out: Buffer[] = [];
  const kind = known === LINK_INFO ? kindOf(from) : '';
  const byFd = known === NAMESPACE ? NETNSA_FD : IFLA_NET_NS_FD;
  for (let at = 0; at + 4 <= from.length;) {
    const length = from.readUInt16LE(at);
    if (length < 4 || at + length > from.length) break;
    const type = from.readUInt16LE(at + 2);
    const c = known.get(type & TYPE_MASK);
    if (c === undefined && (type & TYPE_MASK) > LAST_TYPE) {
      at += Math.ceil(length / 4) * 4;
      continue;
    }
    if (c === undefined) return -EOPNOTSUPP;
    const value = content(c, from.subarray(at + 4, at + length), kind, find);
    if (typeof value === 'number') return value;
    out.push(attribute(c === 'namespace pid' ? byFd : type & (NESTED | TYPE_MASK), value));
    at += Math.ceil(length / 4) * 4;
  }
  return Buffer.concat(out);
}
